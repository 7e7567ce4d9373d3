#include "core/manifest/scalars.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/base/text.hpp"

namespace bot_bottle::manifest {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string_view digits(std::string_view& rest) {
  std::size_t count = 0;
  while (count < rest.size() && is_digit(rest[count])) ++count;
  const std::string_view taken = rest.substr(0, count);
  rest.remove_prefix(count);
  return taken;
}

bool is_date(std::string_view word) {
  const auto year = digits(word);
  if (year.size() != 4 || !word.starts_with('-')) return false;
  word.remove_prefix(1);
  const auto month = digits(word);
  if (month.empty() || month.size() > 2 || !word.starts_with('-')) return false;
  word.remove_prefix(1);
  const auto day = digits(word);
  return !day.empty() && day.size() <= 2 && (word.empty() || word[0] == 'T' || word[0] == 't' || word[0] == ' ');
}

bool is_base_60(std::string_view word) {
  if (word.starts_with('+') || word.starts_with('-')) word.remove_prefix(1);
  if (digits(word).empty() || !word.starts_with(':')) return false;
  while (word.starts_with(':')) {
    word.remove_prefix(1);
    const auto part = digits(word);
    if (part.empty() || part.size() > 2 || (part.size() == 2 && part[0] > '5')) return false;
  }
  if (word.starts_with('.')) {
    word.remove_prefix(1);
    digits(word);
  }
  return word.empty();
}

/// What a number-like word is called when it is not one in the plain decimal form.
std::string_view odd_number(std::string_view word) {
  std::string_view rest = word;
  if (rest.starts_with('+') || rest.starts_with('-')) rest.remove_prefix(1);
  if (rest.empty()) return {};
  const std::string lower = to_lower(rest);
  if (lower == ".inf" || lower == ".nan") return "a special number";
  const auto only = [](std::string_view text, std::string_view allowed) {
    return !text.empty() && text.find_first_not_of(allowed) == std::string_view::npos;
  };
  if (lower.starts_with("0x") && only(std::string_view(lower).substr(2), "0123456789abcdef_"))
    return "a hexadecimal number";
  if (lower.starts_with("0o") && only(std::string_view(lower).substr(2), "01234567_")) return "an octal number";
  if (lower.starts_with("0b") && only(std::string_view(lower).substr(2), "01_")) return "a binary number";
  if (rest.size() > 1 && rest[0] == '0' && only(rest, "0123456789_")) return "an octal number";
  if (is_digit(rest[0]) && only(rest, "0123456789_")) return "a number";
  // [0-9_]* . [0-9_]* exponent?, with at least one digit
  std::size_t at = 0;
  std::size_t count = 0;
  bool pointed = false;
  for (; at < rest.size() && (is_digit(rest[at]) || rest[at] == '_' || (rest[at] == '.' && !pointed)); ++at) {
    pointed = pointed || rest[at] == '.';
    if (is_digit(rest[at])) ++count;
  }
  if (count == 0 || rest[0] == '_') return {};
  rest.remove_prefix(at);
  if (rest.empty()) return "a number";
  if (rest[0] != 'e' && rest[0] != 'E') return {};
  rest.remove_prefix(1);
  if (rest.starts_with('+') || rest.starts_with('-')) rest.remove_prefix(1);
  return only(rest, "0123456789") ? "a number" : std::string_view();
}

}  // namespace

bool is_boolean_lookalike(std::string_view word) {
  static constexpr std::array<std::string_view, 4> capital{"True", "TRUE", "False", "FALSE"};
  static constexpr std::array<std::string_view, 6> words{"yes", "no", "on", "off", "y", "n"};
  if (std::ranges::find(capital, word) != capital.end()) return true;
  // YAML 1.1 knows yes, Yes and YES; "yEs" is text to every reader.
  return std::ranges::any_of(words, [word](std::string_view known) {
    const std::string upper = to_upper(known);
    return word == known || word == upper ||
           (word.size() == known.size() && word[0] == upper[0] && word.substr(1) == known.substr(1));
  });
}

