// See encode.hpp.
#include "sidecar/attack/encode.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "core/base/random.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::attack {
namespace {

std::string pick(std::string_view alphabet, std::size_t size) {
  std::string out(size, ' ');
  for (char& c : out) {
    std::array<unsigned char, 2> bytes{};
    random_bytes(bytes);
    c = alphabet[((std::size_t{bytes[0]} << 8) | bytes[1]) % alphabet.size()];
  }
  return out;
}

std::uint32_t octet(char c) {
  return static_cast<unsigned char>(c);
}

std::string utf8(std::uint32_t code) {
  std::string out;
  if (code < 0x10000) {
    out += static_cast<char>(0xe0 | (code >> 12));
  } else {
    out += static_cast<char>(0xf0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
  }
  out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
  out += static_cast<char>(0x80 | (code & 0x3f));
  return out;
}

constexpr std::string_view digits = "0123456789";
std::string alphanumeric() {
  return "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
}

}  // namespace

std::string base64_at(std::string_view text, std::size_t shift, Alphabet alphabet, Padding padding) {
  std::string out = base64_encode(std::string(shift, 'x') + std::string(text));
  if (alphabet == Alphabet::url_safe) {
    std::replace(out.begin(), out.end(), '+', '-');
    std::replace(out.begin(), out.end(), '/', '_');
  }
  if (padding == Padding::drop)
    while (!out.empty() && out.back() == '=') out.pop_back();
  return out;
}

std::string base32(std::string_view text) {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string out;
  std::uint32_t bits = 0;
  int have = 0;
  for (char c : text) {
    bits = (bits << 8) | octet(c);
    for (have += 8; have >= 5; have -= 5) out += alphabet[(bits >> (have - 5)) & 31];
  }
  if (have > 0) out += alphabet[(bits << (5 - have)) & 31];
  while (out.size() % 8 != 0) out += '=';
  return out;
}

std::string percent(std::string_view text, int rounds) {
  std::string out(text);
  for (int round = 0; round < rounds; ++round) {
    std::string next;
    for (char c : out)
      if (round == 0 || c == '%')
        next += "%" + to_upper(hex_encode({&c, 1}));
      else
        next += c;
    out = next;
  }
  return out;
}

std::string json_escapes(std::string_view text) {
  std::string out;
  for (char c : text) out += "\\u00" + hex_encode({&c, 1});
  return out;
}

std::string html_entities(std::string_view text) {
  std::string out;
  for (char c : text) out += "&#" + std::to_string(octet(c)) + ";";
  return out;
}

std::string rot13(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z')
      c = static_cast<char>('a' + (c - 'a' + 13) % 26);
    else if (c >= 'A' && c <= 'Z')
      c = static_cast<char>('A' + (c - 'A' + 13) % 26);
  }
  return out;
}

std::string reversed(std::string_view text) {
  return {text.rbegin(), text.rend()};
}

std::string spaced(std::string_view text, std::string_view separator) {
  std::string out;
  for (char c : text) {
    if (!out.empty()) out += separator;
    out += c;
  }
  return out;
}

std::string hex_with(std::string_view text, std::string_view separator) {
  std::string out;
  for (char c : text) {
    if (!out.empty()) out += separator;
    out += hex_encode({&c, 1});
  }
  return out;
}

std::string unicode_tags(std::string_view text) {
  std::string out;
  for (char c : text) out += utf8(0xe0000u + octet(c));
  return out;
}

std::string full_width(std::string_view text) {
  std::string out;
  for (char c : text) out += c > 0x20 && c < 0x7f ? utf8(0xfee0u + octet(c)) : std::string(1, c);
  return out;
}

std::string deflated(std::string_view text, Wrapper wrapper) {
  z_stream stream{};
  const int bits = wrapper == Wrapper::gzip ? 15 + 16 : wrapper == Wrapper::zlib ? 15 : -15;
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string input(text);
  std::string out(deflateBound(&stream, static_cast<uLong>(text.size())) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string gzip_of_zeros(std::size_t size) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return {};
  std::string zeros(1 << 20, '\0');
  std::string buffer(1 << 16, '\0');
  std::string out;
  for (std::size_t done = 0; done < size; done += zeros.size()) {
    stream.next_in = reinterpret_cast<Bytef*>(zeros.data());
    stream.avail_in = static_cast<uInt>(zeros.size());
    do {
      stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
      stream.avail_out = static_cast<uInt>(buffer.size());
      deflate(&stream, done + zeros.size() >= size ? Z_FINISH : Z_NO_FLUSH);
      out.append(buffer, 0, buffer.size() - stream.avail_out);
    } while (stream.avail_out == 0);
  }
  deflateEnd(&stream);
  return out;
}

std::string filler(std::size_t size) {
  constexpr std::string_view text = "the quick brown fox jumps over the lazy dog and walks home again. ";
  std::string out;
  out.reserve(size + text.size());
  while (out.size() < size) out += text;
  out.resize(size);
  return out;
}

std::string github_token() {
  return fmt::format("{}{}{}", "gh", "p_", pick(alphanumeric(), 36));
}

std::string aws_key_id() {
  return fmt::format("{}{}{}", "AK", "IA", pick("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16));
}

std::string slack_token() {
  return fmt::format("{}{}-{}-{}-{}", "xo", "xb", pick(digits, 12), pick(digits, 12), pick(alphanumeric(), 24));
}

std::string random_text(std::size_t size) {
  return pick(alphanumeric(), size);
}

}  // namespace bot_bottle::attack
