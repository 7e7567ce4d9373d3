#include "core/audit/record.hpp"

#include <fmt/format.h>

#include <array>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::audit {
namespace {

constexpr std::string_view head_schema = "bot-bottle.audit-head/1";
constexpr std::size_t max_head_octets = 4096;
constexpr std::size_t max_word_octets = 4096;
constexpr std::size_t max_text_octets = std::size_t{1} << 20;
/// JSON makes six octets of a control character: a line that would not be read again is made of less text instead.
constexpr std::size_t max_encoded_octets = std::size_t{3} << 20;
constexpr std::size_t short_text_octets = std::size_t{64} << 10;

std::string bounded(std::string text, std::size_t most) {
  if (!is_valid_utf8(text)) text = "(not UTF-8) " + hex_encode(text.substr(0, most / 4));
  if (text.size() <= most) return text;
  const std::size_t size = text.size();
  const std::string hash = sha256_hex(text);
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
  text.resize(most);
  return text + fmt::format("… ({} octets in all, SHA-256 {})", size, hash);
}

}  // namespace

std::filesystem::path file_of(const Home& home, std::string_view slug) {
  return home.audit() / (std::string(slug) + ".jsonl");
}

std::filesystem::path head_of(const Home& home, std::string_view slug) {
  return home.audit() / (std::string(slug) + ".head");
}

std::string first_previous(std::string_view slug) {
  return sha256_hex("bot-bottle.audit/1 " + std::string(slug));
}

std::optional<Head> load_head(const Home& home, std::string_view slug) {
  const std::filesystem::path path = head_of(home, slug);
  auto text = read_file(path, max_head_octets);
  if (!text) {
    if (text.error().kind == ErrorKind::not_found) return std::nullopt;
    throw Failure(std::move(text.error()));
  }
  const auto document = parse_json_object(*text);
  const auto number = [&document](std::string_view key) { return get_int(*document, key, -1); };
  if (!document || get_string(*document, "schema") != head_schema || get_string(*document, "slug") != slug ||
      number("lines") < 0 || number("octets") < 0 || number("seq") < 0)
    throw Failure(make_error(ErrorKind::failed_precondition, path.string() + " is not what bot-bottle writes",
                             "bot-bottle audit verify " + std::string(slug)));
  return Head{.lines = static_cast<std::uint64_t>(number("lines")),
              .octets = static_cast<std::uint64_t>(number("octets")),
              .last = get_string(*document, "last"),
              .journal = get_string(*document, "journal"),
              .seq = static_cast<std::uint64_t>(number("seq"))};
}

void write_head(const Home& home, std::string_view slug, const Head& head) {
  or_throw(write_file_atomic(head_of(home, slug), to_text(json::object{{"schema", head_schema},
                                                                       {"slug", slug},
                                                                       {"lines", head.lines},
                                                                       {"octets", head.octets},
                                                                       {"last", head.last},
                                                                       {"journal", head.journal},
                                                                       {"seq", head.seq}}) +
                                                      "\n"));
}

namespace {

std::string line_with(const json::object& decision, std::string_view slug, std::string_view journal,
                      std::uint64_t number, std::string_view previous, std::size_t max_text) {
  json::object line{{"n", number}, {"slug", slug}, {"journal", journal}, {"seq", get_int(decision, "seq", 0)}};
  for (const std::string_view key : {"at", "by", "proposal", "kind", "decision", "reason"})
    line[key] = bounded(get_string(decision, key), max_word_octets);
  for (const std::string_view key : {"before", "after", "text"})
    if (const json::value* text = decision.if_contains(key); text != nullptr && text->is_string())
      line[key] = bounded(std::string(text->as_string()), max_text);
  if (const json::object* narrow = find_object(decision, "narrow")) {
    json::object kept;
    for (const std::string_view key : {"seconds", "requests", "bytes"})
      if (const std::int64_t value = get_int(*narrow, key, 0); value > 0) kept[key] = value;
    if (get_bool(*narrow, "once", false)) kept["once"] = true;
    if (!kept.empty()) line["narrow"] = std::move(kept);
  }
  line["previous"] = previous;
  return to_text(line);
}

}  // namespace

std::string make_line(const json::object& decision, std::string_view slug, std::string_view journal,
                      std::uint64_t number, std::string_view previous) {
  std::string line = line_with(decision, slug, journal, number, previous, max_text_octets);
  if (line.size() > max_encoded_octets) line = line_with(decision, slug, journal, number, previous, short_text_octets);
  return line;
}

}  // namespace bot_bottle::audit
