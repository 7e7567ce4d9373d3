// See http.hpp.
#include "sidecar/attack/http.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "core/base/text.hpp"

namespace bot_bottle::attack {
namespace {

constexpr std::size_t max_head = 256 * 1024;
constexpr std::size_t max_body = 32 * 1024 * 1024;
constexpr int alert_base = 1000;  // SSL_AD_REASON_OFFSET: reasons from here on are alerts of the peer

std::string closed_text() {
  return "closed";
}

}  // namespace

std::string Response::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

Result<Channel> Channel::dial(const Context& context) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return error_from_errno("socket", errno);
  const timeval limit{15, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(context.proxy_port);
  if (::inet_pton(AF_INET, context.proxy_host.c_str(), &address.sin_addr) != 1)
    return fail(ErrorKind::invalid_argument, "the proxy's address is no IPv4 address: " + context.proxy_host);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return error_from_errno("connecting to the proxy", errno);
  return Channel(std::move(fd));
}

Result<void> Channel::write(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t count = 0;
    if (ssl_) {
      ERR_clear_error();
      count = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), 1 << 20)));
      if (count <= 0) return fail(ErrorKind::unavailable, "the peer takes no more (TLS)");
    } else {
      count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return error_from_errno("send", errno);
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<std::string> Channel::read_some() {
  std::array<char, 16384> buffer{};
  for (;;) {
    if (ssl_) {
      ERR_clear_error();
      const int count = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
      if (count > 0) return std::string(buffer.data(), static_cast<std::size_t>(count));
      const int problem = SSL_get_error(ssl_.get(), count);
      if (problem == SSL_ERROR_WANT_READ) return fail(ErrorKind::timeout, "no answer within 15 s");
      const int reason = ERR_GET_REASON(ERR_peek_error());
      if (problem == SSL_ERROR_SSL && reason > alert_base)
        return fail(ErrorKind::refused, "TLS alert " + std::to_string(reason - alert_base));
      return fail(ErrorKind::unavailable, closed_text());
    }
    const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) return std::string(buffer.data(), static_cast<std::size_t>(count));
    if (count == 0 || errno == ECONNRESET) return fail(ErrorKind::unavailable, closed_text());
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return fail(ErrorKind::timeout, "no answer within 15 s");
    return error_from_errno("recv", errno);
  }
}

