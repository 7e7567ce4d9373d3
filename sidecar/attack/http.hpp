// A rude HTTP/1.1 client: it sends exactly the bytes it is given, through the proxy, inside TLS or not.
// Hostile input: the answers; sizes and times are bounded.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/attack/attempt.hpp"

namespace bot_bottle::attack {

struct Response {
  int status = 0;  // 0: none came, `failure` says why
  std::string head;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string failure;
  bool closed = false;  // the peer closed in good order before an answer
  bool alert = false;   // a TLS alert came: the peer refused, it did not break
  bool complete = false;
  [[nodiscard]] std::string header(std::string_view name) const;
  /// Only `bottle-attack origin` sets it: the request got through.
  [[nodiscard]] bool is_from_origin() const { return !header("x-attack-origin").empty(); }
};

/// A connection to the proxy, later perhaps with TLS over it. Reads and writes end after 15 s.
class Channel {
 public:
  static Result<Channel> dial(const Context& context);
  Result<void> write(std::string_view bytes);
  /// What comes next, at least one octet; an error at the end, with `closed` in its message.
  Result<std::string> read_some();
  Response read_response(std::string_view method = "GET");
  /// Octets that were read and belong to no response yet.
  [[nodiscard]] const std::string& pending() const { return pending_; }
  /// Client handshake with `sni` (empty: none), checked against the bottle's CA for `verify_name`.
  Response start_tls(const Context& context, const std::string& sni, const std::string& verify_name,
                     const std::string& alpn);

 private:
  explicit Channel(UniqueFd fd) : fd_(std::move(fd)) {}
  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  UniqueFd fd_;
  std::unique_ptr<SSL_CTX, FreeContext> tls_context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  std::string pending_;
};

struct TunnelOptions {
  std::string authority;  // of the CONNECT; default "<origin>:443"
  std::string sni;        // default: origin
  bool send_sni = true;
  std::string alpn = "http/1.1";
};

/// CONNECT and TLS to the allowed origin. On success `response.status` is 200 and the channel speaks TLS.
struct Tunnel {
  Response response;
  Result<Channel> channel;
};
Tunnel open_tunnel(const Context& context, const TunnelOptions& options = {});

/// Head (and body, with its Content-Length) of a request; "Connection: close" unless `extra` has one. `extra` lines end
/// in CRLF.
std::string request(std::string_view method, std::string_view target, std::string_view host,
                    std::string_view extra = {}, std::string_view body = {});

/// Sends `bytes` through the proxy inside TLS, or straight to the proxy, and reads one answer.
Response ask_tls(const Context& context, std::string_view bytes, const TunnelOptions& options = {},
                 std::string_view method = "GET");
Response ask_proxy(const Context& context, std::string_view bytes, std::string_view method = "GET");
/// CONNECT only.
Response ask_connect(const Context& context, std::string_view authority);

/// Which refusals, beside 403 with the egress document, are documented for an attempt.
namespace accept {
inline constexpr unsigned refusal = 0;
inline constexpr unsigned bad_request = 1;  // 400: not HTTP
inline constexpr unsigned misdirected = 2;  // 421: names disagree
inline constexpr unsigned alert = 4;        // TLS alert: names disagree in the handshake
inline constexpr unsigned method = 8;       // 405, 501
inline constexpr unsigned closed = 16;      // closed without an answer, and the proxy is alive afterwards
inline constexpr unsigned version = 32;     // 505
inline constexpr unsigned media = 64;       // 415: a body that cannot be scanned
}  // namespace accept

Outcome judge(const Context& context, const Response& response, unsigned accepted = accept::refusal);

/// The positive control: the allowed origin answers 200 through the proxy.
Outcome control(const Context& context);
/// The request as the origin got it ({method, target, headers, body}); nothing when `response` is not its echo.
Result<json::object> echo_of(const Response& response);

}  // namespace bot_bottle::attack
