// An event as one line: when, how bad, what kind, and what it was about.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "core/base/clock.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text_width.hpp"
#include "core/cli/event_log.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::size_t least_text = 20;

/// "2026-11-28 23:02:45", local; empty for no time.
std::string local_time(const json::object& event) {
  const auto ms = parse_time_ms(get_string(event, "time"));
  if (!ms) return {};
  const std::time_t seconds = *ms / 1000;
  std::tm local{};
  if (::localtime_r(&seconds, &local) == nullptr) return {};
  std::array<char, 32> out{};
  return {out.data(), std::strftime(out.data(), out.size(), "%Y-%m-%d %H:%M:%S", &local)};
}

/// Escaped and bounded: no field may push the others off the screen.
std::string field(const json::object& event, std::string_view key, std::size_t most) {
  const json::value* value = event.if_contains(key);
  if (value == nullptr || value->is_null()) return {};
  return escape_untrusted(value->is_string() ? std::string(value->as_string()) : to_text(*value), most);
}

/// `text` in a column of `width`, cut when it is longer.
std::string column(std::string_view text, std::size_t width) {
  std::string out = cut_to_width(text, width);
  out.append(width - std::min(width, display_width(out)), ' ');
  return out;
}

/// Their level and kind say it already.
bool goes_without_saying(std::string_view name) {
  return name == "request" || name == "blocked" || name == "dns_refused";
}

/// "GET api.example.com/v1/x": what may be long and tells least at its end.
std::string target_of(const json::object& event) {
  std::string target = field(event, "event", 64);
  const std::string method = field(event, "method", 16);
  const std::string place = field(event, "host", 256) + field(event, "path", 512);
  if (goes_without_saying(target) && !(method + place).empty()) target.clear();
  for (const std::string* part : {&method, &place})
    if (!part->empty()) target += (target.empty() ? "" : " ") + *part;
  return target;
}

/// What came of it, and why.
std::string outcome_of(const json::object& event) {
  std::string text;
  if (const std::string status = field(event, "status", 8); !status.empty()) text += " → " + status;
  if (const std::string rule = field(event, "rule", 64); !rule.empty()) text += " [" + rule + "]";
  if (const std::string where = field(event, "where", 64); !where.empty()) text += " in " + where;
  if (const std::string reason = field(event, "reason", 512); !reason.empty()) text += ": " + reason;
  if (const std::string snippet = field(event, "snippet", 256); !snippet.empty()) text += " | " + snippet;
  static constexpr std::array<std::string_view, 15> shown{"time",   "kind",    "level",    "event",     "host",
                                                          "method", "path",    "status",   "rule",      "where",
                                                          "reason", "snippet", "bytes_in", "bytes_out", "ms"};
  for (const auto& [key, value] : event) {
    if (std::ranges::find(shown, std::string_view(key)) != shown.end() || value.is_null()) continue;
    text += fmt::format(" {}={}", escape_untrusted(std::string_view(key), 32), field(event, key, 128));
  }
  const std::int64_t in = get_int(event, "bytes_in", -1);
  const std::int64_t out = get_int(event, "bytes_out", -1);
  if (out > 0) text += " ↑" + format_bytes(static_cast<std::uint64_t>(out));
  if (in > 0) text += " ↓" + format_bytes(static_cast<std::uint64_t>(in));
  if (const std::int64_t ms = get_int(event, "ms", -1); ms >= 0) text += fmt::format(" {} ms", ms);
  return text;
}

Tone tone_of_level(std::string_view level) {
  return level == "block" ? Tone::bad : level == "warn" ? Tone::warning : Tone::dim;
}

/// So that what the agent does stands out from what surrounds it.
Tone tone_of_kind(std::string_view kind) {
  if (kind == "launch" || kind == "sidecar") return Tone::dim;
  return kind == "dlp" || kind == "supervise" ? Tone::strong : Tone::plain;
}

}  // namespace

std::string date_of(const json::object& event) {
  const std::string time = local_time(event);
  return time.size() < 19 ? "?" : time.substr(0, 10);
}

std::string format_event(const Context& context, const json::object& event, EventLayout layout) {
  const bool apart = layout.dates == EventLayout::Dates::apart;
  const std::string when = local_time(event);
  const std::string time = column(when.size() < 19 ? "?" : when.substr(apart ? 11 : 5), apart ? 8 : 14);
  const std::string level = field(event, "level", 8);
  const std::string kind = field(event, "kind", 16);
  const std::size_t before = display_width(time) + 2 + 5 + 2 + 9 + 2;
  std::string target = target_of(event);
  std::string outcome = outcome_of(event);
  if (layout.width > 0) {
    const std::size_t room = layout.width > before + least_text ? layout.width - before : least_text;
    if (display_width(target) + display_width(outcome) > room) {
      // The end of a path goes before the reason does.
      const std::size_t half = display_width(target) <= room * 2 / 3 ? room * 2 / 3 : room / 2;
      const std::size_t wanted = room - std::min(room, display_width(outcome));
      target = cut_to_width(target, std::max(half, wanted));
      outcome = cut_to_width(outcome, room - display_width(target));
    }
  }
  std::string line = context.paint(time, Tone::dim) + "  ";
  line += context.paint(column(level == "info" ? "" : level, 5), tone_of_level(level)) + "  ";
  line += context.paint(column(kind, 9), tone_of_kind(kind)) + "  ";
  line += context.paint(target, level == "block" ? Tone::bad : Tone::plain) + outcome;
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

}  // namespace bot_bottle::cli