Response Channel::read_response(std::string_view method) {
  Response out;
  auto fill = [&]() -> bool {
    auto more = read_some();
    if (!more) {
      out.failure = more.error().message;
      out.closed = more.error().message == closed_text();
      out.alert = more.error().kind == ErrorKind::refused;
      return false;
    }
    pending_ += *more;
    return true;
  };
  for (;;) {  // 1xx answers come before the final one
    std::size_t end = std::string::npos;
    while ((end = pending_.find("\r\n\r\n")) == std::string::npos) {
      if (pending_.size() > max_head) {
        out.failure = "a response head without end";
        return out;
      }
      if (!fill()) return out;
    }
    out.head = pending_.substr(0, end + 4);
    pending_.erase(0, end + 4);
    if (!out.head.starts_with("HTTP/1.") || out.head.size() < 12) {
      out.failure = "no HTTP response";
      return out;
    }
    out.status = std::atoi(out.head.c_str() + 9);
    if (out.status < 100 || out.status > 199 || out.status == 101) break;
  }
  const std::string_view head = out.head;
  for (std::string_view line : split(head.substr(0, head.size() - 4), '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || line.starts_with("HTTP/1.")) continue;
    out.headers.emplace_back(to_lower(trim(line.substr(0, colon))), std::string(trim(line.substr(colon + 1))));
  }
  const bool tunnel = method == "CONNECT" && out.status / 100 == 2;
  if (method == "HEAD" || out.status == 204 || out.status == 304 || out.status == 101 || tunnel) {
    out.complete = true;
    return out;
  }
  if (to_lower(out.header("transfer-encoding")).find("chunked") != std::string::npos) {
    for (;;) {
      std::size_t line = std::string::npos;
      while ((line = pending_.find("\r\n")) == std::string::npos)
        if (!fill()) return out;
      const std::size_t size = std::strtoul(pending_.c_str(), nullptr, 16);
      if (size > max_body || out.body.size() > max_body) return out;
      pending_.erase(0, line + 2);
      while (pending_.size() < size + 2)
        if (!fill()) return out;
      out.body.append(pending_, 0, size);
      if (size == 0) {  // trailers, if any, end with an empty line
        while (!pending_.starts_with("\r\n") && pending_.find("\r\n\r\n") == std::string::npos)
          if (!fill()) return out;
        pending_.erase(0, pending_.starts_with("\r\n") ? 2 : pending_.find("\r\n\r\n") + 4);
        out.complete = true;
        return out;
      }
      pending_.erase(0, size + 2);
    }
  }
  const std::string length = out.header("content-length");
  if (!length.empty()) {
    const std::size_t size = std::min<std::size_t>(std::strtoul(length.c_str(), nullptr, 10), max_body);
    while (pending_.size() < size)
      if (!fill()) break;
    out.body = pending_.substr(0, size);
    out.complete = out.body.size() == size;
    pending_.erase(0, out.body.size());
    return out;
  }
  while (pending_.size() < max_body && fill()) {
  }
  out.body.swap(pending_);
  out.complete = out.closed;
  return out;
}

Response Channel::start_tls(const Context& context, const std::string& sni, const std::string& verify_name,
                            const std::string& alpn) {
  Response out;
  tls_context_.reset(SSL_CTX_new(TLS_client_method()));
  if (!tls_context_ || SSL_CTX_load_verify_locations(tls_context_.get(), context.ca_file.c_str(), nullptr) != 1) {
    out.failure = "cannot load the CA from " + context.ca_file;
    return out;
  }
  SSL_CTX_set_verify(tls_context_.get(), SSL_VERIFY_PEER, nullptr);
  ssl_.reset(SSL_new(tls_context_.get()));
  if (!sni.empty()) {
    std::string name = sni;  // the macro of OpenSSL wants a mutable pointer
    SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
  }
  if (!verify_name.empty()) SSL_set1_host(ssl_.get(), verify_name.c_str());
  if (!alpn.empty()) {
    const std::string wire = static_cast<char>(alpn.size()) + alpn;
    SSL_set_alpn_protos(ssl_.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                        static_cast<unsigned>(wire.size()));
  }
  SSL_set_fd(ssl_.get(), fd_.get());
  ERR_clear_error();
  const int result = SSL_connect(ssl_.get());
  if (result == 1) {
    out.status = 200;
    return out;
  }
  const int reason = ERR_GET_REASON(ERR_peek_error());
  out.alert = reason > alert_base;
  out.closed = !out.alert && ERR_peek_error() == 0;
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_peek_error(), text.data(), text.size());
  out.failure = out.alert    ? "TLS alert " + std::to_string(reason - alert_base)
                : out.closed ? closed_text()
                             : "TLS handshake: " + std::string(text.data());
  return out;
}

Tunnel open_tunnel(const Context& context, const TunnelOptions& options) {
  const std::string authority = options.authority.empty() ? context.origin + ":443" : options.authority;
  const std::string sni = !options.send_sni ? "" : options.sni.empty() ? context.origin : options.sni;
  Tunnel out{{}, Channel::dial(context)};
  if (!out.channel) {
    out.response.failure = out.channel.error().message;
    return out;
  }
  const std::string head = "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n\r\n";
  if (auto sent = out.channel->write(head); !sent) {
    out.response.failure = sent.error().message;
    return out;
  }
  out.response = out.channel->read_response("CONNECT");
  if (out.response.status != 200) return out;
  // A spoofed SNI gets whatever leaf the proxy has for it: what is checked is who answers, later.
  out.response = out.channel->start_tls(context, sni, options.sni.empty() && options.send_sni ? sni : "", options.alpn);
  return out;
}

