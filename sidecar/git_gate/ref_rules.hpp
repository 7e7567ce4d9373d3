// Which refs may be pushed (spec 05, `branches`). Pure: what needs the object graph (is it a fast-forward?) is asked by
// the push. Hostile input: ref names.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/policy/git_gate.hpp"
#include "sidecar/git_gate/receive_request.hpp"

namespace bot_bottle::git_gate {

/// Name → object, of the mirror as it was refreshed for this push.
using Refs = std::map<std::string, std::string, std::less<>>;

/// Why not, for the client ("protected branch"), or nothing. `hint` says what would be taken.
struct RefRefusal {
  std::string reason;
  std::string hint;
};

/// Stricter than git-check-ref-format(1): refs/heads/ or refs/tags/ only, valid UTF-8, no control characters, at most
/// 250 octets, no part that begins with '-', "HEAD" or "refs" as a branch's first part (a name with two readings).
std::optional<RefRefusal> check_ref_name(std::string_view name);

/// Everything that names alone decide. `refs` is the upstream's state as the mirror has it.
std::optional<RefRefusal> check_update(const policy::GitRepo& repo, const Refs& refs, const RefUpdate& update);

bool is_branch(std::string_view name);
bool is_tag(std::string_view name);

}  // namespace bot_bottle::git_gate
