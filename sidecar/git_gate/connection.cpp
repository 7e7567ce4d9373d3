#include "sidecar/git_gate/connection.hpp"

#include <fmt/format.h>

#include <utility>

#include "sidecar/git_gate/exchanges.hpp"
#include "sidecar/git_gate/gate.hpp"
#include "sidecar/http1/write.hpp"

namespace bot_bottle::git_gate {

Connection::Connection(Gate& gate, net::Stream stream)
    : OneRequest(gate.house().loop, std::move(stream),
                 {.head = gate.house().bounds.head,
                  .linger = gate.house().bounds.linger,
                  .high_water = gate.house().bounds.high_water}),
      gate_(gate) {}

Connection::~Connection() = default;

void Connection::on_over() {
  // The exchange goes with us, at the end of the turn: it may be the one that wrote, and go on after its write failed.
  // Found by AddressSanitizer in fetch_test.py: a_client_that_goes_away_leaves_no_process.
  gate_.remove(this);
}

void Connection::move_deadline() {
  if (state() == State::body || state() == State::answering) set_timer(gate_.house().bounds.idle);
}

void Connection::on_due() {
  // The upstream or the operator takes its time; a client that does not read is another matter.
  if (state() == State::answering && unsent() == 0) {
    move_deadline();
    return;
  }
  close();  // a head that trickles, a body or an answer that stands still
}

void Connection::on_drained() {
  move_deadline();
  if (exchange_ && state() != State::over) exchange_->on_drained();
}

void Connection::on_bad_head(http1::Problem problem) {
  refuse(400, fmt::format("bad request: {}\n", http1::text_of(problem)));
}

void Connection::on_head() {
  move_deadline();
  const auto coding = head().fields.find("content-encoding");
  if (coding && *coding != "identity") {
    const auto parsed = dlp::parse_coding(*coding);
    if (!parsed || *parsed != dlp::Coding::gzip) {
      refuse(415, "git-gate reads gzip and nothing else\n");
      return;
    }
    decoder_ = std::make_unique<dlp::ContentDecoder>(*parsed);
  }
  exchange_ = make_exchange(gate_, *this, head());
}

bool Connection::on_decoded(std::string_view bytes) {
  if (exchange_ && state() != State::over) exchange_->on_body(bytes);
  return exchange_ != nullptr && state() != State::over;
}

void Connection::on_body(std::string_view bytes) {
  move_deadline();
  if (!exchange_) return;
  if (!decoder_)
    exchange_->on_body(bytes);
  else if (decoder_->write(bytes, *this) == dlp::ContentDecoder::Outcome::bad)
    refuse(400, "the body is not the gzip that it is said to be\n");
}

void Connection::on_bad_body() {
  refuse(400, "bad request: the chunked body is not well formed\n");
}

void Connection::on_body_end() {
  move_deadline();
  if (exchange_) exchange_->on_body_end();
}

void Connection::refuse(int status, std::string_view text) {
  if (begun_) return;
  std::string out;
  http1::write_status_line(out, status, {});
  http1::write_field(out, "content-type", "text/plain");
  send_whole(std::move(out), text);
}

void Connection::begin(std::string_view content_type) {
  if (std::exchange(begun_, true)) return;
  std::string out;
  http1::write_status_line(out, 200, {});
  http1::write_field(out, "content-type", content_type);
  http1::write_field(out, "cache-control", "no-cache");
  begin_pieces(std::move(out));
}

void Connection::write(std::string_view bytes) {
  send_piece(bytes);
}

void Connection::end() {
  end_pieces();
}

}  // namespace bot_bottle::git_gate
