#include "sidecar/tls/client_hello.hpp"

#include <optional>

namespace bot_bottle::tls {
namespace {

constexpr std::size_t max_bytes = std::size_t{16} << 10;

/// Takes big-endian numbers and vectors off a view; once short, it stays failed.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  std::size_t number(std::size_t octets) {
    const std::string_view text = take(octets);
    std::size_t value = 0;
    for (const char c : text) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string_view take(std::size_t octets) {
    if (octets > bytes_.size()) {
      failed_ = true;
      return {};
    }
    const std::string_view text = bytes_.substr(0, octets);
    bytes_.remove_prefix(octets);
    return text;
  }
  std::string_view vector(std::size_t length_octets) { return take(number(length_octets)); }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool at_end() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool failed_ = false;
};

ClientHello bad() {
  ClientHello result;
  result.reading = ClientHello::Reading::bad;
  return result;
}

/// The host name of a server_name extension (RFC 6066 §3), or nothing when it is malformed.
std::optional<std::string> read_server_name(std::string_view body) {
  Reader reader(body);
  Reader list(reader.vector(2));
  if (list.number(1) != 0) return std::nullopt;  // host_name is the only type there is
  const std::string_view name = list.vector(2);
  if (reader.failed() || list.failed() || !reader.at_end() || !list.at_end() || name.empty()) return std::nullopt;
  return std::string(name);
}

ClientHello read_message(std::string_view message) {
  Reader hello(message);
  hello.take(2 + 32);  // legacy_version, random
  hello.vector(1);     // session id
  hello.vector(2);     // cipher suites
  hello.vector(1);     // compression methods
  Reader extensions(hello.vector(2));
  if (hello.failed() || !hello.at_end()) return bad();
  ClientHello result;
  result.reading = ClientHello::Reading::complete;
  bool named = false;
  while (!extensions.at_end()) {
    const std::size_t type = extensions.number(2);
    const std::string_view body = extensions.vector(2);
    if (extensions.failed()) return bad();
    if (type == 0) {
      auto name = read_server_name(body);
      if (!name || named) return bad();
      named = true;
      result.server_name = std::move(*name);
    }
    if (type == 0xfe0d) result.encrypted_hello = true;
  }
  return result;
}

}  // namespace

ClientHello read_client_hello(std::string_view bytes) {
  std::string handshake;
  std::size_t at = 0;
  while (true) {
    if (handshake.size() >= 4) {
      Reader reader(handshake);
      if (reader.number(1) != 1) return bad();
      const std::size_t size = reader.number(3);
      if (size > max_bytes) return bad();
      if (handshake.size() > 4 + size) return bad();  // nothing may follow it before the server's answer
      if (handshake.size() == 4 + size) return read_message(std::string_view(handshake).substr(4));
    }
    if (at > max_bytes) return bad();
    if (at < bytes.size() && bytes[at] != 0x16) return bad();
    if (bytes.size() - at < 5) return {};
    Reader record(bytes.substr(at));
    record.take(1);
    if (record.number(1) != 3) return bad();
    record.take(1);
    const std::size_t size = record.number(2);
    if (size == 0 || size > (std::size_t{1} << 14)) return bad();
    const std::string_view fragment = record.take(size);
    if (record.failed()) return {};
    handshake.append(fragment);
    at += 5 + size;
  }
}

}  // namespace bot_bottle::tls
