// A home in a temporary directory, the real plugin behind the real registry, and bottles that are always removed.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/unique_fd.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::test {

/// What answers behind the bottle's endpoint: says back every byte in capitals; and the socket for reports.
class FakeWire {
 public:
  explicit FakeWire(const std::filesystem::path& wire);
  ~FakeWire();
  FakeWire(const FakeWire&) = delete;
  FakeWire& operator=(const FakeWire&) = delete;
  /// Waits up to five seconds for a report that holds `text`.
  bool has_report(const std::string& text);

 private:
  void serve();
  UniqueFd listener_;
  UniqueFd report_;
  UniqueFd stop_read_;
  UniqueFd stop_write_;
  std::thread thread_;
  std::string reports_;
};

struct Output {
  int code = 0;
  std::string out;
  std::string err;
};

class LocalBackendTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  [[nodiscard]] std::filesystem::path state_of(const std::string& slug) const { return home_ / "state" / slug; }
  json::object spec(const std::string& slug = "x-1");
  /// plan and launch, with a fake wire.
  json::object launch(const json::object& spec, int lifeline_fd = -1);
  json::object launch() { return launch(spec()); }
  Output run(const json::object& bottle, std::vector<std::string> argv, int stdin_fd = -1);
  Output shell(const json::object& bottle, const std::string& script) { return run(bottle, {"/bin/sh", "-c", script}); }
  std::vector<std::string> selftest(const json::object& bottle);
  plugins::Backend& backend() { return registry_->backend("local"); }
  /// Polls until true; false after five seconds.
  static bool soon(const std::function<bool()>& condition);
  /// Processes of this machine with `marker` in their command line.
  static int processes_with(const std::string& marker);
  static bool is_root();
  bool is_running(const std::string& slug);

  std::filesystem::path home_;
  plugins::HostOptions options_;
  std::unique_ptr<plugins::Registry> registry_;
  std::vector<json::object> launched_;
  std::vector<std::unique_ptr<FakeWire>> wires_;
};

/// What `call` fails with; fails the test when it does not.
Error error_of(const std::function<void()>& call);
void write(const std::filesystem::path& path, const std::string& text);
std::string read(const std::filesystem::path& path);

}  // namespace bot_bottle::test
