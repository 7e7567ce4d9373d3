// The second half of an exchange: an allowed request streams to its upstream and the answer streams back.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sidecar/egress/canaries.hpp"
#include "sidecar/egress/exchange.hpp"
#include "sidecar/egress/pool.hpp"
#include "sidecar/websocket/handshake.hpp"

namespace bot_bottle::egress {
namespace {

/// GET and its like may be tried again on a fresh connection when a pooled one turns out to be closed; nothing else may
/// (RFC 9110 §9.2.2).
bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" || method == "DELETE";
}

constexpr std::size_t max_replay = std::size_t{64} << 10;
constexpr unsigned max_tries = 3;

}  // namespace

void Exchange::connect() {
  if (stop_when_frozen()) return;
  ++tries_;
  // Everything that makes a connection good for this request and for no other (A9).
  pool_key_ = fmt::format("{}:{}:{}:{}", scheme_ == policy::Scheme::https ? "s" : "p", authority_.host, authority_.port,
                          credential_.token_ref);
  // A switch ends a connection for HTTP: it gets one of its own.
  if (std::unique_ptr<Upstream> idle = websocket_ ? nullptr : house_.pool->take(pool_key_)) {
    reused_ = true;
    use(std::move(idle));
    return;
  }
  reused_ = false;
  const auto security = scheme_ != policy::Scheme::https ? Dial::Security::plain
                        : websocket_                     ? Dial::Security::tls_http1_only
                                                         : Dial::Security::tls;
  dial_ = std::make_unique<Dial>(house_, routes_, authority_, security, [this](Dial::Done& done) { on_dialled(done); });
  dial_->start();
}

void Exchange::on_dialled(Dial::Done& done) {
  house_.loop.retire(std::move(dial_));
  if (!done.channel) {
    refuse(std::move(done.refusal));
    return;
  }
  if (stop_when_frozen()) return;
  use(house_.pool->adopt(pool_key_, std::move(done.channel)));
}

void Exchange::use(std::unique_ptr<Upstream> upstream) {
  upstream_ = std::move(upstream);
  upstream_->set_handler(this);
  OutgoingRequest outgoing;
  outgoing.method = request_.method;
  outgoing.target = target_.text();
  outgoing.authority = host_field_;
  outgoing.fields = request_.fields;
  outgoing.credential = &credential_;
  outgoing.body = request_.body;
  outgoing.expects_continue = request_.expects_continue;
  outgoing.accepts_trailers = request_.accepts_trailers;
  if (websocket_) outgoing.websocket_key = websocket::make_key();
  upstream_->send_head(outgoing);
  upstream_->start();
  if (!waiting_.empty()) send_upstream(std::exchange(waiting_, {}));
  if (request_ended_ || websocket_) finish_request();
  if (client_paused_ && !upstream_->is_congested()) {
    client_paused_ = false;
    client_.resume_request();
  }
}

void Exchange::send_upstream(std::string_view bytes) {
  body_forwarded_ = true;
  if (replayable_ && upstream_->may_refuse()) {
    replayable_ = replay_.size() + bytes.size() <= max_replay;
    if (replayable_) {
      replay_.append(bytes);
    } else {
      replay_ = {};
    }
  }
  upstream_->send_body(bytes);
}

Exchange::Objection Exchange::body_objection(const BodyGuard::Block& block) {
  if (!block.finding) {
    Refusal refusal = blocked("unscannable", std::string(block.unscannable));
    refusal.where = "body";
    return refusal;
  }
  Refusal refusal = blocked("secret_found", "the request holds a credential");
  refusal.rule = block.finding->rule;
  refusal.snippet = block.finding->snippet;
  refusal.where = fmt::format("{} offset {}", block.decoded ? "decoded body" : "body", block.finding->offset);
  return refusal;
}

void Exchange::on_request_body(std::string_view bytes) {
  if (over_ || stop_when_frozen()) return;
  bytes_out_ += bytes.size();
  house_.counters.bytes_out += bytes.size();
  if (!may_send(bytes.size())) {
    refuse(blocked("too_many_bytes", "what this route may send is used up"));
    return;
  }
  if (websocket_) {
    on_agent_frames(bytes);
    return;
  }
  std::string_view cleared = bytes;
  if (guard_ || grpc_) {
    released_.clear();
    const auto block = grpc_ ? grpc_->write(bytes, released_) : guard_->write(bytes, released_);
    const std::uint64_t scanned = grpc_ ? grpc_->scanned() : guard_->scanned();
    house_.counters.dlp_bytes += scanned - std::exchange(scanned_, scanned);
    if (block) {
      refuse(std::move(*body_objection(*block)));
      return;
    }
    cleared = released_;
  }
  if (mcp_request_ && !mcp_request_->passes(bytes)) {
    mcp_out_.clear();
    const std::size_t room = room_of_message(house_.counters.open_exchanges);
    if (auto block = mcp_request_->write(bytes, cleared, mcp_out_, room)) {
      refuse(std::move(*mcp_objection(*block)));
      return;
    }
    cleared = mcp_out_;
  }
  if (has_room()) forward(cleared);
}

