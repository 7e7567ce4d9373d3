// The agent's commits as refs of the operator's repository. git never runs in the agent's repository: objects are moved
// into one of ours, packs are indexed and checked anew, refs are read by us; hooks, configuration, attributes and
// alternates of the copy are not looked at. Throws Failure.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace bot_bottle::sync {

struct FetchedRef {
  std::string name;  // "refs/bot-bottle/<slug>/main"
  std::string oid;
};

struct Fetched {
  std::vector<FetchedRef> refs;
  std::string head;  // what the agent has checked out, when it is a branch of the operator's or among `refs`
  std::vector<std::string> skipped;  // names that are no plain branch names; hostile
  std::string unavailable;           // why nothing could be asked: no repository, no git; empty: it was
};

/// `our_git` is the operator's repository (".git", or the common directory of its worktrees). `theirs` is the
/// copied-out tree, and its .git/objects is used up. `scratch` is an empty or absent directory of ours. `given`: names
/// of packs that the agent got from us; what is in them is the operator's already.
Fetched fetch_commits(const std::filesystem::path& our_git, const std::filesystem::path& theirs,
                      const std::filesystem::path& scratch, const std::string& slug,
                      const std::vector<std::string>& given = {});

/// git-check-ref-format(1), and stricter: letters, digits and "._/-", no part that begins with "." or "-".
bool is_plain_ref_name(std::string_view name);

}  // namespace bot_bottle::sync
