// Runs checks of a plugin in a forked child, so that one that crashes is a failed line and not the end of us.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::plugins {

/// What one check may take unless it says otherwise; longer is a call that hangs.
inline constexpr std::chrono::seconds default_check_limit{60};

/// In the child: each check is announced, run and reported, so that the parent knows what a crash interrupted.
class Checker {
 public:
  explicit Checker(int fd) : fd_(fd) {}

  /// `body` returns what is wrong, or "". What it throws is wrong too.
  /// After `limit` the child is ended.
  bool check(const std::string& name, const std::function<std::string()>& body,
             std::chrono::milliseconds limit = default_check_limit);
  /// A line for what cannot be asked here, and why: neither passed nor failed.
  void not_run(const std::string& name, const std::string& why);
  /// Any object, for the parent.
  void send(const json::object& line) const;
  [[nodiscard]] bool all_passed() const { return all_passed_; }

 private:
  int fd_;
  bool all_passed_ = true;
};

struct ChildReport {
  std::vector<CheckLine> lines;
  std::vector<json::object> sent;
};

/// Forks; the child runs `body` and leaves with _exit. A signal, a status other than 0, a check beyond its own limit or
/// more than `limit` in all become a failed line that names the check that was running. `cancel_fd` readable ends the
/// child.
ChildReport run_in_child(const std::function<void(Checker&)>& body, std::chrono::milliseconds limit, int cancel_fd);

/// What a library without plugin.toml says it is; found out in a child. Failure: what is wrong with it.
struct InspectedLibrary {
  std::string name;
  std::string version;
  std::vector<std::string> provides;
};
InspectedLibrary inspect_library(const std::filesystem::path& directory, const std::string& library,
                                 const HostOptions& options);

}  // namespace bot_bottle::plugins
