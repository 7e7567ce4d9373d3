#include "core/desk/answer.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <charconv>

#include "core/base/clock.hpp"
#include "core/base/paths.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::desk {
namespace {

constexpr std::array<std::string_view, 3> decision_names{"approve", "modify", "reject"};
constexpr int max_depth = 32;

json::value with_lines(const json::value& value, int depth) {
  if (depth > max_depth) return value;
  if (const json::string* text = value.if_string(); text != nullptr && text->find('\n') != json::string::npos) {
    json::array lines;
    for (const std::string_view line : split(std::string_view(*text), '\n')) lines.emplace_back(line);
    return json::object{{"lines", std::move(lines)}};
  }
  if (const json::object* object = value.if_object()) {
    json::object out;
    for (const auto& member : *object) out[member.key()] = with_lines(member.value(), depth + 1);
    return out;
  }
  if (const json::array* array = value.if_array()) {
    json::array out;
    for (const json::value& one : *array) out.push_back(with_lines(one, depth + 1));
    return out;
  }
  return value;
}

json::value without_lines(const json::value& value) {
  if (const json::object* object = value.if_object()) {
    if (const json::array* lines = find_array(*object, "lines"); lines != nullptr && object->size() == 1) {
      std::vector<std::string> texts;
      for (const json::value& line : *lines)
        texts.push_back(line.is_string() ? std::string(line.as_string()) : to_text(line));
      return json::value(join(texts, "\n"));
    }
    json::object out;
    for (const auto& member : *object) out[member.key()] = without_lines(member.value());
    return out;
  }
  if (const json::array* array = value.if_array()) {
    json::array out;
    for (const json::value& one : *array) out.push_back(without_lines(one));
    return out;
  }
  return value;
}

}  // namespace

json::object to_json(const Narrow& narrow) {
  json::object out;
  if (narrow.once) out["once"] = true;
  if (narrow.seconds > 0) out["seconds"] = narrow.seconds;
  if (narrow.requests > 0) out["requests"] = narrow.requests;
  if (narrow.bytes > 0) out["bytes"] = narrow.bytes;
  return out;
}

std::string describe(const Narrow& narrow) {
  if (narrow.once) return "once";
  if (narrow.seconds > 0) return "for " + format_age(static_cast<std::int64_t>(narrow.seconds) * 1000);
  if (narrow.requests > 0) return fmt::format("for {} requests", narrow.requests);
  if (narrow.bytes > 0) return "for " + format_bytes(narrow.bytes);
  return {};
}

std::optional<std::uint64_t> parse_seconds(std::string_view text) {
  const auto ms = parse_duration_ms(text);
  if (!ms || *ms < 1000 || *ms % 1000 != 0) return std::nullopt;
  return static_cast<std::uint64_t>(*ms / 1000);
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bytes = parse_size_bytes(text);
  if (!bytes || *bytes == 0 || *bytes > (std::uint64_t{1} << 62U)) return std::nullopt;
  return bytes;
}

std::optional<std::uint64_t> parse_count(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value == 0 || value > 1'000'000'000)
    return std::nullopt;
  return value;
}

json::object to_request(const Answer& answer, std::string_view id, std::string_view by) {
  json::object request{{"call", "answer"},
                       {"proposal", id},
                       {"decision", decision_names.at(static_cast<std::size_t>(answer.decision))},
                       {"hash", answer.hash},
                       {"by", by}};
  if (!answer.reason.empty()) request["reason"] = answer.reason;
  if (answer.text) request["text"] = *answer.text;
  if (answer.change) request["change"] = *answer.change;
  if (answer.narrow.is_set()) request["narrow"] = to_json(answer.narrow);
  return request;
}

std::string operator_name() {
  const std::string uid = "uid " + std::to_string(::getuid());
  const auto user = environment("USER");
  return user && !user->empty() ? escape_untrusted(*user, 64) : uid;
}

std::string to_editable(const json::object& change) {
  const std::string text = to_pretty_text(with_lines(change, 0));
  // JSON as ASCII: bidirectional and invisible characters would lie to who edits, too.
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80 && text[at] != '\x7f') {
      out += text[at++];
      continue;
    }
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    std::uint32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length && at + i < text.size(); ++i)
      point = (point << 6U) | (static_cast<unsigned char>(text[at + i]) & 0x3FU);
    if (point >= 0x10000)
      out +=
          fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((point - 0x10000) >> 10U), 0xDC00 + ((point - 0x10000) & 0x3FFU));
    else
      out += fmt::format("\\u{:04x}", point);
    at += length;
  }
  return out;
}

Result<json::object> from_editable(std::string_view text) {
  auto document = parse_json_object(text);
  if (!document) return fail(std::move(document.error()).within("the edited change"));
  json::value plain = without_lines(*document);
  if (!plain.is_object()) return fail(ErrorKind::invalid_argument, "the edited change is not an object");
  return plain.as_object();
}

}  // namespace bot_bottle::desk
