#include "plugins/backend-local/java_trust.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "core/base/text.hpp"

namespace bot_bottle::backend_local {
namespace {

constexpr std::string_view begin_mark = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view end_mark = "-----END CERTIFICATE-----";

void add_u32(std::string& out, std::uint64_t value) {
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(value >> shift));
}

/// Java's writeUTF of ASCII.
void add_text(std::string& out, std::string_view text) {
  out.push_back(static_cast<char>(text.size() >> 8));
  out.push_back(static_cast<char>(text.size()));
  out += text;
}

/// The octets (DER) of the next certificate; `bundle` goes on behind it. Empty text: not base64.
std::optional<std::string> next_certificate(std::string_view& bundle) {
  const std::size_t begin = bundle.find(begin_mark);
  if (begin == std::string_view::npos) return std::nullopt;
  const std::size_t end = bundle.find(end_mark, begin);
  if (end == std::string_view::npos) return std::nullopt;
  std::string text(bundle.substr(begin + begin_mark.size(), end - begin - begin_mark.size()));
  bundle.remove_prefix(end + end_mark.size());
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\t'; });
  return base64_decode(text).value_or("");
}

/// The seal of sun.security.provider.JavaKeyStore: SHA-1 over the password as UTF-16, a phrase, and the store.
std::string seal_of(std::string_view store) {
  std::string text;
  for (const char c : std::string_view("changeit")) text += {'\0', c};
  text += "Mighty Aphrodite";
  text += store;
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return {digest.begin(), digest.end()};
}

}  // namespace

std::string java_trust_store(std::string_view pem_bundle) {
  std::string entries;
  std::uint32_t count = 0;
  while (const auto certificate = next_certificate(pem_bundle)) {
    if (certificate->empty()) continue;
    add_u32(entries, 2);  // a trusted certificate
    add_text(entries, "ca-" + std::to_string(count++));
    entries.append(8, '\0');  // when it was added: 1970
    add_text(entries, "X.509");
    add_u32(entries, certificate->size());
    entries += *certificate;
  }
  std::string store;
  add_u32(store, 0xfeedfeed);
  add_u32(store, 2);  // the format's version
  add_u32(store, count);
  store += entries;
  return store + seal_of(store);
}

}  // namespace bot_bottle::backend_local
