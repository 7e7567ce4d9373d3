// git-gate as values (spec 05): the repositories a bottle may reach, what may be pushed to them, and the spellings of
// their URLs. Called by the plan (the guest's git configuration, the sidecar's) and by the sidecar's gate.
// Hostile input: none directly; a manifest's values and the sidecar's configuration are checked here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace bot_bottle::policy {

/// Where a repository really is.
struct GitUpstream {
  enum class Transport : std::uint8_t { ssh, https };
  Transport transport = Transport::ssh;
  std::string url;  // as the manifest has it; what git is given
  std::string user;
  std::string host;        // lower case
  std::uint16_t port = 0;  // 0: the transport's own
  std::string path;        // without a leading '/', as written otherwise
  bool scp_form = false;   // user@host:path
};

/// ssh://[user@]host[:port]/path, [user@]host:path or https://host[:port]/path. Errors: anything else; a part that
/// begins with '-' (an option to ssh, CVE-2017-1000117), controls, spaces, a password.
Result<GitUpstream> parse_git_upstream(std::string_view url);

/// Every way to write the URL that git would take for the same repository, without a final ".git": prefixes for
/// `url.<base>.insteadOf`.
std::vector<std::string> spellings_of(const GitUpstream& upstream);

/// Glob of branch names: '*' is any text, '/' included. ASCII case is ignored when `fold` says so.
enum class GlobCase : std::uint8_t { exact, fold };
bool matches_branch(std::string_view pattern, std::string_view branch, GlobCase glob_case);

struct GitScan {
  enum class Engine : std::uint8_t { builtin, gitleaks };
  Engine engine = Engine::builtin;    // gitleaks: the program runs as well, and both must pass
  std::string rules;                  // text of a .gitleaks.toml, or empty
  std::vector<std::string> baseline;  // fingerprints, as gitleaks writes them
  bool honour_inline_allow = false;
};

struct GitRepo {
  std::string name;
  GitUpstream upstream;
  std::string host_key;                      // "ssh-ed25519 AAAA…"; ssh only
  std::map<std::string, std::string> hosts;  // host → address
  std::string token_ref;                     // https: the secret's name
  std::vector<std::string> protected_branches{"main", "master"};
  std::optional<std::vector<std::string>> allowed_branches;  // nothing: every one that is not protected
  bool allow_force_push = false;
  bool allow_delete = false;
  bool allow_tags = true;
  std::uint64_t max_push_bytes = std::uint64_t{200} << 20;
  bool require_signed_off = false;
  GitScan scan;
};

struct GitGate {
  std::vector<GitRepo> repos;
  std::int64_t proposal_wait_ms = 300'000;  // how long a push waits for the operator
};

/// The sidecar's document (`git_gate` of sidecar-config/1) and back. Errors name the repository and the key.
json::object to_json(const GitGate& gate);
Result<GitGate> parse_git_gate(const json::object& document);

/// A repository's name is a part of a path and of a URL.
bool is_git_repo_name(std::string_view name);

/// The fingerprints of a gitleaks report (a JSON array) or of a list of fingerprints, one a line.
Result<std::vector<std::string>> parse_baseline(std::string_view text);

}  // namespace bot_bottle::policy
