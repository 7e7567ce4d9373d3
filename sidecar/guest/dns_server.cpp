// The sockets around dns.cpp: 127.0.0.1:53 over UDP and TCP, and the reports.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <list>

#include "core/base/unique_fd.hpp"
#include "sidecar/guest/dns.hpp"
#include "sidecar/guest/forward.hpp"

namespace bot_bottle::guest {
namespace {

/// At most this many reports a second leave: a flood of questions must not become a flood of log lines (attack L).
constexpr int max_reports_per_second = 100;
constexpr std::size_t max_questions_per_connection = 64;

class DnsServer {
 public:
  DnsServer(Loop& loop, UniqueFd udp, UniqueFd tcp, const std::string& report)
      : loop_(loop), udp_(std::move(udp)), tcp_(std::move(tcp)), report_(find_target(report)) {
    if (report_.size > 0)
      report_socket_.reset(::socket(report_.raw()->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    loop_.add(udp_.get(), EPOLLIN, [this](std::uint32_t) { on_datagram(); });
    loop_.add(tcp_.get(), EPOLLIN, [this](std::uint32_t) { on_connection(); });
  }

 private:
  struct Connection {
    UniqueFd fd;
    std::string bytes;
    std::size_t questions = 0;
  };

  void report(const DnsAnswer& answer, std::string_view transport) {
    if (answer.verdict != DnsVerdict::refused || !report_socket_) return;
    const auto now = Loop::Clock::now();
    if (now - window_start_ > std::chrono::seconds(1)) {
      window_start_ = now;
      window_count_ = 0;
    }
    if (++window_count_ > max_reports_per_second) return;
    const std::string text = dns_report(answer, transport);
    ::sendto(report_socket_.get(), text.data(), text.size(), MSG_NOSIGNAL, report_.raw(), report_.size);
  }

  void on_datagram() {
    std::array<char, max_dns_question + 1> packet{};
    sockaddr_in peer{};
    socklen_t peer_size = sizeof peer;
    const ssize_t got =
        ::recvfrom(udp_.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&peer), &peer_size);
    if (got <= 0) return;
    const DnsAnswer answer = answer_dns({packet.data(), static_cast<std::size_t>(got)});
    if (!answer.reply.empty())
      ::sendto(udp_.get(), answer.reply.data(), answer.reply.size(), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&peer), peer_size);
    report(answer, "udp");
  }

  void on_connection() {
    UniqueFd client(::accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) return;
    if (connections_.size() >= max_dns_connections) close(connections_.begin());  // the oldest gives way
    const auto at = connections_.emplace(connections_.end());
    at->fd = std::move(client);
    if (!loop_.add(at->fd.get(), EPOLLIN, [this, at](std::uint32_t) { on_bytes(at); })) close(at);
  }

  void on_bytes(std::list<Connection>::iterator at) {
    std::array<char, max_dns_question + 2> bytes{};
    const ssize_t got = ::recv(at->fd.get(), bytes.data(), bytes.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return close(at);
    at->bytes.append(bytes.data(), static_cast<std::size_t>(got));
    while (at->bytes.size() >= 2) {
      const std::size_t length = (static_cast<std::size_t>(static_cast<unsigned char>(at->bytes[0])) << 8) |
                                 static_cast<unsigned char>(at->bytes[1]);
      if (length > max_dns_question || ++at->questions > max_questions_per_connection) return close(at);
      if (at->bytes.size() < 2 + length) {
        --at->questions;
        return;
      }
      const DnsAnswer answer = answer_dns(std::string_view(at->bytes).substr(2, length));
      report(answer, "tcp");
      if (answer.reply.empty()) return close(at);
      std::string reply{static_cast<char>(answer.reply.size() >> 8), static_cast<char>(answer.reply.size() & 0xff)};
      reply += answer.reply;
      // A client that does not read its replies is not worth a buffer.
      if (::send(at->fd.get(), reply.data(), reply.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(reply.size()))
        return close(at);
      at->bytes.erase(0, 2 + length);
    }
  }

  void close(std::list<Connection>::iterator at) {
    loop_.remove(at->fd.get());
    connections_.erase(at);
  }

  Loop& loop_;
  UniqueFd udp_;
  UniqueFd tcp_;
  UniqueFd report_socket_;
  Target report_;
  std::list<Connection> connections_;
  Loop::Clock::time_point window_start_;
  int window_count_ = 0;
};

}  // namespace

bool serve_dns(Loop& loop, const std::string& report) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(53);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  UniqueFd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  UniqueFd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (!udp || !tcp) return false;
  ::setsockopt(tcp.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  for (const UniqueFd* socket : {&udp, &tcp})
    if (::bind(socket->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
  if (::listen(tcp.get(), 64) != 0) return false;
  static std::unique_ptr<DnsServer> server;
  server = std::make_unique<DnsServer>(loop, std::move(udp), std::move(tcp), report);
  return true;
}

}  // namespace bot_bottle::guest
