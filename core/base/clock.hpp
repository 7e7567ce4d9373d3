// Wall-clock time as text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bot_bottle {

/// Milliseconds since the epoch.
std::int64_t now_ms();
/// UTC, "2026-11-21T01:19:03.123Z" (RFC 3339).
std::string format_time(std::int64_t ms_since_epoch);
/// "3s", "5m", "2h", "4d".
std::string format_age(std::int64_t milliseconds);
/// "90s", "5m", "2h", "1d" or a plain count of seconds → milliseconds; nothing on bad input.
std::optional<std::int64_t> parse_duration_ms(std::string_view text);
/// "512MiB", "4GiB", "10kB", "1024" → bytes; nothing on bad input or overflow. KiB/MiB/GiB/TiB are
/// powers of 1024, kB/MB/GB/TB of 1000, "K", "M", "G" alone are refused as ambiguous.
std::optional<std::uint64_t> parse_size_bytes(std::string_view text);
/// "1.5 MiB".
std::string format_bytes(std::uint64_t bytes);
/// What a copy says of itself: "1.2 GiB, 310.0 MiB/s, 1204 entries". No rate in the first half second: it would be
/// noise.
std::string format_transfer(std::uint64_t entries, std::uint64_t bytes, std::int64_t elapsed_ms);

}  // namespace bot_bottle
