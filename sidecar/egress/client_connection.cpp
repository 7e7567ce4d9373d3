#include "sidecar/egress/client_connection.hpp"

#include <utility>

#include "sidecar/egress/canaries.hpp"
#include "sidecar/egress/http2_server.hpp"

namespace bot_bottle::egress {
namespace {
constexpr char tls_handshake_record = 0x16;
constexpr std::chrono::milliseconds linger_step{100};
constexpr std::string_view connected = "HTTP/1.1 200 Connection established\r\n\r\n";
}  // namespace

ClientConnection::ClientConnection(House& house, net::Stream stream, Keeper& keeper, Standing standing)
    : house_(house),
      keeper_(keeper),
      channel_(std::make_unique<tls::Channel>(house.loop, std::move(stream))),
      timer_(house.loop, [this] { on_timer(); }) {
  ++house_.counters.open_connections;
  channel_->set_handler(this);
  serve(Origin::Kind::proxy);
  if (standing == Standing::turned_away) http1_->turn_away();
  channel_->resume();
}

ClientConnection::~ClientConnection() {
  --house_.counters.open_connections;
  // The server and the tunnel hold on to the channel: they go first.
  if (server_) server_->on_gone("client_gone");
  server_.reset();
  tunnel_.reset();
}

void ClientConnection::serve(Origin::Kind kind) {
  origin_.kind = kind;
  if (server_) house_.loop.retire(std::move(server_));
  http1_ = nullptr;
  if (kind == Origin::Kind::tunnel && channel_->is_secure() && channel_->session()->alpn() == "h2") {
    server_ = std::make_unique<Http2Server>(house_, *channel_, origin_, *this);
    return;
  }
  auto server = std::make_unique<Http1Server>(house_, *channel_, origin_, *this);
  http1_ = server.get();
  server_ = std::move(server);
}

void ClientConnection::on_connect(std::string_view authority, std::string_view rest) {
  if (house_.frozen()) {
    ++house_.counters.requests;
    refuse_connect(frozen_refusal(), {}, 0);
    return;
  }
  auto named = parse_authority(authority, 0);
  if (!named) {
    ++house_.counters.requests;
    Refusal refusal = blocked("bad_host", named.error().message);
    refusal.rule = find_canary(house_, authority);
    refuse_connect(refusal, {}, 0);
    return;
  }
  const policy::Decision decision = house_.routes->decide_connect(named->host, named->port);
  const bool open = !house_.guards.is_on(Guard::routes);
  const bool granted =
      !decision.allowed() && house_.grants.allows_connect(named->host, named->port, house_.loop.now_ms());
  if (!decision.allowed() && !granted && !open) {
    ++house_.counters.requests;
    Refusal refusal = blocked(std::string(policy::name_of(decision.reason)));
    refusal.propose = true;
    refusal.rule = find_canary(house_, authority);
    house_.blocked.note(
        {.scheme = policy::Scheme::https, .host = named->host, .port = named->port, .method = "CONNECT", .target = {}});
    refuse_connect(refusal, named->host, named->port);
    return;
  }
  origin_.authority = std::move(*named);
  channel_->write(connected);
  if (decision.allowed() && decision.route->tls == policy::Tls::passthrough) {
    phase_ = Phase::tunnel;
    on_standing(Standing::busy);
    http1_ = nullptr;
    house_.loop.retire(std::move(server_));
    tunnel_ = std::make_unique<Tunnel>(house_, *channel_, house_.routes, *decision.route, origin_.authority,
                                       [this] { over(); });
    channel_->resume();
    if (!rest.empty()) tunnel_->on_client_bytes(rest);
    return;
  }
  phase_ = Phase::hello;
  timer_.set(house_.times.head);
  channel_->resume();
  if (!rest.empty()) on_first_bytes(rest);
}

void ClientConnection::refuse_connect(const Refusal& refusal, std::string_view host, std::uint16_t port) {
  house_.count_block(refusal.reason);
  Event event;
  event.level = Level::block;
  event.event = "blocked";
  event.host = host;
  event.method = "CONNECT";
  event.status = refusal.status;
  event.reason = refusal.reason;
  event.rule = refusal.rule;
  if (refusal.rule.empty()) {
    house_.log.write(event);
  } else {
    event.where = "name of a host that was refused";
    raise_canary(house_, event);
  }
  http1_->answer_and_finish(refusal, host, port);
}

void ClientConnection::on_first_bytes(std::string_view bytes) {
  timer_.set(house_.times.head);
  if (bytes.front() != tls_handshake_record) {
    // Plain HTTP through CONNECT: the decision of each request says whether the route allows it.
    phase_ = Phase::inside;
    timer_.clear();
    origin_.scheme = policy::Scheme::http;
    serve(Origin::Kind::tunnel);
    server_->on_bytes(bytes);
    return;
  }
  const std::string& host = origin_.authority.host;
  auto leaf = house_.authority->leaf_for(host);
  if (!leaf) {
    note(Level::warn, "tls_failed", leaf.error().message);
    over();
    return;
  }
  auto session = house_.server_tls->accept(*leaf, host);
  if (!session) {
    note(Level::warn, "tls_failed", session.error().message);
    over();
    return;
  }
  phase_ = Phase::handshake;
  channel_->start_tls(std::move(*session), bytes);
}

void ClientConnection::on_secured() {
  phase_ = Phase::inside;
  timer_.clear();
  on_standing(Standing::idle);
  origin_.scheme = policy::Scheme::https;
  serve(Origin::Kind::tunnel);
}

void ClientConnection::on_bytes(std::string_view bytes) {
  switch (phase_) {
    case Phase::proxy:
    case Phase::inside:
      server_->on_bytes(bytes);
      break;
    case Phase::hello:
      on_first_bytes(bytes);
      break;
    case Phase::tunnel:
      tunnel_->on_client_bytes(bytes);
      break;
    case Phase::handshake:
    case Phase::closing:
    case Phase::over:
      break;
  }
}

void ClientConnection::on_end() {
  peer_ended_ = true;
  switch (phase_) {
    case Phase::proxy:
    case Phase::inside:
      server_->on_end();
      break;
    case Phase::tunnel:
      tunnel_->on_client_end();
      break;
    case Phase::hello:
    case Phase::handshake:
      over();
      break;
    case Phase::closing:
      linger();
      break;
    case Phase::over:
      break;
  }
}

void ClientConnection::on_failure(std::string_view reason) {
  if (phase_ == Phase::handshake) note(Level::warn, "tls_failed", reason);
  if (server_) server_->on_gone("client_gone");
  if (tunnel_) tunnel_->on_client_gone();
  over();
}

void ClientConnection::on_drained() {
  if (phase_ == Phase::tunnel) {
    tunnel_->on_client_drained();
  } else if (server_) {
    server_->on_drained();
  }
}

/// Waits until the agent has read the end: an answer that is cut by a reset helps nobody.
void ClientConnection::linger() {
  if (phase_ == Phase::over) return;
  if (phase_ != Phase::closing) {
    phase_ = Phase::closing;
    on_standing(Standing::idle);  // it may go when others come
    channel_->resume();           // what still comes is read and dropped
  }
  timer_.set(peer_ended_ ? std::chrono::milliseconds(1) : linger_step);
}

void ClientConnection::on_timer() {
  if (phase_ != Phase::closing) {
    over();  // no handshake in time
    return;
  }
  lingered_ += linger_step;
  const bool sent = channel_->unsent() == 0;
  if ((sent && peer_ended_) || lingered_ >= house_.times.linger) {
    over();
    return;
  }
  timer_.set(linger_step);
}

void ClientConnection::over() {
  if (std::exchange(phase_, Phase::over) == Phase::over) return;
  timer_.clear();
  keeper_.on_over(*this);
}

void ClientConnection::give_way() {
  channel_->finish();
  channel_->flush();  // now: the descriptor is closed when this turn ends
  over();
}

void ClientConnection::note(Level level, std::string_view event, std::string_view reason) {
  Event entry;
  entry.level = level;
  entry.event = event;
  entry.host = origin_.authority.host;
  entry.method = "CONNECT";
  entry.reason = reason;
  house_.log.write(entry);
}

}  // namespace bot_bottle::egress
