// A client of the Engine API (docs.docker.com, Engine API v1.41; Podman speaks the same): HTTP/1.1 over the engine's
// unix socket, one connection kept alive. Not thread-safe: a thread has its own. Errors are thrown.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/json.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::backend_docker {

inline constexpr std::chrono::milliseconds ordinary_patience{60'000};
inline constexpr std::chrono::milliseconds build_patience{3'600'000};

struct Answer {
  int status = 0;
  std::string body;
};

/// What a request sends when it is too large for one text: called again and again until it returns nothing.
using Source = std::function<std::optional<std::string>()>;
using Sink = std::function<void(std::string_view)>;

class Engine {
 public:
  /// `cancel_fd` is borrowed; readable: every call ends with `cancelled`. -1: none.
  explicit Engine(std::string socket, int cancel_fd = -1) : socket_(std::move(socket)), cancel_fd_(cancel_fd) {}

  /// Any status is an answer. `target` begins behind the version: "/containers/json?all=1". Throws unavailable (no
  /// engine), permission_denied, cancelled, timeout.
  Answer ask(std::string_view method, std::string_view target, const std::optional<json::value>& body = std::nullopt,
             std::chrono::milliseconds patience = ordinary_patience);
  /// The same; a status of 400 and above is thrown with the engine's own words.
  json::value call(std::string_view method, std::string_view target,
                   const std::optional<json::value>& body = std::nullopt,
                   std::chrono::milliseconds patience = ordinary_patience);
  /// The same, and 404 is nothing.
  std::optional<json::value> find(std::string_view target);
  /// 404, 304 and (409: already on its way) are success. True when there was something.
  bool remove(std::string_view target);

  /// Sends `source` as an archive; `sink` gets the answer in pieces (an error's body is thrown instead).
  void send(std::string_view method, std::string_view target, const Source& source, const Sink& sink = {},
            std::chrono::milliseconds patience = ordinary_patience);
  /// Gets a long answer in pieces.
  void receive(std::string_view target, const Sink& sink, std::chrono::milliseconds patience = ordinary_patience);
  /// A raw stream (attach, exec); what came behind the head is put into `early`.
  UniqueFd hijack(std::string_view target, const json::value& body, std::string& early);

  /// A question whose answer may come in days, on a connection of its own: the caller reads it there.
  UniqueFd begin(std::string_view method, std::string_view target);

  [[nodiscard]] const std::string& socket() const { return socket_; }
  void set_cancel_fd(int fd) { cancel_fd_ = fd; }

 private:
  struct Exchange;
  UniqueFd open();
  const std::string& version();
  Answer exchange(std::string_view method, std::string_view target, std::string_view content_type,
                  const std::string* body, const Source& source, const Sink& sink, std::chrono::milliseconds patience);

  std::string socket_;
  int cancel_fd_;
  UniqueFd connection_;
  std::string version_;  // "/v1.41", once asked
};

/// The engine's words for a failed call as an error.
[[noreturn]] void throw_engine_error(std::string_view what, const Answer& answer);
/// For a query: everything but unreserved characters as %XX.
std::string url_encoded(std::string_view text);

}  // namespace bot_bottle::backend_docker
