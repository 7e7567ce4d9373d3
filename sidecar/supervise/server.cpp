#include "sidecar/supervise/server.hpp"

#include <vector>

#include "sidecar/supervise/connection.hpp"

namespace bot_bottle::supervise {

Server::Server(net::Loop& loop, Desk& desk, ToolSettings settings, ServerBounds bounds)
    : loop_(loop), desk_(desk), settings_(std::move(settings)), bounds_(bounds) {}

Server::~Server() {
  listener_.close();
  connections_.clear();
}

Result<void> Server::listen(const std::string& socket_path) {
  BB_TRY(listener_, net::Listener::listen_unix(loop_, socket_path, 0666,
                                               [this](net::Stream stream) { on_connection(std::move(stream)); }));
  return {};
}

Result<void> Server::listen(const net::Address& address) {
  BB_TRY(listener_,
         net::Listener::listen_tcp(loop_, address, [this](net::Stream stream) { on_connection(std::move(stream)); }));
  return {};
}

void Server::stop_listening() {
  listener_.close();
  std::vector<Connection*> all;
  for (const auto& [raw, connection] : connections_) all.push_back(raw);
  for (Connection* connection : all) connection->close();
}

void Server::on_connection(net::Stream stream) {
  if (connections_.size() >= bounds_.connections) return;  // closed unread
  auto connection = std::make_unique<Connection>(*this, std::move(stream));
  Connection* raw = connection.get();
  connections_.emplace(raw, std::move(connection));
}

void Server::remove(Connection* connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  loop_.retire(std::move(found->second));
  connections_.erase(found);
}

void Server::cancel(std::string_view session, const json::value& request) {
  std::vector<Connection*> all;
  for (const auto& [raw, connection] : connections_) all.push_back(raw);
  for (Connection* connection : all) connection->cancel(session, request);
}

void Server::cut_off(std::string_view session) {
  std::vector<Connection*> all;
  for (const auto& [raw, connection] : connections_)
    if (connection->session() == session) all.push_back(raw);
  for (Connection* connection : all) connection->end_stream();
}

bool Server::is_under_way(std::string_view session, const json::value& request) const {
  for (const auto& [raw, connection] : connections_)
    if (connection->is_waiting_for(session, request)) return true;
  return false;
}

}  // namespace bot_bottle::supervise
