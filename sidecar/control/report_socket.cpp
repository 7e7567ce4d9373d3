#include "sidecar/control/report_socket.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/json.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/egress/canaries.hpp"

namespace bot_bottle::sidecar {
namespace {
constexpr std::size_t max_datagram = 1024;
constexpr double burst = 100;
constexpr double per_second = 10;
constexpr int datagrams_per_turn = 64;
}  // namespace

struct ReportSocket::Watch {
  uv_poll_t poll{};
  UniqueFd fd;
  ReportSocket* owner = nullptr;
};

ReportSocket::ReportSocket(net::Loop& loop, egress::House& house) : loop_(loop), house_(house), tokens_(burst) {}

ReportSocket::~ReportSocket() {
  if (watch_ == nullptr) return;
  watch_->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&watch_->poll),
           [](uv_handle_t* raw) { delete static_cast<Watch*>(raw->data); });
}

Result<void> ReportSocket::listen(const std::string& socket_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path)
    return fail(ErrorKind::invalid_argument, "the socket path is too long");
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(error_from_errno("socket", errno));
  ::unlink(socket_path.c_str());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(socket_path.c_str(), 0666) != 0) {
    return fail(error_from_errno(fmt::format("cannot listen on {}", socket_path), errno));
  }
  return watch(std::move(fd));
}

Result<void> ReportSocket::listen(const net::Address& address) {
  UniqueFd fd(::socket(address.raw()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const socklen_t size = address.raw()->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (!fd || ::bind(fd.get(), address.raw(), size) != 0)
    return fail(error_from_errno(fmt::format("cannot listen on {}", address.text()), errno));
  return watch(std::move(fd));
}

Result<void> ReportSocket::watch(UniqueFd fd) {
  watch_ = new Watch;  // freed by the close callback
  watch_->owner = this;
  watch_->poll.data = watch_;
  watch_->fd = std::move(fd);
  if (uv_poll_init(loop_.raw(), &watch_->poll, watch_->fd.get()) != 0)
    return fail(ErrorKind::internal, "cannot watch a socket");
  uv_poll_start(&watch_->poll, UV_READABLE, [](uv_poll_t* raw, int, int) {
    ReportSocket* owner = static_cast<Watch*>(raw->data)->owner;
    if (owner == nullptr) return;
    const net::Loop::Turn turn(owner->loop_);
    owner->read_all_waiting();
  });
  return {};
}

void ReportSocket::read_all_waiting() {
  std::array<char, max_datagram + 1> buffer{};
  for (int i = 0; i < datagrams_per_turn; ++i) {
    const ssize_t count = ::recv(watch_->fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0) return;
    if (static_cast<std::size_t>(count) <= max_datagram) on_report({buffer.data(), static_cast<std::size_t>(count)});
  }
}

/// A bucket of 100 that fills at 10 a second: an agent must not drown what else is in the log.
bool ReportSocket::take() {
  const std::uint64_t now = loop_.now_ms();
  tokens_ = std::min(burst, tokens_ + static_cast<double>(now - filled_ms_) * per_second / 1000.0);
  filled_ms_ = now;
  if (tokens_ >= 1) {
    tokens_ -= 1;
    if (tokens_ > burst / 2) told_ = false;
    return true;
  }
  if (std::exchange(told_, true)) return false;
  egress::Event event;
  event.kind = "sidecar";
  event.level = egress::Level::warn;
  event.event = "reports_dropped";
  event.reason = "more than 10 reports a second";
  house_.log.write(event);
  return false;
}

void ReportSocket::on_report(std::string_view datagram) {
  if (!take()) return;
  const auto report = parse_json_object(datagram, max_datagram);
  if (!report || get_string(*report, "kind") != "dns") return;
  const std::string name = get_string(*report, "name");
  const std::string how =
      fmt::format("{} {}", get_string(*report, "type").substr(0, 16), get_string(*report, "transport").substr(0, 8));
  egress::Event event;
  event.kind = "dns";
  event.level = egress::Level::block;
  event.event = "dns_refused";
  event.host = std::string_view(name).substr(0, 255);
  event.reason = how;
  house_.log.write(event);
  // The name never left; who asked for it was trying to send it (attack B1).
  const std::string canary = egress::find_canary(house_, event.host);
  if (canary.empty()) return;
  event.rule = canary;
  event.where = "name in a DNS query";
  egress::raise_canary(house_, event);
}

}  // namespace bot_bottle::sidecar
