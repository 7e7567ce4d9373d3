#include "core/base/clock.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>
#include <ctime>
#include <limits>
#include <utility>

namespace bot_bottle {
namespace {

/// The leading digits of `text`, which is shortened to what follows them.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end == text.data()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::optional<std::uint64_t> multiply(std::uint64_t a, std::uint64_t b) {
  if (b != 0 && a > std::numeric_limits<std::uint64_t>::max() / b) return std::nullopt;
  return a * b;
}

}  // namespace

std::int64_t now_ms() {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::system_clock;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::string format_time(std::int64_t ms_since_epoch) {
  const std::time_t seconds = ms_since_epoch / 1000;
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, ms_since_epoch % 1000);
}

std::string format_age(std::int64_t milliseconds) {
  const std::int64_t seconds = milliseconds / 1000;
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m", seconds / 60);
  if (seconds < 86400) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86400);
}

std::optional<std::int64_t> parse_duration_ms(std::string_view text) {
  const auto number = take_number(text);
  if (!number) return std::nullopt;
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 6> units{
      {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
  for (const auto& [name, factor] : units) {
    if (text != name) continue;
    const auto product = multiply(*number, factor);
    if (!product || *product > std::uint64_t{1} << 53U) return std::nullopt;
    return static_cast<std::int64_t>(*product);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_size_bytes(std::string_view text) {
  const auto number = take_number(text);
  if (!number) return std::nullopt;
  static constexpr std::array<std::pair<std::string_view, std::uint64_t>, 10> units{{{"", 1},
                                                                                     {"B", 1},
                                                                                     {"kB", 1000},
                                                                                     {"MB", 1000'000},
                                                                                     {"GB", 1000'000'000},
                                                                                     {"TB", 1000'000'000'000},
                                                                                     {"KiB", 1ULL << 10U},
                                                                                     {"MiB", 1ULL << 20U},
                                                                                     {"GiB", 1ULL << 30U},
                                                                                     {"TiB", 1ULL << 40U}}};
  for (const auto& [name, factor] : units)
    if (text == name) return multiply(*number, factor);
  return std::nullopt;
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 5> names{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < names.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, names[unit]);
}

std::string format_transfer(std::uint64_t entries, std::uint64_t bytes, std::int64_t elapsed_ms) {
  constexpr std::int64_t least_ms = 500;
  std::string text = format_bytes(bytes);
  if (elapsed_ms >= least_ms) {
    const double per_second = static_cast<double>(bytes) * 1000.0 / static_cast<double>(elapsed_ms);
    text += ", " + format_bytes(static_cast<std::uint64_t>(per_second)) + "/s";
  }
  return text + fmt::format(", {} {}", entries, entries == 1 ? "entry" : "entries");
}

}  // namespace bot_bottle
