// The answering half of Http1Server.
#include <fmt/format.h>

#include <utility>

#include "sidecar/egress/http1_server.hpp"
#include "sidecar/http1/write.hpp"

namespace bot_bottle::egress {

void Http1Server::send_informational(int status, const http::Fields& fields) {
  if (head_.minor_version == 0) return;  // RFC 9110 §15.2
  std::string text;
  http1::write_status_line(text, status, {});
  http1::write_fields(text, fields);
  http1::write_head_end(text);
  channel_.write(text);
  set_timer();
}

void Http1Server::send_head(const ResponseStart& head) {
  std::string text = house_.loop.take_buffer();
  http1::write_status_line(text, head.status, head.reason);
  http1::write_fields(text, *head.fields);
  const bool bodiless = head_.method == "HEAD" || head.status == 204 || head.status == 304;
  writing_ = Writing::none;
  if (head.status == 101) {
    http1::write_field(text, "connection", "Upgrade");
    http1::write_field(text, "upgrade", "websocket");
    http1::write_head_end(text);
    writing_ = Writing::until_close;
    keep_alive_ = false;
    head_sent_ = true;
    state_ = State::switched;
    channel_.write(text);
    resume_switched();
    return;
  }
  if (bodiless) {
    const auto length = head.announced_length                       ? head.announced_length
                        : head.body.kind == BodyLength::Kind::known ? std::optional(head.body.size)
                                                                    : std::nullopt;
    if (length && head.status != 204) http1::write_field(text, "content-length", fmt::format_int(*length).c_str());
  } else if (head.body.kind == BodyLength::Kind::known) {
    writing_ = Writing::length;
    http1::write_field(text, "content-length", fmt::format_int(head.body.size).c_str());
  } else if (head.body.kind == BodyLength::Kind::none) {
    writing_ = Writing::length;
    http1::write_field(text, "content-length", "0");
  } else if (head_.minor_version == 1) {
    writing_ = Writing::chunked;
    http1::write_field(text, "transfer-encoding", "chunked");
  } else {
    writing_ = Writing::until_close;
    keep_alive_ = false;
  }
  if (peer_ended_ && kept_.empty() && view_.empty()) keep_alive_ = false;
  if (!keep_alive_) {
    http1::write_field(text, "connection", "close");
  } else if (head_.minor_version == 0) {
    http1::write_field(text, "connection", "keep-alive");
  }
  http1::write_head_end(text);
  head_sent_ = true;
  channel_.write(text);
  house_.loop.give_buffer(std::move(text));
  set_timer();
}

void Http1Server::send_body(std::string_view bytes) {
  if (bytes.empty() || writing_ == Writing::none) return;
  if (writing_ == Writing::chunked) {
    std::string begin;
    http1::write_chunk_begin(begin, bytes.size());
    channel_.write(begin);
    channel_.write(bytes);
    channel_.write("\r\n");
  } else {
    channel_.write(bytes);
  }
  set_timer();
}

void Http1Server::send_end(const http::Fields* trailers) {
  if (writing_ == Writing::chunked) {
    std::string end;
    http1::write_last_chunk(end, trailers);
    channel_.write(end);
  }
  answer_done();
}

void Http1Server::answer_done() {
  response_done_ = true;
  drop_exchange();
  if (request_done_) {
    next_request();
    return;
  }
  if (state_ == State::over) return;
  if (state_ == State::answering) return;  // begin_exchange or end_request is on the stack and goes on
  // The answer came before the request was read: read and drop a bounded rest, so that the connection can be kept.
  const bool hopeless = !keep_alive_ || (head_.framing == http1::Framing::length && left_ > house_.bounds.drained_body);
  if (hopeless) {
    finish();
    return;
  }
  state_ = State::draining;
  paused_ = false;
  set_timer();
  pump();
}

void Http1Server::answer_bad(http1::Problem problem) {
  Refusal refusal = bad_request("bad_request", std::string(http1::text_of(problem)));
  Event event;
  event.level = Level::warn;
  event.event = "bad_request";
  event.host = origin_.authority.host;
  event.reason = refusal.message;
  event.status = 400;
  house_.log.write(event);
  answer_and_finish(refusal, origin_.authority.host, 0);
}

void Http1Server::answer_and_finish(const Refusal& refusal, std::string_view host, std::uint16_t port) {
  const std::string body = refusal_body(refusal, house_.redact(host), port, {}, {});
  std::string text;
  http1::write_status_line(text, refusal.status, {});
  http1::write_field(text, "content-type", "application/json");
  http1::write_field(text, "content-length", fmt::format_int(body.size()).c_str());
  http1::write_field(text, "connection", "close");
  http1::write_head_end(text);
  channel_.write(text);
  channel_.write(body);
  state_ = State::over;
  timer_.clear();
  channel_.finish();
  owner_.on_finished();
}

}  // namespace bot_bottle::egress
