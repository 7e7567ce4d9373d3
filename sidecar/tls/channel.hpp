// A byte stream that may turn to TLS; what egress reads from and writes to on both sides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "sidecar/net/stream.hpp"
#include "sidecar/tls/session.hpp"

namespace bot_bottle::tls {

/// Callbacks, each inside a turn. Order: on_secured (only after start_tls), on_bytes…, then one of on_end and
/// on_failure. on_failure is the last call of all. on_drained comes whenever everything written has gone to the kernel.
class ChannelHandler {
 public:
  virtual ~ChannelHandler() = default;
  virtual void on_secured() {}
  /// Plain bytes, valid during the call.
  virtual void on_bytes(std::string_view bytes) = 0;
  /// The peer ended its side properly: FIN, in TLS close_notify. A FIN alone in TLS is a failure: who cuts a connection
  /// must not decide where a message ends (RFC 9112 §9.8).
  virtual void on_end() = 0;
  virtual void on_failure(std::string_view reason) = 0;
  virtual void on_drained() {}
};

class Channel final : public net::StreamHandler, public net::Flushable {
 public:
  /// `open`, if given, counts it while it lives.
  Channel(net::Loop& loop, net::Stream stream, std::uint64_t* open = nullptr);
  ~Channel() override;

  void set_handler(ChannelHandler* handler) { handler_ = handler; }
  void resume() {
    if (!ended_) stream_.start_reading();
  }
  void pause() { stream_.stop_reading(); }
  /// From here on TLS; `first` are bytes of the peer that were already read.
  void start_tls(std::unique_ptr<Session> session, std::string_view first);
  /// Sent at the end of the turn, large pieces encrypted at once. Never fails here: on_failure tells.
  void write(std::string_view bytes);
  /// Octets written and not yet in the kernel: stop producing above a limit.
  [[nodiscard]] std::size_t unsent() const;
  /// Ends our side (close_notify, FIN) after what was written.
  void finish();
  void close();
  [[nodiscard]] bool is_open() const { return stream_.is_open(); }
  [[nodiscard]] bool is_secure() const { return session_ != nullptr; }
  [[nodiscard]] Session* session() { return session_.get(); }

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_failure(int code) override;
  void on_drained() override;
  void flush() override;

 private:
  void decrypt(std::string_view records);
  void prepare_output();
  void encrypt_pending();
  void mark();
  void fail(std::string_view reason);
  std::string& output() { return session_ ? session_->output() : plain_; }

  net::Loop& loop_;
  net::Stream stream_;
  std::uint64_t* open_;
  ChannelHandler* handler_ = nullptr;
  std::unique_ptr<Session> session_;
  std::string plain_;  // written, not yet encrypted; without TLS: not yet sent
  bool secured_ = false;
  bool marked_ = false;
  bool finishing_ = false;
  bool finished_ = false;
  bool ended_ = false;
  bool failed_ = false;
};

}  // namespace bot_bottle::tls
