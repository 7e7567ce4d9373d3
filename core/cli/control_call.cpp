#include "core/cli/control_call.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds patience{5};
constexpr std::size_t max_answer = std::size_t{1} << 20;

[[noreturn]] void not_running(const std::string& slug, const std::string& why) {
  Error error = make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' does not run", "bot-bottle list active");
  error.details = why;
  throw Failure(std::move(error));
}

UniqueFd connect_to(const std::filesystem::path& state, const std::string& slug) {
  const std::filesystem::path socket_path = state / "control" / "control.sock";
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) throw Failure(error_from_errno("making a socket", errno));
  // sun_path holds 108 bytes; a deep home does not fit, so the directory is reached through a descriptor.
  const UniqueFd directory(::open(socket_path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!directory) not_running(slug, error_from_errno(socket_path.string(), errno).message);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/control.sock", directory.get());
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    not_running(slug, error_from_errno(socket_path.string(), errno).message);
  return fd;
}

void wait_for(int fd, short events, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd one{.fd = fd, .events = events, .revents = 0};
    const int ready = left <= 0 ? 0 : ::poll(&one, 1, static_cast<int>(left));
    if (ready > 0) return;
    if (ready < 0 && errno == EINTR) continue;
    throw Failure(make_error(ErrorKind::timeout, "the sidecar did not answer in 5 s", "bot-bottle logs, or stop the bottle"));
  }
}

}  // namespace

json::object control_call(const std::filesystem::path& state, const std::string& slug, json::object request) {
  request["id"] = 1;
  const UniqueFd fd = connect_to(state, slug);
  const auto deadline = Clock::now() + patience;
  const std::string line = to_text(request) + "\n";
  for (std::size_t at = 0; at < line.size();) {
    wait_for(fd.get(), POLLOUT, deadline);
    const ssize_t sent = ::send(fd.get(), line.data() + at, line.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) throw Failure(error_from_errno("asking the sidecar", errno));
    if (sent > 0) at += static_cast<std::size_t>(sent);
  }
  std::string text;
  while (text.find('\n') == std::string::npos) {
    wait_for(fd.get(), POLLIN, deadline);
    std::array<char, 8192> buffer{};
    const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < 0) throw Failure(error_from_errno("asking the sidecar", errno));
    if (got == 0) not_running(slug, "the sidecar hung up");
    text.append(buffer.data(), static_cast<std::size_t>(got));
    if (text.size() > max_answer) throw Failure(make_error(ErrorKind::internal, "the sidecar's answer is too long"));
  }
  text.resize(text.find('\n'));
  json::object answer = or_throw(parse_json_object(text, max_answer));
  if (const json::object* ok = find_object(answer, "ok")) return *ok;
  const json::object* fault = find_object(answer, "error");
  if (fault == nullptr) throw Failure(make_error(ErrorKind::internal, "the sidecar's answer is neither ok nor error"));
  throw Failure(make_error(ErrorKind::invalid_argument, get_string(*fault, "message", "the sidecar refused"), get_string(*fault, "hint")));
}

}  // namespace bot_bottle::cli
