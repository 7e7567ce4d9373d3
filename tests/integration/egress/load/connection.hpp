// Blocking TLS connections, for programs of tests that must be quicker than Python.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::load {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeSession {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
struct FreeTicket {
  void operator()(SSL_SESSION* ticket) const { SSL_SESSION_free(ticket); }
};
using Context = std::unique_ptr<SSL_CTX, FreeContext>;
using Ticket = std::unique_ptr<SSL_SESSION, FreeTicket>;

/// Trusts `ca_file` and nothing else. Ends the program when it cannot be read.
Context client_context(const std::string& ca_file);
Context server_context(const std::string& certificate, const std::string& key);

/// One connection, reading by lines and counts. Every failure is `false` or an empty answer: tests count them.
class Connection {
 public:
  explicit Connection(UniqueFd fd) : fd_(std::move(fd)) {}
  /// CONNECT to `host`:443 through the proxy's unix socket, then TLS; `protocol` by ALPN, `ticket` resumed if given.
  static std::unique_ptr<Connection> through(const std::string& socket, SSL_CTX* context, const std::string& host,
                                             const std::string& protocol, SSL_SESSION* ticket = nullptr);
  bool accept(SSL_CTX* context);
  bool send(std::string_view bytes);
  /// Octets that are there, at least one; none: the end, or a failure.
  std::string_view receive();
  /// Up to and with the empty line; none: the connection ended before.
  std::string head();
  std::string take(std::size_t count);
  /// "200 body" of a response with Content-Length; empty: it was cut.
  std::string response();
  /// With a reset instead of an end.
  void cut();
  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  [[nodiscard]] Ticket ticket() const { return Ticket(SSL_get1_session(ssl_.get())); }
  std::string rest;  // received, not yet taken

 private:
  bool more();
  UniqueFd fd_;
  std::unique_ptr<SSL, FreeSession> ssl_;
  std::string buffer_;
};

/// The value of `name` (lower case) in a head; empty: it is not there.
std::string field(std::string_view head, std::string_view name);

}  // namespace bot_bottle::load
