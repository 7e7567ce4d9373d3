#include "sidecar/dlp/structure.hpp"

#include <algorithm>

#include "sidecar/dlp/skeleton.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t end_octets = 768;  // of a long field, at each end: longer than any pattern of a piece
constexpr std::size_t max_form_name = 64;
constexpr std::size_t max_boundary = 80;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_name_character(char c) {
  return is_kept('\0', c) || std::string_view("_.-%+[]$").find(c) != std::string_view::npos;
}
void append(Joined& target, std::string_view text, std::uint64_t origin) {
  target.text += text;
  for (std::size_t i = 0; i < text.size(); ++i) target.origin.push_back(origin + i);
}

}  // namespace

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
  if (head_.size() < end_octets) head_ += text_.substr(at_, std::min(count, end_octets - head_.size()));
  size_ += count;
  at_ += count;
}

/// The field ends before text_[at_].
void Structure::commit(Joined& target) {
  append(target, head_, begin_);
  if (size_ > head_.size()) {
    if (size_ > 2 * end_octets) append(target, std::string(max_gap_octets + 1, ' '), begin_ + head_.size());
    const std::uint64_t end = begin_ + size_;
    const std::uint64_t from =
        std::max({end - std::min<std::uint64_t>(end, end_octets), begin_ + head_.size(), base_});
    // What is not kept any more has left a gap; it is long.
    if (from < end && from >= base_ && end - base_ <= text_.size())
      append(target, text_.substr(static_cast<std::size_t>(from - base_), static_cast<std::size_t>(end - from)), from);
  }
  append(target, "\n", begin_ + size_);
  head_.clear();
  size_ = 0;
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
  switch (kind_) {
    case Kind::json:
      return read_json();
    case Kind::form:
      return read_form();
    case Kind::multipart:
      return read_multipart();
    default:
      return;
  }
}

void Structure::finish(std::string_view text, std::uint64_t base) {
  text_ = text;
  base_ = base;
  at_ = text.size();
  if (kind_ == Kind::multipart && size_ > 0) read_line(head_, begin_);
  if (kind_ == Kind::form && size_ > 0) commit(place_ == Place::name ? names : values);
  if (kind_ == Kind::json && (pending_ || place_ == Place::field)) commit(values);
  pending_ = false;
}

void Structure::read_json() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (place_ == Place::field) {
      if (escaped_) {
        escaped_ = false;
        take(1);
        continue;
      }
      const std::size_t stop = std::min(text_.find_first_of("\"\\", at_), text_.size());
      take(stop - at_);
      if (at_ == text_.size()) return;
      if (text_[at_] == '\\') {
        escaped_ = true;
        take(1);
        continue;
      }
      place_ = Place::between;
      pending_ = true;
      // Longer than names are: a value, taken while its end is at hand.
      if (size_ > end_octets) {
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
    if (c >= '0' && c <= '9') append(values, text_.substr(at_, 1), base_ + at_);
    ++at_;
  }
}

void Structure::read_form() {
  while (at_ < text_.size()) {
    const std::size_t stop = std::min(text_.find_first_of(place_ == Place::name ? "=&" : "&", at_), text_.size());
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
    if (size_ > head_.size()) {
      commit(values);
    } else {
      read_line(head_, begin_);
    }
    ++at_;
    open();
  }
}

void Structure::read_line(std::string_view line, std::uint64_t begin) {
  if (line.starts_with(boundary_)) {
    in_headers_ = true;
  } else if (!in_headers_) {
    append(values, line, begin);
    append(values, "\n", begin + line.size());
  } else if (line.empty() || line == "\r") {
    in_headers_ = false;
  } else {
    // name="…"; filename="…": what is in quotes, the name of the field to the names.
    for (std::size_t at = line.find("=\""); at != std::string_view::npos; at = line.find("=\"", at)) {
      const bool file = at >= 8 && line.substr(at - 8, 8) == "filename";
      at += 2;
      const std::size_t end = std::min(line.find('"', at), line.size());
      append(file ? values : names, line.substr(at, end - at), begin + at);
    }
  }
}

}  // namespace bot_bottle::dlp
