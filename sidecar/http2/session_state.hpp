// What a session keeps, and what nghttp2 calls. Internal to this room. Hostile input: every argument of a callback.
#pragma once

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sidecar/http2/flood.hpp"
#include "sidecar/http2/session.hpp"

namespace bot_bottle::http2 {
inline constexpr std::size_t max_section_octets = std::size_t{256} << 10;  // with what is dropped: HPACK bombs end here
inline constexpr std::size_t compact_above = std::size_t{64} << 10;

struct SessionFree {
  void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
};

/// nghttp2 does not write through these pointers; it copies.
inline std::uint8_t* octets_of(std::string_view text) {
  return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
}

inline nghttp2_nv pair_of(const http::Field& field, std::uint8_t flags) {
  return {octets_of(field.name), octets_of(field.value), field.name.size(), field.value.size(), flags};
}

struct Session::State {
  struct Stream {
    std::string out;
    std::size_t out_at = 0;  // octets of `out` that have gone
    bool out_ended = false;
    bool out_submitted = false;  // final head
    bool congested = false;      // was asked and said so: a drain is to be told
    bool head_done = false;
    bool in_ended = false;
    bool bad = false;
    bool named = false;  // the handler knows it
    bool stop_after_response = false;
    std::size_t held = 0;  // octets given to the handler, not yet credited
    std::optional<http::Fields> trailers_out;
    http::Fields trailers_in;
    bool has_trailers_in = false;
    [[nodiscard]] std::size_t waiting() const { return out.size() - out_at; }
  };

  State(const SessionOptions& the_options, SessionHandler& the_handler)
      : options(the_options),
        handler(the_handler),
        flood(options.role == Role::server ? FloodGuard::Preface::expected : FloodGuard::Preface::none) {}

  SessionOptions options;
  SessionHandler& handler;
  FloodGuard flood;
  std::unique_ptr<nghttp2_session, SessionFree> session;
  std::unordered_map<StreamId, Stream> streams;
  HeadReader reader;  // of the one field section that can be open
  std::vector<nghttp2_nv> pairs;
  std::vector<StreamId> drained;
  std::string failure;
  std::size_t held = 0;      // of all streams
  std::size_t withheld = 0;  // of the connection's window
  bool fatal = false;
  bool greeted = false;  // the peer's first frame was read
  bool goaway = false;
  bool feeding = false;

  Stream* find(StreamId id) {
    const auto found = streams.find(id);
    return found == streams.end() ? nullptr : &found->second;
  }

  void calm(std::string_view why) {
    if (failure.empty()) failure = why;
    nghttp2_session_terminate_session(session.get(), NGHTTP2_ENHANCE_YOUR_CALM);
  }

  void reset(StreamId id, Code code) {
    nghttp2_submit_rst_stream(session.get(), NGHTTP2_FLAG_NONE, id, static_cast<std::uint32_t>(code));
  }

  /// The peer's fault: costs it.
  void refuse_section(StreamId id, Stream& stream) {
    stream.bad = true;
    handler.on_bad_head(id, reader.problem());
    reset(id, Code::protocol_error);
    if (!flood.take_own_reset()) calm("too many malformed requests");
  }

  void credit_connection(std::size_t size) {
    withheld += size;
    if (held > options.max_held) return;
    nghttp2_session_consume_connection(session.get(), withheld);
    withheld = 0;
  }

  void fill_pairs(std::span<const http::Field> first, const http::Fields& fields, std::span<const http::Field> last) {
    pairs.clear();
    for (const http::Field& field : first) pairs.push_back(pair_of(field, NGHTTP2_NV_FLAG_NONE));
    fields.each([&](const http::Field& field) { pairs.push_back(pair_of(field, NGHTTP2_NV_FLAG_NONE)); });
    for (const http::Field& field : last) pairs.push_back(pair_of(field, NGHTTP2_NV_FLAG_NO_INDEX));
  }

  void check(int code) {
    if (nghttp2_is_fatal(code) == 0) return;
    fatal = true;
    if (failure.empty()) failure = nghttp2_strerror(code);
  }

  static State& of(void* user) { return *static_cast<State*>(user); }

  static int on_begin_headers(nghttp2_session* /*session*/, const nghttp2_frame* frame, void* user) {
    State& self = of(user);
    const StreamId id = frame->hd.stream_id;
    const bool request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (request) self.streams[id];
    const Stream* stream = self.find(id);
    self.reader.start(request                                  ? Section::request
                      : stream == nullptr || stream->head_done ? Section::trailers
                                                               : Section::response);
    return 0;
  }

  static int on_header(nghttp2_session* /*session*/, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t /*flags*/,
                       void* user) {
    State& self = of(user);
    Stream* stream = self.find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const Problem problem = self.reader.add({reinterpret_cast<const char*>(name), name_size},
                                            {reinterpret_cast<const char*>(value), value_size});
    if (problem != Problem::none && !stream->bad) self.refuse_section(frame->hd.stream_id, *stream);
    if (self.reader.octets() > max_section_octets) self.calm("an endless field section");
    return 0;
  }