std::string request(std::string_view method, std::string_view target, std::string_view host, std::string_view extra,
                    std::string_view body) {
  std::string out = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) +
                    "\r\nUser-Agent: bottle-attack\r\nAccept: */*\r\n" + std::string(extra);
  if (to_lower(extra).find("connection:") == std::string::npos) out += "Connection: close\r\n";
  if (!body.empty() && to_lower(extra).find("transfer-encoding:") == std::string::npos)
    out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  return out + "\r\n" + std::string(body);
}

namespace {

// An early refusal closes the way for the rest of the body: the answer is read all the same.
Response exchange(Channel& channel, std::string_view bytes, std::string_view method) {
  auto sent = channel.write(bytes);
  Response out = channel.read_response(method);
  if (out.status == 0 && !sent && out.failure.empty()) out.failure = sent.error().message;
  return out;
}

}  // namespace

Response ask_tls(const Context& context, std::string_view bytes, const TunnelOptions& options,
                 std::string_view method) {
  Tunnel tunnel = open_tunnel(context, options);
  if (tunnel.response.status != 200) return tunnel.response;
  return exchange(*tunnel.channel, bytes, method);
}

Response ask_proxy(const Context& context, std::string_view bytes, std::string_view method) {
  auto channel = Channel::dial(context);
  if (!channel) {
    Response out;
    out.failure = channel.error().message;
    return out;
  }
  return exchange(*channel, bytes, method);
}

Response ask_connect(const Context& context, std::string_view authority) {
  return ask_proxy(context,
                   "CONNECT " + std::string(authority) + " HTTP/1.1\r\nHost: " + std::string(authority) + "\r\n\r\n",
                   "CONNECT");
}

Outcome judge(const Context& context, const Response& response, unsigned accepted) {
  const std::string status = std::to_string(response.status);
  if (response.is_from_origin()) return escaped("the origin answered " + status);
  if (response.status == 0) {
    if (response.alert && (accepted & accept::alert) != 0) return blocked(response.failure);
    if (response.closed && (accepted & accept::closed) != 0) {
      Outcome alive = control(context);
      return alive.verdict == Verdict::blocked ? blocked("closed without an answer")
                                               : failed("closed, and then " + alive.detail);
    }
    return failed(response.failure.empty() ? "no answer" : response.failure);
  }
  if (!context.stolen.empty() && (response.body.find(context.stolen) != std::string::npos ||
                                  response.head.find(context.stolen) != std::string::npos))
    return failed(status + " echoes the secret");
  if (response.status == 403) {
    auto document = parse_json_object(response.body);
    if (!document) return failed("403 without the egress document");
    if (get_string(*document, "error") != "blocked" || get_string(*document, "by") != "egress")
      return failed("403 of somebody else: " + response.body.substr(0, 80));
    return blocked("403 " + get_string(*document, "reason"));
  }
  if (response.status == 400 && (accepted & accept::bad_request) != 0) return blocked("400");
  if (response.status == 421 && (accepted & accept::misdirected) != 0) return blocked("421");
  if ((response.status == 405 || response.status == 501) && (accepted & accept::method) != 0) return blocked(status);
  if (response.status == 505 && (accepted & accept::version) != 0) return blocked(status);
  if (response.status == 415 && (accepted & accept::media) != 0) return blocked(status);
  if (response.status < 400) return escaped("answered " + status);
  return failed("answered " + status + " " + response.body.substr(0, 100));
}

Outcome control(const Context& context) {
  Response response = ask_tls(context, request("GET", "/control", context.origin));
  if (response.status == 200 && response.is_from_origin()) return blocked("200");
  return failed(
      "control: " + context.origin + " does not answer 200 (" +
      (response.status != 0 ? std::to_string(response.status) + " " + response.body.substr(0, 120) : response.failure) +
      ")");
}

Result<json::object> echo_of(const Response& response) {
  if (response.status != 200 || !response.is_from_origin()) return fail(ErrorKind::not_found, "no echo");
  return parse_json_object(response.body);
}

}  // namespace bot_bottle::attack
