#include "core/plugins/http_unix.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <cstring>

#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::plugins {
namespace {

namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;

constexpr std::size_t max_body_bytes = std::size_t{4} << 20;
constexpr std::uint32_t max_head_bytes = 64U << 10;

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::strchr("!#$%&'*+-.^_`|~", c) != nullptr;
  }) && text.find('\0') == std::string_view::npos;
}

/// The request's bytes; nothing from a caller can end a line early (request splitting).
Result<std::string> make_head(const HttpRequest& request) {
  if (!is_token(request.method)) return fail(ErrorKind::invalid_argument, "bad HTTP method");
  if (!request.target.starts_with('/') || has_control(request.target) ||
      request.target.find(' ') != std::string::npos) {
    return fail(ErrorKind::invalid_argument, "bad HTTP target");
  }
  std::string head = request.method + " " + request.target + " HTTP/1.1\r\n";
  bool has_host = false;
  for (const auto& [name, value] : request.headers) {
    if (!is_token(name) || has_control(value)) return fail(ErrorKind::invalid_argument, "bad HTTP field");
    if (equals_ignoring_case(name, "content-length") || equals_ignoring_case(name, "transfer-encoding") ||
        equals_ignoring_case(name, "connection")) {
      return fail(ErrorKind::invalid_argument, "the HTTP field " + name + " is the host's to set");
    }
    has_host = has_host || equals_ignoring_case(name, "host");
    head += name + ": " + value + "\r\n";
  }
  if (!has_host) head += "Host: localhost\r\n";
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    head += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return head + "Connection: close\r\n\r\n";
}

class Connection {
 public:
  Connection(const HttpRequest& request) : deadline_(Clock::now() + request.timeout), cancel_fd_(request.cancel_fd) {}

  Result<void> connect(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (!path.starts_with('/') || path.size() >= sizeof address.sun_path) {
      return fail(ErrorKind::invalid_argument, "bad socket path " + path, "give an absolute path of at most 107 bytes");
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    fd_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM, 0));
    if (!fd_) return fail(error_from_errno("cannot make a socket", errno));
    ::fcntl(fd_.get(), F_SETFD, FD_CLOEXEC);
    ::fcntl(fd_.get(), F_SETFL, O_NONBLOCK);
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return {};
    if (errno == EINPROGRESS) {
      BB_CHECK(wait(POLLOUT));
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error == 0) return {};
      errno = error;
    }
    Error error = error_from_errno("cannot connect to " + path, errno);
    if (errno == EAGAIN || errno == ECONNREFUSED || errno == ENOENT) error.kind = ErrorKind::unavailable;
    return fail(std::move(error));
  }

  Result<void> send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (errno == EAGAIN) {
        BB_CHECK(wait(POLLOUT));
      } else if (errno == EPIPE || errno == ECONNRESET) {
        return {};  // an answer may be waiting all the same
      } else if (errno != EINTR) {
        return fail(error_from_errno("cannot send", errno));
      }
    }
    return {};
  }

  /// 0: the end.
  Result<std::size_t> receive(std::array<char, 65536>& into) {
    for (;;) {
      BB_CHECK(wait(POLLIN));
      const ssize_t got = ::recv(fd_.get(), into.data(), into.size(), 0);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == ECONNRESET) return std::size_t{0};
      if (errno != EAGAIN && errno != EINTR) return fail(error_from_errno("cannot receive", errno));
    }
  }

 private:
  Result<void> wait(short events) {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
      if (left <= 0) return fail(ErrorKind::timeout, "no answer in time");
      std::array<pollfd, 2> entries{{{fd_.get(), events, 0}, {cancel_fd_, POLLIN, 0}}};
      const int ready = ::poll(entries.data(), entries.size(), static_cast<int>(std::min<std::int64_t>(left, 60'000)));
      if (ready < 0 && errno != EINTR) return fail(error_from_errno("cannot poll", errno));
      if (ready <= 0) continue;
      if (entries[1].revents != 0) return fail(ErrorKind::cancelled, "cancelled");
      return {};
    }
  }

  UniqueFd fd_;
  Clock::time_point deadline_;
  int cancel_fd_;
};

Result<HttpResponse> read_response(Connection& connection, bool head_only) {
  http::response_parser<http::string_body> parser;
  parser.header_limit(max_head_bytes);
  parser.body_limit(max_body_bytes);
  parser.eager(true);
  if (head_only) parser.skip(true);
  std::array<char, 65536> buffer{};
  std::string pending;
  boost::system::error_code error;
  while (!parser.is_done()) {
    BB_TRY(const std::size_t got, connection.receive(buffer));
    if (got == 0) {
      if (parser.got_some()) parser.put_eof(error);
      if (!parser.got_some()) return fail(ErrorKind::unavailable, "the other side closed without an answer");
      if (error) return fail(ErrorKind::internal, "the answer ends too early");
      break;
    }
    pending.append(buffer.data(), got);
    while (!pending.empty() && !parser.is_done()) {
      const std::size_t used = parser.put(boost::asio::buffer(pending), error);
      pending.erase(0, used);
      if (error == http::error::need_more) {
        error = {};
        break;
      }
      if (error) return fail(ErrorKind::internal, "the answer is not HTTP/1.1 within the limits: " + error.message());
      if (used == 0) break;
    }
    if (pending.size() > max_head_bytes + max_body_bytes) return fail(ErrorKind::internal, "the answer is too large");
  }
  if (!parser.is_header_done()) return fail(ErrorKind::internal, "the answer ends too early");
  HttpResponse response;
  auto message = parser.release();
  response.status = static_cast<int>(message.result_int());
  for (const auto& field : message) {
    const std::string name = to_lower({field.name_string().data(), field.name_string().size()});
    std::string& value = response.headers[name];
    value += (value.empty() ? "" : ", ") + std::string(field.value().data(), field.value().size());
  }
  response.body = std::move(message.body());
  return response;
}

}  // namespace

Result<HttpResponse> request_over_unix(const HttpRequest& request) {
  BB_TRY(const std::string head, make_head(request));
  Connection connection(request);
  BB_CHECK(connection.connect(request.socket));
  const auto named = in(request.method + " " + request.target);
  if (auto sent = connection.send(head + request.body); !sent) return fail(named(std::move(sent.error())));
  auto response = read_response(connection, request.method == "HEAD");
  if (!response) return fail(named(std::move(response.error())));
  return response;
}

}  // namespace bot_bottle::plugins
