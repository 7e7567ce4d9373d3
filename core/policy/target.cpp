// The request target as it is matched and sent: one canonical form, so that no origin can read another path than the
// one that was decided on (attacks A5, A6). Hostile input: the target of every request.
#include <vector>

#include "core/base/text.hpp"
#include "core/policy/decide.hpp"

namespace bot_bottle::policy {
namespace {

constexpr std::size_t max_target_octets = std::size_t{64} << 10;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
/// The octet of the escape at text[at] ('%'), or -1.
int escape_at(std::string_view text, std::size_t at) {
  if (at + 2 >= text.size()) return -1;
  const int high = hex_value(text[at + 1]);
  const int low = hex_value(text[at + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}
bool is_unreserved(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

tl::unexpected<Error> refuse(std::string message) {
  return fail(ErrorKind::invalid_argument, "the request target " + std::move(message));
}

Result<void> check_octets(std::string_view target) {
  for (const char character : target) {
    const auto octet = static_cast<unsigned char>(character);
    if (octet < 0x20 || octet == 0x7f) return refuse("holds a control character");
    if (octet >= 0x80) return refuse("holds an octet that is not ASCII; percent-encode it");
    if (character == ' ') return refuse("holds a space");
    if (character == '#') return refuse("has a fragment");
    if (character == '\\') return refuse("holds a backslash");
  }
  return {};
}

Result<std::string> decode_unreserved(std::string_view path) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  out.reserve(path.size());
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      out += path[i];
      continue;
    }
    const int octet = escape_at(path, i);
    if (octet < 0) return refuse("has an invalid percent escape");
    if (octet < 0x20 || octet == 0x7f) return refuse("has an encoded control character");
    if (octet == 0xc0 || octet == 0xc1)
      return refuse("has an overlong UTF-8 escape");  // "%c0%ae" is '.' to a lax decoder
    if (is_unreserved(octet)) {
      out += static_cast<char>(octet);
    } else {
      out += '%';
      out += digits[static_cast<std::size_t>(octet) / 16];
      out += digits[static_cast<std::size_t>(octet) % 16];
    }
    i += 2;
  }
  return out;
}

/// "%252e": a second decoder behind us would see a dot (A6). Looked for in what is sent, since "%252%65" spells it too.
Result<void> check_encoded_once(std::string_view decoded) {
  static constexpr std::string_view percent = "%25";
  for (std::size_t at = decoded.find(percent); at != std::string_view::npos; at = decoded.find(percent, at + 1)) {
    if (at + 4 >= decoded.size()) break;
    const int high = hex_value(decoded[at + 3]);
    const int low = hex_value(decoded[at + 4]);
    if (high < 0 || low < 0) continue;
    const int inner = high * 16 + low;
    if (inner == '.' || inner == '/' || inner == '\\' || inner == '%' || inner == 0)
      return refuse("is percent-encoded twice");
  }
  return {};
}

/// Segments that some origin takes for a dot segment though RFC 3986 does not: "..;x" (servlet containers), and "." or
/// ".." next to an encoded slash or backslash.
bool is_ambiguous_segment(std::string_view segment) {
  const auto is_dots = [](std::string_view part) {
    part = part.substr(0, part.find(';'));
    return part == "." || part == "..";
  };
  if (segment == "." || segment == "..") return false;  // removed in the usual way
  std::size_t begin = 0;
  for (std::size_t i = 0; i < segment.size(); ++i) {
    const std::string_view escape = segment.substr(i, 3);
    if (escape != "%2F" && escape != "%5C") continue;
    if (is_dots(segment.substr(begin, i - begin))) return true;
    begin = i + 3;
    i += 2;
  }
  return is_dots(segment.substr(begin));
}

/// RFC 3986 §5.2.4 over whole segments; empty segments are kept.
Result<std::string> remove_dot_segments(std::string_view path) {
  std::vector<std::string_view> kept;
  const std::vector<std::string_view> segments = split(path.substr(1), '/');
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const std::string_view segment = segments[i];
    if (is_ambiguous_segment(segment)) return refuse("has a segment that some servers read as '..'");
    const bool last = i + 1 == segments.size();
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
      if (last) kept.emplace_back();
    } else if (segment == ".") {
      if (last) kept.emplace_back();
    } else {
      kept.push_back(segment);
    }
  }
  std::string out;
  out.reserve(path.size());
  for (const std::string_view segment : kept) {
    out += '/';
    out += segment;
  }
  return out.empty() ? std::string("/") : out;
}

}  // namespace

Result<Target> normalise_target(std::string_view target) {
  if (target.empty() || target.front() != '/') return refuse("does not begin with '/'");
  if (target.size() > max_target_octets) return refuse("is longer than 64 KiB");
  BB_CHECK(check_octets(target));
  Target result;
  const std::size_t mark = target.find('?');
  BB_TRY(const std::string decoded, decode_unreserved(target.substr(0, mark)));
  BB_CHECK(check_encoded_once(decoded));
  BB_TRY(result.path, remove_dot_segments(decoded));
  if (mark != std::string_view::npos) {
    result.has_query = true;
    result.query = target.substr(mark + 1);
    for (std::size_t i = 0; i < result.query.size(); ++i) {
      if (result.query[i] != '%') continue;
      const int octet = escape_at(result.query, i);
      if (octet < 0) return refuse("has an invalid percent escape in its query");
      if (octet == 0) return refuse("has an encoded NUL in its query");
    }
  }
  return result;
}

}  // namespace bot_bottle::policy
