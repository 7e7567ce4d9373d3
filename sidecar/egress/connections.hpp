// The agent's connections: how many there may be, and who gives way. A program that opens thousands and says nothing
// must not keep the others of its bottle out (attack L: half-open connections; integration/egress/connections).
#pragma once

#include <array>
#include <cstdint>

#include "sidecar/egress/client_connection.hpp"
#include "sidecar/egress/house.hpp"
#include "sidecar/net/stream.hpp"

namespace bot_bottle::egress {

/// Whoever connects is let in: for it the one that has been half-open longest goes when there are too many of those,
/// and the one that has been idle longest when there are too many of all. Only where all are at work is the newcomer
/// told 503.
class Connections final : public ClientConnection::Keeper {
 public:
  explicit Connections(House& house) : house_(house) {}
  void admit(net::Stream stream);
  void clear();
  /// Not counting those that are turned away.
  [[nodiscard]] std::size_t size() const;

  void on_standing(ClientConnection& connection, Standing standing) override;
  void on_over(ClientConnection& connection) override;

 private:
  [[nodiscard]] ClientConnection::List& list(Standing standing) { return lists_[static_cast<std::size_t>(standing)]; }
  /// The longest there of that standing, if any.
  bool let_go(Standing standing);
  enum class Lack : std::uint8_t { half_open_closed, idle_closed, too_many_connections };
  void note(Lack lack);

  House& house_;
  std::array<ClientConnection::List, 4> lists_;  // by standing; the longest there in front
  std::array<std::uint64_t, 3> noted_ms_{};      // by lack
};

}  // namespace bot_bottle::egress
