#include "plugins/backend-docker/engine.hpp"

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

#include "bot_bottle/plugin.hpp"
#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::backend_docker {
namespace {

namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;
constexpr std::uint32_t max_head_bytes = 64U << 10;
/// An answer that is one text: lists of containers, inspections.
constexpr std::size_t max_answer_bytes = std::size_t{16} << 20;
/// The API that is spoken: Debian 12's engine has it, every later one accepts it unless it says otherwise.
constexpr std::string_view spoken_version = "1.41";

[[noreturn]] void raise(sdk::Status status, std::string message, std::string hint = {}) {
  throw sdk::Error(status, std::move(message), std::move(hint));
}

/// "1.41" → 1041.
int number_of(std::string_view version) {
  const auto parts = split(version, '.');
  const auto part = [&](std::size_t i) {
    return parts.size() > i ? static_cast<int>(std::strtol(std::string(parts[i]).c_str(), nullptr, 10)) : 0;
  };
  return part(0) * 1000 + part(1);
}

}  // namespace

/// One request and its answer on one connection.
struct Engine::Exchange {
  Exchange(int socket, int cancel, std::chrono::milliseconds patience)
      : fd(socket), cancel_fd(cancel), deadline(Clock::now() + patience) {}

  /// True: ready. False: an answer is there although we are still sending.
  bool wait(short events) const {
    while (true) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
      if (left <= 0) raise(sdk::Status::timeout, "the container engine did not answer in time");
      std::array<pollfd, 2> entries{{{fd, events, 0}, {cancel_fd, POLLIN, 0}}};
      const int ready = ::poll(entries.data(), entries.size(), static_cast<int>(std::min<std::int64_t>(left, 60'000)));
      if (ready < 0 && errno != EINTR) throw Failure(error_from_errno("cannot poll", errno));
      if (ready <= 0) continue;
      if (entries[1].revents != 0) raise(sdk::Status::cancelled, "cancelled");
      return true;
    }
  }

  /// False: the engine has closed its end.
  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent >= 0)
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      else if (errno == EAGAIN)
        wait(POLLOUT);
      else if (errno == EPIPE || errno == ECONNRESET)
        return false;
      else if (errno != EINTR)
        throw Failure(error_from_errno("cannot send to the container engine", errno));
    }
    return true;
  }

  std::size_t receive(std::array<char, 65536>& into) const {
    while (true) {
      wait(POLLIN);
      const ssize_t got = ::recv(fd, into.data(), into.size(), MSG_DONTWAIT);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno == ECONNRESET) return 0;
      if (errno != EAGAIN && errno != EINTR)
        throw Failure(error_from_errno("cannot receive from the container engine", errno));
    }
  }

  int fd;
  int cancel_fd;
  Clock::time_point deadline;
};

UniqueFd Engine::open() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path)
    raise(sdk::Status::invalid_argument, "the engine's socket '" + socket_ + "' is not a path of at most 107 bytes");
  std::memcpy(address.sun_path, socket_.data(), socket_.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) throw Failure(error_from_errno("cannot make a socket", errno));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int number = errno;
    const std::string what = "cannot reach the container engine at " + socket_ + ": " + std::strerror(number);
    if (number == EACCES)
      raise(sdk::Status::unavailable, what,
            "be root, or join the group that owns the socket (sudo usermod -aG docker $USER) and log in again; "
            "who is in it is root's equal on this machine");
    raise(sdk::Status::unavailable, what, "start the engine: systemctl start docker");
  }
  return fd;
}

const std::string& Engine::version() {
  if (!version_.empty()) return version_;
  const Answer answer = exchange("GET", "/version", {}, nullptr, {}, {}, ordinary_patience);
  const auto object = parse_json_object(answer.body);
  if (answer.status != 200 || !object)
    raise(sdk::Status::unavailable,
          socket_ + " does not speak the Engine API (GET /version: " + std::to_string(answer.status) + ")");
  const std::string newest = get_string(*object, "ApiVersion", "1.41");
  const std::string oldest = get_string(*object, "MinAPIVersion", "1.12");
  if (number_of(newest) < number_of(spoken_version))
    raise(sdk::Status::unsupported, "the engine at " + socket_ + " speaks API " + newest + ": at least " +
                                        std::string(spoken_version) + " (Docker 20.10) is needed");
  version_ = "/v" + (number_of(oldest) > number_of(spoken_version) ? oldest : std::string(spoken_version));
  return version_;
}

