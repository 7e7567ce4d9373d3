#include "core/state/slug.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::state {
namespace {

constexpr std::size_t suffix_length = 5;

bool is_slug_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/// The nearest slug to what was typed; empty when nothing of it can stay.
std::string slug_like(std::string_view text) {
  std::string out;
  for (const char c : to_lower(text)) {
    if (is_slug_character(c) && c != '-')
      out += c;
    else if (!out.empty() && out.back() != '-')
      out += '-';
  }
  out = out.substr(0, max_slug_length);
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out;
}

}  // namespace

bool is_slug(std::string_view text) {
  return !text.empty() && text.size() <= max_slug_length && text.front() != '-' &&
         std::ranges::all_of(text, is_slug_character);
}

std::string slug_of_label(std::string_view label) {
  if (is_slug(label)) return std::string(label);
  const std::string like = slug_like(label);
  throw Failure(
      make_error(ErrorKind::invalid_argument, "the label '" + escape_untrusted(label, 80) + "' cannot name a bottle",
                 like.empty() ? "use lower-case letters, digits and '-', at most 63" : "use --label " + like));
}

std::string make_slug(std::string_view agent) {
  std::string base = slug_like(agent).substr(0, max_slug_length - suffix_length - 1);
  if (base.empty()) base = "bottle";
  return base + "-" + random_base36(suffix_length);
}

void need_slug(std::string_view text) {
  if (is_slug(text)) return;
  throw Failure(make_error(ErrorKind::invalid_argument,
                           "'" + escape_untrusted(text, 80) + "' is not the slug of a bottle",
                           "bot-bottle list active"));
}

}  // namespace bot_bottle::state
