#include <fmt/format.h>

#include <array>
#include <utility>

#include "sidecar/egress/http2_client.hpp"

namespace bot_bottle::egress {
namespace {
constexpr unsigned max_informational = 16;
}

Http2ClientStream::~Http2ClientStream() {
  if (client_ == nullptr) return;
  if (id_ != 0 && !closed_) {
    client_->session().reset(id_, http2::Code::cancel);
    client_->mark();
  }
  client_->leave(id_, this);
}

void Http2ClientStream::send_head(const OutgoingRequest& request) {
  is_head_ = request.method == "HEAD";
  if (client_ == nullptr) return;
  const std::array<http::Field, 4> first = {{{":method", request.method},
                                             {":scheme", "https"},
                                             {":authority", request.authority},
                                             {":path", request.target}}};
  std::array<http::Field, 6> last;
  std::size_t count = 0;
  // Upstreams are asked for what can be scrubbed as it comes.
  last[count++] = {"accept-encoding", "identity"};
  const fmt::format_int length(request.body.size);
  if (request.body.kind == BodyLength::Kind::known) last[count++] = {"content-length", {length.data(), length.size()}};
  if (request.expects_continue) last[count++] = {"expect", "100-continue"};
  if (request.accepts_trailers) last[count++] = {"te", "trailers"};
  std::string lines;  // "name: value\r\n"
  if (request.credential != nullptr && request.credential->present()) {
    request.credential->write_to(lines);
    std::string_view rest = lines;
    while (!rest.empty()) {  // one, or two with the account
      const std::size_t colon = rest.find(": ");
      const std::size_t end = rest.find("\r\n");  // no credential has one in it: find_credential
      last[count++] = {rest.substr(0, colon), rest.substr(colon + 2, end - colon - 2)};
      rest.remove_prefix(end + 2);
    }
  }
  const bool ends = request.body.kind == BodyLength::Kind::none;
  id_ = client_->session().request(first, *request.fields, std::span(last.data(), count),
                                   ends ? http2::End::yes : http2::End::no);
  if (!lines.empty()) wipe(lines.data(), lines.size());
  if (id_ != 0) {
    client_->add(id_, this);
    client_->mark();
    return;
  }
  // It was full, or is going away, since it was chosen: told when the turn ends, as everything is.
  closed_ = true;
  client_->refuse_later(this);
}

void Http2ClientStream::send_body(std::string_view bytes) {
  if (client_ == nullptr || closed_) return;
  client_->session().send_data(id_, bytes);
  client_->mark();
}

void Http2ClientStream::send_end(const http::Fields* trailers) {
  if (client_ == nullptr || closed_) return;
  client_->session().send_end(id_, trailers);
  client_->mark();
}

void Http2ClientStream::resume_response() {
  if (!std::exchange(paused_, false) || client_ == nullptr || closed_) return;
  client_->session().consume(id_, std::exchange(owed_, 0));
  client_->mark();
}

bool Http2ClientStream::is_congested() const {
  return client_ != nullptr && !closed_ && client_->session().is_congested(id_);
}

void Http2ClientStream::on_head(http2::Head& head, http2::End end) {
  if (handler_ == nullptr) return;
  answered_ = true;
  ResponseStart start;
  start.status = head.status;
  start.fields = &head.fields;
  start.announced_length = head.content_length;
  const bool bodiless = is_head_ || head.status == 204 || head.status == 304 || end == http2::End::yes;
  if (!bodiless && head.content_length) {
    start.body = {BodyLength::Kind::known, *head.content_length};
  } else if (!bodiless) {
    start.body = {BodyLength::Kind::unknown, 0};
  }
  handler_->on_response_head(start);
  if (end == http2::End::yes) on_end(nullptr);
}

void Http2ClientStream::on_informational(http2::Head& head) {
  if (handler_ == nullptr) return;
  answered_ = true;
  if (++informational_ > max_informational) {
    fail("the upstream sent too many interim answers", UpstreamHandler::Progress::answered);
    return;
  }
  handler_->on_informational(head.status, head.fields);
}

void Http2ClientStream::on_data(std::string_view bytes) {
  if (handler_ != nullptr) handler_->on_response_body(bytes);
  owed_ += bytes.size();
  if (!paused_ && client_ != nullptr) client_->session().consume(id_, std::exchange(owed_, 0));
}

void Http2ClientStream::on_end(http::Fields* trailers) {
  if (UpstreamHandler* handler = std::exchange(handler_, nullptr)) handler->on_response_end(trailers);
}

void Http2ClientStream::on_drained() {
  if (handler_ != nullptr) handler_->on_upstream_drained();
}

void Http2ClientStream::fail(std::string_view reason, UpstreamHandler::Progress progress) {
  if (UpstreamHandler* handler = std::exchange(handler_, nullptr)) handler->on_upstream_failure(reason, progress);
}

void Http2ClientStream::on_closed(http2::Code code) {
  closed_ = true;
  using Progress = UpstreamHandler::Progress;
  if (code == http2::Code::refused_stream && !answered_) {
    fail("the upstream refused the request", Progress::unprocessed);
  } else if (problem_ != http2::Problem::none) {
    fail(fmt::format("the upstream's answer is malformed: {}", http2::text_of(problem_)), Progress::answered);
  } else {
    fail(fmt::format("the upstream reset the request (HTTP/2 error {})", static_cast<unsigned>(code)),
         answered_ ? Progress::answered : Progress::nothing_came);
  }
}

void Http2ClientStream::on_lost(std::string_view reason) {
  client_ = nullptr;
  closed_ = true;
  fail(reason, answered_ ? UpstreamHandler::Progress::answered : UpstreamHandler::Progress::nothing_came);
}

}  // namespace bot_bottle::egress
