#include "sidecar/egress/http2_server.hpp"

#include <utility>

namespace bot_bottle::egress {
namespace {

http2::SessionOptions options_of(const House& house) {
  http2::SessionOptions options;
  options.role = http2::Role::server;
  options.extended_connect = true;
  options.congested_at = house.high_water();
  return options;
}

}  // namespace

Http2Server::Http2Server(House& house, tls::Channel& channel, const Origin& origin, Owner& owner)
    : house_(house),
      channel_(channel),
      origin_(origin),
      owner_(owner),
      timer_(house.loop, [this] { on_timer(); }),
      session_(options_of(house), *this) {
  set_timer();
  mark();  // our SETTINGS
}

Http2Server::~Http2Server() {
  if (marked_) house_.loop.forget_flush(this);
  drop_streams("client_gone");
}

void Http2Server::mark() {
  if (marked_ || over_) return;
  marked_ = true;
  house_.loop.flush_later(this);
}

void Http2Server::set_timer() {
  const Standing standing = streams_.empty() ? Standing::idle : Standing::busy;
  if (standing != standing_) owner_.on_standing(standing_ = standing);
  const Waiting waiting = session_.is_in_head() ? Waiting::head : streams_.empty() ? Waiting::idle : Waiting::nothing;
  // Slow-loris: a head's time starts once and is not renewed by its next octets.
  if (waiting == Waiting::head && waiting_ == Waiting::head) return;
  waiting_ = waiting;
  if (waiting == Waiting::nothing) {
    timer_.clear();
  } else {
    timer_.set(waiting == Waiting::head ? house_.times.head : house_.times.idle_connection);
  }
}

void Http2Server::on_timer() {
  if (waiting_ == Waiting::head) note("a header block did not end in time");
  session_.end(http2::Code::no_error);
  mark();
}

void Http2Server::on_bytes(std::string_view bytes) {
  if (over_) return;
  session_.feed(bytes, house_.loop.now_ms());
  set_timer();
  mark();
}

void Http2Server::flush() {
  marked_ = false;
  if (over_) return;
  std::string frames = house_.loop.take_buffer();
  while (channel_.unsent() < house_.high_water() && session_.pull(frames)) {
    channel_.write(frames);
    frames.clear();
  }
  house_.loop.give_buffer(std::move(frames));
  // Who does not read is not read either, so that answers to its frames cannot pile up.
  if (channel_.unsent() < house_.high_water()) {
    channel_.resume();
  } else {
    channel_.pause();
  }
  if (!session_.is_over()) return;
  if (!session_.failure().empty()) note(session_.failure());
  finish();
}

Http2ServerStream* Http2Server::find(http2::StreamId id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void Http2Server::on_head(http2::StreamId id, http2::Head& head, http2::End end) {
  auto stream = std::make_unique<Http2ServerStream>(*this, id, std::move(head));
  Http2ServerStream* raw = stream.get();
  streams_[id] = std::move(stream);
  raw->begin(end);
}

void Http2Server::on_data(http2::StreamId id, std::string_view bytes) {
  if (Http2ServerStream* stream = find(id)) stream->on_data(bytes);
}

void Http2Server::on_end(http2::StreamId id, http::Fields* trailers) {
  if (Http2ServerStream* stream = find(id)) stream->on_end(trailers);
}

void Http2Server::on_stream_drained(http2::StreamId id) {
  if (Http2ServerStream* stream = find(id)) stream->on_drained();
}

void Http2Server::on_closed(http2::StreamId id, bool /*clean*/, http2::Code /*code*/) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  found->second->close("client_gone");
  house_.loop.retire(std::move(found->second));
  streams_.erase(found);
  set_timer();
}

void Http2Server::on_bad_head(http2::StreamId /*id*/, http2::Problem problem) {
  ++house_.counters.requests;
  note(http2::text_of(problem));
}

void Http2Server::drop_streams(std::string_view why) {
  for (auto& [id, stream] : streams_) {
    stream->close(why);
    house_.loop.retire(std::move(stream));
  }
  streams_.clear();
}

void Http2Server::finish() {
  if (std::exchange(over_, true)) return;
  timer_.clear();
  drop_streams("client_gone");
  channel_.finish();
  owner_.on_finished();
}

void Http2Server::on_end() {
  // No peer of ours ends its side and waits: whoever does has gone, and so have its requests.
  finish();
}

void Http2Server::on_gone(std::string_view why) {
  over_ = true;
  timer_.clear();
  drop_streams(why);
}

void Http2Server::note(std::string_view reason) {
  Event event;
  event.level = Level::warn;
  event.event = "bad_request";
  event.host = origin_.authority.host;
  event.reason = reason;
  house_.log.write(event);
}

}  // namespace bot_bottle::egress
