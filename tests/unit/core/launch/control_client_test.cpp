// The control channel's client against sidecars that answer well, badly, late and never.
#include "core/launch/control_client.hpp"

#include <gtest/gtest.h>

#include "fakes.hpp"

namespace bot_bottle::launch {
namespace {

using namespace testing_fakes;
using namespace std::chrono_literals;

struct ControlClientTest : testing::Test {
  std::filesystem::path directory = std::filesystem::temp_directory_path() / ("bb-c-" + random_base36(6));
  std::filesystem::path socket = directory / "control.sock";
  void SetUp() override { std::filesystem::create_directories(directory); }
  void TearDown() override { std::filesystem::remove_all(directory); }
  Error error_of(const std::string& answer, std::chrono::milliseconds timeout = 5s) const {
    const FakeSidecar sidecar(socket, [&](const json::object&) { return answer; });
    try {
      control_call(socket, {{"call", "status"}}, timeout);
    } catch (const Failure& failure) {
      return failure.error();
    }
    ADD_FAILURE() << "no error";
    return {};
  }
};

TEST_F(ControlClientTest, gives_what_the_sidecar_answers) {
  json::object asked;
  const FakeSidecar sidecar(socket, [&](const json::object& request) {
    asked = request;
    return "{\"id\":1,\"ok\":{\"generation\":7}}\n";
  });
  EXPECT_EQ(get_int(control_call(socket, {{"call", "reload"}}, 5s), "generation", 0), 7);
  EXPECT_EQ(get_string(asked, "call"), "reload");
  EXPECT_TRUE(asked.contains("id"));
}

TEST_F(ControlClientTest, an_error_keeps_its_kind_message_and_hint) {
  const Error error =
      error_of("{\"id\":1,\"error\":{\"kind\":\"not_found\",\"message\":\"no route\",\"hint\":\"routes show\"}}\n");
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_EQ(error.message, "no route");
  EXPECT_EQ(error.hint, "routes show");
}

TEST_F(ControlClientTest, C3_answers_that_break_the_protocol_are_errors) {
  EXPECT_EQ(error_of("not json\n").kind, ErrorKind::invalid_argument);
  std::filesystem::remove(socket);
  EXPECT_EQ(error_of("{\"id\":1}\n").kind, ErrorKind::internal);
  std::filesystem::remove(socket);
  EXPECT_EQ(error_of(std::string((std::size_t{1} << 20) + 100'000, 'x')).kind, ErrorKind::internal);
  std::filesystem::remove(socket);
  EXPECT_EQ(error_of("").kind, ErrorKind::unavailable) << "closed without an answer";
}

TEST_F(ControlClientTest, a_sidecar_that_says_nothing_is_a_timeout) {
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  try {
    control_call(socket, {{"call", "status"}}, 50ms);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::timeout);
  }
}

TEST_F(ControlClientTest, nobody_there_is_unavailable_also_below_a_long_path) {
  for (const auto& path : {socket, directory / std::string(120, 'd') / "control.sock"}) {
    try {
      control_call(path, {{"call", "status"}}, 1s);
      FAIL();
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::unavailable);
    }
  }
}

TEST_F(ControlClientTest, a_path_longer_than_a_socket_address_is_reached) {
  const std::filesystem::path deep = directory / std::string(100, 'd');
  std::filesystem::create_directories(deep);
  const FakeSidecar sidecar(socket, [](const json::object&) { return "{\"id\":1,\"ok\":{}}\n"; });
  std::filesystem::rename(socket, deep / "control.sock");
  EXPECT_NO_THROW(control_call(deep / "control.sock", {{"call", "status"}}, 5s));
}

}  // namespace
}  // namespace bot_bottle::launch
