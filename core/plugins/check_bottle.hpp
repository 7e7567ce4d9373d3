// The bottle under test of `plugin check`: its documents, its sidecar, and how the suites ask it something. What comes
// out of it is made by the suites, not by an agent.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/unique_fd.hpp"
#include "core/plugins/check.hpp"

namespace bot_bottle::plugins {

struct CheckPipe {
  UniqueFd read;
  UniqueFd write;
  CheckPipe();
};

class BottleUnderTest {
 public:
  BottleUnderTest(CheckContext& context, Backend& backend);
  ~BottleUnderTest();
  BottleUnderTest(const BottleUnderTest&) = delete;
  BottleUnderTest& operator=(const BottleUnderTest&) = delete;

  bool check(const std::string& what, const std::function<std::string()>& body,
             std::chrono::seconds limit = default_check_limit) {
    return context.checker.check(name_ + ": " + what, body, limit);
  }
  void not_run(const std::string& what, const std::string& why) { context.checker.not_run(name_ + ": " + what, why); }

  [[nodiscard]] json::object make_spec() const;
  /// build, start_sidecar, launch: fills `bottle`. Each launch has a lifeline of its own.
  void launch();
  /// Before another launch: what belongs to one life of the sidecar.
  void empty_wires() const;

  static json::object request(std::vector<std::string> argv);
  json::object exec(std::vector<std::string> argv, int stdin_fd = -1);
  json::object exec(const json::object& request, int stdin_fd = -1);
  json::object shell(const std::string& script, int stdin_fd = -1) { return exec({"sh", "-c", script}, stdin_fd); }
  bool exec_fails();
  bool enumerated();
  void copy_in(const std::filesystem::path& from, const std::string& to, bool recursive = false, int mode = -1);
  void copy_out(const std::string& from, const std::filesystem::path& to, bool recursive = false);

  [[nodiscard]] std::filesystem::path scratch() const { return state / "provision" / "check"; }

  CheckContext& context;
  Backend& backend;
  const std::string slug;
  const std::filesystem::path state;
  json::object plan;
  json::object bottle;

 private:
  std::string name_;
  UniqueFd lifeline_;
};

/// "" or how a result differs.
std::string expect(const json::object& result, int code, std::string_view out, std::string_view err = {});

/// exec, attach, time limits, cancellation.
void check_use(BottleUnderTest& bottle);
/// What is carried in and out, and what is not.
void check_copies(BottleUnderTest& bottle);
/// The self-test, the host's files, the sidecar's secrets, and the scripted attacker where it can run.
void check_isolation(BottleUnderTest& bottle);

}  // namespace bot_bottle::plugins
