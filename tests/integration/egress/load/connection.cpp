#include "connection.hpp"

#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bot_bottle::load {
namespace {

constexpr std::size_t piece_octets = 65536;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "egress-load: %s\n", what.c_str());
  std::exit(2);
}

}  // namespace

Context client_context(const std::string& ca_file) {
  Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_load_verify_file(context.get(), ca_file.c_str()) != 1) die("cannot read " + ca_file);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  return context;
}

Context server_context(const std::string& certificate, const std::string& key) {
  Context context(SSL_CTX_new(TLS_server_method()));
  if (SSL_CTX_use_certificate_chain_file(context.get(), certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context.get(), key.c_str(), SSL_FILETYPE_PEM) != 1)
    die("cannot read " + certificate);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  return context;
}

std::unique_ptr<Connection> Connection::through(const std::string& socket, SSL_CTX* context, const std::string& host,
                                                const std::string& protocol, SSL_SESSION* ticket) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) die("the socket's path is too long");
  std::memcpy(address.sun_path, socket.c_str(), socket.size() + 1);
  if (!fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return nullptr;
  auto connection = std::make_unique<Connection>(std::move(fd));
  if (!connection->send("CONNECT " + host + ":443 HTTP/1.1\r\nhost: " + host + ":443\r\n\r\n")) return nullptr;
  if (connection->head().find(" 200 ") == std::string::npos) return nullptr;
  connection->ssl_.reset(SSL_new(context));
  SSL* ssl = connection->ssl_.get();
  SSL_set_fd(ssl, connection->fd());
  SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(host.c_str()));
  SSL_set1_host(ssl, host.c_str());
  const std::string offer = std::string(1, static_cast<char>(protocol.size())) + protocol;
  SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(offer.data()), static_cast<unsigned>(offer.size()));
  if (ticket != nullptr) SSL_set_session(ssl, ticket);
  return SSL_connect(ssl) == 1 ? std::move(connection) : nullptr;
}

bool Connection::accept(SSL_CTX* context) {
  ssl_.reset(SSL_new(context));
  SSL_set_fd(ssl_.get(), fd());
  return SSL_accept(ssl_.get()) == 1;
}

bool Connection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    std::size_t written = 0;
    if (ssl_) {
      ERR_clear_error();
      if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) != 1) return false;
    } else {
      const ssize_t count = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      written = static_cast<std::size_t>(count);
    }
    bytes.remove_prefix(written);
  }
  return true;
}

std::string_view Connection::receive() {
  buffer_.resize(piece_octets);
  std::size_t size = 0;
  if (ssl_) {
    ERR_clear_error();
    if (SSL_read_ex(ssl_.get(), buffer_.data(), buffer_.size(), &size) != 1) size = 0;
  } else {
    const ssize_t count = ::recv(fd(), buffer_.data(), buffer_.size(), 0);
    size = count <= 0 ? 0 : static_cast<std::size_t>(count);
  }
  return std::string_view(buffer_).substr(0, size);
}

bool Connection::more() {
  const std::string_view bytes = receive();
  rest.append(bytes);
  buffer_ = {};
  return !bytes.empty();
}

std::string Connection::head() {
  std::size_t end = 0;
  while ((end = rest.find("\r\n\r\n")) == std::string::npos) {
    if (!more()) return {};
  }
  std::string head = rest.substr(0, end + 4);
  rest.erase(0, end + 4);
  return head;
}

std::string Connection::take(std::size_t count) {
  while (rest.size() < count) {
    if (!more()) return {};
  }
  std::string bytes = rest.substr(0, count);
  rest.erase(0, count);
  return bytes;
}

std::string Connection::response() {
  const std::string all = head();
  if (all.size() < 12) return {};
  const auto length = static_cast<std::size_t>(std::strtoull(field(all, "content-length").c_str(), nullptr, 10));
  const std::string body = take(length);
  return body.size() == length ? all.substr(9, 3) + " " + body : std::string();
}

void Connection::cut() {
  const linger at_once{1, 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  fd_.reset();
}

std::string field(std::string_view head, std::string_view name) {
  const std::string start = "\r\n" + std::string(name) + ": ";
  for (std::size_t at = 0; at + start.size() <= head.size(); ++at) {
    bool same = true;
    for (std::size_t i = 0; i < start.size() && same; ++i) {
      const char c = head[at + i];
      same = (c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c) == start[i];
    }
    if (!same) continue;
    const std::size_t begin = at + start.size();
    return std::string(head.substr(begin, head.find("\r\n", begin) - begin));
  }
  return {};
}

}  // namespace bot_bottle::load