Answer Engine::exchange(std::string_view method, std::string_view target, std::string_view content_type,
                        const std::string* body, const Source& source, const Sink& sink,
                        std::chrono::milliseconds patience) {
  std::string head = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: engine\r\n";
  if (!content_type.empty()) head += "Content-Type: " + std::string(content_type) + "\r\n";
  if (source)
    head += "Transfer-Encoding: chunked\r\n";
  else if (body != nullptr || method == "POST" || method == "PUT")
    head += "Content-Length: " + std::to_string(body == nullptr ? 0 : body->size()) + "\r\n";
  head += "\r\n";
  const bool kept = static_cast<bool>(connection_);
  if (!kept) connection_ = open();
  const Exchange wire(connection_.get(), cancel_fd_, patience);
  // Whatever goes wrong below leaves the connection in an unknown state.
  UniqueFd connection = std::move(connection_);
  bool sent = wire.send(head + (body == nullptr ? std::string() : *body));
  while (sent && source) {
    const std::optional<std::string> part = source();
    if (!part) {
      sent = wire.send("0\r\n\r\n");
      break;
    }
    if (part->empty()) continue;
    std::array<char, 24> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", part->size());
    sent = wire.send(size.data()) && wire.send(*part) && wire.send("\r\n");
  }

  http::response_parser<http::string_body> parser;
  parser.header_limit(max_head_bytes);
  if (sink)
    parser.body_limit(boost::none);
  else
    parser.body_limit(max_answer_bytes);
  parser.eager(true);
  if (method == "HEAD") parser.skip(true);
  std::array<char, 65536> buffer{};
  std::string pending;
  boost::system::error_code error;
  while (!parser.is_done()) {
    const std::size_t got = wire.receive(buffer);
    if (got == 0) {
      // A connection that was kept may have been closed by the engine meanwhile: the same again on a new one.
      if (!parser.got_some() && kept && !source)
        return exchange(method, target, content_type, body, source, sink, patience);
      if (parser.got_some()) parser.put_eof(error);
      if (!parser.is_done())
        raise(sdk::Status::unavailable, "the container engine closed the connection in the middle");
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
      if (error) raise(sdk::Status::internal, "the container engine's answer is not HTTP/1.1: " + error.message());
      if (used == 0) break;
    }
    if (sink && parser.is_header_done() && parser.get().result_int() < 300 && !parser.get().body().empty()) {
      sink(parser.get().body());
      parser.get().body().clear();
    }
  }
  Answer answer;
  answer.status = static_cast<int>(parser.get().result_int());
  const bool keeps = parser.get().keep_alive() && sent;
  answer.body = std::move(parser.get().body());
  if (keeps && pending.empty()) connection_ = std::move(connection);
  return answer;
}

void throw_engine_error(std::string_view what, const Answer& answer) {
  std::string message = std::string(trim(answer.body)).substr(0, 2000);
  if (const auto object = parse_json_object(answer.body)) message = get_string(*object, "message", message);
  sdk::Status status = sdk::Status::failed_precondition;
  if (answer.status == 400) status = sdk::Status::invalid_argument;
  if (answer.status == 404) status = sdk::Status::not_found;
  if (answer.status == 409) status = sdk::Status::already_exists;
  if (answer.status == 403) status = sdk::Status::permission_denied;
  throw sdk::Error(status, "the container engine: " + std::string(what) + ": " + message);
}

Answer Engine::ask(std::string_view method, std::string_view target, const std::optional<json::value>& body,
                   std::chrono::milliseconds patience) {
  const std::string path = version() + std::string(target);
  if (!body) return exchange(method, path, {}, nullptr, {}, {}, patience);
  const std::string text = to_text(*body);
  return exchange(method, path, "application/json", &text, {}, {}, patience);
}

