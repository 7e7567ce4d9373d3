// The origin of host.hpp: a thread per connection, lenient on purpose: what gets here is written down, whatever its
// shape.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/attack/encode.hpp"
#include "sidecar/attack/host.hpp"
#include "sidecar/attack/origin_tls.hpp"

namespace bot_bottle::attack {
namespace {

constexpr std::size_t max_request = 64 << 20;

class Log {
 public:
  explicit Log(UniqueFd fd) : fd_(std::move(fd)) {}
  void write(const json::object& line) {
    const std::lock_guard lock(mutex_);
    if (auto written = write_all(fd_.get(), to_text(line) + "\n"); !written)
      ::_exit(1);  // a log with holes would prove nothing
  }

 private:
  std::mutex mutex_;
  UniqueFd fd_;
};

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

/// What came of one request. `complete` is false when the connection ended before it did.
struct Incoming {
  std::string head;
  std::string body;  // without chunk framing
  std::string trailers;
  bool chunk_extensions = false;
  bool complete = false;
};

class Connection {
 public:
  Connection(UniqueFd fd, SSL_CTX* tls, Log& log, int number) : fd_(std::move(fd)), log_(log), number_(number) {
    if (tls != nullptr) {
      ssl_.reset(SSL_new(tls));
      SSL_set_fd(ssl_.get(), fd_.get());
    }
  }

  void serve() {
    if (ssl_ && SSL_accept(ssl_.get()) != 1) {
      log_.write({{"connection", number_}, {"event", "handshake failed"}});
      return;
    }
    const char* name = ssl_ ? SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name) : nullptr;
    sni_ = name != nullptr ? name : "";
    for (;;) {
      const Incoming incoming = read_request();
      if (incoming.head.empty() && incoming.body.empty()) return;
      log_.write({{"connection", number_},
                  {"event", "request"},
                  {"tls", ssl_ != nullptr},
                  {"sni", sni_},
                  {"head", base64_encode(incoming.head)},
                  {"body", base64_encode(incoming.body)},
                  {"trailers", base64_encode(incoming.trailers)},
                  {"complete", incoming.complete}});
      if (!incoming.complete) return;
      answer(incoming);
      if (to_lower(incoming.head).find("connection: close") != std::string::npos) return;
    }
  }

