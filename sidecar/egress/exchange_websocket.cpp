// An exchange that becomes a WebSocket connection: the only switch of protocols there is, because its frames are read.
#include <fmt/format.h>

#include <utility>

#include "sidecar/egress/exchange.hpp"
#include "sidecar/egress/response_guard.hpp"
#include "sidecar/websocket/handshake.hpp"

namespace bot_bottle::egress {
namespace {
constexpr std::size_t max_early = std::size_t{64} << 10;
constexpr std::uint16_t policy_violation = 1008;
constexpr std::uint16_t bad_gateway = 1014;
}  // namespace

Exchange::Objection Exchange::read_upgrade() {
  if (request_.websocket) {
    websocket_ = request_.fields->find("sec-websocket-version") == "13";
    if (websocket_) return std::nullopt;
    return bad_request("bad_websocket", "the WebSocket version is not 13");
  }
  if (!request_.fields->has("upgrade")) return std::nullopt;
  const bool plain_get =
      request_.may_upgrade && request_.method == "GET" && request_.body.kind == BodyLength::Kind::none;
  auto key = plain_get ? websocket::read_upgrade_request(*request_.fields) : std::nullopt;
  // An unchecked protocol behind a checked connection is a tunnel (A7).
  if (!key) return blocked("upgrade_not_allowed", "a switch to another protocol is not passed on");
  websocket_ = true;
  agent_key_ = std::move(*key);
  return std::nullopt;
}

void Exchange::switch_protocols(ResponseStart& head) {
  switched_ = true;
  http::Fields& fields = *head.fields;
  strip_response_fields(fields);
  websocket::strip_handshake_fields(fields);
  if (house_.guards.is_on(Guard::scrub) && !house_.secrets.empty())
    scrub_fields(house_.rules, house_.known_secrets, fields);
  if (!agent_key_.empty()) fields.add("sec-websocket-accept", websocket::accept_for(agent_key_));
  head_sent_ = true;
  client_.send_head(head);
  if (!over_ && !early_frames_.empty()) on_agent_frames(std::exchange(early_frames_, {}));
}

void Exchange::on_agent_frames(std::string_view bytes) {
  if (!switched_) {
    // Before the 101 an upstream would read them as its next request (A4).
    early_frames_.append(bytes);
    if (early_frames_.size() > max_early) refuse(bad_request("bad_websocket", "frames before the handshake was done"));
    return;
  }
  released_.clear();
  const auto end = frames_->from_agent(bytes, released_);
  house_.counters.dlp_bytes += frames_->scanned() - scanned_;
  scanned_ = frames_->scanned();
  forward(released_);
  if (end)
    end_websocket(*end, Blame::request);
  else
    (void)has_room();
}

void Exchange::on_upstream_frames(std::string_view bytes) {
  scrubbed_.clear();
  const auto end = frames_->from_upstream(bytes, scrubbed_);
  deliver(scrubbed_);
  if (end)
    end_websocket(*end, Blame::upstream);
  else if (!over_)
    (void)has_room();
}

/// The agent is told by a Close frame why; the upstream's connection is cut.
void Exchange::end_websocket(const WebSocketGuard::End& end, Blame blame) {
  if (over_) return;
  over_ = true;
  drop_upstream();
  std::uint16_t code = bad_gateway;
  Refusal refusal;
  if (end.block) {
    refusal = std::move(*body_objection(*end.block));
    refusal.where = fmt::format("websocket message, {}", refusal.where);
    code = policy_violation;
  } else {
    refusal = bad_request("bad_websocket", std::string(websocket::text_of(end.problem)));
    refusal.blame = blame;
    if (blame == Blame::request) code = websocket::close_code_of(end.problem);
  }
  note_block(refusal);
  client_.send_body(WebSocketGuard::close_for_agent(code, fmt::format("egress: {}", refusal.reason)));
  client_.send_end(nullptr);
}

}  // namespace bot_bottle::egress
