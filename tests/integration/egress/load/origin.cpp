#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "connection.hpp"
#include "programs.hpp"

namespace bot_bottle::load {
namespace {

constexpr std::size_t tail_octets = 2048;

/// Of all request bodies, also of those that were never complete.
class Seen {
 public:
  void add(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    octets_ += bytes.size();
    tail_.append(bytes.substr(bytes.size() - std::min(bytes.size(), tail_octets)));
    if (tail_.size() > 64 * tail_octets) tail_.erase(0, tail_.size() - tail_octets);
  }
  std::string text() {
    const std::lock_guard lock(mutex_);
    std::string hex;
    for (const char c : tail_.substr(tail_.size() - std::min(tail_.size(), tail_octets))) {
      char digits[3] = {};
      std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
      hex += digits;
    }
    return "{\"octets\": " + std::to_string(octets_) + ", \"tail\": \"" + hex + "\"}";
  }

 private:
  std::mutex mutex_;
  std::uint64_t octets_ = 0;
  std::string tail_;
};
Seen seen;  // NOLINT: one program, one origin

/// False: the connection ended before the body did.
bool read_length(Connection& connection, std::uint64_t left, std::uint64_t& octets) {
  std::string first = connection.take(std::min<std::size_t>(connection.rest.size(), left));
  seen.add(first);
  octets += first.size();
  left -= first.size();
  while (left > 0) {
    const std::string_view bytes = connection.receive();
    if (bytes.empty()) return false;
    const std::string_view mine = bytes.substr(0, std::min<std::uint64_t>(bytes.size(), left));
    seen.add(mine);
    octets += mine.size();
    left -= mine.size();
    connection.rest.append(bytes.substr(mine.size()));
  }
  return true;
}

bool read_chunks(Connection& connection, std::uint64_t& octets) {
  while (true) {
    std::size_t end = 0;
    while ((end = connection.rest.find("\r\n")) == std::string::npos) {
      const std::string_view bytes = connection.receive();
      if (bytes.empty()) return false;
      connection.rest.append(bytes);
    }
    const std::uint64_t size = std::strtoull(connection.rest.c_str(), nullptr, 16);
    connection.rest.erase(0, end + 2);
    if (size > 0 && !read_length(connection, size, octets)) return false;
    if (connection.take(2) != "\r\n") return false;
    if (size == 0) return true;
  }
}

bool answer(Connection& connection, const std::string& body) {
  return connection.send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: " +
                         std::to_string(body.size()) + "\r\n\r\n" + body);
}

void serve(UniqueFd fd, SSL_CTX* context) {
  Connection connection(std::move(fd));
  if (!connection.accept(context)) return;
  while (true) {
    const std::string head = connection.head();
    if (head.empty()) return;
    const std::size_t begin = head.find(' ') + 1;
    const std::string path = head.substr(begin, head.find(' ', begin) - begin);
    if (head.starts_with("POST ")) {
      std::uint64_t octets = 0;
      const std::string length = field(head, "content-length");
      const bool whole = length.empty() ? read_chunks(connection, octets)
                                        : read_length(connection, std::strtoull(length.c_str(), nullptr, 10), octets);
      if (!whole || !answer(connection, "received " + std::to_string(octets))) return;
    } else if (path.starts_with("/n/")) {
      if (!answer(connection, "answer " + path.substr(3))) return;
    } else if (path == "/seen") {
      if (!answer(connection, seen.text())) return;
    } else if (path.starts_with("/half/")) {
      connection.send("HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n" + std::string(100'000, 'h'));
      connection.receive();
      return;
    } else {
      return;
    }
  }
}

}  // namespace

int origin(const std::string& certificate, const std::string& key) {
  const Context context = server_context(certificate, key);
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(listener.get(), 4096) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return 2;
  std::printf("%u\n", static_cast<unsigned>(ntohs(address.sin_port)));
  std::fflush(stdout);
  std::thread([] {
    while (std::getchar() != EOF) {
    }
    std::_Exit(0);
  }).detach();
  while (true) {
    const int fd = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) std::thread(serve, UniqueFd(fd), context.get()).detach();
  }
}

}  // namespace bot_bottle::load
