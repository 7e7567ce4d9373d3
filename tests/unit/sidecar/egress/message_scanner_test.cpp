// Messages leave when they are complete; what is cut over several of them is seen all the same.
#include "sidecar/egress/message_scanner.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace bot_bottle::egress {
namespace {

constexpr std::string_view token = "tok-9f8e7d6c5b4a39281706";

class MessageScannerTest : public ::testing::Test {
 protected:
  std::shared_ptr<const dlp::Rules> rules = dlp::Rules::compile(BB_SOURCE_DIR "/core/policy/rules").value();
  std::shared_ptr<const dlp::KnownSecrets> secrets =
      dlp::KnownSecrets::create(std::vector<dlp::KnownSecret>{{"TOKEN", token}}).value();
  MessageScanner scanner{rules, secrets, {}, policy::OnUnscannable::block};

  /// What was released of one message; "BLOCKED" behind it when it was stopped.
  std::string send(std::string_view message, std::size_t piece = 1000) {
    std::string out;
    for (std::size_t at = 0; at < message.size(); at += piece) {
      if (scanner.write(message.substr(at, piece), out)) return out + "BLOCKED";
    }
    if (scanner.end(out)) return out + "BLOCKED";
    return out;
  }
};

TEST_F(MessageScannerTest, a_complete_message_is_released_whole_at_its_end) {
  for (const std::size_t size : {1U, 3U, 10U, 1000U, 100'000U}) {
    const std::string message(size, 'm');
    EXPECT_EQ(send(message), message) << size;
    EXPECT_EQ(send(message, 7), message) << size;
  }
}

TEST_F(MessageScannerTest, a_secret_in_one_message_is_found_however_it_is_written) {
  for (std::size_t piece = 1; piece < 40; ++piece) {
    MessageScanner fresh(rules, secrets, {}, policy::OnUnscannable::block);
    std::swap(scanner, fresh);
    const std::string seen = send("hello " + std::string(token) + " world", piece);
    EXPECT_TRUE(seen.ends_with("BLOCKED")) << piece;
    EXPECT_EQ(seen.find("tok-"), std::string::npos) << piece;
  }
}

TEST_F(MessageScannerTest, a_secret_over_messages_is_found_before_the_last_of_it_leaves) {
  for (std::size_t step = 1; step < token.size(); ++step) {
    MessageScanner fresh(rules, secrets, {}, policy::OnUnscannable::block);
    std::swap(scanner, fresh);
    EXPECT_EQ(send("before "), "before ");
    std::string all;
    for (std::size_t at = 0; at < token.size() && !all.ends_with("BLOCKED"); at += step)
      all += send(token.substr(at, step));
    EXPECT_TRUE(all.ends_with("BLOCKED")) << step;
    EXPECT_EQ(all.find(token), std::string::npos) << step;
  }
}

TEST_F(MessageScannerTest, empty_messages_set_up_no_scanner_and_do_not_part_a_secret) {
  EXPECT_EQ(send(token.substr(0, 12)), token.substr(0, 12));
  for (int i = 0; i < 100; ++i) {
    scanner.begin(std::nullopt);
    EXPECT_EQ(send(""), "");
  }
  EXPECT_EQ(scanner.opened(), 1U);
  EXPECT_EQ(send(token.substr(12)), "BLOCKED");
}

TEST_F(MessageScannerTest, a_seam_does_not_hide_what_begins_a_message) {
  // Joined to the letters before it, this is no word of its own and no rule would match.
  const std::string github = "ghp_" + std::string("Ab3dEf6hIj9lMn2pQr5tUv8xYz1Bc4Df7Gh0");
  EXPECT_EQ(send("abc"), "abc");
  EXPECT_TRUE(send(github).ends_with("BLOCKED"));
}

TEST_F(MessageScannerTest, a_seam_is_judged_before_a_long_message_streams) {
  EXPECT_EQ(send(token.substr(0, 12)), token.substr(0, 12));
  const std::string seen = send(std::string(token.substr(12)) + std::string(100'000, 'l'), 500);
  EXPECT_EQ(seen, "BLOCKED");
}

}  // namespace
}  // namespace bot_bottle::egress
