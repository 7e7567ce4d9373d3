// Between a connection and what answers its request.
#pragma once

#include <cstddef>
#include <string_view>

namespace bot_bottle::git_gate {

/// The client's side of one request, kept by its connection. Gone when the connection is: exchanges are told first.
class Client {
 public:
  virtual ~Client() = default;
  /// A whole answer in plain text; git shows it to its user.
  virtual void refuse(int status, std::string_view text) = 0;
  /// 200, then pieces, then the end.
  virtual void begin(std::string_view content_type) = 0;
  [[nodiscard]] virtual bool has_begun() const = 0;
  virtual void write(std::string_view bytes) = 0;
  virtual void end() = 0;
  /// Cuts the connection: the answer cannot be made whole any more.
  virtual void abort() = 0;
  [[nodiscard]] virtual std::size_t unsent() const = 0;
  virtual void pause_body() = 0;
  virtual void resume_body() = 0;
};

/// Answers one request. Destroyed when the answer is whole or the client is gone.
class Exchange {
 public:
  virtual ~Exchange() = default;
  /// Octets of the request's body without codings; not called while paused (but for what was under way).
  virtual void on_body(std::string_view bytes) = 0;
  virtual void on_body_end() = 0;
  /// What was written has left.
  virtual void on_drained() = 0;
};

}  // namespace bot_bottle::git_gate
