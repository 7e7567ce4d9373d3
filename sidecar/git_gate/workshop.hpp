// Where one repository's things are, and the environment of every git and ssh we start: ours alone, whatever the agent,
// the upstream or the operator's own configuration says (attack G1). Made at the sidecar's start, before it is
// confined.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/process.hpp"
#include "core/base/result.hpp"
#include "core/base/secret.hpp"
#include "core/policy/egress.hpp"
#include "core/policy/git_gate.hpp"

namespace bot_bottle::git_gate {

/// The programs, as absolute paths. Errors: unavailable, naming what is missing and the package.
struct Programs {
  std::string git;
  std::string ssh;  // empty: no upstream needs it
  std::string shell;
  std::string gitleaks;  // empty: no repository asks for it
  static Result<Programs> find(const policy::GitGate& gate);
  /// What must be executable for them to run: for confine().
  [[nodiscard]] std::vector<std::string> executables() const;
};

/// What opens the way to an https upstream.
struct Credentials {
  SecretBytes token;
  SecretBytes proxy_login;  // "user:password" for egress.upstream_proxy, or empty
};

/// What all repositories of a gate have in common.
struct Surroundings {
  std::filesystem::path directory;  // absolute
  Programs programs;
  std::string upstream_ca;                              // PEM text, added to the system's roots
  std::optional<policy::UpstreamProxy> upstream_proxy;  // the way to https upstreams; ssh does not take it
};

/// One repository on disk: state/<slug>/git-gate/<name>/{mirror.git, quarantine, identity, known_hosts, ssh_config}.
class Workshop {
 public:
  /// Makes what is missing, removes what a killed process left (quarantines, locks) and writes every configuration file
  /// anew. `private_key` is of ssh.
  static Result<Workshop> create(const Surroundings& surroundings, const policy::GitRepo& repo,
                                 std::string_view private_key);

  [[nodiscard]] const policy::GitRepo& repo() const { return repo_; }
  [[nodiscard]] const std::filesystem::path& mirror() const { return mirror_; }
  [[nodiscard]] std::filesystem::path quarantine() const { return directory_ / "quarantine"; }
  [[nodiscard]] const std::string& git() const { return git_; }
  [[nodiscard]] const std::string& gitleaks() const { return gitleaks_; }
  /// The text of scan.config, when there is one.
  [[nodiscard]] std::filesystem::path gitleaks_config() const { return directory_ / "gitleaks.toml"; }

  using Environment = std::map<std::string, std::string>;
  /// For processes that look at the mirror alone.
  [[nodiscard]] const Environment& local_environment() const { return local_; }
  /// With an object directory in front of the mirror's: `objects` gets what is written.
  [[nodiscard]] Environment quarantined(Environment base, const std::filesystem::path& objects) const;
  /// For processes that speak to the upstream. The credentials are of https; they are in the environment of git and its
  /// helper, and nowhere else.
  [[nodiscard]] Environment upstream_environment(const Credentials& credentials) const;

  /// `git ARGUMENTS` in the mirror; the caller adds descriptors, input and limits.
  [[nodiscard]] ProcessRequest request(std::vector<std::string> arguments, Environment environment) const;

  /// Locks that a killed git left.
  void sweep() const;
  /// Overwrites and removes the private key.
  void wipe_key() const;

 private:
  policy::GitRepo repo_;
  std::filesystem::path directory_;
  std::filesystem::path mirror_;
  std::string git_;
  std::string ssh_;
  std::string gitleaks_;
  std::optional<policy::UpstreamProxy> proxy_;
  Environment local_;
};

}  // namespace bot_bottle::git_gate
