#include "sidecar/guest/forward.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <list>
#include <string_view>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::guest {
namespace {

constexpr int accepts_a_round = 256;
constexpr std::chrono::milliseconds full_queue_pause{5};

int listen_tcp(std::uint16_t port) {
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return -1;
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -1;
  if (::listen(socket.get(), 4096) != 0) return -1;
  return socket.release();
}

/// Connected when it returns: the sidecar is next door, and what looks at a TCP socket that is still connecting differs
/// between kernels (gVisor calls it hung up). Nothing, with EAGAIN, where a unix socket's queue is full.
UniqueFd dial(const Target& target) {
  const bool is_unix = target.raw()->sa_family == AF_UNIX;
  UniqueFd socket(::socket(target.raw()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | (is_unix ? SOCK_NONBLOCK : 0), 0));
  const timeval patience{.tv_sec = 2, .tv_usec = 0};
  if (socket && !is_unix) ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (!socket || ::connect(socket.get(), target.raw(), target.size) != 0) {
    const int fault = errno;
    socket.reset();
    errno = fault;
    return UniqueFd();
  }
  if (!is_unix) ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
  return socket;
}

/// One side of a forwarded connection, and the bytes that wait to be written to it.
struct Side {
  UniqueFd fd;
  std::string waiting;
  std::size_t waiting_from = 0;
  bool read_ended = false;   // no more bytes come from here
  bool write_ended = false;  // shutdown(2) was sent to here
  std::uint32_t interest = 0;
  bool watched = false;  // in the loop
};

class Forwarder {
 public:
  Forwarder(Loop& loop, int listener, Target target) : loop_(loop), listener_(listener), target_(target) {
    loop_.add(listener_.get(), EPOLLIN, [this](std::uint32_t) { accept_some(); });
  }

 private:
  struct Connection {
    std::array<Side, 2> sides;  // 0: the agent's TCP, 1: the sidecar's end
    std::list<Connection>::iterator self;
    bool dead = false;
  };

  void accept_some() {
    // In rounds: who only ever connects must not keep the others from being served.
    for (int i = 0; i < accepts_a_round; ++i) {
      UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!client && (errno == EMFILE || errno == ENFILE)) {
        // What cannot be accepted stays in the queue and would wake the loop for ever: with the descriptor kept for
        // this it is taken off and closed (attack L; unit_guest:
        // OutOfDescriptors.it_refuses_and_does_not_spin).
        spare_.reset();
        client.reset(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        client.reset();
        spare_.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        continue;
      }
      if (!client) return;
      if (connections_.size() >= max_connections_per_endpoint) continue;  // closed: the agent may try again
      UniqueFd upstream = dial(target_);
      if (!upstream) {
        if (errno != EAGAIN) continue;
        // The sidecar's queue is full. It will get to it; until then newcomers wait in ours.
        held_ = std::move(client);
        loop_.change(listener_.get(), 0);
        loop_.after(full_queue_pause, [this] { accept_held(); });
        return;
      }
      begin(std::move(client), std::move(upstream));
    }
  }

  void accept_held() {
    UniqueFd upstream = dial(target_);
    if (!upstream && errno == EAGAIN) {
      loop_.after(full_queue_pause, [this] { accept_held(); });
      return;
    }
    UniqueFd client = std::move(held_);
    loop_.change(listener_.get(), EPOLLIN);
    if (upstream) begin(std::move(client), std::move(upstream));
  }

  void begin(UniqueFd client, UniqueFd upstream) {
    const int on = 1;
    ::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const auto connection = connections_.emplace(connections_.end());
    connection->self = connection;
    connection->sides[0].fd = std::move(client);
    connection->sides[1].fd = std::move(upstream);
    for (std::size_t i = 0; i < 2; ++i) {
      if (!connection->dead && !watch(*connection, i, EPOLLIN)) close(*connection);
    }
  }

  bool watch(Connection& connection, std::size_t i, std::uint32_t events) {
    Connection* const raw = &connection;
    connection.sides[i].interest = events;
    connection.sides[i].watched =
        loop_.add(raw->sides[i].fd.get(), events, [this, raw, i](std::uint32_t got) { on_events(*raw, i, got); });
    return connection.sides[i].watched;
  }

  /// epoll reports a hang-up for ever: a side that cannot be read now must leave the loop or it spins.
  void unwatch(Side& side) {
    loop_.remove(side.fd.get());
    side.watched = false;
  }

  void on_events(Connection& connection, std::size_t side, std::uint32_t events) {
    if (connection.dead) return;
    if ((events & EPOLLOUT) != 0 && !flush(connection, side)) return close(connection);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 &&
        !pump(connection, side, (events & (EPOLLHUP | EPOLLERR)) != 0))
      return close(connection);
    update(connection);
  }

