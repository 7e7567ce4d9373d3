#include "sidecar/egress/connections.hpp"

#include <utility>

namespace bot_bottle::egress {
namespace {
constexpr std::size_t max_turned_away = 64;
constexpr std::uint64_t note_every_ms = 1000;
}  // namespace

std::size_t Connections::size() const {
  std::size_t size = 0;
  for (const Standing standing : {Standing::opening, Standing::idle, Standing::busy})
    size += lists_[static_cast<std::size_t>(standing)].size();
  return size;
}

bool Connections::let_go(Standing standing) {
  if (list(standing).empty()) return false;
  list(standing).front()->give_way();
  return true;
}

void Connections::admit(net::Stream stream) {
  Standing standing = Standing::opening;
  if (list(Standing::opening).size() >= house_.bounds.opening) {
    note(Lack::half_open_closed);
    let_go(Standing::opening);
  } else if (size() >= house_.bounds.connections) {
    if (let_go(Standing::idle) || let_go(Standing::opening)) {
      note(Lack::idle_closed);
    } else {
      note(Lack::too_many_connections);
      standing = Standing::turned_away;
      if (list(standing).size() >= max_turned_away) let_go(standing);
    }
  }
  auto connection = std::make_unique<ClientConnection>(house_, std::move(stream), *this, standing);
  ClientConnection& added = *connection;
  ClientConnection::List& into = list(standing);
  added.place = {standing, into.insert(into.end(), std::move(connection))};
}

void Connections::on_standing(ClientConnection& connection, Standing standing) {
  ClientConnection::Place& place = connection.place;
  // Told to go, it stays what it is.
  if (place.standing == Standing::turned_away) return;
  ClientConnection::List& into = list(standing);
  into.splice(into.end(), list(place.standing), place.at);
  place.standing = standing;
}

void Connections::on_over(ClientConnection& connection) {
  ClientConnection::List& from = list(connection.place.standing);
  const auto at = connection.place.at;
  house_.loop.retire(std::move(*at));
  from.erase(at);
}

void Connections::clear() {
  for (ClientConnection::List& list : lists_) list.clear();
}

/// An agent can cause as many of these as it likes: one of each a second says it all.
void Connections::note(Lack lack) {
  static constexpr std::array<std::string_view, 3> names{"half_open_closed", "idle_closed", "too_many_connections"};
  std::uint64_t& noted = noted_ms_[static_cast<std::size_t>(lack)];
  const std::uint64_t now = house_.loop.now_ms();
  if (noted != 0 && now < noted + note_every_ms) return;
  noted = now;
  Event event;
  event.level = Level::warn;
  event.event = names[static_cast<std::size_t>(lack)];
  house_.log.write(event);
}

}  // namespace bot_bottle::egress
