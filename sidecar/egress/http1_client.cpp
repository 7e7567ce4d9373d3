#include "sidecar/egress/http1_client.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sidecar/http1/write.hpp"
#include "sidecar/websocket/handshake.hpp"

namespace bot_bottle::egress {
namespace {
constexpr unsigned max_informational = 16;
}

Http1Client::Http1Client(House& house, std::unique_ptr<tls::Channel> channel)
    : house_(house), channel_(std::move(channel)) {
  channel_->set_handler(this);
}

bool Http1Client::is_reusable() const {
  return state_ == State::done && request_sent_ && keep_alive_ && !ended_ && input_.empty() && channel_->is_open();
}

void Http1Client::send_head(const OutgoingRequest& request) {
  method_.assign(request.method);
  request_body_ = request.body;
  request_sent_ = false;
  answered_ = false;
  informational_ = 0;
  state_ = State::head;
  progress_ = {};
  std::string head = house_.loop.take_buffer();
  http1::write_request_line(head, request.method, request.target, request.authority);
  http1::write_fields(head, *request.fields);
  // Upstreams are asked for what can be scrubbed as it comes.
  http1::write_field(head, "accept-encoding", "identity");
  if (request.body.kind == BodyLength::Kind::known)
    http1::write_field(head, "content-length", fmt::format_int(request.body.size).c_str());
  if (request.body.kind == BodyLength::Kind::unknown) http1::write_field(head, "transfer-encoding", "chunked");
  if (request.expects_continue) http1::write_field(head, "expect", "100-continue");
  websocket_key_ = request.websocket_key;
  if (!websocket_key_.empty()) {
    websocket_protocols_.assign(request.fields->find("sec-websocket-protocol").value_or(""));
    http1::write_field(head, "connection", "Upgrade");
    http1::write_field(head, "upgrade", "websocket");
    http1::write_field(head, "sec-websocket-version", "13");
    http1::write_field(head, "sec-websocket-key", websocket_key_);
  }
  if (request.credential != nullptr) request.credential->write_to(head);
  http1::write_head_end(head);
  channel_->write(head);
  if (request.credential != nullptr && request.credential->present()) wipe(head.data(), head.size());
  house_.loop.give_buffer(std::move(head));
}

void Http1Client::send_body(std::string_view bytes) {
  if (bytes.empty() || state_ == State::broken) return;
  if (request_body_.kind != BodyLength::Kind::unknown) {
    channel_->write(bytes);
    return;
  }
  std::string begin;
  http1::write_chunk_begin(begin, bytes.size());
  channel_->write(begin);
  channel_->write(bytes);
  channel_->write("\r\n");
}

void Http1Client::send_end(const http::Fields* trailers) {
  request_sent_ = true;
  if (request_body_.kind != BodyLength::Kind::unknown || state_ == State::broken) return;
  std::string end;
  http1::write_last_chunk(end, trailers);
  channel_->write(end);
}

void Http1Client::pause_response() {
  channel_->pause();
}

void Http1Client::resume_response() {
  channel_->resume();
}

void Http1Client::fail(std::string_view reason) {
  if (state_ == State::broken) return;
  state_ = State::broken;
  channel_->pause();
  if (UpstreamHandler* handler = std::exchange(handler_, nullptr)) {
    handler->on_upstream_failure(
        reason, answered_ ? UpstreamHandler::Progress::answered : UpstreamHandler::Progress::nothing_came);
  } else if (on_idle_event) {
    const auto event = on_idle_event;  // it may take this object out of the pool
    event();
  }
}

void Http1Client::on_bytes(std::string_view bytes) {
  if (state_ == State::broken) return;
  if (state_ == State::idle || state_ == State::done) {
    // Octets nobody asked for: the next exchange would take them for its answer (response smuggling).
    fail("the upstream sent more than a response");
    return;
  }
  // Dropped in the midst of an answer: one read of the socket may bring several TLS records, and the ones behind still
  // arrive here before this object goes (inbound_test: a_long_answer_is_cut_before_the_attempt_is_delivered).
  if (handler_ == nullptr) return;
  answered_ = true;
  if (state_ == State::switched) {
    if (handler_ != nullptr) handler_->on_response_body(bytes);
    return;
  }
  if (input_.empty()) {
    read(bytes);
  } else {
    std::string all = std::exchange(input_, {});
    all.append(bytes);
    read(all);
  }
}

void Http1Client::read(std::string_view bytes) {
  while (true) {
    if (state_ == State::head) {
      if (!read_head(bytes)) break;
    } else if (state_ == State::body) {
      if (!read_body(bytes)) break;
    } else {
      break;
    }
  }
  if (state_ == State::head && !bytes.empty()) input_.assign(bytes);
}

/// False: more octets are needed, or it is over.
bool Http1Client::read_head(std::string_view& bytes) {
  const http1::HeadResult result = http1::read_response_head(bytes, progress_, head_);
  if (result.reading == http1::Reading::need_more) return false;
  if (result.reading == http1::Reading::bad) {
    fail(fmt::format("the upstream's answer is malformed: {}", http1::text_of(result.problem)));
    return false;
  }
  bytes.remove_prefix(result.size);
  progress_ = {};
  if (head_.status == 101) return switch_protocols(bytes);
  if (head_.status < 200) {
    if (++informational_ > max_informational) {
      fail("the upstream sent too many interim answers");
      return false;
    }
    handler_->on_informational(head_.status, head_.fields);
    return handler_ != nullptr;
  }
  framing_ = http1::response_framing(head_, method_);
  keep_alive_ = head_.keep_alive && framing_ != http1::Framing::until_close;
  left_ = head_.content_length;
  chunks_.reset();
  ResponseStart start;
  start.status = head_.status;
  start.reason = head_.reason;
  start.fields = &head_.fields;
  if (head_.framing == http1::Framing::length) start.announced_length = head_.content_length;
  switch (framing_) {
    case http1::Framing::none:
      break;
    case http1::Framing::length:
      start.body = {BodyLength::Kind::known, head_.content_length};
      break;
    case http1::Framing::chunked:
    case http1::Framing::until_close:
      start.body = {BodyLength::Kind::unknown, 0};
      break;
  }
  // What follows a response without a body belongs to no request: it is seen before the exchange may give us back.
  const bool ends_here = framing_ == http1::Framing::none || (framing_ == http1::Framing::length && left_ == 0);
  if (ends_here && !bytes.empty()) keep_alive_ = false;
  state_ = State::body;
  handler_->on_response_head(start);
  if (handler_ == nullptr) return false;
  if (ends_here) {
    end_response(nullptr);
    return false;
  }
  return true;
}

bool Http1Client::switch_protocols(std::string_view& bytes) {
  const bool agreed =
      !websocket_key_.empty() && websocket::is_upgrade_response(head_.fields, websocket_key_, websocket_protocols_);
  if (!agreed) {
    fail(websocket_key_.empty() ? "the upstream switched protocols without being asked"
                                : "the upstream's WebSocket handshake is malformed");
    return false;
  }
  state_ = State::switched;
  keep_alive_ = false;
  ResponseStart start;
  start.status = head_.status;
  start.fields = &head_.fields;
  start.body = {BodyLength::Kind::unknown, 0};
  handler_->on_response_head(start);
  if (handler_ != nullptr && !bytes.empty()) handler_->on_response_body(bytes);
  bytes = {};
  return false;
}

bool Http1Client::read_body(std::string_view& bytes) {
  if (bytes.empty()) return false;
  switch (framing_) {
    case http1::Framing::none:
      return false;
    case http1::Framing::until_close:
      handler_->on_response_body(bytes);
      bytes = {};
      return false;
    case http1::Framing::length: {
      const auto take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      const std::string_view piece = bytes.substr(0, take);
      bytes.remove_prefix(take);
      left_ -= take;
      if (left_ == 0 && !bytes.empty()) keep_alive_ = false;
      handler_->on_response_body(piece);
      if (handler_ != nullptr && left_ == 0) end_response(nullptr);
      return false;
    }
    case http1::Framing::chunked:
      break;
  }
  std::string_view piece;
  switch (chunks_.next(bytes, piece)) {
    case http1::ChunkReader::Event::need_more:
      return false;
    case http1::ChunkReader::Event::data:
      handler_->on_response_body(piece);
      return handler_ != nullptr;
    case http1::ChunkReader::Event::end: {
      if (!bytes.empty()) keep_alive_ = false;
      http::Fields trailers = chunks_.trailers();
      end_response(&trailers);
      return false;
    }
    case http1::ChunkReader::Event::bad:
      fail(fmt::format("the upstream's answer is malformed: {}", http1::text_of(chunks_.problem())));
      return false;
  }
  return false;
}

void Http1Client::end_response(http::Fields* trailers) {
  state_ = State::done;
  // The exchange may hand this connection to the pool inside the call: nothing of it is touched afterwards.
  if (UpstreamHandler* handler = std::exchange(handler_, nullptr)) handler->on_response_end(trailers);
}

void Http1Client::on_end() {
  ended_ = true;
  if (state_ == State::switched || (state_ == State::body && framing_ == http1::Framing::until_close)) {
    end_response(nullptr);
    return;
  }
  fail(answered_ ? "the upstream ended in the middle of its answer" : "the upstream closed without an answer");
}

void Http1Client::on_failure(std::string_view reason) {
  ended_ = true;
  fail(reason);
}

void Http1Client::on_drained() {
  if (handler_ != nullptr) handler_->on_upstream_drained();
}

}  // namespace bot_bottle::egress
