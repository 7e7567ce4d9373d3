#include "sidecar/websocket/handshake.hpp"

#include <openssl/rand.h>
#include <openssl/sha.h>

#include <array>
#include <cstdlib>

#include "core/base/text.hpp"

namespace bot_bottle::websocket {
namespace {

constexpr std::string_view magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The value of the only field of that name.
std::optional<std::string_view> find_only(const http::Fields& fields, std::string_view name) {
  std::optional<std::string_view> value;
  std::size_t count = 0;
  fields.each([&](const http::Field& field) {
    if (field.name != name) return;
    value = field.value;
    ++count;
  });
  return count == 1 ? value : std::nullopt;
}

bool switches(const http::Fields& fields) {
  const auto upgrade = find_only(fields, "upgrade");
  if (!upgrade || !equals_ignoring_case(*upgrade, "websocket")) return false;
  bool named = false;
  fields.each([&](const http::Field& field) {
    named = named || (field.name == "connection" && http::has_member(field.value, "upgrade"));
  });
  return named;
}

}  // namespace

std::optional<std::string> read_upgrade_request(const http::Fields& fields) {
  if (!switches(fields)) return std::nullopt;
  const auto version = find_only(fields, "sec-websocket-version");
  const auto key = find_only(fields, "sec-websocket-key");
  if (!version || *version != "13" || !key) return std::nullopt;
  const auto decoded = base64_decode(*key);
  if (!decoded || decoded->size() != 16) return std::nullopt;
  return std::string(*key);
}

bool is_upgrade_response(const http::Fields& fields, std::string_view key, std::string_view offered_protocols) {
  if (!switches(fields) || fields.has("sec-websocket-extensions")) return false;
  const auto accept = find_only(fields, "sec-websocket-accept");
  if (!accept || *accept != accept_for(key)) return false;
  if (!fields.has("sec-websocket-protocol")) return true;
  const auto protocol = find_only(fields, "sec-websocket-protocol");
  bool offered = false;
  http::each_member(offered_protocols, [&](std::string_view member) { offered = offered || member == protocol; });
  return offered;
}

void strip_handshake_fields(http::Fields& fields) {
  fields.remove_if([](const http::Field& field) {
    return field.name == "sec-websocket-key" || field.name == "sec-websocket-version" ||
           field.name == "sec-websocket-extensions" || field.name == "sec-websocket-accept";
  });
}

std::string make_key() {
  std::array<unsigned char, 16> octets{};
  if (RAND_bytes(octets.data(), static_cast<int>(octets.size())) != 1) std::abort();  // no randomness, no TLS either
  return base64_encode({reinterpret_cast<const char*>(octets.data()), octets.size()});
}

std::string accept_for(std::string_view key) {
  const std::string text = std::string(key).append(magic);
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

}  // namespace bot_bottle::websocket
