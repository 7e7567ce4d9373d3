#include "sidecar/http2/session.hpp"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sidecar/http2/flood.hpp"

namespace bot_bottle::http2 {
namespace {

constexpr std::int32_t connection_window = std::int32_t{16} << 20;
constexpr std::size_t max_queued_frames = 2000;
constexpr std::size_t max_section_octets = std::size_t{256} << 10;  // with what is dropped: HPACK bombs end here
constexpr std::size_t compact_above = std::size_t{64} << 10;

struct CallbacksFree {
  void operator()(nghttp2_session_callbacks* callbacks) const { nghttp2_session_callbacks_del(callbacks); }
};
struct OptionFree {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};
struct SessionFree {
  void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
};

/// nghttp2 does not write through these pointers; it copies.
std::uint8_t* octets_of(std::string_view text) {
  return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
}

nghttp2_nv pair_of(const http::Field& field, std::uint8_t flags) {
  return {octets_of(field.name), octets_of(field.value), field.name.size(), field.value.size(), flags};
}

}  // namespace

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

bool Session::State::open() {
  nghttp2_session_callbacks* raw_callbacks = nullptr;
  nghttp2_option* raw_option = nullptr;
  if (nghttp2_session_callbacks_new(&raw_callbacks) != 0) return false;
  const std::unique_ptr<nghttp2_session_callbacks, CallbacksFree> callbacks(raw_callbacks);
  if (nghttp2_option_new(&raw_option) != 0) return false;
  const std::unique_ptr<nghttp2_option, OptionFree> option(raw_option);
  nghttp2_session_callbacks_set_on_begin_headers_callback(raw_callbacks, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(raw_callbacks, on_header);
  nghttp2_session_callbacks_set_on_invalid_header_callback(raw_callbacks, on_invalid_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(raw_callbacks, on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(raw_callbacks, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(raw_callbacks, on_close);
  nghttp2_session_callbacks_set_on_frame_send_callback(raw_callbacks, on_sent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(raw_callbacks, on_not_sent);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(raw_callbacks, on_invalid_frame);
  nghttp2_option_set_no_auto_window_update(raw_option, 1);
  nghttp2_option_set_no_closed_streams(raw_option, 1);
  nghttp2_option_set_max_settings(raw_option, 32);
  nghttp2_option_set_max_outbound_ack(raw_option, 100);
  nghttp2_session* raw = nullptr;
  const bool server = options.role == Role::server;
  const int code = server ? nghttp2_session_server_new2(&raw, raw_callbacks, this, raw_option)
                          : nghttp2_session_client_new2(&raw, raw_callbacks, this, raw_option);
  if (code != 0) return false;
  session.reset(raw);
  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options.stream_window},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, std::uint32_t{64} << 10},
  };
  if (server) settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, options.max_streams});
  if (!server) settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  if (server && options.extended_connect) settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});
  return nghttp2_submit_settings(raw, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0 &&
         nghttp2_session_set_local_window_size(raw, NGHTTP2_FLAG_NONE, 0, connection_window) == 0;
}

Session::Session(const SessionOptions& options, SessionHandler& handler)
    : state_(std::make_unique<State>(options, handler)) {
  if (state_->open()) return;
  state_->fatal = true;
  state_->failure = "out of memory";
}

Session::~Session() = default;

