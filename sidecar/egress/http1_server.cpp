#include "sidecar/egress/http1_server.hpp"

#include <algorithm>
#include <utility>

namespace bot_bottle::egress {

Http1Server::Http1Server(House& house, tls::Channel& channel, const Origin& origin, Owner& owner)
    : house_(house), channel_(channel), origin_(origin), owner_(owner), timer_(house.loop, [this] { on_timer(); }) {
  timer_.set(house_.times.head);
}

Http1Server::~Http1Server() = default;

void Http1Server::set_timer() {
  switch (state_) {
    case State::head:
      timer_.set(is_congested()                   ? house_.times.idle_body
                 : view_.empty() && kept_.empty() ? house_.times.idle_connection
                                                  : house_.times.head);
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
      if (kept_.empty() || is_congested()) {
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
  const bool full = paused_ || (state_ == State::head && is_congested()) ||
                    (state_ != State::head && kept_.size() > house_.bounds.pipelined);
  if (full) {
    channel_.pause();
  } else {
    channel_.resume();
  }
  if (peer_ended_ && ((state_ == State::head && !is_congested()) || state_ == State::draining ||
                      state_ == State::switched || (state_ == State::body && !paused_))) {
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
  // Who sends one request behind the other and reads no answer is not read either: they would pile up (attack L;
  // integration/egress/connections: answers_nobody_reads_do_not_pile_up).
  if (view_.empty() || is_congested()) return false;
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
  if (turned_away_) {
    answer_and_finish(Refusal{.blame = Blame::load, .status = 503, .reason = "too_many_connections"}, {}, 0);
    return false;
  }
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
  owner_.on_standing(Standing::busy);
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

void Http1Server::next_request() {
  if (state_ == State::over) return;
  if (!keep_alive_) {
    finish();
    return;
  }
  state_ = State::head;
  paused_ = false;
  owner_.on_standing(Standing::idle);
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

void Http1Server::on_end() {
  if (std::exchange(peer_ended_, true)) return;
  if (state_ == State::over) return;
  // Ours may go on: a request that was sent whole is answered, what was pipelined behind it too.
  // RFC 9112 §9.6: it does not say that nobody reads (integration/egress/requests: who_ends_its_side…). Who has gone is
  // noticed at the first write, or by the times of the answer (set_timer), which nothing of the client's renews now.
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
  if (exchange_) {
    exchange_->on_client_drained();
  } else if (state_ == State::head && !pumping_) {
    view_ = kept_;
    pump();
  }
}

}  // namespace bot_bottle::egress