void classify_plain(std::string_view word, Node& node) {
  node.text = std::string(word);
  node.look = {};
  if (word.empty() || word == "~" || word == "null" || word == "Null" || word == "NULL") {
    node.kind = Node::Kind::null;
    return;
  }
  if (word == "true" || word == "false") {
    node.kind = Node::Kind::boolean;
    node.boolean = word == "true";
    return;
  }
  const auto ambiguous = [&node](std::string_view look) {
    node.kind = Node::Kind::ambiguous;
    node.look = look;
  };
  if (is_boolean_lookalike(word)) return ambiguous("a boolean to other YAML readers");
  const char first = word[0];
  if (!is_digit(first) && first != '-' && first != '+' && first != '.') {
    node.kind = Node::Kind::text;
    return;
  }
  if (is_date(word)) return ambiguous("a date");
  if (is_base_60(word)) return ambiguous("a base-60 number");
  std::string_view rest = word;
  if (rest.starts_with('-')) rest.remove_prefix(1);
  const std::string_view whole = digits(rest);
  if (!whole.empty() && (whole.size() == 1 || whole[0] != '0')) {
    const char* end = word.data() + word.size();
    if (rest.empty()) {
      const auto [stop, code] = std::from_chars(word.data(), end, node.integer);
      if (code != std::errc() || stop != end) return ambiguous("a number out of range");
      node.kind = Node::Kind::integer;
      return;
    }
    if (rest.size() > 1 && rest[0] == '.' && is_digit(rest[1]) && !odd_number(word).empty()) {
      const auto [stop, code] = std::from_chars(word.data(), end, node.floating);
      if (code == std::errc() && stop == end && std::isfinite(node.floating)) {
        node.kind = Node::Kind::floating;
        return;
      }
    }
  }
  if (const auto look = odd_number(word); !look.empty()) return ambiguous(look);
  node.kind = Node::Kind::text;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, double>, 9> units{{{"B", 1},
                                                                             {"KiB", 1024},
                                                                             {"MiB", 1048576},
                                                                             {"GiB", 1073741824},
                                                                             {"TiB", 1099511627776},
                                                                             {"kB", 1e3},
                                                                             {"MB", 1e6},
                                                                             {"GB", 1e9},
                                                                             {"TB", 1e12}}};
  double value = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (code != std::errc() || text.empty() || !is_digit(text[0])) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  const auto unit = std::ranges::find(units, text, &std::pair<std::string_view, double>::first);
  if (unit == units.end()) return std::nullopt;
  const double bytes = value * unit->second;
  constexpr double most = 9e15;  // exact in a double, far beyond any machine
  if (!(bytes >= 1) || bytes > most) return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

std::optional<std::int64_t> parse_duration(std::string_view text) {
  std::int64_t total = 0;
  std::int64_t last_unit = INT64_MAX;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const std::string_view number = digits(text);
    if (number.empty() || number.size() > 9 || text.empty()) return std::nullopt;
    std::int64_t value = 0;
    std::from_chars(number.data(), number.data() + number.size(), value);
    std::int64_t unit = 0;
    switch (text[0]) {
      case 'd':
        unit = 86'400'000;
        break;
      case 'h':
        unit = 3'600'000;
        break;
      case 'm':
        unit = 60'000;
        break;
      case 's':
        unit = 1000;
        break;
      default:
        return std::nullopt;
    }
    text.remove_prefix(1);
    if (unit >= last_unit) return std::nullopt;  // "5m2h", "1h1h"
    last_unit = unit;
    total += value * unit;  // at most four terms below 9e16: no overflow
  }
  if (total == 0) return std::nullopt;
  return total;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 && text[0] >= 'a' && text[0] <= 'z' &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-'; });
}

bool is_variable_name(std::string_view text) {
  return !text.empty() && text.size() <= 255 && !is_digit(text[0]) &&
         std::ranges::all_of(text, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

bool has_control_characters(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

}  // namespace bot_bottle::manifest
