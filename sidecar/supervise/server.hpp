// The MCP server at http://supervise:9100/mcp: the listener, its sessions and connections (spec 06).
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>

#include "core/base/result.hpp"
#include "sidecar/net/address.hpp"
#include "sidecar/net/stream.hpp"
#include "sidecar/supervise/desk.hpp"
#include "sidecar/supervise/rpc.hpp"
#include "sidecar/supervise/sessions.hpp"
#include "sidecar/supervise/tools.hpp"

namespace bot_bottle::supervise {

class Connection;

struct ServerBounds {
  std::size_t connections = 48;
  std::size_t body_octets = max_rpc_octets;
  std::size_t all_bodies = std::size_t{16} << 20;  // of all connections together
  std::size_t unsent = std::size_t{1} << 20;       // queued for a client that does not read
  std::chrono::milliseconds head{10'000};
  std::chrono::milliseconds body{30'000};
  std::chrono::milliseconds linger{5'000};
  std::chrono::milliseconds progress{15'000};  // spec 06: so that clients do not give up
};

class Server {
 public:
  Server(net::Loop& loop, Desk& desk, ToolSettings settings, ServerBounds bounds = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  Result<void> listen(const std::string& socket_path);
  Result<void> listen(const net::Address& address);
  /// No new connections; those that wait are cut off: their proposals stay.
  void stop_listening();

  // For connections.
  [[nodiscard]] net::Loop& loop() { return loop_; }
  [[nodiscard]] Desk& desk() { return desk_; }
  [[nodiscard]] Sessions& sessions() { return sessions_; }
  [[nodiscard]] const ToolSettings& settings() const { return settings_; }
  [[nodiscard]] const ServerBounds& bounds() const { return bounds_; }
  void remove(Connection* connection);
  /// `notifications/cancelled`: the call of that session is answered no more.
  void cancel(std::string_view session, const json::value& request);
  /// The session has ended: so have its streams.
  void cut_off(std::string_view session);
  [[nodiscard]] bool is_under_way(std::string_view session, const json::value& request) const;
  std::size_t buffered = 0;  // octets of bodies of all connections

 private:
  void on_connection(net::Stream stream);

  net::Loop& loop_;
  Desk& desk_;
  ToolSettings settings_;
  ServerBounds bounds_;
  Sessions sessions_;
  net::Listener listener_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
};

}  // namespace bot_bottle::supervise
