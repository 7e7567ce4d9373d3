// One TLS connection over memory: records in, records out, no socket.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "sidecar/tls/openssl_ptr.hpp"

namespace bot_bottle::tls {

enum class Status : std::uint8_t {
  ok,
  want_more,  // records of the peer are needed
  closed,     // the peer sent close_notify
  failed,     // see error(); the session is of no more use
};

/// Move-only. Made by ServerContext and ClientContext.
class Session {
 public:
  explicit Session(SslPtr ssl);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// Records from the peer; `records` must stay valid until reads have given want_more.
  void feed(std::string_view records) { input_ = records; }
  [[nodiscard]] Status handshake();
  [[nodiscard]] Status read(std::span<char> buffer, std::size_t& size);
  /// Encrypts all of `bytes`, which are not empty; only after the handshake.
  [[nodiscard]] Status write(std::string_view bytes);
  /// Queues close_notify.
  void shut();
  /// Records for the peer; take them whenever a call has returned. A failed handshake leaves its alert here.
  [[nodiscard]] std::string& output() { return output_; }
  /// Why it failed, for people: "certificate verify failed: self-signed certificate".
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] SSL* raw() { return ssl_.get(); }
  [[nodiscard]] std::string_view alpn() const;

 private:
  friend struct MemoryBio;
  Status status_of(int result);
  SslPtr ssl_;
  std::string_view input_;
  std::string output_;
  std::string error_;
};

}  // namespace bot_bottle::tls