 private:
  bool fill() {
    std::array<char, 16384> buffer{};
    const ssize_t size = ssl_ ? SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()))
                              : ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size <= 0) return false;
    pending_.append(buffer.data(), static_cast<std::size_t>(size));
    return pending_.size() <= max_request;
  }
  void send_bytes(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t size = ssl_ ? SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()))
                                : ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (size <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(size));
    }
  }
  std::string take(std::size_t size) {
    std::string out = pending_.substr(0, size);
    pending_.erase(0, out.size());
    return out;
  }

  Incoming read_request() {
    Incoming out;
    std::size_t end = std::string::npos;
    while ((end = pending_.find("\r\n\r\n")) == std::string::npos)
      if (!fill()) {
        out.head = take(pending_.size());
        return out;
      }
    out.head = take(end + 4);
    if (!header(out.head, "expect").empty()) send_bytes("HTTP/1.1 100 Continue\r\n\r\n");
    if (to_lower(header(out.head, "transfer-encoding")).find("chunked") != std::string::npos) {
      read_chunks(out);
      return out;
    }
    const std::size_t size =
        std::min<std::size_t>(std::strtoul(header(out.head, "content-length").c_str(), nullptr, 10), max_request);
    while (pending_.size() < size)
      if (!fill()) break;
    out.body = take(size);
    out.complete = out.body.size() == size;
    return out;
  }

  void read_chunks(Incoming& out) {
    for (;;) {
      std::size_t line = std::string::npos;
      while ((line = pending_.find("\r\n")) == std::string::npos)
        if (!fill()) {
          out.body += take(pending_.size());
          return;
        }
      const std::string head = take(line + 2);
      out.chunk_extensions = out.chunk_extensions || head.find(';') != std::string::npos;
      if (out.chunk_extensions) out.trailers += head;
      std::size_t size = std::strtoul(head.c_str(), nullptr, 16);
      if (size == 0) break;
      while (pending_.size() < size + 2)
        if (!fill()) {
          out.body += take(pending_.size());
          return;
        }
      out.body += take(size);
      take(2);
    }
    for (;;) {
      std::size_t line = std::string::npos;
      while ((line = pending_.find("\r\n")) == std::string::npos)
        if (!fill()) {
          out.trailers += take(pending_.size());
          return;
        }
      const std::string field = take(line + 2);
      if (field == "\r\n") break;
      out.trailers += field;
    }
    out.complete = true;
  }

  static std::string header(const std::string& head, std::string_view name) {
    for (std::string_view line : split(head, '\n')) {
      const std::size_t colon = line.find(':');
      if (colon != std::string_view::npos && equals_ignoring_case(trim(line.substr(0, colon)), name))
        return std::string(trim(line.substr(colon + 1)));
    }
    return {};
  }

  void reply(std::string_view status, const std::string& body, const std::string& extra = {}) {
    send_bytes("HTTP/1.1 " + std::string(status) +
               "\r\nX-Attack-Origin: yes\r\nContent-Type: application/json\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\n" + extra + "\r\n" + body);
  }

  void answer(const Incoming& incoming) {
    const auto words = split(std::string_view(incoming.head).substr(0, incoming.head.find("\r\n")), ' ');
    const std::string target = words.size() > 1 ? std::string(words[1]) : "";
    json::object headers;
    for (std::string_view line : split(incoming.head, '\n'))
      if (const std::size_t colon = line.find(':'); colon != std::string_view::npos && line.find(' ') > colon) {
        const std::string value(trim(line.substr(colon + 1)));
        headers[to_lower(trim(line.substr(0, colon)))] = is_valid_utf8(value) ? value : hex_encode(value);
      }
    const std::string body_text = incoming.body.size() <= 65536 && is_valid_utf8(incoming.body) ? incoming.body : "";
    const std::string echo = to_text(json::object{{"method", words.empty() ? "" : std::string(words[0])},
                                                  {"target", target},
                                                  {"headers", headers},
                                                  {"body_octets", incoming.body.size()},
                                                  {"body", body_text},
                                                  {"trailers", incoming.trailers},
                                                  {"chunk_extensions", incoming.chunk_extensions}});
    const std::string credential = header(incoming.head, "authorization");
    const std::string secret =
        credential.substr(credential.find(' ') == std::string::npos ? 0 : credential.find(' ') + 1);
    if (target == "/echo/base64")
      reply("200 OK", "{\"echo\": \"" + base64_encode(echo) + "\"}");
    else if (target == "/echo/hex")
      reply("200 OK", "{\"echo\": \"" + hex_encode(echo) + "\"}");
    else if (target == "/echo/percent")
      reply("200 OK", "{\"echo\": \"" + percent(secret) + "\"}");
    else if (target == "/echo/header")
      reply("200 OK", "{}", "X-Echo: " + secret + "\r\n");
    else if (target == "/echo/cookie")
      reply("200 OK", "{}", "Set-Cookie: session=" + secret + "; Path=/\r\n");
    else if (target == "/echo/redirect")
      reply("302 Found", "{}", "Location: https://elsewhere.example.com/?token=" + secret + "\r\n");
    else if (target == "/echo/error")
      reply("500 Internal Server Error", "{\"error\": \"bad credential " + secret + "\"}");
    else if (target == "/echo/gzip")
      reply("200 OK", deflated(echo, Wrapper::gzip), "Content-Encoding: gzip\r\n");
    else if (target == "/token")
      reply("200 OK", to_text(json::object{{"access_token", secret}, {"token_type", "bearer"}}));
    else if (target == "/echo/chunks") {
      std::string chunks;
      for (char c : echo) chunks += std::string("1\r\n") + c + "\r\n";
      send_bytes(
          "HTTP/1.1 200 OK\r\nX-Attack-Origin: yes\r\nContent-Type: application/json\r\nTransfer-Encoding: "
          "chunked\r\n\r\n" +
          chunks + "0\r\n\r\n");
    } else if (target == "/echo/trailer") {
      send_bytes(
          "HTTP/1.1 200 OK\r\nX-Attack-Origin: yes\r\nTrailer: X-Echo\r\nTransfer-Encoding: "
          "chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Echo: " +
          secret + "\r\n\r\n");
    } else if (target == "/echo/events") {
      const std::string events = "data: one\n\ndata: " + secret.substr(0, secret.size() / 2);
      send_bytes(
          "HTTP/1.1 200 OK\r\nX-Attack-Origin: yes\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" +
          events);
      ::poll(nullptr, 0, 50);  // the secret arrives in two pieces
      send_bytes(secret.substr(secret.size() / 2) + "\n\n");
      if (ssl_) SSL_shutdown(ssl_.get());
      ::shutdown(fd_.get(), SHUT_RDWR);
    } else
      reply("200 OK", echo);
  }

  UniqueFd fd_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  Log& log_;
  int number_;
  std::string sni_;
  std::string pending_;
};

Result<UniqueFd> listen_at(const std::string& where, std::uint16_t& port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (::inet_pton(AF_INET, where.c_str(), &address.sin_addr) != 1)
    return make_error(ErrorKind::usage, "'" + where + "' is not an IPv4 address");
  socklen_t size = sizeof address;
  if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd.get(), 512) != 0)
    return error_from_errno("listening on " + where, errno);
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

}  // namespace

Result<void> run_origin(const OriginOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  BB_TRY(OriginTls tls, create_origin_tls(options.names));
  std::uint16_t port = 0;
  std::uint16_t plain_port = 0;
  BB_TRY(UniqueFd secure, listen_at(options.address, port));
  BB_TRY(UniqueFd plain, listen_at(options.address, plain_port));
  UniqueFd log_file(::open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log_file) return error_from_errno("opening " + options.log, errno);
  Log log(std::move(log_file));
  const std::string ca_file = options.ca_file.empty() ? options.port_file + ".ca.pem" : options.ca_file;
  BB_CHECK(write_file_atomic(ca_file, tls.ca_pem, 0644));
  BB_CHECK(write_file_atomic(
      options.port_file,
      to_text(json::object{{"port", port}, {"plain_port", plain_port}, {"ca_file", ca_file}}) + "\n"));

  int number = 0;
  std::array<pollfd, 3> waits{{{secure.get(), POLLIN, 0}, {plain.get(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
  for (;;) {
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return error_from_errno("poll", errno);
    std::array<char, 4096> buffer{};
    // Threads may still hold connections; they have nothing to say once the test is over.
    if (waits[2].revents != 0 && ::read(STDIN_FILENO, buffer.data(), buffer.size()) <= 0) ::_exit(0);
    for (std::size_t i = 0; i < 2; ++i) {
      if (waits[i].revents == 0) continue;
      UniqueFd peer(::accept4(waits[i].fd, nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer) continue;
      const timeval limit{60, 0};
      ::setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      SSL_CTX* context = i == 0 ? tls.context.get() : nullptr;
      std::thread([peer = std::move(peer), context, &log, id = ++number]() mutable {
        Connection(std::move(peer), context, log, id).serve();
      }).detach();
    }
  }
}

}  // namespace bot_bottle::attack
