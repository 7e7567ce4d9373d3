// The event log of a bottle as text (docs/internals.md, Event log). Called by `logs`.
// Hostile input: every field. The sidecar writes the file, so the file itself may be anything too: a link, a pipe,
// endless.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/base/json.hpp"
#include "core/base/unique_fd.hpp"
#include "core/cli/context.hpp"

namespace bot_bottle::cli {

/// A longer line is no event of ours; what follows it is still read.
inline constexpr std::size_t max_event_line = std::size_t{256} << 10;

struct EventFilter {
  std::set<std::string> kinds;           // empty: all
  std::optional<std::int64_t> since_ms;  // of the epoch
  [[nodiscard]] bool passes(const json::object& event) const;
};

/// RFC 3339 in UTC ("…Z") to milliseconds since the epoch; nothing on anything else.
std::optional<std::int64_t> parse_time_ms(std::string_view text);

/// What a person types for `--since`: "10m" (that long ago), "14:05" (today's, else yesterday's), "2026-11-28",
/// "2026-11-28 14:05" (local times, as `logs` shows them), or RFC 3339. Nothing on anything else.
std::optional<std::int64_t> parse_since(std::string_view text, std::int64_t now_ms);

struct EventLayout {
  std::size_t width = 0;  // columns; 0: nothing is cut
  enum class Dates : std::uint8_t { in_line, apart } dates = Dates::in_line;
};
/// One aligned line, escaped, without newline, of at most `width` columns: what is too long is cut where it tells least
/// (first the path, then the end).
std::string format_event(const Context& context, const json::object& event, EventLayout layout = {});
/// The local date, "2026-11-28"; "?" for no time.
std::string date_of(const json::object& event);

/// The log that is written, or the one before it: it goes to another name when it is large.
enum class LogFile : std::uint8_t { current, previous };
/// Opens it below `state`/logs: a regular file, no link. An invalid UniqueFd when it is not there.
UniqueFd open_event_log(const std::filesystem::path& state, LogFile file = LogFile::current);

/// Gives each complete line of what is to be read at `fd` from where it stands; keeps an unfinished one for the next
/// call.
class LineReader {
 public:
  void read_available(int fd, const std::function<void(std::string_view)>& on_line);

 private:
  std::string rest_;
  bool skipping_ = false;
};

/// Waits until the log may have grown.
class LogWatch {
 public:
  enum class Wake : std::uint8_t {
    log,    // it may have grown, or another file has its name
    gone,   // the bottle's directory is gone
    other,  // `other` is readable or closed
    time,   // nothing came
  };
  explicit LogWatch(const std::filesystem::path& state);
  /// `other`: a descriptor that is watched too, or -1. Without a time it waits as long as it takes.
  Wake wait(int other = -1, std::optional<std::chrono::milliseconds> time = std::nullopt);
  /// True once after another file took the log's name.
  [[nodiscard]] bool take_replaced();

 private:
  Wake read_changes();
  UniqueFd fd_;
  int state_watch_ = -1;
  int logs_watch_ = -1;
  bool replaced_ = false;
};

}  // namespace bot_bottle::cli
