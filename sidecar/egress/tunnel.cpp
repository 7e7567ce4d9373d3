#include "sidecar/egress/tunnel.hpp"

#include "core/base/text.hpp"
#include "sidecar/egress/canaries.hpp"
#include "sidecar/tls/client_hello.hpp"

namespace bot_bottle::egress {

Tunnel::Tunnel(House& house, tls::Channel& client, std::shared_ptr<const policy::RouteTable> routes,
               const policy::Route& route, Authority authority, std::function<void()> on_over)
    : house_(house),
      client_(client),
      routes_(std::move(routes)),
      route_(route),
      authority_(std::move(authority)),
      on_over_(std::move(on_over)),
      timer_(house.loop, [this] { over("timeout", Level::info); }),
      started_ms_(house.loop.now_ms()) {
  timer_.set(house_.times.head);
  ++house_.counters.requests;
}

Tunnel::~Tunnel() {
  house_.loop.retire(std::move(dial_));
}

void Tunnel::on_client_bytes(std::string_view bytes) {
  if (over_) return;
  if (upstream_) {
    send(bytes);
    return;
  }
  hello_.append(bytes);
  if (checked_) {
    if (hello_.size() > house_.high_water()) client_.pause();
    return;
  }
  const tls::ClientHello hello = tls::read_client_hello(hello_);
  if (hello.reading == tls::ClientHello::Reading::need_more) return;
  if (hello.reading == tls::ClientHello::Reading::bad) {
    over("not_tls", Level::block);
    return;
  }
  // The CDN behind the address routes by SNI, so it must be the name that was allowed (attack A2); an encrypted hello
  // hides the real one.
  const bool agrees = !hello.encrypted_hello && equals_ignoring_case(hello.server_name, authority_.host);
  if (house_.guards.is_on(Guard::names) && !agrees) {
    over("name_mismatch", Level::block);
    return;
  }
  checked_ = true;
  timer_.set(house_.times.connect);
  dial_ = std::make_unique<Dial>(house_, routes_, authority_, Dial::Security::plain, [this](Dial::Done& done) {
    house_.loop.retire(std::move(dial_));
    if (!done.channel) {
      over(done.refusal.reason, done.refusal.blame == Blame::policy ? Level::block : Level::warn);
      return;
    }
    upstream_ = std::move(done.channel);
    upstream_->set_handler(this);
    upstream_->resume();
    client_.resume();
    send(std::exchange(hello_, {}));
    if (client_ended_) upstream_->finish();
  });
  dial_->start();
}

void Tunnel::send(std::string_view bytes) {
  if (house_.frozen()) {
    over(frozen_reason, Level::block);
    return;
  }
  timer_.set(house_.times.idle_body);
  if (!house_.limits.take_bytes(route_, bytes.size(), house_.loop.now_ms())) {
    over("too_many_bytes", Level::block);
    return;
  }
  bytes_out_ += bytes.size();
  house_.counters.bytes_out += bytes.size();
  upstream_->write(bytes);
  if (upstream_->unsent() > house_.high_water()) client_.pause();
}

void Tunnel::on_client_end() {
  if (over_) return;
  client_ended_ = true;
  if (upstream_) upstream_->finish();
  if (upstream_ended_ || !checked_) over("tunnel", Level::info);
}

void Tunnel::on_client_drained() {
  if (upstream_ && !over_) upstream_->resume();
}

void Tunnel::on_client_gone() {
  over("tunnel", Level::info);
}

void Tunnel::on_bytes(std::string_view bytes) {
  if (over_) return;
  if (house_.frozen()) {
    over(frozen_reason, Level::block);
    return;
  }
  timer_.set(house_.times.idle_body);
  bytes_in_ += bytes.size();
  house_.counters.bytes_in += bytes.size();
  client_.write(bytes);
  if (client_.unsent() > house_.high_water()) upstream_->pause();
}

void Tunnel::on_end() {
  if (over_) return;
  upstream_ended_ = true;
  client_.finish();
  if (client_ended_) over("tunnel", Level::info);
}

void Tunnel::on_failure(std::string_view /*reason*/) {
  over("upstream_failed", Level::warn);
}

void Tunnel::on_drained() {
  if (!over_) client_.resume();
}

void Tunnel::over(std::string_view reason, Level level) {
  if (over_) return;
  over_ = true;
  timer_.clear();
  if (level == Level::block) house_.count_block(reason);
  Event event;
  event.level = level;
  event.event = level == Level::block ? "blocked" : "tunnel";
  event.host = authority_.host;
  event.method = "CONNECT";
  event.reason = reason;
  event.bytes_in = bytes_in_;
  event.bytes_out = bytes_out_;
  event.ms = house_.loop.now_ms() - started_ms_;
  house_.log.write(event);
  on_over_();
}

}  // namespace bot_bottle::egress
