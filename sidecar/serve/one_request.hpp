// One connection of an agent's HTTP/1 client: one request, one answer, the end. Hostile input: every octet.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "sidecar/http1/chunks.hpp"
#include "sidecar/http1/head.hpp"
#include "sidecar/net/stream.hpp"
#include "sidecar/net/timer.hpp"

namespace bot_bottle::serve {

struct Bounds {
  std::chrono::milliseconds head{10'000};           // until the head is whole
  std::chrono::milliseconds linger{5'000};          // for the peer to go, once it has its answer
  std::size_t high_water = std::size_t{256} << 10;  // octets kept while the body is paused, before reading stops
};

/// Owned by the server it serves; `on_over` is where it is taken out of it, and it dies at the end of that turn.
class OneRequest : public net::Retirable, public net::StreamHandler {
 public:
  OneRequest(net::Loop& loop, net::Stream stream, Bounds bounds);
  ~OneRequest() override = default;
  OneRequest(const OneRequest&) = delete;
  OneRequest& operator=(const OneRequest&) = delete;

  // StreamHandler
  void on_bytes(std::string_view bytes) final;
  /// Neither of our clients half-closes: one that has ended has gone.
  void on_end() final { close(); }
  void on_failure(int /*code*/) final { close(); }
  void on_drained() override {}

  /// Ends it at once; what is unsent is dropped.
  void close();

 protected:
  enum class State : std::uint8_t { head, body, answering, lingering, over };

  // What is made of it. Each may answer, or close.
  /// The head is read; its body follows, if only by its end. Answering here leaves the body unread.
  virtual void on_head() = 0;
  virtual void on_bad_head(http1::Problem problem) = 0;
  /// Octets without the framing; not called while paused.
  virtual void on_body(std::string_view bytes) = 0;
  virtual void on_bad_body() = 0;
  /// The state is `answering`.
  virtual void on_body_end() = 0;
  /// The timer, in any state but `lingering`.
  virtual void on_due() = 0;
  /// Called once. The owner retires it.
  virtual void on_over() = 0;

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] const http1::RequestHead& head() const { return head_; }
  [[nodiscard]] std::size_t unsent() const { return stream_.unsent(); }
  /// From now on, in place of what was set: the head's time until on_head.
  void set_timer(std::chrono::milliseconds delay) { timer_.set(delay); }
  void pause() { paused_ = true; }
  void resume();

  // The answer. `head` is a status line and fields, to which the frame's own are added here.
  void send_whole(std::string head, std::string_view body);
  /// Without a body (RFC 9110 §15.3.5).
  void send_no_content(std::string head);
  void begin_pieces(std::string head);
  void send_piece(std::string_view bytes);
  void end_pieces();

 private:
  void pump();
  bool read_head();
  bool read_body();
  bool end_body();
  void on_timer();
  void send(std::string& bytes);
  void linger();
  [[nodiscard]] bool is_answered() const { return state_ == State::lingering || state_ == State::over; }

  Bounds bounds_;
  net::Stream stream_;
  net::Timer timer_;
  State state_ = State::head;
  std::string input_;
  http1::HeadProgress progress_;
  http1::RequestHead head_;
  http1::ChunkReader chunks_;
  std::uint64_t body_left_ = 0;
  bool paused_ = false;
  bool pumping_ = false;
};

}  // namespace bot_bottle::serve
