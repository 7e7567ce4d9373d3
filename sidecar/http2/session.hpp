// One end of one HTTP/2 connection over nghttp2: octets in, octets out, streams by number. No socket.
// Hostile input: every octet fed. Never throws; what the peer may not do ends the stream or the connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "sidecar/http/fields.hpp"
#include "sidecar/http2/head.hpp"

namespace bot_bottle::http2 {

using StreamId = std::int32_t;

enum class Role : std::uint8_t { server, client };
/// Whether something is the last of its message.
enum class End : std::uint8_t { no, yes };

/// RFC 9113 §7, those that we say.
enum class Code : std::uint32_t {
  no_error = 0x0,
  protocol_error = 0x1,
  internal_error = 0x2,
  refused_stream = 0x7,
  cancel = 0x8,
  enhance_your_calm = 0xb,
};

/// Called from inside Session::feed and Session::pull; may call the session's other functions, and must not destroy it.
/// Order per stream: on_informational*, on_head, on_data*, on_end (with on_head when that had End::yes: then no on_end
/// follows); on_closed is the last, and comes for every stream that on_head or Session::request has named.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  /// A request (server) or a final response (client). `head` may be moved from.
  virtual void on_head(StreamId stream, Head& head, End end) = 0;
  virtual void on_informational(StreamId stream, Head& head) = 0;
  /// Credit the octets with Session::consume when they may be followed by more.
  virtual void on_data(StreamId stream, std::string_view bytes) = 0;
  virtual void on_end(StreamId stream, http::Fields* trailers) = 0;
  /// `clean`: both messages were complete. `code` is what the peer, or nghttp2 for it, has said.
  virtual void on_closed(StreamId stream, bool clean, Code code) = 0;
  /// What was written on the stream has gone out far enough; see Session::is_congested.
  virtual void on_stream_drained(StreamId stream) = 0;
  /// A field section that was refused; the stream is reset.
  virtual void on_bad_head(StreamId stream, Problem problem) = 0;
  /// Client: no new streams on this connection.
  virtual void on_goaway() = 0;
};

struct SessionOptions {
  Role role = Role::server;
  std::uint32_t max_streams = 100;
  std::uint32_t stream_window = std::uint32_t{128} << 10;
  /// Octets of the peer that wait in paused streams, all together; beyond, the connection's window closes too.
  std::size_t max_held = std::size_t{8} << 20;
  std::size_t congested_at = std::size_t{256} << 10;
  bool extended_connect = false;  // server: offer RFC 8441
};

class Session {
 public:
  Session(const SessionOptions& options, SessionHandler& handler);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// Reads octets of the peer. Afterwards pull what is to be sent, then see is_over().
  void feed(std::string_view bytes, std::uint64_t now_ms);
  /// Appends the next frame to `out`; false: there is nothing to send now.
  bool pull(std::string& out);
  /// Nothing more will come or go: what pull gave is to be sent, and the connection closed.
  [[nodiscard]] bool is_over() const;
  /// Why it ended, when not in peace.
  [[nodiscard]] const std::string& failure() const;

  /// Client: opens a stream, or 0. `first` are the pseudo-header fields, `last` go after `fields`; those are never put
  /// into a compression table (credentials).
  StreamId request(std::span<const http::Field> first, const http::Fields& fields, std::span<const http::Field> last,
                   End end);
  /// Client: may another stream be opened now?
  [[nodiscard]] bool can_request() const;
  /// Server: an interim (End::no, before the final one) or the final response.
  void inform(StreamId stream, int status, const http::Fields& fields);
  void respond(StreamId stream, int status, const http::Fields& fields, std::span<const http::Field> last, End end);
  void send_data(StreamId stream, std::string_view bytes);
  void send_end(StreamId stream, const http::Fields* trailers);
  void reset(StreamId stream, Code code);
  /// Server: ends the stream once the response is out, although the request is not complete (§8.1).
  void stop_reading_after_response(StreamId stream);
  /// Gives the peer credit for `size` octets of on_data.
  void consume(StreamId stream, std::size_t size);
  /// More than `congested_at` octets wait in the stream: stop producing until on_stream_drained.
  [[nodiscard]] bool is_congested(StreamId stream) const;
  [[nodiscard]] std::size_t open_streams() const;
  /// A header block, or the connection preface, has begun and is not complete.
  [[nodiscard]] bool is_in_head() const;
  /// Says GOAWAY; the connection is over once that is out.
  void end(Code code);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace bot_bottle::http2
