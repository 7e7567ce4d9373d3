// The two ends of an exchange, whatever the version of HTTP: what the exchange calls, and what calls the exchange.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/policy/decide.hpp"
#include "sidecar/egress/binding.hpp"
#include "sidecar/egress/names.hpp"
#include "sidecar/http/fields.hpp"
#include "sidecar/net/loop.hpp"

namespace bot_bottle::egress {

struct BodyLength {
  enum class Kind : std::uint8_t { none, known, unknown };
  Kind kind = Kind::none;
  std::uint64_t size = 0;  // with Kind::known
};

/// What the client's connection was opened to.
struct Origin {
  enum class Kind : std::uint8_t {
    proxy,   // the proxy itself: absolute-form targets
    tunnel,  // the inside of a CONNECT
  };
  Kind kind = Kind::proxy;
  policy::Scheme scheme = policy::Scheme::http;
  Authority authority;  // of a tunnel
};

/// A request as its parser saw it. The exchange takes fields off; the memory is the parser's and lives as long as the
/// exchange.
struct IncomingRequest {
  std::string_view method;
  std::string_view target;                    // as sent: origin-form or absolute-form
  std::string_view scheme;                    // :scheme; empty in HTTP/1
  std::optional<std::string_view> authority;  // Host or :authority
  std::optional<std::string_view> host;       // Host, where :authority is there too
  http::Fields* fields = nullptr;             // all of them
  BodyLength body;
  bool expects_continue = false;
  bool accepts_trailers = false;  // TE: trailers
  bool may_upgrade = false;       // HTTP/1.1: `Upgrade` has a meaning
  bool websocket = false;         // an extended CONNECT (RFC 8441) that asks for WebSocket; `method` is GET then
};

/// What goes to the upstream: checked, stripped, bound.
struct OutgoingRequest {
  std::string_view method;
  std::string target;
  std::string authority;
  const http::Fields* fields = nullptr;
  const Credential* credential = nullptr;
  BodyLength body;
  bool expects_continue = false;
  bool accepts_trailers = false;
  std::string websocket_key;  // ours, when the upstream is asked to switch to WebSocket
};

/// With status 101 the upstream has switched to WebSocket, and what follows as body both ways are its frames.
struct ResponseStart {
  int status = 0;
  std::string_view reason;
  http::Fields* fields = nullptr;
  BodyLength body;  // `none` also where the method or status forbids one; `size` may then be what Content-Length said
  std::optional<std::uint64_t> announced_length;  // for HEAD and 304
};

/// What an agent's connection is worth when there is no room for all of them (connections.hpp).
enum class Standing : std::uint8_t {
  opening,      // has not sent a whole request head, or not ended its TLS handshake
  idle,         // between requests
  busy,         // a request is under way, or a tunnel
  turned_away,  // over the bound: will be told so
};

/// What reads an agent's connection, whatever the version of HTTP. Owned by its ClientConnection, which hands it the
/// plain octets and is told when the connection is over.
class ServerSide : public net::Retirable {
 public:
  /// Outlives the server.
  class Owner {
   public:
    virtual ~Owner() = default;
    /// Takes the connection over after a well-formed CONNECT; `rest` are the octets behind its head.
    virtual void on_connect(std::string_view authority, std::string_view rest) = 0;
    /// The connection is to be closed after what was written; linger so that the answer can be read.
    virtual void on_finished() = 0;
    /// The connection is to be cut now.
    virtual void on_aborted() = 0;
    /// `idle` or `busy`, whenever it has changed.
    virtual void on_standing(Standing standing) = 0;
  };
  virtual void on_bytes(std::string_view bytes) = 0;
  virtual void on_end() = 0;
  /// The connection is gone.
  virtual void on_gone(std::string_view why) = 0;
  virtual void on_drained() = 0;
};

/// The client's end of one exchange. Calls: informational*, head, body*, then end or abort, which is the last.
class ClientSide {
 public:
  virtual ~ClientSide() = default;
  virtual void send_informational(int status, const http::Fields& fields) = 0;
  virtual void send_head(const ResponseStart& head) = 0;
  virtual void send_body(std::string_view bytes) = 0;
  virtual void send_end(const http::Fields* trailers) = 0;
  /// The response cannot be completed: the client must see that it is cut.
  virtual void abort() = 0;
  /// After this response the connection ends.
  virtual void close_after_response() = 0;
  virtual void pause_request() = 0;
  virtual void resume_request() = 0;
  [[nodiscard]] virtual bool is_congested() const = 0;
};

/// The upstream's end. Calls: head, body*, end; then it is given back to the pool or destroyed.
class UpstreamSide {
 public:
  virtual ~UpstreamSide() = default;
  virtual void send_head(const OutgoingRequest& request) = 0;
  virtual void send_body(std::string_view bytes) = 0;
  virtual void send_end(const http::Fields* trailers) = 0;
  virtual void pause_response() = 0;
  virtual void resume_response() = 0;
  [[nodiscard]] virtual bool is_congested() const = 0;
};

class UpstreamHandler;

/// An upstream for one exchange at a time: a connection (HTTP/1) or a stream of one that others use too (HTTP/2). Owned
/// by its exchange while in use; a connection that can serve another goes back to the pool.
class Upstream : public net::Retirable, public UpstreamSide {
 public:
  virtual void set_handler(UpstreamHandler* handler) = 0;
  virtual void start() {}
  /// Whole request sent, whole response read, nothing left over, and both sides said keep-alive.
  [[nodiscard]] virtual bool is_reusable() const { return false; }
  /// It may say that it has not begun with a request that it was sent (UpstreamHandler::Progress::unprocessed).
  [[nodiscard]] virtual bool may_refuse() const { return false; }

  /// Set by the pool: an idle connection that says anything, or ends, is of no more use.
  std::function<void()> on_idle_event;
  std::uint64_t idle_since_ms = 0;
  std::string pool_key;
};

/// What an upstream says. Order: informational*, head, body*, end; or failure at any time, which is the last.
class UpstreamHandler {
 public:
  virtual ~UpstreamHandler() = default;
  virtual void on_informational(int status, http::Fields& fields) = 0;
  virtual void on_response_head(ResponseStart& head) = 0;
  virtual void on_response_body(std::string_view bytes) = 0;
  virtual void on_response_end(http::Fields* trailers) = 0;
  virtual void on_upstream_drained() = 0;
  enum class Progress : std::uint8_t {
    unprocessed,   // the upstream said that it has not begun with it: safe to send again, whatever the method
    nothing_came,  // sent, and nobody knows
    answered,      // octets of a response had come
  };
  virtual void on_upstream_failure(std::string_view reason, Progress progress) = 0;
};

}  // namespace bot_bottle::egress
