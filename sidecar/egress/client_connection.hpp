// One connection of an agent: plain proxy requests, or CONNECT and what is inside. Hostile input: every byte.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "sidecar/egress/house.hpp"
#include "sidecar/egress/http1_server.hpp"
#include "sidecar/egress/tunnel.hpp"
#include "sidecar/tls/channel.hpp"

namespace bot_bottle::egress {

class ClientConnection final : public net::Retirable, public tls::ChannelHandler {
 public:
  /// `on_over`: to be retired.
  ClientConnection(House& house, net::Stream stream, std::function<void(ClientConnection*)> on_over);
  ~ClientConnection() override;

  void on_secured() override;
  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_failure(std::string_view reason) override;
  void on_drained() override;

 private:
  enum class Phase : std::uint8_t {
    proxy,      // requests to the proxy itself
    hello,      // CONNECT was answered; the first octet tells TLS from plain HTTP
    handshake,  // we are the host
    inside,     // requests of the tunnel
    tunnel,     // passthrough
    closing,    // what was written is being read by the agent
    over,
  };
  void serve(Origin::Kind kind);
  void on_connect(std::string_view authority, std::string_view rest);
  void refuse_connect(const Refusal& refusal, std::string_view host, std::uint16_t port);
  void on_first_bytes(std::string_view bytes);
  void linger();
  void on_timer();
  void over();
  void note(Level level, std::string_view event, std::string_view reason);

  House& house_;
  std::function<void(ClientConnection*)> on_over_;
  std::unique_ptr<tls::Channel> channel_;
  std::unique_ptr<ServerSide> server_;
  Http1Server* http1_ = nullptr;  // the same, while it speaks HTTP/1
  std::unique_ptr<Tunnel> tunnel_;
  Origin origin_;
  Phase phase_ = Phase::proxy;
  net::Timer timer_;
  bool peer_ended_ = false;
  std::chrono::milliseconds lingered_{0};
};

}  // namespace bot_bottle::egress
