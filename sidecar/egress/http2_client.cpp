#include "sidecar/egress/http2_client.hpp"

#include <utility>

namespace bot_bottle::egress {
namespace {

http2::SessionOptions options_of(const House& house) {
  http2::SessionOptions options;
  options.role = http2::Role::client;
  options.congested_at = house.high_water();
  options.stream_window = std::uint32_t{1} << 20;  // upstreams are far away: a window a round trip
  return options;
}

}  // namespace

Http2Client::Http2Client(House& house, std::unique_ptr<tls::Channel> channel, std::string key,
                         std::function<void()> on_change)
    : house_(house),
      channel_(std::move(channel)),
      key_(std::move(key)),
      on_change_(std::move(on_change)),
      session_(options_of(house), *this) {
  channel_->set_handler(this);
  channel_->resume();
  mark();  // preface and SETTINGS
}

Http2Client::~Http2Client() {
  if (marked_) house_.loop.forget_flush(this);
  failed_ = true;
  for (Http2ClientStream* stream : std::exchange(users_, {})) stream->on_lost("the connection was ended");
}

std::unique_ptr<Upstream> Http2Client::open() {
  auto stream = std::make_unique<Http2ClientStream>(*this);
  users_.insert(stream.get());
  return stream;
}

void Http2Client::leave(http2::StreamId id, Http2ClientStream* stream) {
  users_.erase(stream);
  streams_.erase(id);
  std::erase(refused_, stream);
  idle_since_ms_ = house_.loop.now_ms();
  if (users_.empty() && stopping_) on_change_();
}

void Http2Client::refuse_later(Http2ClientStream* stream) {
  refused_.push_back(stream);
  mark();
}

void Http2Client::mark() {
  if (marked_ || failed_) return;
  marked_ = true;
  house_.loop.flush_later(this);
}

void Http2Client::flush() {
  marked_ = false;
  if (failed_) return;
  for (Http2ClientStream* stream : std::exchange(refused_, {})) stream->on_closed(http2::Code::refused_stream);
  std::string frames = house_.loop.take_buffer();
  while (channel_->unsent() < house_.high_water() && session_.pull(frames)) {
    channel_->write(frames);
    frames.clear();
  }
  house_.loop.give_buffer(std::move(frames));
  if (session_.is_over())
    fail(session_.failure().empty() ? "the upstream ended the connection" : std::string_view(session_.failure()));
}

void Http2Client::on_bytes(std::string_view bytes) {
  if (failed_) return;
  session_.feed(bytes, house_.loop.now_ms());
  mark();
  if (is_done()) on_change_();
}

void Http2Client::on_end() {
  fail("the upstream closed the connection");
}

void Http2Client::on_failure(std::string_view reason) {
  fail(reason);
}

void Http2Client::fail(std::string_view reason) {
  if (std::exchange(failed_, true)) return;
  const std::string text(reason);
  streams_.clear();
  for (Http2ClientStream* stream : std::exchange(users_, {})) stream->on_lost(text);
  channel_->close();
  on_change_();
}

Http2ClientStream* Http2Client::find(http2::StreamId id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second;
}

void Http2Client::on_head(http2::StreamId id, http2::Head& head, http2::End end) {
  if (Http2ClientStream* stream = find(id)) stream->on_head(head, end);
}

void Http2Client::on_informational(http2::StreamId id, http2::Head& head) {
  if (Http2ClientStream* stream = find(id)) stream->on_informational(head);
}

void Http2Client::on_data(http2::StreamId id, std::string_view bytes) {
  if (Http2ClientStream* stream = find(id)) stream->on_data(bytes);
}

void Http2Client::on_end(http2::StreamId id, http::Fields* trailers) {
  if (Http2ClientStream* stream = find(id)) stream->on_end(trailers);
}

void Http2Client::on_stream_drained(http2::StreamId id) {
  if (Http2ClientStream* stream = find(id)) stream->on_drained();
}

void Http2Client::on_bad_head(http2::StreamId id, http2::Problem problem) {
  if (Http2ClientStream* stream = find(id)) stream->on_bad_head(problem);
}

void Http2Client::on_closed(http2::StreamId id, bool /*clean*/, http2::Code code) {
  if (Http2ClientStream* stream = find(id)) stream->on_closed(code);
}

}  // namespace bot_bottle::egress
