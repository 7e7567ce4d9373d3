// The answer's way back: stripped, scrubbed, and never more of it than was promised.
#include <fmt/format.h>

#include <algorithm>

#include "sidecar/egress/exchange.hpp"

namespace bot_bottle::egress {
namespace {
constexpr std::string_view padding = "                                                                ";
}  // namespace

void Exchange::on_informational(int status, http::Fields& fields) {
  // 100 goes to a client that waits for it; the others (103) to all.
  if (status == 100 && !request_.expects_continue) return;
  strip_response_fields(fields);
  if (house_.guards.is_on(Guard::scrub) && !house_.secrets.empty())
    scrub_fields(house_.rules, house_.known_secrets, fields);
  client_.send_informational(status, fields);
}

void Exchange::on_response_head(ResponseStart& head) {
  if (stop_when_frozen()) return;
  status_ = head.status;
  if (status_ == 101) {
    switch_protocols(head);
    return;
  }
  // To an extended CONNECT any 2xx says that it is a WebSocket now (RFC 8441 §5).
  if (request_.websocket && status_ >= 200 && status_ < 300) {
    refuse(upstream_failed(502, "upstream_websocket", "the upstream did not switch to WebSocket"));
    return;
  }
  http::Fields& fields = *head.fields;
  strip_response_fields(fields);
  const bool scrub = house_.guards.is_on(Guard::scrub) && !house_.secrets.empty();
  const bool has_body = head.body.kind != BodyLength::Kind::none;
  // The messages of gRPC are binary, and must not wait for one another.
  // Only an answer to gRPC: else any answer could call itself so, and be read by nobody.
  const bool grpc = is_grpc(fields) && is_grpc(*request_.fields);
  const bool inbound = has_body && !grpc && house_.guards.is_on(Guard::dlp) && route_->dlp.injection &&
                       house_.rules->injection() != nullptr;
  if (has_body && !grpc && house_.guards.is_on(Guard::dlp)) prepare_mcp_answer(head);
  if (scrub || inbound || mcp_answer_) {
    std::optional<Coding> coding;
    bool unreadable = false;
    fields.each([&](const http::Field& field) {
      if (field.name != "content-encoding") return;
      http::each_member(field.value, [&](std::string_view member) {
        unreadable = unreadable || coding.has_value() || !parse_coding(member);
        coding = parse_coding(member);
      });
    });
    // Part of a compressed body cannot be decoded, so a secret in it could not be seen.
    unreadable = unreadable || (coding && status_ == 206);
    const bool must_read =
        route_->on_unscannable == policy::OnUnscannable::block || (mcp_answer_ && routes_->egress().mcp_pin);
    if (has_body && unreadable && must_read) {
      refuse(upstream_failed(502, "unscannable_response", "the answer's Content-Encoding cannot be read"));
      return;
    }
    if (unreadable || !has_body) coding.reset();
    if (has_body && grpc && !coding) {
      grpc_scrub_.emplace(house_.known_secrets, route_->on_unscannable);
    } else if (has_body) {
      scrub_.emplace(scrub ? house_.known_secrets : house_.no_secrets, coding);
    }
    if (coding) {
      fields.remove("content-encoding");
      head.body = {BodyLength::Kind::unknown, 0};
    }
    if (scrub && scrub_fields(house_.rules, house_.known_secrets, fields) > 0) note_request("secret_scrubbed");
  }
  if (head.body.kind == BodyLength::Kind::known) promised_ = head.body.size;
  // Where nobody knows the length somebody may be waiting for the next event.
  flush_ = head.body.kind == BodyLength::Kind::unknown ? dlp::Scrubber::Flush::now : dlp::Scrubber::Flush::no;
  if (inbound) inbound_.emplace(house_.rules->injection(), head);
  if (inbound_ && inbound_->hold(head)) return;
  if (mcp_answer_ && mcp_answer_->hold(head)) return;
  head_sent_ = true;
  client_.send_head(head);
}

bool Exchange::act_on(const std::vector<dlp::InjectionSighting>& sightings) {
  for (const dlp::InjectionSighting& sighting : sightings) {
    const std::string where = fmt::format("response body near offset {}", sighting.offset);
    const std::string snippet = house_.redact(sighting.snippet);
    if (sighting.is_attempt) {
      Refusal refusal = blocked("injection_found", "the answer holds text that gives orders to a model");
      refusal.rule = fmt::format("{} ({} with {})", sighting.phrase, sighting.family, sighting.with);
      refusal.where = where;
      refusal.snippet = snippet;
      refuse(std::move(refusal));
      return false;
    }
    Event event;
    event.kind = "dlp";
    event.level = Level::warn;
    event.event = "injection_phrase";
    event.host = authority_.host;
    event.method = request_.method;
    event.path = target_.path;
    event.reason = sighting.is_mention ? "in quotation marks" : "alone";
    event.rule = sighting.phrase;
    event.where = where;
    event.snippet = snippet;
    house_.log.write(event);
  }
  return true;
}

void Exchange::release_held() {
  if (mcp_answer_ && mcp_answer_->is_holding()) {
    ResponseStart head = mcp_answer_->take_head();
    head_sent_ = true;
    client_.send_head(head);
    return;
  }
  if (!inbound_ || !inbound_->is_holding()) return;
  ResponseStart head = inbound_->take_head();
  head_sent_ = true;
  client_.send_head(head);
  deliver(inbound_->take_body());
}

bool Exchange::read_and_deliver(std::string_view bytes) {
  if (!mcp_answer_) return read_general(bytes);
  judged_.clear();
  const bool go_on = mcp_answer_->write(bytes, judged_);
  // What came before the unit that was refused was judged, too; but the refusal has been sent.
  if (!go_on || over_) return false;
  return judged_.empty() || read_general(judged_);
}

bool Exchange::read_general(std::string_view bytes) {
  if (!inbound_) {
    release_held();
  } else {
    if (!act_on(inbound_->write(bytes))) return false;
    if (inbound_->hold(bytes) || (inbound_->is_holding() && bytes.empty())) return true;
    release_held();
  }
  deliver(bytes);
  return true;
}

void Exchange::deliver(std::string_view bytes) {
  // Never more than was promised: what goes beyond would be read as another response.
  if (promised_)
    bytes = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), *promised_ - delivered_)));
  if (bytes.empty()) return;
  delivered_ += bytes.size();
  client_.send_body(bytes);
  if (client_.is_congested() && !upstream_paused_ && upstream_) {
    upstream_paused_ = true;
    upstream_->pause_response();
  }
}

