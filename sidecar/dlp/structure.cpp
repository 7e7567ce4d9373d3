#include "sidecar/dlp/structure.hpp"

#include <algorithm>
#include <bit>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

#include "sidecar/dlp/octet_skips.hpp"
#include "sidecar/dlp/skeleton.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t end_octets = 192;  // of a long field, at each end: longer than a piece, escaped
constexpr std::size_t max_form_name = 64;
constexpr std::size_t max_boundary = 80;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}
bool is_name_character(char c) {
  return is_kept('\0', c) || std::string_view("_.-%+[]$").find(c) != std::string_view::npos;
}
/// The first of two characters at or after `from`, or the end.
std::size_t find_either(std::string_view text, std::size_t from, char one, char other) {
#if defined(__x86_64__)
  from = skip_without_either(text, from, one, other);
  const __m128i ones = _mm_set1_epi8(one);
  const __m128i others = _mm_set1_epi8(other);
  for (; from + 16 <= text.size(); from += 16) {
    const __m128i octets = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + from));
    const auto mask = static_cast<unsigned>(
        _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(octets, ones), _mm_cmpeq_epi8(octets, others))));
    if (mask != 0) return from + static_cast<unsigned>(std::countr_zero(mask));
  }
#endif
  while (from < text.size() && text[from] != one && text[from] != other) ++from;
  return from;
}

}  // namespace

std::uint64_t Joined::origin_of(std::size_t at) const {
  const std::uint64_t position = dropped_ + at;
  const auto after = std::ranges::upper_bound(spans_, position, {}, &Span::at);
  return after == spans_.begin() ? 0 : (after - 1)->origin + (position - (after - 1)->at);
}
void Joined::append(std::string_view text, std::uint64_t origin) {
  if (text.empty()) return;
  const std::uint64_t at = dropped_ + text_.size();
  if (spans_.empty() || spans_.back().origin + (at - spans_.back().at) != origin) spans_.push_back({at, origin});
  text_ += text;
}
void Joined::drop(std::size_t count) {
  text_.erase(0, count);
  dropped_ += count;
  const auto after = std::ranges::upper_bound(spans_, dropped_, {}, &Span::at);
  if (after != spans_.begin()) spans_.erase(spans_.begin(), after - 1);
}

void Structure::find_kind(std::string_view text) {
  const std::size_t first = static_cast<std::size_t>(std::ranges::find_if_not(text, is_space) - text.begin());
  if (first == text.size()) return;
  const std::string_view rest = text.substr(first);
  if (rest[0] == '{' || rest[0] == '[') {
    kind_ = Kind::json;
    return;
  }
  if (rest.starts_with("--")) {
    const std::size_t line = rest.find('\n');
    if (line == std::string_view::npos && rest.size() < max_boundary) return;
    const std::string_view boundary = rest.substr(0, rest.find_first_of("\r\n"));
    kind_ = boundary.size() > 2 && boundary.size() < max_boundary && !boundary.starts_with("-----BEGIN ")
                ? Kind::multipart
                : Kind::none;
    boundary_ = boundary;
    place_ = Place::line;
    return;
  }
  const std::size_t name = static_cast<std::size_t>(std::ranges::find_if_not(rest, is_name_character) - rest.begin());
  if (name == rest.size() && name < max_form_name) return;
  kind_ = name > 0 && name <= max_form_name && name < rest.size() && rest[name] == '=' ? Kind::form : Kind::none;
  place_ = Place::name;
}

void Structure::take(std::size_t count) {
  size_ += count;
  at_ += count;
}

/// The first octets of the field, which may stand in what is not kept any more.
std::string_view Structure::head() const {
  if (begin_ < base_) return head_;
  return text_.substr(static_cast<std::size_t>(begin_ - base_))
      .substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(size_, 2 * end_octets)));
}

/// The field ends before text_[at_].
void Structure::commit(Joined& target) {
  const std::string_view first = head();
  target.append(first, begin_);
  const std::uint64_t end = begin_ + size_;
  std::uint64_t from = begin_ + first.size();
  if (from < end) {
    if (size_ > 2 * end_octets) {
      target.append(std::string(max_gap_octets + 1, ' '), from);
      from = std::max(from, end - end_octets);
    }
    // What is not kept any more has left a gap; it is long.
    from = std::max(from, base_);
    if (from < end && end - base_ <= text_.size())
      target.append(text_.substr(static_cast<std::size_t>(from - base_), static_cast<std::size_t>(end - from)), from);
  }
  target.append("\n", end);
  head_.clear();
  size_ = 0;
}

