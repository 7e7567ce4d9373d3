// Which engine is meant, what it can do, and what of a Dockerfile is sent.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-docker/container_start.hpp"
#include "plugins/backend-docker/containers.hpp"
#include "plugins/backend-docker/engine_facts.hpp"
#include "plugins/backend-docker/find_engine.hpp"
#include "plugins/backend-docker/images.hpp"
#include "plugins/backend-docker/names.hpp"
#include "plugins/backend-docker/wire_network.hpp"

namespace bot_bottle::backend_docker {
namespace {

namespace fs = std::filesystem;

class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/bb-engine-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
  }
  void TearDown() override { fs::remove_all(top_); }
  Result<EngineAddress> find(std::map<std::string, std::string> variables) {
    return find_engine(
        [&](const std::string& name) -> std::optional<std::string> {
          const auto found = variables.find(name);
          return found == variables.end() ? std::nullopt : std::optional(found->second);
        },
        top_, top_ / "run");
  }
  void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  UniqueFd listen(const fs::path& path) {
    fs::create_directories(path.parent_path());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  fs::path top_;
};

TEST_F(EngineTest, docker_host_wins_over_everything) {
  write(top_ / ".docker/config.json", R"({"currentContext": "other"})");
  const auto found = find({{"DOCKER_HOST", "unix:///somewhere/docker.sock"}});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->socket, "/somewhere/docker.sock");
}

TEST_F(EngineTest, an_engine_over_the_network_is_refused_by_name) {
  for (const char* host : {"tcp://192.0.2.1:2376", "ssh://me@example.com", "https://example.com"}) {
    const auto found = find({{"DOCKER_HOST", host}, {"DOCKER_TLS_VERIFY", "1"}});
    ASSERT_FALSE(found) << host;
    EXPECT_EQ(found.error().kind, ErrorKind::unsupported);
    EXPECT_NE(found.error().message.find("with TLS"), std::string::npos);
    EXPECT_NE(found.error().hint.find("unix://"), std::string::npos);
  }
}

TEST_F(EngineTest, the_chosen_context_names_the_socket) {
  write(top_ / ".docker/config.json", R"({"currentContext": "mine"})");
  write(top_ / ".docker/contexts/meta" / sha256_hex("mine") / "meta.json",
        R"({"Name": "mine", "Endpoints": {"docker": {"Host": "unix:///run/mine.sock"}}})");
  const auto found = find({});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->socket, "/run/mine.sock");
  const auto other = find({{"DOCKER_CONTEXT", "absent"}});
  ASSERT_FALSE(other);
  EXPECT_NE(other.error().message.find("absent"), std::string::npos);
}

TEST_F(EngineTest, podmans_socket_is_found_when_there_is_no_other) {
  EXPECT_EQ(find({}).error().kind, ErrorKind::unavailable);
  const UniqueFd podman = listen(top_ / "run/podman/podman.sock");
  EXPECT_EQ(find({})->socket, (top_ / "run/podman/podman.sock").string());
  const UniqueFd docker = listen(top_ / "run/docker.sock");
  EXPECT_EQ(find({})->socket, (top_ / "run/docker.sock").string());
}

TEST(EngineFacts, a_runsc_that_shares_sockets_has_the_socket_wire) {
  const auto read = [](json::array arguments) {
    return read_facts({{"SecurityOptions", json::array{"name=seccomp,profile=default"}},
                       {"Runtimes", {{"runsc", {{"path", "/usr/bin/runsc"}, {"runtimeArgs", std::move(arguments)}}}}}});
  };
  for (const char* option : {"--fsgofer-host-uds", "--host-uds=open", "--host-uds=all"})
    EXPECT_TRUE(read({option}).find_runtime("runsc")->shares_sockets) << option;
  EXPECT_FALSE(read({"--host-uds=none"}).find_runtime("runsc")->shares_sockets);
  EXPECT_FALSE(read({}).find_runtime("runsc")->shares_sockets);
  EXPECT_FALSE(read({"--network=none"}).find_runtime("runsc")->has_network);
}

TEST(EngineFacts, an_engine_in_a_virtual_machine_or_without_root_is_refused_by_name) {
  EXPECT_NE(read_facts({{"OperatingSystem", "Docker Desktop"}}).problem.find("Docker Desktop"), std::string::npos);
  EXPECT_NE(read_facts({{"SecurityOptions", json::array{"name=seccomp", "name=rootless"}}}).problem.find("rootless"),
            std::string::npos);
  EXPECT_NE(read_facts({{"SecurityOptions", json::array{}}}).problem.find("seccomp"), std::string::npos);
  EXPECT_EQ(read_facts({{"SecurityOptions", json::array{"name=seccomp"}}}).problem, "");
}

TEST_F(EngineTest, a_dockerfile_without_copy_sends_nothing_of_its_directory) {
  write(top_ / "image/Dockerfile", "FROM debian:12-slim\n# COPY . /\nRUN true\nCOPY --from=other /a /b\n");
  EXPECT_TRUE(driven::read_recipe(top_ / "image/Dockerfile", {}, driven::Builder::plain)->context.empty());
}

TEST_F(EngineTest, a_build_context_that_holds_a_home_or_is_filtered_is_refused) {
  write(top_ / "image/Dockerfile", "FROM debian:12-slim\nCOPY file /\n");
  EXPECT_EQ(driven::read_recipe(top_ / "image/Dockerfile", {}, driven::Builder::plain)->context,
            fs::canonical(top_ / "image"));
  EXPECT_FALSE(driven::read_recipe(top_ / "image/Dockerfile", {fs::canonical(top_ / "image") / ".bot-bottle"},
                                   driven::Builder::plain));
  write(top_ / "image/.dockerignore", "secret\n");
  EXPECT_EQ(driven::read_recipe(top_ / "image/Dockerfile", {}, driven::Builder::plain).error().kind,
            ErrorKind::unsupported);
}