void Session::feed(std::string_view bytes, std::uint64_t now_ms) {
  if (is_over()) return;
  if (!state_->flood.take(bytes, now_ms)) {
    state_->calm("too many frames that carry nothing");
    return;
  }
  const ssize_t read = nghttp2_session_mem_recv(state_->session.get(),
                                                reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (read == NGHTTP2_ERR_FLOODED) {
    state_->calm("too many frames that want an answer");
  } else if (read < 0) {
    state_->fatal = true;
    if (state_->failure.empty()) state_->failure = nghttp2_strerror(static_cast<int>(read));
  }
  if (nghttp2_session_get_outbound_queue_size(state_->session.get()) > max_queued_frames)
    state_->calm("too many frames wait to be sent");
}

bool Session::pull(std::string& out) {
  if (state_->fatal) return false;
  const std::uint8_t* data = nullptr;
  const ssize_t size = nghttp2_session_mem_send(state_->session.get(), &data);
  if (size < 0) state_->check(static_cast<int>(size));
  if (size > 0) out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  std::vector<StreamId> drained;
  drained.swap(state_->drained);
  for (const StreamId id : drained) state_->handler.on_stream_drained(id);
  return size > 0;
}

bool Session::is_over() const {
  return state_->fatal || (nghttp2_session_want_read(state_->session.get()) == 0 &&
                           nghttp2_session_want_write(state_->session.get()) == 0);
}

const std::string& Session::failure() const {
  return state_->failure;
}

StreamId Session::request(std::span<const http::Field> first, const http::Fields& fields,
                          std::span<const http::Field> last, End end) {
  if (!can_request()) return 0;
  state_->fill_pairs(first, fields, last);
  nghttp2_data_provider provider{};
  provider.read_callback = State::read_out;
  const StreamId id = nghttp2_submit_request(state_->session.get(), nullptr, state_->pairs.data(), state_->pairs.size(),
                                             end == End::yes ? nullptr : &provider, nullptr);
  if (id < 0) {
    state_->check(id);
    return 0;
  }
  State::Stream& stream = state_->streams[id];
  stream.named = stream.out_submitted = true;
  stream.out_ended = end == End::yes;
  return id;
}

bool Session::can_request() const {
  if (state_->fatal || state_->goaway || !state_->failure.empty()) return false;
  const std::uint32_t limit =
      nghttp2_session_get_remote_settings(state_->session.get(), NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  return state_->streams.size() < std::min(limit, state_->options.max_streams) &&
         nghttp2_session_check_request_allowed(state_->session.get()) != 0;
}

void Session::inform(StreamId id, int status, const http::Fields& fields) {
  if (state_->fatal || state_->find(id) == nullptr) return;
  char digits[12] = {};
  const auto end = std::to_chars(std::begin(digits), std::end(digits), status).ptr;
  const http::Field first[] = {{":status", {digits, static_cast<std::size_t>(end - digits)}}};
  state_->fill_pairs(first, fields, {});
  state_->check(nghttp2_submit_headers(state_->session.get(), NGHTTP2_FLAG_NONE, id, nullptr, state_->pairs.data(),
                                       state_->pairs.size(), nullptr));
}

void Session::respond(StreamId id, int status, const http::Fields& fields, std::span<const http::Field> last, End end) {
  State::Stream* stream = state_->find(id);
  if (state_->fatal || stream == nullptr || stream->out_submitted) return;
  stream->out_submitted = true;
  stream->out_ended = end == End::yes;
  char digits[12] = {};
  const auto digits_end = std::to_chars(std::begin(digits), std::end(digits), status).ptr;
  const http::Field first[] = {{":status", {digits, static_cast<std::size_t>(digits_end - digits)}}};
  state_->fill_pairs(first, fields, last);
  nghttp2_data_provider provider{};
  provider.read_callback = State::read_out;
  state_->check(nghttp2_submit_response(state_->session.get(), id, state_->pairs.data(), state_->pairs.size(),
                                        end == End::yes ? nullptr : &provider));
}

void Session::send_data(StreamId id, std::string_view bytes) {
  State::Stream* stream = state_->find(id);
  if (state_->fatal || stream == nullptr || stream->out_ended || bytes.empty()) return;
  const bool was_idle = stream->waiting() == 0;
  stream->out.append(bytes);
  if (was_idle) nghttp2_session_resume_data(state_->session.get(), id);
}

void Session::send_end(StreamId id, const http::Fields* trailers) {
  State::Stream* stream = state_->find(id);
  if (state_->fatal || stream == nullptr || stream->out_ended) return;
  stream->out_ended = true;
  if (trailers != nullptr) stream->trailers_out = *trailers;
  nghttp2_session_resume_data(state_->session.get(), id);
}

void Session::reset(StreamId id, Code code) {
  if (!state_->fatal && state_->find(id) != nullptr) state_->reset(id, code);
}

void Session::stop_reading_after_response(StreamId id) {
  State::Stream* stream = state_->find(id);
  if (stream == nullptr) return;
  stream->stop_after_response = true;
}

void Session::consume(StreamId id, std::size_t size) {
  State::Stream* stream = state_->find(id);
  if (state_->fatal || stream == nullptr) return;
  size = std::min(size, stream->held);
  stream->held -= size;
  state_->held -= size;
  if (!stream->in_ended) nghttp2_session_consume_stream(state_->session.get(), id, size);
  state_->credit_connection(0);
}

bool Session::is_congested(StreamId id) const {
  State::Stream* stream = state_->find(id);
  if (stream == nullptr || stream->waiting() <= state_->options.congested_at) return false;
  stream->congested = true;
  return true;
}

std::size_t Session::open_streams() const {
  return state_->streams.size();
}

bool Session::is_in_head() const {
  return !state_->greeted || state_->flood.in_header_block();
}

void Session::end(Code code) {
  if (!state_->fatal) nghttp2_session_terminate_session(state_->session.get(), static_cast<std::uint32_t>(code));
}

}  // namespace bot_bottle::http2
