// A connection to an upstream that speaks HTTP/1.1. Hostile input: everything the upstream sends.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "sidecar/egress/house.hpp"
#include "sidecar/egress/sides.hpp"
#include "sidecar/http1/chunks.hpp"
#include "sidecar/http1/head.hpp"
#include "sidecar/tls/channel.hpp"

namespace bot_bottle::egress {

/// Owned by its exchange while in use, by the pool while idle. One request at a time: nothing is pipelined to
/// upstreams.
class Http1Client final : public Upstream, public tls::ChannelHandler {
 public:
  Http1Client(House& house, std::unique_ptr<tls::Channel> channel);

  void set_handler(UpstreamHandler* handler) override { handler_ = handler; }
  [[nodiscard]] bool is_reusable() const override;
  void start() override { channel_->resume(); }

  void send_head(const OutgoingRequest& request) override;
  void send_body(std::string_view bytes) override;
  void send_end(const http::Fields* trailers) override;
  void pause_response() override;
  void resume_response() override;
  [[nodiscard]] bool is_congested() const override { return channel_->unsent() > house_.high_water(); }

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_failure(std::string_view reason) override;
  void on_drained() override;

 private:
  enum class State : std::uint8_t { idle, head, body, switched, done, broken };
  void read(std::string_view bytes);
  bool read_head(std::string_view& bytes);
  bool read_body(std::string_view& bytes);
  bool switch_protocols(std::string_view& bytes);
  void end_response(http::Fields* trailers);
  void fail(std::string_view reason);

  House& house_;
  std::unique_ptr<tls::Channel> channel_;
  UpstreamHandler* handler_ = nullptr;
  State state_ = State::idle;
  std::string method_;
  std::string websocket_key_;
  std::string websocket_protocols_;  // that were offered
  BodyLength request_body_;
  bool request_sent_ = false;
  bool keep_alive_ = true;
  bool answered_ = false;
  bool ended_ = false;  // the upstream has ended its side
  std::string input_;
  http1::HeadProgress progress_;
  http1::ResponseHead head_;
  http1::Framing framing_ = http1::Framing::none;
  std::uint64_t left_ = 0;
  http1::ChunkReader chunks_;
  unsigned informational_ = 0;
};

}  // namespace bot_bottle::egress