json::value Engine::call(std::string_view method, std::string_view target, const std::optional<json::value>& body,
                         std::chrono::milliseconds patience) {
  const Answer answer = ask(method, target, body, patience);
  if (answer.status >= 400) throw_engine_error(std::string(method) + " " + std::string(target.substr(0, 120)), answer);
  if (trim(answer.body).empty()) return {};
  // Deeper than our own documents may be: an inspection is.
  json::parse_options options;
  options.max_depth = 64;
  boost::system::error_code error;
  json::value value = json::parse(answer.body, error, {}, options);
  if (error) raise(sdk::Status::internal, "the container engine's answer is not JSON: " + error.message());
  return value;
}

std::optional<json::value> Engine::find(std::string_view target) {
  try {
    return call("GET", target);
  } catch (const sdk::Error& error) {
    if (error.status == sdk::Status::not_found) return std::nullopt;
    throw;
  }
}

bool Engine::remove(std::string_view target) {
  const Answer answer = ask("DELETE", target);
  if (answer.status == 404) return false;
  // "removal of container … is already in progress"
  if (answer.status == 409 && answer.body.find("in progress") != std::string::npos) return true;
  if (answer.status >= 400) throw_engine_error("DELETE " + std::string(target), answer);
  return true;
}

void Engine::send(std::string_view method, std::string_view target, const Source& source, const Sink& sink,
                  std::chrono::milliseconds patience) {
  const Answer answer =
      exchange(method, version() + std::string(target), "application/x-tar", nullptr, source, sink, patience);
  if (answer.status >= 400) throw_engine_error(std::string(method) + " " + std::string(target.substr(0, 120)), answer);
}

void Engine::receive(std::string_view target, const Sink& sink, std::chrono::milliseconds patience) {
  const Answer answer = exchange("GET", version() + std::string(target), {}, nullptr, {}, sink, patience);
  if (answer.status >= 400) throw_engine_error("GET " + std::string(target.substr(0, 120)), answer);
}

UniqueFd Engine::hijack(std::string_view target, const json::value& body, std::string& early) {
  const std::string path = version() + std::string(target);
  UniqueFd connection = open();
  const Exchange wire(connection.get(), cancel_fd_, ordinary_patience);
  const std::string text = to_text(body);
  wire.send("POST " + path +
            " HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\n"
            "Content-Length: " +
            std::to_string(text.size()) + "\r\n\r\n" + text);
  std::string got;
  std::array<char, 65536> buffer{};
  std::size_t end = std::string::npos;
  while ((end = got.find("\r\n\r\n")) == std::string::npos && got.size() < max_head_bytes) {
    const std::size_t count = wire.receive(buffer);
    if (count == 0) break;
    got.append(buffer.data(), count);
  }
  if (end == std::string::npos) raise(sdk::Status::unavailable, "the container engine closed a stream before it began");
  const bool upgraded = got.starts_with("HTTP/1.1 101");
  if (!upgraded && !got.starts_with("HTTP/1.1 200")) {
    Answer answer;
    answer.status = static_cast<int>(std::strtol(got.substr(9, 3).c_str(), nullptr, 10));
    answer.body = got.substr(end + 4);
    throw_engine_error("POST " + std::string(target), answer);
  }
  early = got.substr(end + 4);
  return connection;
}

UniqueFd Engine::begin(std::string_view method, std::string_view target) {
  const std::string path = version() + std::string(target);
  UniqueFd connection = open();
  const Exchange wire(connection.get(), cancel_fd_, ordinary_patience);
  wire.send(std::string(method) + " " + path + " HTTP/1.1\r\nHost: engine\r\nContent-Length: 0\r\n\r\n");
  return connection;
}

std::string url_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    out += plain ? std::string(1, c) : "%" + to_upper(hex_encode({&c, 1}));
  }
  return out;
}

}  // namespace bot_bottle::backend_docker