  /// Reads from `from` and writes to the other side. What does not fit stops the reading until it is written: the
  /// sender is slowed down, memory is bounded by one buffer.
  bool pump(Connection& connection, std::size_t from, bool hung_up) {
    Side& source = connection.sides[from];
    Side& sink = connection.sides[1 - from];
    if (source.read_ended || !sink.waiting.empty()) {
      if (hung_up) unwatch(source);
      return !hung_up || !sink.waiting.empty();
    }
    const ssize_t got = ::recv(source.fd.get(), buffer_.data(), buffer_.size(), 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) {
      source.read_ended = true;
      return true;
    }
    const ssize_t put = ::send(sink.fd.get(), buffer_.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN && errno != EINTR) return false;
    const std::size_t written = put < 0 ? 0 : static_cast<std::size_t>(put);
    if (written < static_cast<std::size_t>(got)) {
      sink.waiting.assign(buffer_.data() + written, static_cast<std::size_t>(got) - written);
      sink.waiting_from = 0;
    }
    return true;
  }

  bool flush(Connection& connection, std::size_t to) {
    Side& sink = connection.sides[to];
    if (sink.waiting.empty()) return true;
    const ssize_t put = ::send(sink.fd.get(), sink.waiting.data() + sink.waiting_from,
                               sink.waiting.size() - sink.waiting_from, MSG_NOSIGNAL);
    if (put < 0) return errno == EAGAIN || errno == EINTR;
    sink.waiting_from += static_cast<std::size_t>(put);
    if (sink.waiting_from == sink.waiting.size()) {
      sink.waiting = std::string();
      sink.waiting_from = 0;
    }
    return true;
  }

  void update(Connection& connection) {
    for (std::size_t i = 0; i < 2; ++i) {
      Side& source = connection.sides[i];
      Side& sink = connection.sides[1 - i];
      if (source.read_ended && sink.waiting.empty() && !sink.write_ended) {
        ::shutdown(sink.fd.get(), SHUT_WR);
        sink.write_ended = true;
      }
    }
    if (connection.sides[0].write_ended && connection.sides[1].write_ended) return close(connection);
    for (std::size_t i = 0; i < 2; ++i) {
      Side& side = connection.sides[i];
      const bool may_read = !side.read_ended && connection.sides[1 - i].waiting.empty();
      const std::uint32_t wanted = (may_read ? EPOLLIN : 0U) | (side.waiting.empty() ? 0U : EPOLLOUT);
      if (!side.watched && may_read) {
        if (!watch(connection, i, wanted)) return close(connection);
        continue;
      }
      if (wanted == side.interest || !side.watched) continue;
      side.interest = wanted;
      loop_.change(side.fd.get(), wanted);
    }
  }

  void close(Connection& connection) {
    if (connection.dead) return;
    connection.dead = true;
    for (Side& side : connection.sides) {
      if (side.watched) unwatch(side);
      side.fd.reset();
    }
    loop_.later([this, at = connection.self] { connections_.erase(at); });
  }

  Loop& loop_;
  UniqueFd listener_;
  UniqueFd spare_{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  UniqueFd held_;  // accepted, waits for room in the sidecar's queue
  Target target_;
  std::list<Connection> connections_;
  std::array<char, 65536> buffer_{};
};

}  // namespace

bool parse_endpoint(const char* text, Endpoint& into) {
  const std::string_view whole(text);
  const std::size_t equals = whole.find('=');
  const std::size_t colon = whole.find(':', equals == std::string_view::npos ? 0 : equals);
  if (equals == std::string_view::npos || equals == 0 || colon == std::string_view::npos) return false;
  into.name = whole.substr(0, equals);
  into.socket = whole.substr(colon + 1);
  const std::string_view port = whole.substr(equals + 1, colon - equals - 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), into.port);
  return error == std::errc() && end == port.data() + port.size() && into.port != 0 &&
         (into.socket.starts_with('/') || find_target(into.socket).size != 0);
}

Target find_target(const std::string& text) {
  Target target;
  if (text.starts_with('/')) {
    sockaddr_un address{};
    if (text.size() >= sizeof address.sun_path) return target;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
    std::memcpy(&target.address, &address, sizeof address);
    target.size = sizeof address;
    return target;
  }
  if (!text.starts_with("tcp:")) return target;
  const std::size_t colon = text.rfind(':');
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (colon < 5 || error != std::errc() || end != text.data() + text.size() || port == 0 ||
      ::inet_pton(AF_INET, text.substr(4, colon - 4).c_str(), &address.sin_addr) != 1)
    return target;
  std::memcpy(&target.address, &address, sizeof address);
  target.size = sizeof address;
  return target;
}

bool serve_endpoint(Loop& loop, const Endpoint& endpoint) {
  const Target target = find_target(endpoint.socket);
  if (target.size == 0) {
    errno = ENAMETOOLONG;
    return false;
  }
  const int listener = listen_tcp(endpoint.port);
  if (listener < 0) return false;
  static std::vector<std::unique_ptr<Forwarder>> forwarders;
  forwarders.push_back(std::make_unique<Forwarder>(loop, listener, target));
  return true;
}

}  // namespace bot_bottle::guest
