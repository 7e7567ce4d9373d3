// Answers one connection on a unix socket with given bytes and keeps what it got.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::plugins {

class FakeUnixServer {
 public:
  /// `answer` is sent once the request's head and `body_bytes` of body are there; empty: the connection is closed.
  /// `hang`: nothing is answered until the client goes away.
  explicit FakeUnixServer(std::string answer, std::size_t body_bytes = 0, bool hang = false) {
    std::string pattern = (std::filesystem::temp_directory_path() / "bot-bottle-http-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof address.sun_path - 1);
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM, 0));
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_.get(), 1) != 0)
      std::abort();
    thread_ = std::thread([this, answer = std::move(answer), body_bytes, hang] { serve(answer, body_bytes, hang); });
  }
  ~FakeUnixServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
    std::filesystem::remove_all(directory_);
  }
  FakeUnixServer(const FakeUnixServer&) = delete;
  FakeUnixServer& operator=(const FakeUnixServer&) = delete;

  [[nodiscard]] std::string path() const { return (directory_ / "s").string(); }
  /// After the client has its answer.
  [[nodiscard]] std::string received() { return received_; }

 private:
  void serve(const std::string& answer, std::size_t body_bytes, bool hang) {
    const UniqueFd client(::accept(listener_.get(), nullptr, nullptr));
    if (!client) return;
    char buffer[4096];
    for (;;) {
      const std::size_t head = received_.find("\r\n\r\n");
      if (!hang && head != std::string::npos && received_.size() >= head + 4 + body_bytes) break;
      const ssize_t got = ::read(client.get(), buffer, sizeof buffer);
      if (got <= 0) return;
      received_.append(buffer, static_cast<std::size_t>(got));
    }
    std::size_t sent = 0;
    while (sent < answer.size()) {
      const ssize_t count = ::send(client.get(), answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return;
      sent += static_cast<std::size_t>(count);
    }
  }

  std::filesystem::path directory_;
  UniqueFd listener_;
  std::string received_;
  std::thread thread_;
};

}  // namespace bot_bottle::plugins
