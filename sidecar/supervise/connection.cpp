#include "sidecar/supervise/connection.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sidecar/http1/write.hpp"

namespace bot_bottle::supervise {

Connection::Connection(Server& server, net::Stream stream)
    : OneRequest(server.loop(), std::move(stream), {.head = server.bounds().head, .linger = server.bounds().linger}),
      server_(server) {}

Connection::~Connection() {
  server_.buffered -= body_.size();
  server_.desk().detach(this);
  if (Session* session = server_.sessions().find(session_)) {
    session->calls -= std::min(session->calls, waiting_.size());
    if (counted_stream_) --session->streams;
  }
}

/// The client has gone, or has to: what it asked for stays asked (spec 06).
void Connection::on_over() {
  server_.remove(this);
}

void Connection::on_due() {
  // A head or a body that trickles, or a client that does not read.
  if (!is_streaming() || unsent() > server_.bounds().unsent) {
    close();
    return;
  }
  // Comments keep what lies between from giving up; progress keeps the client from it (spec 06).
  send_piece(": waiting\n\n");
  for (Waiting& waiting : waiting_) send_progress(waiting);
  set_timer(server_.bounds().progress);
}

void Connection::on_bad_head(http1::Problem problem) {
  const bool large = problem == http1::Problem::head_too_large || problem == http1::Problem::too_many_fields;
  refuse(large ? 431 : 400, RpcCode::refused, fmt::format("Bad Request: {}", http1::text_of(problem)));
}

void Connection::on_head() {
  if (!check_head()) return;
  if (head().framing == http1::Framing::length && head().content_length > server_.bounds().body_octets) {
    refuse(413, RpcCode::refused, "Content Too Large: a body has at most 1 MiB");
    return;
  }
  set_timer(server_.bounds().body);
}

void Connection::on_body(std::string_view bytes) {
  if (body_.size() + bytes.size() > server_.bounds().body_octets) {
    refuse(413, RpcCode::refused, "Content Too Large: a body has at most 1 MiB");
    return;
  }
  if (server_.buffered + bytes.size() > server_.bounds().all_bodies) {
    refuse(503, RpcCode::refused, "Service Unavailable: too many large requests at once");
    return;
  }
  server_.buffered += bytes.size();
  body_.append(bytes);
}

void Connection::on_bad_body() {
  refuse(400, RpcCode::refused, "Bad Request: the chunked body is not well formed");
}

void Connection::on_body_end() {
  if (head().method == "POST")
    on_post();
  else if (head().method == "GET")
    on_get();
  else
    on_delete();
}

void Connection::answer(int status, std::string_view content_type, std::string_view body, std::string_view extra_name,
                        std::string_view extra_value) {
  std::string out;
  http1::write_status_line(out, status, {});
  if (!content_type.empty()) http1::write_field(out, "content-type", content_type);
  if (!extra_name.empty()) http1::write_field(out, extra_name, extra_value);
  if (!new_session_.empty()) http1::write_field(out, "mcp-session-id", new_session_);
  http1::write_field(out, "cache-control", "no-store");
  if (status == 204)
    send_no_content(std::move(out));
  else
    send_whole(std::move(out), body);
}

void Connection::refuse(int status, RpcCode code, std::string_view message, std::string_view extra_name,
                        std::string_view extra_value) {
  answer(status, "application/json", json::serialize(rpc_error(nullptr, code, message)), extra_name, extra_value);
}

void Connection::begin_events() {
  std::string out;
  http1::write_status_line(out, 200, {});
  http1::write_field(out, "content-type", "text/event-stream");
  http1::write_field(out, "cache-control", "no-cache, no-transform");
  http1::write_field(out, "x-accel-buffering", "no");
  if (!new_session_.empty()) http1::write_field(out, "mcp-session-id", new_session_);
  streaming_ = true;
  begin_pieces(std::move(out));
  set_timer(server_.bounds().progress);
}

/// Serialised JSON has no line end, so a message is one `data` line.
void Connection::send_event(const json::object& message) {
  send_piece("event: message\ndata: " + json::serialize(message) + "\n\n");
}

void Connection::end_stream() {
  if (is_streaming()) end_pieces();
}

}  // namespace bot_bottle::supervise
