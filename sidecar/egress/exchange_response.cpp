// The answer's way back: stripped, scrubbed, and never more of it than was promised.
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
  if (scrub) {
    const bool has_body = head.body.kind != BodyLength::Kind::none;
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
    if (has_body && unreadable && route_->on_unscannable == policy::OnUnscannable::block) {
      refuse(upstream_failed(502, "unscannable_response", "the answer's Content-Encoding cannot be read"));
      return;
    }
    if (unreadable || !has_body) coding.reset();
    if (has_body && !coding && is_grpc(fields)) {
      grpc_scrub_.emplace(house_.known_secrets, route_->on_unscannable);
    } else if (has_body) {
      scrub_.emplace(house_.known_secrets, coding);
    }
    if (coding) {
      fields.remove("content-encoding");
      head.body = {BodyLength::Kind::unknown, 0};
    }
    if (scrub_fields(house_.rules, house_.known_secrets, fields) > 0) note_request("secret_scrubbed");
  }
  if (head.body.kind == BodyLength::Kind::known) promised_ = head.body.size;
  // Where nobody knows the length somebody may be waiting for the next event.
  flush_ = head.body.kind == BodyLength::Kind::unknown ? dlp::Scrubber::Flush::now : dlp::Scrubber::Flush::no;
  head_sent_ = true;
  client_.send_head(head);
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
  if (over_) return;
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
  deliver(scrubbed_);
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
    deliver(scrubbed_);
    if (scrub_->replaced() > 0) note_request("secret_scrubbed");
  }
  // The stars are never longer than what they stand for: spaces keep the promised length, and JSON stays JSON.
  while (promised_ && delivered_ < *promised_ && scrub_)
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
    if (scrub_ || grpc_scrub_) scrub_fields(house_.rules, house_.known_secrets, *trailers);
  }
  give_back_upstream();
  finish();
  client_.send_end(trailers);
}

}  // namespace bot_bottle::egress