/// The text at hand ends inside of a field.
void Structure::keep_head() {
  if (size_ > 0 && head_.size() < 2 * end_octets && begin_ + head_.size() >= base_) {
    const auto from = static_cast<std::size_t>(begin_ + head_.size() - base_);
    head_ += text_.substr(from).substr(0, 2 * end_octets - head_.size());
  }
}

void Structure::read(std::string_view text, std::uint64_t base, std::size_t fresh) {
  text_ = text;
  base_ = base;
  at_ = fresh;
  if (kind_ == Kind::unknown) {
    find_kind(text);
    if (kind_ == Kind::unknown && base + text.size() > 256) kind_ = Kind::none;
    if (kind_ == Kind::unknown) return;
    at_ = 0;
    open();
  }
  if (kind_ == Kind::json) read_json();
  if (kind_ == Kind::form) read_form();
  if (kind_ == Kind::multipart) read_multipart();
  keep_head();
}

void Structure::finish(std::string_view text, std::uint64_t base) {
  text_ = text;
  base_ = base;
  at_ = text.size();
  if (kind_ == Kind::multipart && size_ > 0) read_line(head(), begin_);
  if (kind_ == Kind::form && size_ > 0) commit(place_ == Place::name ? names : values);
  if (kind_ == Kind::json && (pending_ || place_ == Place::field)) commit(values);
  pending_ = false;
}

void Structure::read_json() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (place_ == Place::field) {
      std::size_t stop = at_ + (escaped_ ? 1U : 0U);
      escaped_ = false;
      while ((stop = find_either(text_, stop, '"', '\\')) < text_.size() && text_[stop] == '\\') stop += 2;
      escaped_ = stop > text_.size();
      take(std::min(stop, text_.size()) - at_);
      if (at_ == text_.size()) return;
      place_ = Place::between;
      pending_ = true;
      // Longer than names are: a value, taken while its end is at hand.
      if (size_ > 2 * end_octets) {
        commit(values);
        pending_ = false;
      }
      ++at_;
      continue;
    }
    if (pending_ && !is_space(c)) {
      commit(c == ':' ? names : values);
      pending_ = false;
    }
    if (c == '"') {
      ++at_;
      open();
      place_ = Place::field;
      continue;
    }
    ++at_;
  }
}

void Structure::read_form() {
  while (at_ < text_.size()) {
    const std::size_t stop = find_either(text_, at_, '&', place_ == Place::name ? '=' : '&');
    take(stop - at_);
    if (at_ == text_.size()) return;
    const bool name = place_ == Place::name;
    commit(name ? names : values);
    place_ = name && text_[at_] == '=' ? Place::field : Place::name;
    ++at_;
    open();
  }
}

void Structure::read_multipart() {
  while (at_ < text_.size()) {
    const std::size_t stop = std::min(text_.find('\n', at_), text_.size());
    take(stop - at_);
    if (at_ == text_.size()) return;
    if (size_ > 2 * end_octets) {
      commit(values);
    } else {
      read_line(head(), begin_);
    }
    ++at_;
    open();
  }
}

void Structure::read_line(std::string_view line, std::uint64_t begin) {
  if (line.starts_with(boundary_)) {
    in_headers_ = true;
  } else if (!in_headers_) {
    values.append(line, begin);
    values.append("\n", begin + line.size());
  } else if (line.empty() || line == "\r") {
    in_headers_ = false;
  } else {
    // name="…"; filename="…": what is in quotes, the name of the field to the names.
    for (std::size_t at = line.find("=\""); at != std::string_view::npos; at = line.find("=\"", at)) {
      const bool file = at >= 8 && line.substr(at - 8, 8) == "filename";
      at += 2;
      const std::size_t end = std::min(line.find('"', at), line.size());
      (file ? values : names).append(line.substr(at, end - at), begin + at);
    }
  }
}

}  // namespace bot_bottle::dlp
