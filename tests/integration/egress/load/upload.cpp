#include <nghttp2/nghttp2.h>
#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "connection.hpp"
#include "programs.hpp"

namespace bot_bottle::load {
namespace {

constexpr std::size_t piece_octets = 65536;

/// The body: prose, and in its last kilobyte the secret.
class Body {
 public:
  Body(std::uint64_t size, const std::string& secret) : size_(size), secret_(secret) {
    static constexpr std::string_view prose = "The harbour was quiet, and all that could be heard was water. ";
    while (text_.size() < 2 * piece_octets) text_ += prose;
  }
  [[nodiscard]] std::uint64_t left() const { return size_ - sent_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  std::string_view next(std::size_t most) {
    const std::uint64_t last = size_ > last_octets ? size_ - last_octets : 0;
    if (sent_ < last) {
      const auto take = static_cast<std::size_t>(std::min<std::uint64_t>({most, piece_octets, last - sent_}));
      sent_ += take;
      return std::string_view(text_).substr(0, take);
    }
    if (end_.empty()) {
      end_ = text_.substr(0, static_cast<std::size_t>(size_ - last));
      end_.replace(end_.size() / 2, secret_.size(), secret_);
      end_[end_.size() / 2 - 1] = ' ';
    }
    const std::string_view rest = std::string_view(end_).substr(static_cast<std::size_t>(sent_ - last));
    const std::string_view piece = rest.substr(0, most);
    sent_ += piece.size();
    return piece;
  }

 private:
  static constexpr std::uint64_t last_octets = 1024;
  std::uint64_t size_;
  std::uint64_t sent_ = 0;
  std::string secret_;
  std::string text_;
  std::string end_;
};

std::string upload_http1(Connection& connection, Body& body, const std::string& host, const std::string& framing) {
  const bool chunked = framing == "chunked";
  std::string head = "POST /upload HTTP/1.1\r\nhost: " + host + "\r\ncontent-type: text/plain\r\n";
  head +=
      chunked ? "transfer-encoding: chunked\r\n\r\n" : "content-length: " + std::to_string(body.left()) + "\r\n\r\n";
  bool open = connection.send(head);
  while (open && body.left() > 0) {
    const std::string_view piece = body.next(piece_octets);
    char size[20] = {};
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    open = (!chunked || connection.send(size)) && connection.send(piece) && (!chunked || connection.send("\r\n"));
  }
  if (open && chunked) open = connection.send("0\r\n\r\n");
  return connection.response();
}

struct Stream {
  Body* body = nullptr;
  std::string status;
  std::string text;
  bool over = false;
};

ssize_t read_body(nghttp2_session* /*session*/, std::int32_t /*id*/, std::uint8_t* out, std::size_t size,
                  std::uint32_t* flags, nghttp2_data_source* source, void* /*user*/) {
  auto& stream = *static_cast<Stream*>(source->ptr);
  const std::string_view piece = stream.body->next(size);
  std::memcpy(out, piece.data(), piece.size());
  if (stream.body->left() == 0) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(piece.size());
}

/// Both must outlive the request's submission.
nghttp2_nv header(std::string_view name, std::string_view value) {
  const auto octets = [](std::string_view text) {
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
  };
  return {octets(name), octets(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::string upload_http2(Connection& connection, Body& body, const std::string& host, const std::string& framing) {
  Stream stream;
  stream.body = &body;
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name, std::size_t name_size,
                    const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
        if (std::string_view(reinterpret_cast<const char*>(name), name_size) == ":status")
          static_cast<Stream*>(user)->status.assign(reinterpret_cast<const char*>(value), value_size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks,
      [](nghttp2_session*, std::uint8_t, std::int32_t, const std::uint8_t* bytes, std::size_t size, void* user) {
        static_cast<Stream*>(user)->text.append(reinterpret_cast<const char*>(bytes), size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                         [](nghttp2_session*, std::int32_t, std::uint32_t, void* user) {
                                                           static_cast<Stream*>(user)->over = true;
                                                           return 0;
                                                         });
  nghttp2_session* session = nullptr;
  nghttp2_session_client_new(&session, callbacks, &stream);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  const std::string length = std::to_string(body.left());
  const nghttp2_nv fields[] = {
      header(":method", "POST"),  header(":scheme", "https"),           header(":authority", host),
      header(":path", "/upload"), header("content-type", "text/plain"), header("content-length", length)};
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = read_body;
  // HTTP/2 has no chunks: a body whose length is not said is what stands for them.
  nghttp2_submit_request(session, nullptr, fields, framing == "chunked" ? 5 : 6, &provider, nullptr);
  while (!stream.over) {
    const std::uint8_t* frames = nullptr;
    ssize_t size = 0;
    bool open = true;
    while (open && (size = nghttp2_session_mem_send(session, &frames)) > 0)
      open = connection.send({reinterpret_cast<const char*>(frames), static_cast<std::size_t>(size)});
    // The window is used up, or everything is sent: only the other side can go on.
    const std::string_view bytes = connection.receive();
    if (bytes.empty() ||
        nghttp2_session_mem_recv(session, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()) < 0)
      break;
  }
  nghttp2_session_del(session);
  return stream.status.empty() ? std::string() : stream.status + " " + stream.text;
}

}  // namespace

int upload(const Target& target, std::uint64_t size, const std::string& secret, const std::string& framing,
           const std::string& protocol) {
  const Context context = client_context(target.ca_file);
  const auto connection = Connection::through(target.socket, context.get(), target.host, protocol);
  if (!connection) return 2;
  Body body(size, secret);
  std::string answer = protocol == "h2" ? upload_http2(*connection, body, target.host, framing)
                                        : upload_http1(*connection, body, target.host, framing);
  for (char& c : answer) {
    if (c == '"' || c == '\\' || c == '\n') c = '\'';
  }
  std::printf("{\"answer\": \"%s\", \"sent\": %llu}\n", answer.c_str(), static_cast<unsigned long long>(body.sent()));
  return 0;
}

}  // namespace bot_bottle::load
