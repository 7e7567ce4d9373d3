#include "core/manifest/front_matter.hpp"

#include <algorithm>

#include "core/base/text.hpp"

namespace bot_bottle::manifest {
namespace {

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

std::size_t code_points(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return !is_continuation(c); }));
}

Place place_at(std::string_view text, std::size_t offset, const std::filesystem::path& file) {
  const std::string_view before = text.substr(0, offset);
  const std::size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return {file, static_cast<std::size_t>(std::ranges::count(before, '\n')) + 1,
          code_points(before.substr(line_start)) + 1};
}

/// The first byte that is not part of valid UTF-8.
std::size_t first_invalid(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t length = 1;
    while (length <= 4 && at + length <= text.size() && !is_valid_utf8(text.substr(at, length))) ++length;
    if (length > 4 || at + length > text.size()) return at;
    at += length;
  }
  return at;
}

std::string with_line_feeds(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] != '\r' || i + 1 >= text.size() || text[i + 1] != '\n') out += text[i];
  return out;
}

bool is_delimiter(std::string_view line, std::string_view delimiter) {
  const std::size_t end = line.find_last_not_of(' ');
  return line.substr(0, end == std::string_view::npos ? 0 : end + 1) == delimiter;
}

/// Characters that YAML's or TOML's grammar does not have, or that other readers take for a line break. yaml-cpp takes
/// U+0004 for the end of the file: what stood behind it would be lost unseen.
bool check_characters(const FrontMatter& front_matter, Faults& faults) {
  bool clean = true;
  for (std::size_t number = 0; number < front_matter.lines.size(); ++number) {
    const std::string_view line = front_matter.lines[number];
    for (std::size_t i = 0; i < line.size(); ++i) {
      const auto byte = static_cast<unsigned char>(line[i]);
      const auto next = i + 1 < line.size() ? static_cast<unsigned char>(line[i + 1]) : 0U;
      const auto third = i + 2 < line.size() ? static_cast<unsigned char>(line[i + 2]) : 0U;
      const bool control =
          (byte < 0x20 && byte != '\t') || byte == 0x7F || (byte == 0xC2 && next >= 0x80 && next <= 0x9F);
      const bool separator = byte == 0xE2 && next == 0x80 && (third == 0xA8 || third == 0xA9);
      const bool tab = byte == '\t' && front_matter.language == Language::yaml;
      if (!control && !separator && !tab) continue;
      const Place place = front_matter.spot(number, i).place();
      if (tab)
        faults.error(place, {}, "a tab in YAML", "indent with spaces; inside a double-quoted string write \\t");
      else if (byte == '\r')
        faults.error(place, {}, "a carriage return without a line feed", "end lines with LF or CR LF");
      else
        faults.error(place, {}, "a control character", "write it as an escape in a double-quoted string");
      clean = false;
      break;  // one a line is enough
    }
  }
  return clean;
}

}  // namespace

Spot FrontMatter::spot(std::size_t line, std::size_t byte) const {
  const std::size_t last = lines.empty() ? 0 : lines.size() - 1;
  if (line > last) {
    line = last;
    byte = lines.empty() ? 0 : lines[last].size();
  }
  const std::string_view content = lines.empty() ? std::string_view() : lines[line];
  return {file, line + first_line, code_points(content.substr(0, std::min(byte, content.size()))) + 1};
}

namespace {

/// Spec 01, Files: what is no text of ours is refused as a whole.
std::optional<std::string> read_text(std::string_view bytes, const std::filesystem::path& file, Faults& faults) {
  if (bytes.size() > max_file_bytes) {
    faults.error({file, 0, 0}, {}, "the file is larger than 1 MiB");
    return std::nullopt;
  }
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (const std::size_t nul = bytes.find('\0'); nul != std::string_view::npos) {
    faults.error(place_at(bytes, nul, file), {}, "a NUL byte", "manifests are text");
    return std::nullopt;
  }
  if (!is_valid_utf8(bytes)) {
    faults.error(place_at(bytes, first_invalid(bytes), file), {}, "not valid UTF-8", "save the file as UTF-8");
    return std::nullopt;
  }
  return with_line_feeds(bytes);
}

}  // namespace

std::unique_ptr<FrontMatter> whole_file(std::string_view bytes, const std::filesystem::path& file, Faults& faults) {
  auto text = read_text(bytes, file, faults);
  if (!text) return nullptr;
  if (text->size() > max_front_matter_bytes) {
    faults.error({file, 1, 1}, {}, "the file is larger than 256 KiB");
    return nullptr;
  }
  auto whole = std::make_unique<FrontMatter>();
  whole->file = std::make_shared<const std::filesystem::path>(file);
  whole->language = Language::toml;
  whole->first_line = 1;
  whole->text = std::move(*text);
  whole->lines = split(whole->text, '\n');
  if (!check_characters(*whole, faults)) return nullptr;
  return whole;
}

std::unique_ptr<FrontMatter> split_front_matter(std::string_view bytes, const std::filesystem::path& file,
                                                Faults& faults) {
  const Place start{file, 1, 1};
  const auto read = read_text(bytes, file, faults);
  if (!read) return nullptr;
  const std::string& text = *read;
  const std::size_t first_end = std::min(text.find('\n'), text.size());
  const std::string_view first = std::string_view(text).substr(0, first_end);
  auto front_matter = std::make_unique<FrontMatter>();
  front_matter->file = std::make_shared<const std::filesystem::path>(file);
  const bool yaml = is_delimiter(first, "---");
  if (!yaml && !is_delimiter(first, "+++")) {
    faults.error(start, {}, "the file does not begin with front matter",
                 "line 1 must be '---' (YAML) or '+++' (TOML); the same line ends it");
    return nullptr;
  }
  front_matter->language = yaml ? Language::yaml : Language::toml;
  const std::string_view delimiter = yaml ? "---" : "+++";
  std::size_t at = std::min(first_end + 1, text.size());
  const std::size_t begin = at;
  std::size_t line_number = 2;
  bool closed = false;
  bool other = false;
  for (; at < text.size(); ++line_number) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    if (is_delimiter(line, delimiter)) {
      front_matter->text = text.substr(begin, at - begin);
      front_matter->body = text.substr(std::min(end + 1, text.size()));
      front_matter->body_line = line_number + 1;
      closed = true;
      break;
    }
    other = other || is_delimiter(line, yaml ? "+++" : "---");
    at = end + 1;
  }
  if (!closed) {
    faults.error(start, {}, "the front matter that begins here is not closed",
                 (other ? "it begins with '" + std::string(delimiter) + "' and must end with it"
                        : "end it with a line '" + std::string(delimiter) + "'"));
    return nullptr;
  }
  if (front_matter->text.size() > max_front_matter_bytes) {
    faults.error(start, {}, "the front matter is larger than 256 KiB");
    return nullptr;
  }
  front_matter->lines = split(front_matter->text, '\n');
  if (!check_characters(*front_matter, faults)) return nullptr;
  return front_matter;
}

}  // namespace bot_bottle::manifest
