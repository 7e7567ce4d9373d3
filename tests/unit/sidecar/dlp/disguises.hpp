// Disguises of a secret, written in the plainest way and with none of the engine's parts: the oracle's other half.
#pragma once

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <functional>

#include "tests/unit/sidecar/dlp/naive.hpp"

namespace bot_bottle::dlp::naive {

inline std::string each(std::string_view text, const std::function<std::string(unsigned char)>& write) {
  std::string out;
  for (const char c : text) out += write(static_cast<unsigned char>(c));
  return out;
}
inline std::string utf8(std::uint32_t code) {
  std::string out;
  if (code < 0x80) return {static_cast<char>(code)};
  if (code < 0x10000) {
    out += static_cast<char>(0xe0 | (code >> 12U));
  } else {
    out += static_cast<char>(0xf0 | (code >> 18U));
    out += static_cast<char>(0x80 | ((code >> 12U) & 0x3fU));
  }
  out += static_cast<char>(0x80 | ((code >> 6U) & 0x3fU));
  out += static_cast<char>(0x80 | (code & 0x3fU));
  return out;
}
inline std::string base32(std::string_view text) {
  std::string bits;
  for (const char c : text)
    for (int bit = 7; bit >= 0; --bit) bits += ((static_cast<unsigned char>(c) >> bit) & 1) != 0 ? '1' : '0';
  while (bits.size() % 5 != 0) bits += '0';
  std::string out;
  for (std::size_t at = 0; at < bits.size(); at += 5)
    out += "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[std::stoul(bits.substr(at, 5), nullptr, 2)];
  while (out.size() % 8 != 0) out += '=';
  return out;
}
inline std::string rot13(std::string_view text) {
  return each(text, [](unsigned char c) {
    const std::string_view from = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const std::string_view to = "NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm";
    const std::size_t at = from.find(static_cast<char>(c));
    return std::string(1, at == std::string_view::npos ? static_cast<char>(c) : to[at]);
  });
}
inline std::string apart(std::string_view text, std::string_view separator) {
  std::string out;
  for (const char c : text) out.append(out.empty() ? "" : separator).append(1, c);
  return out;
}
inline std::string lines(std::string text, std::size_t width) {
  for (std::size_t at = width; at < text.size(); at += width + 2) text.insert(at, "\r\n");
  return text;
}
inline std::string zlib(std::string_view text, int window) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
  std::string in(text);
  std::string out(deflateBound(&stream, static_cast<uLong>(in.size())) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}
inline std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

struct Disguise {
  const char* name;
  std::function<std::string(const std::string&)> put_on;
};
/// Those that make text of text: any of them may be put on twice.
inline const std::vector<Disguise>& disguises() {
  using S = const std::string&;
  static const auto hex2 = [](unsigned char c) {
    const char octet = static_cast<char>(c);
    return hex_encode(std::string_view(&octet, 1));
  };
  static const std::vector<Disguise> all{
      {"base64", [](S s) { return base64(s); }},
      {"base64 at 1", [](S s) { return base64("x" + s); }},
      {"base64 at 2, url-safe", [](S s) { return url_safe(base64("xy" + s + "z")); }},
      {"base64 in lines", [](S s) { return lines(base64(s), 76); }},
      {"base32", [](S s) { return base32(s); }},
      {"base32 at 3, lower case", [](S s) { return to_lower(base32("xyz" + s)); }},
      {"hex", [](S s) { return hex(s, "", false); }},
      {"upper-case hex", [](S s) { return hex(s, "", true); }},
      {"hex with colons", [](S s) { return hex(s, ":", false); }},
      {"hex with commas", [](S s) { return hex(s, ", ", true); }},
      {"percent", [](S s) { return each(s, [](unsigned char c) { return "%" + hex2(c); }); }},
      {"JSON", [](S s) { return each(s, [](unsigned char c) { return "\\u00" + hex2(c); }); }},
      {"\\x", [](S s) { return each(s, [](unsigned char c) { return "\\x" + hex2(c); }); }},
      {"decimal entities", [](S s) { return each(s, [](unsigned char c) { return "&#" + std::to_string(c) + ";"; }); }},
      {"hex entities", [](S s) { return each(s, [](unsigned char c) { return "&#x" + hex2(c) + ";"; }); }},
      {"reversed", [](S s) { return std::string(s.rbegin(), s.rend()); }},
      {"rot13", [](S s) { return rot13(s); }},
  };
  return all;
}
/// Those that only a secret itself wears.
inline const std::vector<Disguise>& clothes() {
  using S = const std::string&;
  static const std::vector<Disguise> all{
      {"spaces", [](S s) { return apart(s, " "); }},
      {"line breaks", [](S s) { return apart(s, "\r\n"); }},
      {"JSON line breaks", [](S s) { return apart(s, "\\n"); }},
      {"zero-width", [](S s) { return apart(s, "\xe2\x80\x8b"); }},
      {"variation selectors", [](S s) { return apart(s, "\xef\xb8\x8f"); }},
      {"bidi", [](S s) { return apart(s, "\xe2\x80\xae"); }},
      {"soft hyphens", [](S s) { return apart(s, "\xc2\xad"); }},
      {"Hangul fillers", [](S s) { return apart(s, "\xe3\x85\xa4"); }},
      {"tags", [](S s) { return each(s, [](unsigned char c) { return utf8(0xe0000U + c); }); }},
      {"octets in variation selectors",
       [](S s) { return each(s, [](unsigned char c) { return utf8(0xe0100U + c - 16U); }); }},
      {"full width", [](S s) { return each(s, [](unsigned char c) { return utf8(0xfee0U + c); }); }},
      {"UTF-16, little end first",
       [](S s) { return each(s, [](unsigned char c) { return std::string(1, static_cast<char>(c)) + '\0'; }); }},
      {"UTF-16, big end first",
       [](S s) { return each(s, [](unsigned char c) { return '\0' + std::string(1, static_cast<char>(c)); }); }},
      {"entities without an end",
       [](S s) { return each(s, [](unsigned char c) { return "&#" + std::to_string(c); }); }},
      {"octal",
       [](S s) {
         return each(s, [](unsigned char c) {
           return "\\" + std::to_string(c / 64) + std::to_string(c / 8 % 8) + std::to_string(c % 8);
         });
       }},
      {"percent thrice",
       [](S s) {
         return each(s, [](unsigned char c) {
           const char octet = static_cast<char>(c);
           return "%2525" + hex_encode(std::string_view(&octet, 1));
         });
       }},
      {"circled",
       [](S s) {
         return each(s, [](unsigned char c) {
           return c >= 'a' && c <= 'z'   ? utf8(0x24d0U + c - 'a')
                  : c >= 'A' && c <= 'Z' ? utf8(0x24b6U + c - 'A')
                  : c >= '1' && c <= '9' ? utf8(0x2460U + c - '1')
                                         : std::string(1, static_cast<char>(c));
         });
       }},
      {"mathematical",
       [](S s) {
         return each(s, [](unsigned char c) {
           return c >= 'a' && c <= 'z'   ? utf8(0x1d41aU + c - 'a')
                  : c >= 'A' && c <= 'Z' ? utf8(0x1d400U + c - 'A')
                  : c >= '0' && c <= '9' ? utf8(0x1d7ceU + c - '0')
                                         : std::string(1, static_cast<char>(c));
         });
       }},
  };
  return all;
}

}  // namespace bot_bottle::dlp::naive
