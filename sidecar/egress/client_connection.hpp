// One connection of an agent: plain proxy requests, or CONNECT and what is inside. Hostile input: every byte.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "sidecar/egress/house.hpp"
#include "sidecar/egress/http1_server.hpp"
#include "sidecar/egress/tunnel.hpp"
#include "sidecar/tls/channel.hpp"

namespace bot_bottle::egress {

class ClientConnection final : public net::Retirable, public tls::ChannelHandler, public ServerSide::Owner {
 public:
  using List = std::list<std::unique_ptr<ClientConnection>>;
  /// Where it is kept; its keeper's own.
  struct Place {
    Standing standing = Standing::opening;
    List::iterator at;
  };
  class Keeper {
   public:
    virtual ~Keeper() = default;
    virtual void on_standing(ClientConnection& connection, Standing standing) = 0;
    /// To be retired.
    virtual void on_over(ClientConnection& connection) = 0;
  };
  /// With `turned_away` its first request is answered with 503.
  ClientConnection(House& house, net::Stream stream, Keeper& keeper, Standing standing);
  ~ClientConnection() override;

  /// Ends at once, saying goodbye: somebody needs the place more.
  void give_way();
  Place place;

  void on_secured() override;
  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_failure(std::string_view reason) override;
  void on_drained() override;

  void on_connect(std::string_view authority, std::string_view rest) override;
  void on_finished() override { linger(); }
  void on_aborted() override { over(); }
  /// When it is over its place is gone, though what it serves may still end (client_connection_test).
  void on_standing(Standing standing) override {
    if (phase_ != Phase::over) keeper_.on_standing(*this, standing);
  }

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
  void refuse_connect(const Refusal& refusal, std::string_view host, std::uint16_t port);
  void on_first_bytes(std::string_view bytes);
  void linger();
  void on_timer();
  void over();
  void note(Level level, std::string_view event, std::string_view reason);

  House& house_;
  Keeper& keeper_;
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
