// The host's services, asked through the SDK as a plugin does.
#include "core/plugins/host.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bot_bottle/plugin.hpp>

#include "core/plugins/call.hpp"
#include "tests/unit/core/plugins/fake_unix_server.hpp"

namespace bot_bottle::plugins {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HostTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options.home.root = "/h";
    options.installation.libexec = "/prefix/libexec/bot-bottle";
    options.find_secret = [](const std::string& plugin, const std::string& name) -> std::optional<std::string> {
      if (plugin == "tested" && name == "TOKEN") return "s3cret";
      if (name == "LARGE") return std::string(std::size_t{1} << 20, 'x');
      return std::nullopt;
    };
    options.on_log = [this](std::uint32_t level, const std::string&, const std::string& text) {
      logs.push_back(std::to_string(level) + " " + text);
    };
    host.set_options(&options);
  }
  template <typename Body>
  sdk::Error error_of(Body&& body) {
    try {
      body();
    } catch (const sdk::Error& error) {
      return error;
    }
    return {sdk::Status::ok, ""};
  }

  HostOptions options;
  std::vector<std::string> logs;
  PluginHost host{"tested", "/plugins/tested"};
  PluginCall plugin_call{host, "test"};
  sdk::Call call{plugin_call.raw()};
  sdk::Host sdk_host{host.raw()};
};

TEST_F(HostTest, a_program_runs_without_a_shell_with_exactly_the_environment_it_is_given) {
  sdk::ProcessRequest request;
  request.argv = {"cat"};
  request.stdin_text = "$HOME; `id`";
  EXPECT_EQ(sdk_host.run(call, request).out, "$HOME; `id`");
  request.argv = {"env"};
  request.env = sdk::StringMap{{"ONLY", "this"}};
  EXPECT_EQ(sdk_host.run(call, request).out, "ONLY=this\n");
  request.argv = {"sh", "-c", "pwd; printf '\\377' >&2; exit 3"};
  request.cwd = "/";
  const auto result = sdk_host.run(call, request);
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.out, "/\n");
  EXPECT_EQ(result.err, "\xef\xbf\xbd");
}

TEST_F(HostTest, a_program_that_is_missing_or_too_slow_is_an_error_with_its_reason) {
  const auto missing = error_of([&] { static_cast<void>(sdk_host.run(call, {"no-such-program-here"})); });
  EXPECT_EQ(missing.status, sdk::Status::not_found);
  EXPECT_THAT(missing.message, HasSubstr("no-such-program-here"));
  sdk::ProcessRequest slow;
  slow.argv = {"sleep", "30"};
  slow.timeout_ms = 20;
  EXPECT_EQ(error_of([&] { static_cast<void>(sdk_host.run(call, slow)); }).status, sdk::Status::timeout);
}

TEST_F(HostTest, a_program_ends_with_the_cancellation_of_the_call) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  options.cancel_fd = ends[0];
  const PluginCall cancelled(host, "cancelled");
  const sdk::Call wrapped(cancelled.raw());
  EXPECT_TRUE(wrapped.cancelled());
  EXPECT_EQ(error_of([&] {
              static_cast<void>(sdk_host.run(wrapped, {"sleep", "30"}));
            }).status,
            sdk::Status::cancelled);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(HostTest, a_spawned_program_gets_the_descriptors_it_is_given) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  sdk::ProcessRequest request;
  request.argv = {"sh", "-c", "echo through >&5"};
  const std::int64_t pid = sdk_host.spawn(call, request, {{ends[1], 5}});
  ::close(ends[1]);
  char buffer[32] = {};
  EXPECT_EQ(::read(ends[0], buffer, sizeof buffer), 8);
  EXPECT_STREQ(buffer, "through\n");
  int status = 0;
  EXPECT_EQ(::waitpid(static_cast<pid_t>(pid), &status, 0), pid);
  ::close(ends[0]);
  EXPECT_EQ(error_of([&] {
              static_cast<void>(sdk_host.spawn(call, request, {{0, 4096}}));
            }).status,
            sdk::Status::invalid_argument);
}

