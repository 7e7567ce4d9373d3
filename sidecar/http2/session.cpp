#include "sidecar/http2/session.hpp"

#include <charconv>

#include "sidecar/http2/session_state.hpp"

namespace bot_bottle::http2 {
namespace {

constexpr std::int32_t connection_window = std::int32_t{16} << 20;
constexpr std::size_t max_queued_frames = 2000;

struct CallbacksFree {
  void operator()(nghttp2_session_callbacks* callbacks) const { nghttp2_session_callbacks_del(callbacks); }
};
struct OptionFree {
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};

}  // namespace

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