void Exchange::on_response_body(std::string_view bytes) {
  if (over_ || stop_when_frozen()) return;
  bytes_in_ += bytes.size();
  house_.counters.bytes_in += bytes.size();
  if (switched_) {
    on_upstream_frames(bytes);
    return;
  }
  if (!scrub_ && !grpc_scrub_) {
    deliver(bytes);
    return;
  }
  scrubbed_.clear();
  if (grpc_scrub_) {
    const bool read = grpc_scrub_->write(bytes, scrubbed_);
    deliver(scrubbed_);
    if (!read) on_upstream_failure("a gRPC message of the answer is compressed unasked", Progress::answered);
    return;
  }
  if (!scrub_->write(bytes, scrubbed_, flush_)) {
    on_upstream_failure("the answer is not what its Content-Encoding says", Progress::answered);
    return;
  }
  if (read_and_deliver(scrubbed_) && !over_) (void)has_room();
}

void Exchange::on_response_end(http::Fields* trailers) {
  if (over_) return;
  if (grpc_scrub_) {
    scrubbed_.clear();
    grpc_scrub_->finish(scrubbed_);
    deliver(scrubbed_);
    if (grpc_scrub_->replaced() > 0) note_request("secret_scrubbed");
  }
  if (scrub_) {
    scrubbed_.clear();
    if (!scrub_->finish(scrubbed_)) {
      on_upstream_failure("the compressed answer is cut off", Progress::answered);
      return;
    }
    if (!read_and_deliver(scrubbed_)) return;
    if (mcp_answer_) {
      judged_.clear();
      if (!mcp_answer_->finish(judged_) || over_) return;
      if (!read_general(judged_)) return;
    }
    if (inbound_ && !act_on(inbound_->finish())) return;
    release_held();
    if (scrub_->replaced() > 0) note_request("secret_scrubbed");
  }
  // The stars are never longer than what they stand for: spaces keep the promised length, and JSON stays JSON.
  while (promised_ && delivered_ < *promised_ && scrub_ && scrub_->replaced() > 0)
    deliver(
        padding.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(padding.size(), *promised_ - delivered_))));
  if (promised_ && delivered_ != *promised_) {
    over_ = true;
    drop_upstream();
    client_.abort();
    return;
  }
  if (trailers != nullptr) {
    strip_trailers(*trailers);
    if ((scrub_ || grpc_scrub_) && house_.guards.is_on(Guard::scrub))
      scrub_fields(house_.rules, house_.known_secrets, *trailers);
  }
  give_back_upstream();
  finish();
  client_.send_end(trailers);
}

}  // namespace bot_bottle::egress
