#include "sidecar/egress/http1_server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sidecar/http1/write.hpp"

namespace bot_bottle::egress {

Http1Server::Http1Server(House& house, tls::Channel& channel, const Origin& origin, Owner owner)
    : house_(house), channel_(channel), origin_(origin), owner_(std::move(owner)), timer_(house.loop, [this] {
        on_timer();
      }) {
  timer_.set(house_.times.head);
}

Http1Server::~Http1Server() = default;

void Http1Server::set_timer() {
  switch (state_) {
    case State::head:
      timer_.set(view_.empty() && kept_.empty() ? house_.times.idle_connection : house_.times.head);
      break;
    case State::body:
    case State::switched:
      timer_.set(house_.times.idle_body);
      break;
    case State::answering:
      timer_.set(head_sent_ ? house_.times.idle_body : house_.times.response);
      break;
    case State::draining:
      timer_.set(house_.times.linger);
      break;
    case State::over:
      timer_.clear();
      break;
  }
}

void Http1Server::on_timer() {
  switch (state_) {
    case State::head:
      if (kept_.empty()) {
        finish();
      } else {
        // A head that trickles in holds a connection (attack L: slow-loris).
        answer_and_finish(Refusal{.blame = Blame::request, .status = 408, .reason = "request_timeout"}, {}, 0);
      }
      break;
    case State::body:
    case State::answering:
    case State::switched:
      keep_alive_ = false;
      if (exchange_) exchange_->on_timeout();
      break;
    case State::draining:
      finish();
      break;
    case State::over:
      break;
  }
}

void Http1Server::on_bytes(std::string_view bytes) {
  if (state_ == State::over) return;
  // Slow-loris: the head's time starts with its first octet and is not renewed by the next ones.
  const bool first_of_head = state_ == State::head && kept_.empty();
  if (kept_.empty()) {
    view_ = bytes;
  } else {
    kept_.append(bytes);
    view_ = kept_;
  }
  if (first_of_head || state_ != State::head) set_timer();
  pump();
}

void Http1Server::pump() {
  if (std::exchange(pumping_, true)) return;
  while (state_ != State::over && step()) {
  }
  pumping_ = false;
  if (state_ == State::over) {
    kept_.clear();
    view_ = {};
    return;
  }
  // Keep what is left; it may be a view into kept_ itself.
  if (view_.empty()) {
    kept_.clear();
  } else if (view_.data() >= kept_.data() && view_.data() < kept_.data() + kept_.size()) {
    kept_.erase(0, kept_.size() - view_.size());
  } else {
    kept_.assign(view_);
  }
  view_ = {};
  const bool full = paused_ || (state_ != State::head && kept_.size() > house_.bounds.pipelined);
  if (full) {
    channel_.pause();
  } else {
    channel_.resume();
  }
  if (peer_ended_ && (state_ == State::head || state_ == State::draining || state_ == State::switched ||
                      (state_ == State::body && !paused_))) {
    // It ended between requests, or in the middle of one.
    if (exchange_) exchange_->cancel("client_gone");
    drop_exchange();
    finish();
  }
}

/// One thing at a time; false: wait for more octets or for the exchange.
bool Http1Server::step() {
  switch (state_) {
    case State::head:
      return read_head();
    case State::body:
    case State::draining:
      return read_body();
    case State::switched:
      return read_switched();
    case State::answering:
    case State::over:
      return false;
  }
  return false;
}

bool Http1Server::read_head() {
  if (view_.empty()) return false;
  const http1::HeadResult result = http1::read_request_head(view_, progress_, head_);
  if (result.reading == http1::Reading::need_more) return false;
  if (result.reading == http1::Reading::bad) {
    answer_bad(result.problem);
    return false;
  }
  view_.remove_prefix(result.size);
  progress_ = {};
  keep_alive_ = head_.keep_alive;
  head_sent_ = false;
  request_done_ = false;
  response_done_ = false;
  drained_ = 0;
  paused_ = false;
  if (head_.method == "CONNECT" && origin_.kind == Origin::Kind::proxy) {
    state_ = State::over;
    timer_.clear();
    if (head_.framing != http1::Framing::none) {
      answer_and_finish(bad_request("bad_request", "CONNECT has no body"), {}, 0);
      return false;
    }
    const std::string rest(std::exchange(view_, {}));
    owner_.on_connect(head_.target, rest);
    return false;
  }
  begin_exchange();
  return true;
}

void Http1Server::begin_exchange() {
  IncomingRequest request;
  request.method = head_.method;
  request.target = head_.target;
  request.authority = head_.fields.find("host");
  request.fields = &head_.fields;
  request.expects_continue = head_.expects_continue;
  request.may_upgrade = head_.minor_version == 1;
  left_ = head_.content_length;
  chunks_.reset();
  switch (head_.framing) {
    case http1::Framing::length:
      request.body = {BodyLength::Kind::known, head_.content_length};
      break;
    case http1::Framing::chunked:
      request.body = {BodyLength::Kind::unknown, 0};
      break;
    case http1::Framing::none:
    case http1::Framing::until_close:
      break;
  }
  // A request body of no octets is no body to wait for, but its Content-Length: 0 goes on.
  const bool body = head_.framing == http1::Framing::chunked || (head_.framing == http1::Framing::length && left_ > 0);
  state_ = body ? State::body : State::answering;
  exchange_ = std::make_unique<Exchange>(house_, *this, origin_, request);
  exchange_->begin();
  if (exchange_ && exchange_->is_websocket()) {
    request_done_ = true;  // as HTTP; what follows a switch is told as its body
  } else if (!body) {
    end_request();
  }
  set_timer();
}

/// The request is complete; with an answer that was already given, the next may come.
void Http1Server::end_request() {
  request_done_ = true;
  if (exchange_) {
    if (state_ == State::body) state_ = State::answering;
    const http::Fields* trailers = head_.framing == http1::Framing::chunked ? &chunks_.trailers() : nullptr;
    if (!response_done_) exchange_->on_request_end(trailers);
  }
  if (response_done_) next_request();
}

bool Http1Server::read_body() {
  if (paused_ && state_ == State::body) return false;
  if (view_.empty()) return false;
  std::string_view piece;
  bool ended = false;
  if (head_.framing == http1::Framing::chunked) {
    switch (chunks_.next(view_, piece)) {
      case http1::ChunkReader::Event::need_more:
        return false;
      case http1::ChunkReader::Event::data:
        break;
      case http1::ChunkReader::Event::end:
        ended = true;
        break;
      case http1::ChunkReader::Event::bad:
        if (exchange_) exchange_->cancel("bad_request");
        drop_exchange();
        if (head_sent_) {
          finish();
        } else {
          answer_bad(chunks_.problem());
        }
        return false;
    }
  } else {
    const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, view_.size()));
    piece = view_.substr(0, take);
    view_.remove_prefix(take);
    left_ -= take;
    ended = left_ == 0;
  }
  if (state_ == State::draining) {
    drained_ += piece.size();
    if (drained_ > house_.bounds.drained_body) {
      finish();
      return false;
    }
  } else if (!piece.empty() && exchange_) {
    exchange_->on_request_body(piece);
  }
  if (ended && state_ != State::over) end_request();
  return state_ != State::over;
}

