#include "sidecar/dlp/bounded_regex.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace bot_bottle::dlp {
namespace {

constexpr std::string_view line_begin = "(?:^|[\\r\\n])";

/// Octets of the class that begins at `regex[at]`, brackets included; 0 when it does not end.
std::size_t class_size(std::string_view regex, std::size_t at) {
  std::size_t i = at + 1;
  if (i < regex.size() && regex[i] == '^') ++i;
  if (i < regex.size() && regex[i] == ']') ++i;  // first in the class: itself
  for (; i < regex.size(); ++i) {
    if (regex[i] == '\\') {
      ++i;
    } else if (regex.substr(i, 2) == "[:") {
      const std::size_t end = regex.find(":]", i + 2);
      if (end != std::string_view::npos) i = end + 1;
    } else if (regex[i] == ']') {
      return i + 1 - at;
    }
  }
  return 0;
}

/// "{3,}" at the front: 3. Nothing for another repeat, and for a brace that is only itself.
std::optional<std::size_t> open_repeat(std::string_view text, std::size_t& size) {
  std::size_t least = 0;
  const auto [end, code] = std::from_chars(text.data() + 1, text.data() + text.size(), least);
  const auto at = static_cast<std::size_t>(end - text.data());
  if (code != std::errc() || text.substr(at, 2) != ",}") return std::nullopt;
  size = at + 2;
  return least;
}

tl::unexpected<Error> unsupported(std::string_view what, std::string_view hint = {}) {
  return fail(ErrorKind::unsupported, fmt::format("'{}' in a regex is not supported", what), std::string(hint));
}

}  // namespace

Result<std::string> bound_repeats(std::string_view regex, std::size_t more) {
  std::string out;
  for (std::size_t i = 0; i < regex.size(); ++i) {
    const char c = regex[i];
    if (c == '\\') {
      const char next = i + 1 < regex.size() ? regex[i + 1] : '\0';
      if (next == 'A') return unsupported("\\A", "a stream has no beginning of its own: name what stands before");
      if (next >= '1' && next <= '9') return unsupported("a back-reference");
      if (next == 'Q') {  // literal text up to \E
        const std::size_t end = regex.find("\\E", i + 2);
        const std::size_t stop = end == std::string_view::npos ? regex.size() : end + 2;
        out += regex.substr(i, stop - i);
        i = stop - 1;
        continue;
      }
      out += regex.substr(i, 2);
      ++i;
    } else if (c == '[') {
      const std::size_t size = class_size(regex, i);
      if (size == 0) return fail(ErrorKind::invalid_argument, "a regex has '[' without ']'");
      out += regex.substr(i, size);
      i += size - 1;
    } else if (c == '(' && regex.substr(i + 1, 1) == "?") {
      const std::string_view kind = regex.substr(i, 4);
      for (const std::string_view look : {"(?=", "(?!", "(?<=", "(?<!", "(?>"})
        if (kind.starts_with(look)) return unsupported(std::string(look) + "…)", "Go's RE2 syntax has none either");
      out += c;
    } else if (c == '^') {
      out += line_begin;
    } else if (c == '+' || c == '*') {
      out += fmt::format("{{{},{}}}", c == '+' ? 1 : 0, more);
    } else if (c == '{') {
      std::size_t size = 0;
      if (const auto least = open_repeat(regex.substr(i), size)) {
        out += fmt::format("{{{},{}}}", *least, *least + more);
        i += size - 1;
      } else {
        out += c;
      }
    } else {
      out += c;
    }
  }
  return out;
}

bool has_unbalanced_anchor(std::string_view regex) {
  bool alternation = false;
  bool anchor = false;
  int depth = 0;
  for (std::size_t i = 0; i < regex.size(); ++i) {
    const char c = regex[i];
    if (c == '\\') {
      ++i;
    } else if (c == '[') {
      const std::size_t size = class_size(regex, i);
      i += size == 0 ? regex.size() : size - 1;
    } else if (c == '(' || c == ')') {
      depth += c == '(' ? 1 : -1;
    } else if (depth == 0) {
      alternation = alternation || c == '|';
      anchor = anchor || c == '^' || c == '$';
    }
  }
  return alternation && anchor;
}

}  // namespace bot_bottle::dlp
