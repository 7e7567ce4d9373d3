// The event log of a bottle as text (docs/internals.md, Event log). Called by `logs`.
// Hostile input: every field. The sidecar writes the file, so the file itself may be anything too: a link, a pipe,
// endless.
#pragma once

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

/// One aligned line, escaped, without newline.
std::string format_event(const Context& context, const json::object& event);

/// Opens logs/events.jsonl below `state`: a regular file, no link. An invalid UniqueFd when it is not there yet.
UniqueFd open_event_log(const std::filesystem::path& state);

/// Gives each complete line of what is to be read at `fd` from where it stands; keeps an unfinished one for the next
/// call.
class LineReader {
 public:
  void read_available(int fd, const std::function<void(std::string_view)>& on_line);

 private:
  std::string rest_;
  bool skipping_ = false;
};

/// Blocks until the log may have grown; no polling. False when the bottle's directory is gone.
class LogWatch {
 public:
  explicit LogWatch(const std::filesystem::path& state);
  bool wait();
  /// True once after another file took the log's name.
  [[nodiscard]] bool take_replaced();

 private:
  UniqueFd fd_;
  int state_watch_ = -1;
  int logs_watch_ = -1;
  bool replaced_ = false;
};

}  // namespace bot_bottle::cli
