#include "core/launch/control_client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::launch {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void throw_timeout(const std::filesystem::path& socket) {
  throw Failure(make_error(ErrorKind::timeout, "the sidecar did not answer on " + socket.string()));
}

void wait_for(int fd, short events, Clock::time_point deadline, const std::filesystem::path& socket) {
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) throw_timeout(socket);
    pollfd polled{.fd = fd, .events = events, .revents = 0};
    const int ready = ::poll(&polled, 1, static_cast<int>(left));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) throw Failure(error_from_errno("cannot poll", errno));
  }
}

UniqueFd connect_to(const std::filesystem::path& socket, Clock::time_point deadline) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) throw Failure(error_from_errno("cannot make a socket", errno));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = socket.string();
  // sun_path has 108 octets, a state directory may need more: go through the directory's descriptor.
  UniqueFd directory;
  if (path.size() >= sizeof address.sun_path) {
    directory.reset(::open(socket.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    path = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + socket.filename().string();
    if (!directory || path.size() >= sizeof address.sun_path)
      throw Failure(make_error(ErrorKind::unavailable, "no sidecar listens on " + socket.string()));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    if (errno == EISCONN) break;
    if (errno == EAGAIN) {  // its backlog is full
      if (Clock::now() >= deadline) throw_timeout(socket);
      ::poll(nullptr, 0, 5);
      continue;
    }
    Error error =
        make_error(ErrorKind::unavailable, "no sidecar listens on " + socket.string(), "bot-bottle list active");
    if (errno == EACCES || errno == EPERM) error = error_from_errno("cannot connect to " + socket.string(), errno);
    throw Failure(std::move(error));
  }
  return fd;
}

ErrorKind kind_named(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(ErrorKind::refused); ++i)
    if (name_of(static_cast<ErrorKind>(i)) == name) return static_cast<ErrorKind>(i);
  return ErrorKind::internal;
}

}  // namespace

UniqueFd connect_control(const std::filesystem::path& socket) {
  return connect_to(socket, Clock::now() + std::chrono::milliseconds(50));
}

Result<json::object> read_control_answer(std::string_view line, std::size_t max_octets) {
  auto document = parse_json_object(line, max_octets);
  if (!document) return fail(std::move(document.error()).within("the sidecar's answer"));
  if (const json::object* ok = find_object(*document, "ok")) return *ok;
  if (const json::object* error = find_object(*document, "error")) {
    Error told = make_error(kind_named(get_string(*error, "kind")),
                            get_string(*error, "message", "the sidecar refused"), get_string(*error, "hint"));
    told.details = get_string(*error, "details");
    return fail(std::move(told));
  }
  return fail(ErrorKind::internal, "the sidecar's answer is neither ok nor an error");
}

json::object control_call(const std::filesystem::path& socket, const json::object& request,
                          std::chrono::milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  const UniqueFd fd = connect_to(socket, deadline);
  json::object with_id = request;
  with_id["id"] = 1;
  const std::string line = to_text(with_id) + "\n";
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t sent = ::send(fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent > 0)
      rest.remove_prefix(static_cast<std::size_t>(sent));
    else if (errno == EAGAIN)
      wait_for(fd.get(), POLLOUT, deadline, socket);
    else if (errno != EINTR)
      throw Failure(
          make_error(ErrorKind::unavailable, "the sidecar closed its control channel", "bot-bottle logs shows why"));
  }
  std::string answer;
  std::size_t end = std::string::npos;
  while (end == std::string::npos) {
    std::array<char, 16384> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): read(2) fills it
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got > 0) {
      answer.append(buffer.data(), static_cast<std::size_t>(got));
      end = answer.find('\n');
      if (end == std::string::npos && answer.size() > max_control_line)
        throw Failure(make_error(ErrorKind::internal, "the sidecar's answer is longer than 1 MiB"));
    } else if (got < 0 && errno == EAGAIN) {
      wait_for(fd.get(), POLLIN, deadline, socket);
    } else if (got == 0 || errno != EINTR) {
      throw Failure(
          make_error(ErrorKind::unavailable, "the sidecar closed its control channel", "bot-bottle logs shows why"));
    }
  }
  return or_throw(read_control_answer(std::string_view(answer).substr(0, end)));
}

}  // namespace bot_bottle::launch
