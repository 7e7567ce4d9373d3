#include "sidecar/git_gate/upstream.hpp"

#include <gtest/gtest.h>

namespace bot_bottle::git_gate {
namespace {

using Outcome = ForwardedRef::Outcome;

TEST(PushReport, each_refs_fate_is_read_from_gits_own_words) {
  const std::vector<RefUpdate> updates{{std::string(zero_oid), std::string(40, '1'), "refs/heads/a"},
                                       {std::string(40, '1'), std::string(zero_oid), "refs/heads/b"},
                                       {std::string(40, '1'), std::string(40, '2'), "refs/heads/c"},
                                       {std::string(40, '1'), std::string(40, '2'), "refs/heads/d"},
                                       {std::string(40, '1'), std::string(40, '2'), "refs/heads/e"}};
  Forwarded forwarded;
  forwarded.refs.resize(updates.size());
  parse_push_report(
      "To ssh://host/x\n"
      "*\t1111:refs/heads/a\t[new branch]\n"
      "-\t:refs/heads/b\t[deleted]\n"
      "!\t2222:refs/heads/c\t[remote rejected] (pre-receive hook declined)\n"
      "!\t2222:refs/heads/d\t[rejected] (stale info)\n"
      "!\t2222:refs/heads/e\t[remote failure] (remote failed to report status)\n"
      "*\t1:refs/heads/other\t[new branch]\nDone\n",
      updates, forwarded);
  EXPECT_EQ(forwarded.refs[0].outcome, Outcome::taken);
  EXPECT_EQ(forwarded.refs[1].outcome, Outcome::taken);
  EXPECT_EQ(forwarded.refs[2].outcome, Outcome::rejected);
  EXPECT_EQ(forwarded.refs[2].reason, "pre-receive hook declined");
  EXPECT_EQ(forwarded.refs[3].reason, "fetch first: the upstream has moved");
  EXPECT_EQ(forwarded.refs[4].outcome, Outcome::unknown);
}

TEST(LastWords, are_the_reason_without_the_noise) {
  EXPECT_EQ(
      last_words("ssh: connect to host x port 22: Connection refused\nfatal: Could not read from remote "
                 "repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n"),
      "ssh: connect to host x port 22: Connection refused; Could not read from remote repository.");
  EXPECT_EQ(last_words(""), "");
  EXPECT_LE(last_words(std::string(5000, 'x')).size(), 1000U);
}

}  // namespace
}  // namespace bot_bottle::git_gate
