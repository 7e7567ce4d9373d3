// One request of an agent's HTTP/2 connection and its answer.
#pragma once

#include <memory>

#include "sidecar/egress/exchange.hpp"
#include "sidecar/egress/sides.hpp"
#include "sidecar/http2/session.hpp"
#include "sidecar/net/timer.hpp"

namespace bot_bottle::egress {

class Http2Server;

/// Owned by its Http2Server, which drops it when the stream is closed on both sides.
class Http2ServerStream final : public net::Retirable, public ClientSide {
 public:
  Http2ServerStream(Http2Server& server, http2::StreamId id, http2::Head head);
  ~Http2ServerStream() override;

  void begin(http2::End end);
  void on_data(std::string_view bytes);
  void on_end(http::Fields* trailers);
  void on_drained();
  /// The stream is gone; nothing is sent on it any more.
  void close(std::string_view why);

  void send_informational(int status, const http::Fields& fields) override;
  void send_head(const ResponseStart& head) override;
  void send_body(std::string_view bytes) override;
  void send_end(const http::Fields* trailers) override;
  void abort() override;
  /// In HTTP/1 a request that was not understood leaves it open where the next one begins; here only its stream ends.
  void close_after_response() override {}
  void pause_request() override { paused_ = true; }
  void resume_request() override;
  [[nodiscard]] bool is_congested() const override;

 private:
  void set_timer();
  void on_timer();

  Http2Server& server_;
  http2::StreamId id_;
  http2::Head head_;
  std::unique_ptr<Exchange> exchange_;
  net::Timer timer_;
  std::size_t owed_ = 0;  // octets of the request that the agent gets no credit for yet
  bool paused_ = false;
  bool request_done_ = false;
  bool head_sent_ = false;
  bool closed_ = false;
};

}  // namespace bot_bottle::egress
