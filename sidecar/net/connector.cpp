#include "sidecar/net/connector.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "sidecar/net/timer.hpp"

namespace bot_bottle::net {
namespace {
constexpr std::chrono::milliseconds one_address{5000};
}

/// The socket is watched with uv_poll, so that a stream is made only of a connection that stands.
struct Connecting::State : std::enable_shared_from_this<Connecting::State> {
  State(Loop& the_loop, std::vector<Address> the_addresses, OnConnected callback)
      : loop(the_loop),
        addresses(std::move(the_addresses)),
        on_connected(std::move(callback)),
        whole(loop, [this] { answer(fail(ErrorKind::timeout, "the connection was not made in time")); }),
        one(loop, [this] {
          if (std::exchange(started, true)) {
            give_up_on_one(ETIMEDOUT);
          } else {
            try_next();
          }
        }) {}

  struct Watch {
    uv_poll_t poll{};
    State* state = nullptr;
  };

  void try_next() {
    if (next == addresses.size()) {
      answer(fail(ErrorKind::unavailable,
                  fmt::format("cannot connect: {}", last_error == 0 ? "no address" : uv_strerror(-last_error))));
      return;
    }
    const Address& address = addresses[next];
    fd.reset(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
      give_up_on_one(errno);
      return;
    }
    const socklen_t size = address.storage.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    if (::connect(fd.get(), address.raw(), size) != 0 && errno != EINPROGRESS) {
      give_up_on_one(errno);
      return;
    }
    watch = new Watch;  // freed by the close callback
    watch->state = this;
    watch->poll.data = watch;
    if (uv_poll_init_socket(loop.raw(), &watch->poll, fd.get()) != 0) std::abort();  // our own descriptor: cannot be
    uv_poll_start(&watch->poll, UV_WRITABLE, [](uv_poll_t* raw, int, int) {
      State* state = static_cast<Watch*>(raw->data)->state;
      if (state == nullptr) return;
      const Loop::Turn turn(state->loop);
      const std::shared_ptr<State> keep = state->shared_from_this();
      state->on_writable();
    });
    if (next + 1 < addresses.size()) one.set(one_address);
  }

  void on_writable() {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
      give_up_on_one(error);
      return;
    }
    unwatch();
    auto stream = Stream::adopt(loop, std::move(fd));
    if (!stream) {
      answer(fail(std::move(stream.error())));
      return;
    }
    answer(Connected{std::move(*stream), addresses[next]});
  }

  void give_up_on_one(int error) {
    last_error = error;
    unwatch();
    one.clear();
    ++next;
    try_next();
  }

  void unwatch() {
    if (Watch* old = std::exchange(watch, nullptr)) {
      old->state = nullptr;
      uv_close(reinterpret_cast<uv_handle_t*>(&old->poll),
               [](uv_handle_t* raw) { delete static_cast<Watch*>(raw->data); });
    }
  }

  void stop() {
    unwatch();
    fd.reset();
    one.clear();
    whole.clear();
    on_connected = nullptr;
  }

  void answer(Result<Connected> result) {
    const OnConnected callback = std::move(on_connected);
    stop();
    if (callback) callback(std::move(result));
  }

  Loop& loop;
  std::vector<Address> addresses;
  OnConnected on_connected;
  Timer whole;
  Timer one;
  bool started = false;
  UniqueFd fd;
  Watch* watch = nullptr;
  std::size_t next = 0;
  int last_error = 0;
};

Connecting::Connecting(Loop& loop, std::vector<Address> addresses, std::chrono::milliseconds limit,
                       OnConnected on_connected)
    : state_(std::make_shared<State>(loop, std::move(addresses), std::move(on_connected))) {
  state_->whole.set(limit);
  // The first attempt is made in a timer's turn, so that no answer comes from inside this call.
  state_->one.set(std::chrono::milliseconds(0));
}

Connecting::~Connecting() {
  state_->stop();
}

}  // namespace bot_bottle::net
