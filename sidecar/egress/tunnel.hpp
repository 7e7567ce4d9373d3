// `tls: passthrough`: bytes of a pinned client go to the one host its CONNECT and its SNI name; nothing is read or
// injected. Hostile input: the ClientHello; the rest is opaque.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "sidecar/egress/dial.hpp"
#include "sidecar/egress/house.hpp"
#include "sidecar/tls/channel.hpp"

namespace bot_bottle::egress {

class Tunnel final : public net::Retirable, public tls::ChannelHandler {
 public:
  /// `on_over`: both sides are done or one has failed; cut the client.
  Tunnel(House& house, tls::Channel& client, std::shared_ptr<const policy::RouteTable> routes,
         const policy::Route& route, Authority authority, std::function<void()> on_over);
  ~Tunnel() override;

  void on_client_bytes(std::string_view bytes);
  void on_client_end();
  void on_client_drained();
  void on_client_gone();

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_failure(std::string_view reason) override;
  void on_drained() override;

 private:
  void send(std::string_view bytes);
  void over(std::string_view reason, Level level);

  House& house_;
  tls::Channel& client_;
  std::shared_ptr<const policy::RouteTable> routes_;
  const policy::Route& route_;
  Authority authority_;
  std::function<void()> on_over_;
  net::Timer timer_;
  std::string hello_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<tls::Channel> upstream_;
  bool checked_ = false;
  bool over_ = false;
  bool client_ended_ = false;
  bool upstream_ended_ = false;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  std::uint64_t started_ms_;
};

}  // namespace bot_bottle::egress
