// Reads an agent's HTTP/2 requests from one connection; each stream is an exchange of its own, decided on its own (A9).
// Hostile input: every octet.
#pragma once

#include <memory>
#include <unordered_map>

#include "sidecar/egress/house.hpp"
#include "sidecar/egress/http2_server_stream.hpp"
#include "sidecar/egress/sides.hpp"
#include "sidecar/http2/session.hpp"
#include "sidecar/net/timer.hpp"
#include "sidecar/tls/channel.hpp"

namespace bot_bottle::egress {

/// Frames are made at the end of a turn, and no more of them than the channel takes: what an agent does not read waits
/// in its streams, and their exchanges are told.
class Http2Server final : public ServerSide, public http2::SessionHandler, public net::Flushable {
 public:
  Http2Server(House& house, tls::Channel& channel, const Origin& origin, Owner& owner);
  ~Http2Server() override;

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_gone(std::string_view why) override;
  void on_drained() override { mark(); }
  void flush() override;

  void on_head(http2::StreamId id, http2::Head& head, http2::End end) override;
  void on_informational(http2::StreamId /*id*/, http2::Head& /*head*/) override {}
  void on_data(http2::StreamId id, std::string_view bytes) override;
  void on_end(http2::StreamId id, http::Fields* trailers) override;
  void on_closed(http2::StreamId id, bool clean, http2::Code code) override;
  void on_stream_drained(http2::StreamId id) override;
  void on_bad_head(http2::StreamId id, http2::Problem problem) override;
  void on_goaway() override {}

  // For its streams.
  [[nodiscard]] House& house() { return house_; }
  [[nodiscard]] const Origin& origin() const { return origin_; }
  [[nodiscard]] http2::Session& session() { return session_; }
  /// Something is to be sent.
  void mark();

 private:
  Http2ServerStream* find(http2::StreamId id);
  void set_timer();
  void on_timer();
  void finish();
  void drop_streams(std::string_view why);
  void note(std::string_view reason);

  House& house_;
  tls::Channel& channel_;
  const Origin& origin_;
  Owner& owner_;
  net::Timer timer_;
  http2::Session session_;
  std::unordered_map<http2::StreamId, std::unique_ptr<Http2ServerStream>> streams_;
  Standing standing_ = Standing::idle;
  bool marked_ = false;
  bool over_ = false;
  enum class Waiting : std::uint8_t { nothing, head, idle } waiting_ = Waiting::nothing;
};

}  // namespace bot_bottle::egress
