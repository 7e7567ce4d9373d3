// bottle-init's forwarder where there is no room: it refuses, and goes on.
#include "sidecar/guest/forward.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::guest {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto patience = std::chrono::seconds(20);

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

std::uint16_t free_port() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size);
  ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

bool is_readable(int fd, std::chrono::milliseconds wait) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, static_cast<int>(wait.count())) == 1;
}

bool has_ended(int fd) {
  char octet = 0;
  return is_readable(fd, std::chrono::milliseconds(0)) && ::recv(fd, &octet, 1, MSG_DONTWAIT | MSG_PEEK) <= 0;
}

/// A forwarder in a process of its own, with few descriptors, and the sidecar's end of it.
class ForwardTest : public testing::Test {
 protected:
  void start(int backlog, rlim_t descriptors) {
    path_ = testing::TempDir() + "forward-" + std::to_string(::getpid()) + ".sock";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    ASSERT_LT(path_.size(), sizeof address.sun_path);
    std::memcpy(address.sun_path, path_.c_str(), path_.size());
    ::unlink(path_.c_str());
    sidecar_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(sidecar_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(sidecar_.get(), backlog), 0);
    port_ = free_port();
    child_ = ::fork();
    if (child_ != 0) return;
    const rlimit few{descriptors, descriptors};
    ::setrlimit(RLIMIT_NOFILE, &few);
    Loop loop;
    if (!serve_endpoint(loop, {"egress", port_, path_})) ::_exit(1);
    loop.run();
  }
  void TearDown() override {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::unlink(path_.c_str());
  }
  UniqueFd connect() {
    const sockaddr_in address = loopback(port_);
    const auto deadline = Clock::now() + patience;
    while (Clock::now() < deadline) {
      UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    }
    return UniqueFd();
  }
  UniqueFd accept() {
    if (!is_readable(sidecar_.get(), patience)) return UniqueFd();
    return UniqueFd(::accept(sidecar_.get(), nullptr, nullptr));
  }
  /// Who spins is never seen asleep, let alone again and again.
  [[nodiscard]] bool comes_to_rest() const {
    int asleep = 0;
    const auto deadline = Clock::now() + patience;
    while (asleep < 100 && Clock::now() < deadline) {
      std::ifstream file("/proc/" + std::to_string(child_) + "/stat");
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      asleep = text.find(") S ") != std::string::npos ? asleep + 1 : 0;
    }
    return asleep >= 100;
  }
  std::string path_;
  UniqueFd sidecar_;
  std::uint16_t port_ = 0;
  pid_t child_ = -1;
};

/// Even and odd: a connection takes two, so the last one may fail at either of them.
class OutOfDescriptors : public ForwardTest, public testing::WithParamInterface<rlim_t> {};
INSTANTIATE_TEST_SUITE_P(Few, OutOfDescriptors, testing::Values(40, 41));

TEST_P(OutOfDescriptors, it_refuses_and_does_not_spin) {
  start(1024, GetParam());
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(connect());
    ASSERT_TRUE(clients.back());
  }
  const auto refused = [&] {
    return std::count_if(clients.begin(), clients.end(), [](const UniqueFd& fd) { return has_ended(fd.get()); });
  };
  const auto deadline = Clock::now() + patience;
  while (refused() < 100 - 20 && Clock::now() < deadline) {
  }
  EXPECT_GE(refused(), 100 - 20);
  EXPECT_TRUE(comes_to_rest());
  // Room again: the next one is served. Those that were let in came first.
  clients.clear();
  UniqueFd late;
  UniqueFd served;
  std::string got;
  while (got != "late" && Clock::now() < deadline) {
    if (!late || has_ended(late.get())) {  // refused, while the ones before were not yet gone
      late = connect();
      (void)::send(late.get(), "late", 4, MSG_NOSIGNAL);
    }
    if (!is_readable(sidecar_.get(), std::chrono::milliseconds(20))) continue;
    served.reset(::accept(sidecar_.get(), nullptr, nullptr));
    char bytes[8] = {};
    const ssize_t count = ::recv(served.get(), bytes, sizeof bytes, 0);
    got.assign(bytes, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  }
  EXPECT_EQ(got, "late");
}

TEST_F(ForwardTest, while_the_sidecar_is_behind_newcomers_wait_and_are_all_served) {
  start(1, 400);
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(connect());
    ASSERT_EQ(::send(clients.back().get(), "x", 1, MSG_NOSIGNAL), 1);
  }
  for (int i = 0; i < 50; ++i) {
    const UniqueFd served = accept();
    char octet = 0;
    ASSERT_EQ(::recv(served.get(), &octet, 1, 0), 1) << i;
  }
}

}  // namespace
}  // namespace bot_bottle::guest
