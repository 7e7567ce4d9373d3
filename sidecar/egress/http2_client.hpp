// A connection to an upstream that speaks HTTP/2; exchanges of one route and credential share it, a stream each.
// Hostile input: everything the upstream sends.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "sidecar/egress/house.hpp"
#include "sidecar/egress/sides.hpp"
#include "sidecar/http2/session.hpp"
#include "sidecar/tls/channel.hpp"

namespace bot_bottle::egress {

class Http2ClientStream;

/// Owned by the pool.
class Http2Client final : public net::Retirable,
                          public tls::ChannelHandler,
                          public http2::SessionHandler,
                          public net::Flushable {
 public:
  /// `on_change`: it may be done. May be called from inside any of its functions but the constructor.
  Http2Client(House& house, std::unique_ptr<tls::Channel> channel, std::string key, std::function<void()> on_change);
  ~Http2Client() override;

  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] bool can_open() const { return !stopping_ && !failed_ && session_.can_request(); }
  /// A stream for one exchange.
  std::unique_ptr<Upstream> open();
  void open_no_more() { stopping_ = true; }
  /// Broken, or no more wanted and without streams: to be retired.
  [[nodiscard]] bool is_done() const { return failed_ || (stopping_ && open_streams() == 0); }
  [[nodiscard]] std::size_t open_streams() const { return users_.size(); }
  [[nodiscard]] std::uint64_t idle_since_ms() const { return idle_since_ms_; }

  // For its streams.
  [[nodiscard]] House& house() { return house_; }
  [[nodiscard]] http2::Session& session() { return session_; }
  void add(http2::StreamId id, Http2ClientStream* stream) { streams_[id] = stream; }
  void leave(http2::StreamId id, Http2ClientStream* stream);
  /// It could not be opened after all: told when the turn ends, because its exchange is still sending.
  void refuse_later(Http2ClientStream* stream);
  void mark();

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_failure(std::string_view reason) override;
  void on_drained() override { mark(); }
  void flush() override;

  void on_head(http2::StreamId id, http2::Head& head, http2::End end) override;
  void on_informational(http2::StreamId id, http2::Head& head) override;
  void on_data(http2::StreamId id, std::string_view bytes) override;
  void on_end(http2::StreamId id, http::Fields* trailers) override;
  void on_closed(http2::StreamId id, bool clean, http2::Code code) override;
  void on_stream_drained(http2::StreamId id) override;
  void on_bad_head(http2::StreamId id, http2::Problem problem) override;
  void on_goaway() override { stopping_ = true; }

 private:
  Http2ClientStream* find(http2::StreamId id);
  void fail(std::string_view reason);

  House& house_;
  std::unique_ptr<tls::Channel> channel_;
  std::string key_;
  std::function<void()> on_change_;
  http2::Session session_;
  std::unordered_map<http2::StreamId, Http2ClientStream*> streams_;
  std::unordered_set<Http2ClientStream*> users_;  // opened or not
  std::vector<Http2ClientStream*> refused_;
  std::uint64_t idle_since_ms_ = 0;
  bool stopping_ = false;
  bool failed_ = false;
  bool marked_ = false;
};

/// One request on it. Outlived by the connection as long as `client_` is set.
class Http2ClientStream final : public Upstream {
 public:
  explicit Http2ClientStream(Http2Client& client) : client_(&client) {}
  ~Http2ClientStream() override;

  void set_handler(UpstreamHandler* handler) override { handler_ = handler; }
  [[nodiscard]] bool may_refuse() const override { return true; }
  void send_head(const OutgoingRequest& request) override;
  void send_body(std::string_view bytes) override;
  void send_end(const http::Fields* trailers) override;
  void pause_response() override { paused_ = true; }
  void resume_response() override;
  [[nodiscard]] bool is_congested() const override;

  void on_head(http2::Head& head, http2::End end);
  void on_informational(http2::Head& head);
  void on_data(std::string_view bytes);
  void on_end(http::Fields* trailers);
  void on_drained();
  void on_bad_head(http2::Problem problem) { problem_ = problem; }
  void on_closed(http2::Code code);
  /// The connection is gone, and this must not call it again.
  void on_lost(std::string_view reason);

 private:
  void fail(std::string_view reason, UpstreamHandler::Progress progress);

  Http2Client* client_;
  http2::StreamId id_ = 0;
  UpstreamHandler* handler_ = nullptr;
  bool is_head_ = false;
  bool answered_ = false;
  bool paused_ = false;
  bool closed_ = false;
  std::size_t owed_ = 0;  // octets of the response that the upstream gets no credit for yet
  unsigned informational_ = 0;
  http2::Problem problem_ = http2::Problem::none;
};

}  // namespace bot_bottle::egress