TEST_F(HostTest, paths_are_known_by_name) {
  EXPECT_EQ(sdk_host.path(call, "home"), "/h");
  EXPECT_EQ(sdk_host.path(call, "state"), "/h/state");
  EXPECT_EQ(sdk_host.path(call, "libexec"), "/prefix/libexec/bot-bottle");
  EXPECT_EQ(sdk_host.path(call, "plugin"), "/plugins/tested");
  EXPECT_EQ(error_of([&] { static_cast<void>(sdk_host.path(call, "moon")); }).status, sdk::Status::not_found);
}

TEST_F(HostTest, a_secret_is_given_only_when_granted_and_only_through_a_pipe) {
  EXPECT_EQ(sdk_host.read_secret(call, "TOKEN"), "s3cret");
  const auto denied = error_of([&] { static_cast<void>(sdk_host.read_secret(call, "OTHER")); });
  EXPECT_EQ(denied.status, sdk::Status::permission_denied);
  EXPECT_THAT(denied.message, HasSubstr("OTHER is not granted to the plugin tested"));
  EXPECT_EQ(error_of([&] { static_cast<void>(sdk_host.read_secret(call, "LARGE")); }).status, sdk::Status::internal);
}

TEST_F(HostTest, http_reaches_a_unix_socket) {
  FakeUnixServer server("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{}\xff\n");
  sdk::HttpRequest request;
  request.socket = server.path();
  request.target = "/v1/info";
  const auto response = sdk_host.http(call, request);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "{}\xef\xbf\xbd\n");
}

TEST_F(HostTest, a_service_that_fails_in_the_hosts_own_call_is_not_the_plugins_failure) {
  // A C plugin passes its call on, the program is missing, and it goes on without it.
  const auto service = sdk_host.service<bb_process_service>(BB_SERVICE_PROCESS);
  std::string out;
  plugin_call.run([&](const bb_call* raw) {
    EXPECT_EQ(service.run(host.raw()->host_data, raw, to_bb(R"({"argv":["no-such-program-here"]})"),
                          {&out, sdk::detail::append_to_string}),
              BB_NOT_FOUND);
    return bb_status{BB_OK};
  });
  EXPECT_TRUE(logs.empty());
  // Where it gives up, the service's reason is what the operator reads.
  PluginCall second(host, "backend x: probe");
  try {
    second.run([&](const bb_call* raw) {
      return service.run(host.raw()->host_data, raw, to_bb(R"({"argv":["no-such-program-here"]})"),
                         {&out, sdk::detail::append_to_string});
    });
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::not_found);
    EXPECT_THAT(failure.error().message, HasSubstr("backend x: probe: cannot find the program 'no-such-program-here'"));
  }
  EXPECT_TRUE(logs.empty());
}

TEST_F(HostTest, logs_carry_valid_utf8_and_a_known_level) {
  sdk_host.info("caf\xe9");
  sdk_host.log(99, "odd level");
  EXPECT_THAT(logs, ElementsAre("1 caf\xef\xbf\xbd", "3 odd level"));
}

TEST_F(HostTest, after_the_registry_has_gone_services_are_unavailable_and_nothing_crashes) {
  host.set_options(nullptr);
  EXPECT_EQ(error_of([&] { static_cast<void>(sdk_host.path(call, "home")); }).status, sdk::Status::unavailable);
  sdk_host.info("to nobody");
  call.progress("to nobody");
  EXPECT_TRUE(logs.empty());
}

TEST_F(HostTest, a_display_that_throws_does_not_unwind_through_the_plugin) {
  options.on_progress = [](std::uint32_t, const std::string&) { throw std::runtime_error("terminal gone"); };
  call.progress(10, "x");
}

}  // namespace
}  // namespace bot_bottle::plugins