/// What waits for its end, or for more that could belong to it: of requests and of answers.
bool Exchange::has_room() {
  std::size_t held = waiting_.size() + replay_.size() + early_frames_.size();
  if (guard_) held += guard_->held();
  if (grpc_) held += grpc_->held();
  if (mcp_request_) held += mcp_request_->held();
  if (frames_) held += frames_->held();
  if (mcp_answer_) held += mcp_answer_->held();
  if (inbound_) held += inbound_->held();
  if (held_.set(held, house_.bounds.held)) return true;
  Refusal refusal{.blame = Blame::load,
                  .status = 503,
                  .reason = "too_much_held",
                  .message = "too much that is under way waits in memory to be judged"};
  refusal.retry_after_s = 1;
  refuse(std::move(refusal));
  return false;
}

void Exchange::forward(std::string_view bytes) {
  if (bytes.empty()) return;
  if (!upstream_) {
    waiting_.append(bytes);
  } else {
    send_upstream(bytes);
  }
  const bool congested = upstream_ ? upstream_->is_congested() : waiting_.size() > house_.high_water();
  if (congested && !client_paused_) {
    client_paused_ = true;
    client_.pause_request();
  }
}

/// What was under way when the bottle was frozen ends where it is.
bool Exchange::stop_when_frozen() {
  if (!house_.frozen()) return false;
  refuse(frozen_refusal());
  return true;
}

void Exchange::on_request_end(const http::Fields* trailers) {
  if (over_ || stop_when_frozen()) return;
  if (websocket_) {
    // The agent ends its side of the stream: for WebSocket that is the connection's end (RFC 8441 §5).
    drop_upstream();
    finish();
    if (head_sent_) {
      client_.send_end(nullptr);
    } else {
      client_.abort();
    }
    return;
  }
  if (guard_ || grpc_) {
    released_.clear();
    if (const auto block = grpc_ ? grpc_->finish(released_) : guard_->finish(released_)) {
      refuse(std::move(*body_objection(*block)));
      return;
    }
    if (!mcp_request_) forward(released_);
  }
  if (mcp_request_) {
    mcp_out_.clear();
    if (auto block = mcp_request_->finish(guard_ ? std::string_view(released_) : std::string_view(), mcp_out_)) {
      refuse(std::move(*mcp_objection(*block)));
      return;
    }
    forward(mcp_out_);
  }
  if (trailers != nullptr && !trailers->empty()) {
    request_trailers_ = *trailers;
    strip_trailers(*request_trailers_);
    if (route_->auth) request_trailers_->remove(route_->auth->header);
    if (route_->auth && !route_->auth->account_header.empty()) request_trailers_->remove(route_->auth->account_header);
    std::string text;
    request_trailers_->each(
        [&](const http::Field& field) { text.append(field.name).append(": ").append(field.value).append("\n"); });
    if (Objection objection = scan_text(text, "trailer")) {
      refuse(std::move(*objection));
      return;
    }
    // They carry octets out as a body does.
    bytes_out_ += text.size();
    if (!may_send(text.size())) {
      refuse(blocked("too_many_bytes", "what this route may send is used up"));
      return;
    }
  }
  request_ended_ = true;
  if (!has_room()) return;
  if (upstream_) finish_request();
}

void Exchange::finish_request() {
  request_sent_ = true;
  upstream_->send_end(request_trailers_ ? &*request_trailers_ : nullptr);
}

void Exchange::on_upstream_drained() {
  if (!client_paused_ || over_) return;
  client_paused_ = false;
  client_.resume_request();
}

void Exchange::on_client_drained() {
  if (!upstream_paused_ || !upstream_) return;
  upstream_paused_ = false;
  upstream_->resume_response();
}

