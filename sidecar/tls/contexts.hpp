// The two ends of interception: the server that agents see, the client that upstreams see.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/base/result.hpp"
#include "sidecar/tls/authority.hpp"
#include "sidecar/tls/session.hpp"

namespace bot_bottle::tls {

/// TLS ≥ 1.2, session tickets, ALPN h2 and http/1.1, no renegotiation. An SNI other than the host of the CONNECT ends
/// the handshake with unrecognized_name (attack A2); none at all is accepted, because then only the CONNECT has named
/// the host.
class ServerContext {
 public:
  enum class NameCheck : std::uint8_t { on, off };  // off: only with the test hook "names"
  static Result<std::unique_ptr<ServerContext>> create(NameCheck names);
  /// `host` becomes the session's only name; tickets of one host are no good for another.
  Result<std::unique_ptr<Session>> accept(const Leaf& leaf, const std::string& host);

 private:
  explicit ServerContext(ContextPtr context) : context_(std::move(context)) {}
  ContextPtr context_;
};

/// What ALPN offers to an upstream.
enum class Offer : std::uint8_t { http2_and_http1, http1 };

/// Made at the first upstream connection: reading the system's trust costs more than the whole start. TLS ≥ 1.2, the
/// host name verified, sessions of hosts resumed.
class ClientContext {
 public:
  /// `extra_ca`: PEM certificates that are trusted besides the system's; may be empty.
  static Result<std::unique_ptr<ClientContext>> create(const std::string& extra_ca);
  ~ClientContext();
  /// `resume_key` names what a session may be resumed for (host and port).
  Result<std::unique_ptr<Session>> connect(const std::string& host, const std::string& resume_key,
                                           Offer offer = Offer::http2_and_http1);

 private:
  explicit ClientContext(ContextPtr context);
  static int keep_session(SSL* ssl, SSL_SESSION* session);
  ContextPtr context_;
  std::unordered_map<std::string, TlsSessionPtr> sessions_;
};

/// True when `pem` holds at least one certificate and nothing that is not one.
Result<void> check_certificates(const std::string& pem);

}  // namespace bot_bottle::tls
