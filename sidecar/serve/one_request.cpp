#include "sidecar/serve/one_request.hpp"

#include <algorithm>
#include <utility>

#include "sidecar/http1/write.hpp"

namespace bot_bottle::serve {

OneRequest::OneRequest(net::Loop& loop, net::Stream stream, Bounds bounds)
    : bounds_(bounds), stream_(std::move(stream)), timer_(loop, [this] { on_timer(); }) {
  stream_.set_handler(this);
  stream_.start_reading();
  timer_.set(bounds_.head);
}

void OneRequest::on_timer() {
  if (state_ == State::lingering)
    close();
  else
    on_due();
}

void OneRequest::close() {
  if (std::exchange(state_, State::over) == State::over) return;
  timer_.clear();
  stream_.close();
  on_over();
}

void OneRequest::on_bytes(std::string_view bytes) {
  if (state_ != State::head && state_ != State::body) return;  // behind the request: dropped, see README
  input_.append(bytes);
  pump();
}

void OneRequest::pump() {
  if (std::exchange(pumping_, true)) return;
  while (state_ == State::head ? read_head() : state_ == State::body && !paused_ && read_body()) {
  }
  pumping_ = false;
  if (is_answered()) input_.clear();
  if (state_ == State::over) return;
  if (state_ == State::body && paused_ && input_.size() > bounds_.high_water)
    stream_.stop_reading();
  else
    stream_.start_reading();
}

void OneRequest::resume() {
  if (std::exchange(paused_, false)) pump();
}

bool OneRequest::read_head() {
  if (input_.empty()) return false;
  const http1::HeadResult result = http1::read_request_head(input_, progress_, head_);
  if (result.reading == http1::Reading::need_more) return false;
  if (result.reading == http1::Reading::bad) {
    on_bad_head(result.problem);
    return false;
  }
  input_.erase(0, result.size);
  body_left_ = head_.framing == http1::Framing::length ? head_.content_length : 0;
  state_ = State::body;
  on_head();
  if (state_ != State::body) return false;
  if (head_.expects_continue) {
    std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
    send(interim);
  }
  return state_ == State::body;
}

bool OneRequest::end_body() {
  state_ = State::answering;
  input_.clear();
  on_body_end();
  return false;
}

bool OneRequest::read_body() {
  if (head_.framing != http1::Framing::chunked) {
    if (body_left_ == 0) return end_body();
    if (input_.empty()) return false;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, input_.size()));
    body_left_ -= size;
    on_body(std::string_view(input_).substr(0, size));
    if (is_answered()) return false;
    input_.erase(0, size);
    return true;
  }
  std::string_view input = input_;
  std::string_view data;
  const http1::ChunkReader::Event event = chunks_.next(input, data);
  if (event == http1::ChunkReader::Event::bad) {
    on_bad_body();
    return false;
  }
  if (event == http1::ChunkReader::Event::end) return end_body();
  const std::size_t used = input_.size() - input.size();
  const bool is_data = event == http1::ChunkReader::Event::data;
  if (is_data) on_body(data);
  if (is_answered()) return false;
  input_.erase(0, used);
  return is_data;
}

void OneRequest::send(std::string& bytes) {
  if (state_ != State::over && stream_.write(bytes) != 0) close();
}

void OneRequest::send_whole(std::string head, std::string_view body) {
  if (is_answered()) return;
  http1::write_field(head, "content-length", std::to_string(body.size()));
  http1::write_field(head, "connection", "close");
  http1::write_head_end(head);
  head += body;
  send(head);
  linger();
}

void OneRequest::send_no_content(std::string head) {
  if (is_answered()) return;
  http1::write_field(head, "connection", "close");
  http1::write_head_end(head);
  send(head);
  linger();
}

void OneRequest::begin_pieces(std::string head) {
  if (is_answered()) return;
  if (head_.minor_version != 0) http1::write_field(head, "transfer-encoding", "chunked");
  http1::write_field(head, "connection", "close");
  http1::write_head_end(head);
  send(head);
}

void OneRequest::send_piece(std::string_view bytes) {
  if (is_answered() || bytes.empty()) return;
  std::string out;
  if (head_.minor_version != 0) {
    http1::write_chunk_begin(out, bytes.size());
    out.append(bytes).append("\r\n");
  } else {
    out = bytes;
  }
  send(out);
}

void OneRequest::end_pieces() {
  if (is_answered()) return;
  std::string out;
  if (head_.minor_version != 0) http1::write_last_chunk(out, nullptr);
  send(out);
  linger();
}

/// Our side ends; the peer's is read until it goes, or for as long as it is waited for.
void OneRequest::linger() {
  if (state_ == State::over) return;
  state_ = State::lingering;
  if (!pumping_) input_.clear();  // else on_body may still be looking at it
  stream_.finish();
  stream_.start_reading();
  timer_.set(bounds_.linger);
}

}  // namespace bot_bottle::serve
