// Steps 5 and 6: from an allowed name to a verified connection. The address that is checked is the address that is
// dialled.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/egress/house.hpp"
#include "sidecar/egress/names.hpp"
#include "sidecar/egress/refusal.hpp"
#include "sidecar/net/connector.hpp"
#include "sidecar/tls/channel.hpp"

namespace bot_bottle::egress {

/// One attempt. Owned by who asked; retire it to give up. Answers once, later, in a turn; never from inside start().
class Dial final : public net::Retirable, public tls::ChannelHandler {
 public:
  struct Done {
    std::unique_ptr<tls::Channel> channel;  // null: see refusal
    Refusal refusal;
  };
  /// A channel that is not taken stays the dial's and ends with it: its own functions are on the stack in that moment.
  using OnDone = std::function<void(Done&)>;
  enum class Security : std::uint8_t { tls, tls_http1_only, plain };

  /// `routes`: those of the request, for pins and the parent proxy.
  Dial(House& house, std::shared_ptr<const policy::RouteTable> routes, Authority authority, Security security,
       OnDone on_done);
  ~Dial() override;
  void start();

  void on_secured() override;
  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_failure(std::string_view reason) override;

 private:
  void resolve(const std::string& host);
  void on_addresses(Result<std::vector<net::Address>> addresses);
  void connect(std::vector<net::Address> addresses);
  void on_connected(Result<net::Connecting::Connected> connected);
  void ask_parent_proxy();
  void secure();
  void succeed();
  void refuse(Refusal refusal);
  void refuse_later(Refusal refusal);

  House& house_;
  std::shared_ptr<const policy::RouteTable> routes_;
  Authority authority_;
  Security security_;
  OnDone on_done_;
  const policy::UpstreamProxy* parent_ = nullptr;
  std::unique_ptr<net::Lookup> lookup_;
  std::unique_ptr<net::Connecting> connecting_;
  std::unique_ptr<tls::Channel> channel_;
  net::Timer timer_;
  std::optional<Refusal> late_;
  std::string parent_answer_;
  enum class Stage : std::uint8_t { resolving, connecting, parent, tls, done } stage_ = Stage::resolving;
};

}  // namespace bot_bottle::egress