  /// nghttp2 would drop the field and go on; a request that was half understood is no request.
  static int on_invalid_header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                               std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                               std::uint8_t flags, void* user) {
    State& self = of(user);
    on_header(session, frame, name, name_size, value, value_size, flags, user);
    Stream* stream = self.find(frame->hd.stream_id);
    if (stream == nullptr || stream->bad) return 0;
    self.reader.add("", "");  // nghttp2 sees what we do not: refused all the same
    self.refuse_section(frame->hd.stream_id, *stream);
    return 0;
  }

  void on_section(StreamId id, const nghttp2_frame& frame) {
    Stream* stream = find(id);
    if (stream == nullptr || stream->bad) return;
    const End end = (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0 ? End::yes : End::no;
    if (reader.finish() != Problem::none) {
      refuse_section(id, *stream);
      return;
    }
    Head& head = reader.head();
    if (stream->head_done) {
      stream->trailers_in = std::move(head.fields);
      stream->has_trailers_in = true;
      if (end == End::yes) on_end(id, *stream);
      return;
    }
    if (options.role == Role::client && head.status < 200) {
      handler.on_informational(id, head);
      return;
    }
    stream->head_done = stream->named = true;
    stream->in_ended = end == End::yes;
    handler.on_head(id, head, end);
  }

  void on_end(StreamId id, Stream& stream) {
    if (stream.in_ended || stream.bad) return;
    stream.in_ended = true;
    handler.on_end(id, stream.has_trailers_in ? &stream.trailers_in : nullptr);
  }

  static int on_frame(nghttp2_session* /*session*/, const nghttp2_frame* frame, void* user) {
    State& self = of(user);
    self.greeted = true;
    const StreamId id = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_HEADERS) {
      self.on_section(id, *frame);
    } else if (frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
      if (Stream* stream = self.find(id)) self.on_end(id, *stream);
    } else if (frame->hd.type == NGHTTP2_GOAWAY) {
      self.goaway = true;
      self.handler.on_goaway();
    }
    return 0;
  }

  static int on_data(nghttp2_session* /*session*/, std::uint8_t /*flags*/, std::int32_t id, const std::uint8_t* data,
                     std::size_t size, void* user) {
    State& self = of(user);
    Stream* stream = self.find(id);
    if (stream != nullptr) {
      stream->held += size;
      self.held += size;
    }
    self.credit_connection(size);
    if (stream != nullptr && stream->named && !stream->bad)
      self.handler.on_data(id, {reinterpret_cast<const char*>(data), size});
    return 0;
  }

  /// A request that was queued when the peer said GOAWAY: it has not been sent at all.
  static int on_not_sent(nghttp2_session* session, const nghttp2_frame* frame, int /*code*/, void* user) {
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
      on_close(session, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM, user);
    return 0;
  }

  static int on_close(nghttp2_session* /*session*/, std::int32_t id, std::uint32_t code, void* user) {
    State& self = of(user);
    Stream* stream = self.find(id);
    if (stream == nullptr) return 0;
    self.held -= stream->held;
    const bool named = stream->named;
    const bool clean = code == NGHTTP2_NO_ERROR && stream->in_ended && stream->out_ended;
    self.streams.erase(id);
    self.credit_connection(0);
    if (named) self.handler.on_closed(id, clean, static_cast<Code>(code));
    return 0;
  }

  static int on_sent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    State& self = of(user);
    const StreamId id = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_DATA) self.flood.on_content_sent();
    const bool ends = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
                      (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (!ends) return 0;
    const Stream* stream = self.find(id);
    if (stream != nullptr && stream->stop_after_response && !stream->in_ended)
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    return 0;
  }

  /// Streams that nghttp2 resets on its own for what the peer did on them are charged like those we reset.
  static int on_invalid_frame(nghttp2_session* /*session*/, const nghttp2_frame* frame, int /*code*/, void* user) {
    State& self = of(user);
    Stream* stream = self.find(frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS && stream != nullptr && !std::exchange(stream->bad, true)) {
      self.reader.add("", "");  // keeps what it found before; else it was nghttp2 that objected
      self.handler.on_bad_head(frame->hd.stream_id, self.reader.problem());
    }
    if (!self.flood.take_own_reset()) self.calm("too many malformed frames");
    return 0;
  }

  static ssize_t read_out(nghttp2_session* session, std::int32_t id, std::uint8_t* buffer, std::size_t room,
                          std::uint32_t* flags, nghttp2_data_source* /*source*/, void* user) {
    State& self = of(user);
    Stream* stream = self.find(id);
    if (stream == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    const std::size_t size = std::min(room, stream->waiting());
    if (size == 0 && !stream->out_ended) return NGHTTP2_ERR_DEFERRED;
    std::memcpy(buffer, stream->out.data() + stream->out_at, size);
    stream->out_at += size;
    if (stream->waiting() == 0) {
      stream->out.clear();
      stream->out_at = 0;
    } else if (stream->out_at > compact_above) {
      stream->out.erase(0, stream->out_at);
      stream->out_at = 0;
    }
    if (stream->congested && stream->waiting() < self.options.congested_at / 2) {
      stream->congested = false;
      self.drained.push_back(id);
    }
    if (stream->waiting() == 0 && stream->out_ended) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (stream->trailers_out && !stream->trailers_out->empty()) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        self.fill_pairs({}, *stream->trailers_out, {});
        nghttp2_submit_trailer(session, id, self.pairs.data(), self.pairs.size());
      }
    }
    return static_cast<ssize_t>(size);
  }

  bool open();
};

}  // namespace bot_bottle::http2
