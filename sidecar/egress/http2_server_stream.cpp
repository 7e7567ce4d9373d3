#include "sidecar/egress/http2_server_stream.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "sidecar/egress/http2_server.hpp"

namespace bot_bottle::egress {

Http2ServerStream::Http2ServerStream(Http2Server& server, http2::StreamId id, http2::Head head)
    : server_(server), id_(id), head_(std::move(head)), timer_(server.house().loop, [this] { on_timer(); }) {}

Http2ServerStream::~Http2ServerStream() = default;

void Http2ServerStream::begin(http2::End end) {
  IncomingRequest request;
  request.method = head_.method;
  request.target = head_.path;
  request.scheme = head_.scheme;
  request.authority = head_.fields.find("host");
  if (!head_.authority.empty()) {
    request.host = request.authority;
    request.authority = head_.authority;
  }
  request.fields = &head_.fields;
  request.expects_continue = head_.expects_continue && end == http2::End::no;
  request.accepts_trailers = head_.accepts_trailers;
  if (head_.content_length) {
    request.body = {BodyLength::Kind::known, *head_.content_length};
  } else if (end == http2::End::no) {
    request.body = {BodyLength::Kind::unknown, 0};
  }
  if (head_.method == "CONNECT" && head_.protocol == "websocket") {
    request.method = "GET";  // what it is at an HTTP/1 upstream, and for the routes
    request.websocket = true;
    request.body = {};
  }
  exchange_ = std::make_unique<Exchange>(server_.house(), *this, server_.origin(), request);
  exchange_->begin();
  if (end == http2::End::yes) on_end(nullptr);
  set_timer();
}

void Http2ServerStream::on_data(std::string_view bytes) {
  if (exchange_) exchange_->on_request_body(bytes);
  owed_ += bytes.size();
  if (!paused_) server_.session().consume(id_, std::exchange(owed_, 0));
  set_timer();
}

void Http2ServerStream::on_end(http::Fields* trailers) {
  request_done_ = true;
  if (exchange_) exchange_->on_request_end(trailers);
  set_timer();
}

void Http2ServerStream::on_drained() {
  if (exchange_) exchange_->on_client_drained();
  set_timer();
}

void Http2ServerStream::close(std::string_view why) {
  closed_ = true;
  timer_.clear();
  if (!exchange_) return;
  exchange_->cancel(why);
  server_.house().loop.retire(std::move(exchange_));
}

void Http2ServerStream::set_timer() {
  if (closed_) return;
  const Times& times = server_.house().times;
  timer_.set(request_done_ && !head_sent_ ? times.response : times.idle_body);
}

void Http2ServerStream::on_timer() {
  if (exchange_) {
    exchange_->on_timeout();
    return;
  }
  // The answer is given and not taken.
  server_.session().reset(id_, http2::Code::cancel);
  server_.mark();
}

void Http2ServerStream::send_informational(int status, const http::Fields& fields) {
  if (closed_) return;
  server_.session().inform(id_, status, fields);
  server_.mark();
  set_timer();
}

void Http2ServerStream::send_head(const ResponseStart& head) {
  if (closed_) return;
  head_sent_ = true;
  const bool bodiless = head_.method == "HEAD" || head.status == 204 || head.status == 304;
  std::optional<std::uint64_t> length;
  if (head.body.kind == BodyLength::Kind::known) length = head.body.size;
  if (bodiless && head.announced_length) length = head.announced_length;
  if (head.status == 204) length.reset();
  const fmt::format_int digits(length.value_or(0));
  const http::Field last[] = {{"content-length", {digits.data(), digits.size()}}};
  const bool ends = bodiless || head.body.kind == BodyLength::Kind::none;
  const int status = head.status == 101 ? 200 : head.status;  // RFC 8441 §5
  server_.session().respond(id_, status, *head.fields,
                            length ? std::span<const http::Field>(last) : std::span<const http::Field>(),
                            ends ? http2::End::yes : http2::End::no);
  server_.mark();
  set_timer();
}

void Http2ServerStream::send_body(std::string_view bytes) {
  if (closed_) return;
  server_.session().send_data(id_, bytes);
  server_.mark();
  set_timer();
}

void Http2ServerStream::send_end(const http::Fields* trailers) {
  if (!closed_) {
    server_.session().send_end(id_, trailers);
    // The answer came before the request was read: the rest of it is not wanted.
    if (!request_done_) server_.session().stop_reading_after_response(id_);
    server_.mark();
    set_timer();
  }
  server_.house().loop.retire(std::move(exchange_));
}

void Http2ServerStream::abort() {
  if (!closed_) {
    server_.session().reset(id_, http2::Code::internal_error);
    server_.mark();
  }
  server_.house().loop.retire(std::move(exchange_));
}

void Http2ServerStream::resume_request() {
  if (!std::exchange(paused_, false) || closed_) return;
  server_.session().consume(id_, std::exchange(owed_, 0));
  server_.mark();
}

bool Http2ServerStream::is_congested() const {
  return !closed_ && server_.session().is_congested(id_);
}

}  // namespace bot_bottle::egress
