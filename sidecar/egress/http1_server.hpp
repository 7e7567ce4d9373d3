// Reads an agent's HTTP/1 requests from one connection and writes the answers, in order. Hostile input: every byte.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sidecar/egress/exchange.hpp"
#include "sidecar/http1/chunks.hpp"
#include "sidecar/http1/head.hpp"

namespace bot_bottle::egress {

/// Owned by its ClientConnection, which hands it the plain bytes. A pipelined request is parsed only when the one
/// before is answered, and is checked like the first (attacks A4, A9); nothing is ever forwarded that was not parsed.
class Http1Server final : public ServerSide, public ClientSide {
 public:
  Http1Server(House& house, tls::Channel& channel, const Origin& origin, Owner& owner);
  ~Http1Server() override;

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_gone(std::string_view why) override;
  void on_drained() override;

  /// Answers and ends; for refusals of a CONNECT.
  void answer_and_finish(const Refusal& refusal, std::string_view host, std::uint16_t port);
  /// The first request will be answered with 503, whatever it is.
  void turn_away() { turned_away_ = true; }

  void send_informational(int status, const http::Fields& fields) override;
  void send_head(const ResponseStart& head) override;
  void send_body(std::string_view bytes) override;
  void send_end(const http::Fields* trailers) override;
  void abort() override;
  void close_after_response() override { keep_alive_ = false; }
  void pause_request() override { paused_ = true; }
  void resume_request() override;
  [[nodiscard]] bool is_congested() const override { return channel_.unsent() > house_.high_water(); }

 private:
  enum class State : std::uint8_t { head, body, answering, switched, draining, over };
  void pump();
  bool step();
  bool read_head();
  bool read_body();
  bool read_switched();
  void resume_switched();
  void begin_exchange();
  void end_request();
  void answer_done();
  void next_request();
  void drop_exchange();
  void finish();
  void answer_bad(http1::Problem problem);
  void set_timer();
  void on_timer();

  House& house_;
  tls::Channel& channel_;
  const Origin& origin_;
  Owner& owner_;
  net::Timer timer_;
  State state_ = State::head;
  bool pumping_ = false;
  bool paused_ = false;
  bool peer_ended_ = false;
  bool turned_away_ = false;

  std::string kept_;       // read, not yet parsed
  std::string_view view_;  // what pump() works on
  http1::HeadProgress progress_;
  http1::RequestHead head_;
  http1::ChunkReader chunks_;
  std::uint64_t left_ = 0;
  std::uint64_t drained_ = 0;

  std::unique_ptr<Exchange> exchange_;
  bool request_done_ = false;
  bool response_done_ = false;
  bool keep_alive_ = true;
  bool head_sent_ = false;
  enum class Writing : std::uint8_t { none, length, chunked, until_close } writing_ = Writing::none;
};

}  // namespace bot_bottle::egress