TEST_F(EngineTest, an_image_has_another_name_when_anything_of_it_changes) {
  write(top_ / "bottle-init", "program");
  write(top_ / "image/Dockerfile", "FROM debian:12-slim\nCOPY file /\n");
  write(top_ / "image/file", "one");
  const driven::AgentLayer layer{top_ / "bottle-init", "/home/agent", "/workspace", 1000, 1000};
  const auto tag = [&](const driven::AgentLayer& of) {
    return *agent_image_tag(*driven::read_recipe(top_ / "image/Dockerfile", {}, driven::Builder::plain), of, "1");
  };
  const std::string first = tag(layer);
  EXPECT_EQ(tag(layer), first);
  driven::AgentLayer other = layer;
  other.uid = 1001;
  EXPECT_NE(tag(other), first);
  write(top_ / "image/file", "two");
  EXPECT_NE(tag(layer), first);
}

/// An engine on `socket` that says of every container what `states` say, the last of them again and again.
class FakeEngine {
 public:
  FakeEngine(UniqueFd listener, std::vector<std::string> states) {
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::alarm(60);
    const int client = ::accept(listener.get(), nullptr, nullptr);
    std::string request;
    std::array<char, 4096> bytes{};
    for (std::size_t at = 0;;) {
      while (!request.contains("\r\n\r\n")) {
        const ssize_t got = ::read(client, bytes.data(), bytes.size());
        if (got <= 0) ::_exit(0);
        request.append(bytes.data(), static_cast<std::size_t>(got));
      }
      const std::string body = "{\"State\":" + states[at] + "}";
      if (request.contains("/containers/x/json")) at = std::min(at + 1, states.size() - 1);
      request.clear();
      const std::string answer =
          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
          "\r\n\r\n" + body;
      if (::write(client, answer.data(), answer.size()) < 0) ::_exit(1);
    }
  }
  FakeEngine(const FakeEngine&) = delete;
  FakeEngine& operator=(const FakeEngine&) = delete;
  ~FakeEngine() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
};

std::string running(pid_t pid) {
  return R"({"Running":true,"Pid":)" + std::to_string(pid) + "}";
}
pid_t process_that_has_ended() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  ::waitpid(pid, nullptr, 0);
  return pid;
}

TEST_F(EngineTest, a_process_that_has_ended_is_not_taken_for_one_of_another_machine) {
  const FakeEngine fake(listen(top_ / "docker.sock"), {running(process_that_has_ended()), R"({"Running":false})"});
  Engine engine(top_ / "docker.sock");
  try {
    process_of(engine, "x", "the sidecar");
    ADD_FAILURE() << "taken for alive";
  } catch (const sdk::Error& error) {
    EXPECT_STREQ(error.what(), "the sidecar ended while it started");
  }
}

TEST_F(EngineTest, of_an_engine_elsewhere_the_process_is_not_named) {
  const FakeEngine fake(listen(top_ / "docker.sock"), {running(process_that_has_ended())});
  Engine engine(top_ / "docker.sock");
  EXPECT_EQ(process_of(engine, "x", "the sidecar"), 0);
  const FakeEngine other(listen(top_ / "other.sock"), {running(::getpid())});
  Engine with_other(top_ / "other.sock");
  EXPECT_EQ(process_of(with_other, "x", "the sidecar"), 0) << "a process here of that number is somebody else's";
}

// What gVisor's own stack finds at its start is what it keeps: it must be sealed before.
TEST(Containers, gvisors_own_stack_joins_a_network_that_is_another_containers) {
  const WireNetwork network{"wire-of-x", "198.19.0.1", "198.19.0.2", "198.19.0.3"};
  sdk::Plan plan;
  plan.slug = "x";
  plan.state_dir = "/state/x";
  plan.data = {{"wire", "address"}, {"own_kernel", true}, {"endpoints", json::array{}}};
  const auto host_of = [](const json::object& container) { return *find_object(container, "HostConfig"); };
  const json::object agent = agent_container(plan, network);
  EXPECT_EQ(get_string(host_of(agent), "NetworkMode"), "container:" + resource_name("/state/x", "network"));
  // An engine refuses these beside another container's network.
  EXPECT_FALSE(agent.contains("Hostname") || agent.contains("NetworkingConfig"));
  EXPECT_FALSE(host_of(agent).contains("ExtraHosts") || host_of(agent).contains("Dns"));
  const json::object holder = holder_container(plan, network);
  EXPECT_EQ(get_string(host_of(holder), "NetworkMode"), "wire-of-x");
  EXPECT_NE(to_text(holder).find("198.19.0.3"), std::string::npos);
  EXPECT_NE(to_text(holder).find("\"--lifeline\""), std::string::npos);

  plan.data["host_sockets"] = true;
  EXPECT_EQ(get_string(host_of(agent_container(plan, network)), "NetworkMode"), "wire-of-x");
}

TEST(Names, of_two_homes_differ_for_one_slug) {
  EXPECT_NE(resource_name("/a/state/x-1", "agent"), resource_name("/b/state/x-1", "agent"));
  EXPECT_TRUE(resource_name("/a/state/x-1", "agent").starts_with("bot-bottle-x-1-"));
  EXPECT_EQ(url_encoded("a b/{\"é"), "a%20b%2F%7B%22%C3%A9");
  EXPECT_EQ(subnet_base(0), "198.19.0.0");
  EXPECT_EQ(subnet_base(8191), "198.19.255.248");
}

}  // namespace
}  // namespace bot_bottle::backend_docker