bool Exchange::can_try_again(Progress progress) const {
  if (head_sent_ || tries_ >= max_tries) return false;
  if (progress == Progress::unprocessed) return replayable_;
  return reused_ && progress == Progress::nothing_came && !body_forwarded_ && is_idempotent(request_.method);
}

void Exchange::on_upstream_failure(std::string_view reason, Progress progress) {
  if (over_) return;
  drop_upstream();
  if (can_try_again(progress)) {
    request_sent_ = body_forwarded_ = false;
    waiting_.insert(0, std::exchange(replay_, {}));
    connect();
    return;
  }
  if (head_sent_) {
    over_ = true;
    note_request("upstream_failed");
    client_.abort();
    return;
  }
  refuse(upstream_failed(502, "upstream_failed", std::string(reason)));
}

void Exchange::on_timeout() {
  if (over_) return;
  drop_upstream();
  if (head_sent_) {
    over_ = true;
    client_.abort();
    return;
  }
  refuse(upstream_failed(504, "upstream_timeout", "the upstream did not answer in time"));
}

void Exchange::give_back_upstream() {
  if (!upstream_) return;
  upstream_->set_handler(nullptr);
  if (request_sent_) {
    house_.pool->put(std::move(upstream_));
  } else {
    house_.loop.retire(std::move(upstream_));
  }
}

void Exchange::drop_upstream() {
  if (dial_) house_.loop.retire(std::move(dial_));
  if (!upstream_) return;
  upstream_->set_handler(nullptr);
  house_.loop.retire(std::move(upstream_));
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): every caller gives its own away
void Exchange::refuse(Refusal refusal) {
  if (over_) return;
  over_ = true;
  drop_upstream();
  status_ = refusal.status;
  note_block(refusal);
  if (head_sent_) {
    client_.abort();
    return;
  }
  std::string path = refusal.propose_path ? house_.redact(target_.path) : std::string();
  // The name may be what was refused: a secret as a label of it (B1) must not come back.
  const std::string body =
      refusal_body(refusal, house_.redact(authority_.host), authority_.port, request_.method, path);
  http::Fields fields;
  fields.add("content-type", "application/json");
  fields.add("cache-control", "no-store");
  if (refusal.retry_after_s > 0) fields.add("retry-after", fmt::format_int(refusal.retry_after_s).c_str());
  ResponseStart head;
  head.status = refusal.status;
  head.fields = &fields;
  head.body = {BodyLength::Kind::known, body.size()};
  // A client that was promised 100 may send its body or not: the next request could begin anywhere.
  if (refusal.blame == Blame::request || request_.expects_continue) client_.close_after_response();
  client_.send_head(head);
  if (request_.method != "HEAD") client_.send_body(body);
  client_.send_end(nullptr);
}

void Exchange::finish() {
  over_ = true;
  house_.metrics.observe(uv_hrtime() - started_ns_);
  note_request("request");
}

void Exchange::cancel(std::string_view why) {
  if (over_) return;
  over_ = true;
  drop_upstream();
  note_request(why);
}

void Exchange::note_block(const Refusal& refusal) {
  if (refusal.blame == Blame::policy) house_.count_block(refusal.reason);
  Event event;
  const bool canary = refusal.rule.starts_with("canary:");
  event.kind = refusal.rule.empty() ? "egress" : "dlp";
  event.level = refusal.blame == Blame::policy ? Level::block : Level::warn;
  event.event = refusal.blame == Blame::policy    ? "blocked"
                : refusal.blame == Blame::request ? "bad_request"
                : refusal.blame == Blame::load    ? "busy"
                                                  : "upstream_failed";
  event.host = authority_.host;
  event.method = request_.method;
  event.path = target_.path;
  event.status = refusal.status;
  event.reason = refusal.reason;
  event.rule = refusal.rule;
  event.where = refusal.where;
  event.snippet = refusal.snippet;
  if (canary) {
    raise_canary(house_, event);
  } else {
    house_.log.write(event);
  }
}

void Exchange::note_request(std::string_view outcome) {
  const bool noteworthy = outcome != "request";
  const Level level = noteworthy ? Level::warn : Level::info;
  if (!house_.log.wants(level)) return;
  Event event;
  event.level = level;
  event.event = outcome;
  event.host = authority_.host;
  event.method = request_.method;
  event.path = target_.path;
  if (status_ != 0) event.status = status_;
  event.bytes_in = bytes_in_;
  event.bytes_out = bytes_out_;
  event.ms = house_.loop.now_ms() - started_ms_;
  house_.log.write(event);
}

}  // namespace bot_bottle::egress