bool Http1Server::read_switched() {
  if (paused_ || view_.empty() || !exchange_) return false;
  exchange_->on_request_body(std::exchange(view_, {}));
  return false;
}

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

void Http1Server::next_request() {
  if (state_ == State::over) return;
  if (!keep_alive_) {
    finish();
    return;
  }
  state_ = State::head;
  paused_ = false;
  if (pumping_) {
    set_timer();
    return;
  }
  view_ = kept_;
  set_timer();
  pump();
}

void Http1Server::drop_exchange() {
  house_.loop.retire(std::move(exchange_));
}

void Http1Server::finish() {
  if (state_ == State::over) return;
  state_ = State::over;
  timer_.clear();
  channel_.finish();
  owner_.on_finished();
}

void Http1Server::abort() {
  drop_exchange();
  if (state_ == State::over) return;
  state_ = State::over;
  timer_.clear();
  owner_.on_aborted();
}

/// Frames that came before the switch.
void Http1Server::resume_switched() {
  set_timer();
  if (pumping_) return;
  view_ = kept_;
  pump();
}

void Http1Server::resume_request() {
  if (!std::exchange(paused_, false) || pumping_ || state_ == State::over) return;
  view_ = kept_;
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

void Http1Server::on_end() {
  if (std::exchange(peer_ended_, true)) return;
  if (state_ == State::over) return;
  // Ours may go on: a request that was sent whole is answered, what was pipelined behind it too.
  view_ = kept_;
  pump();
}

void Http1Server::on_gone(std::string_view why) {
  if (exchange_) exchange_->cancel(why);
  drop_exchange();
  state_ = State::over;
  timer_.clear();
}

void Http1Server::on_drained() {
  if (exchange_) exchange_->on_client_drained();
}

}  // namespace bot_bottle::egress
