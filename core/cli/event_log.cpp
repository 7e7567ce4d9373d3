#include "core/cli/event_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/inotify.h>
#endif
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::cli {
namespace {

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  if (at + count > text.size()) return std::nullopt;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

/// Local time, "11-21 01:19:03".
std::string short_time(std::string_view text) {
  const auto ms = parse_time_ms(text);
  if (!ms) return "?";
  const std::time_t seconds = *ms / 1000;
  std::tm local{};
  if (::localtime_r(&seconds, &local) == nullptr) return "?";
  std::array<char, 32> out{};
  return {out.data(), std::strftime(out.data(), out.size(), "%m-%d %H:%M:%S", &local)};
}

std::string text_of(const json::object& event, std::string_view key) {
  const json::value* value = event.if_contains(key);
  if (value == nullptr || value->is_null()) return {};
  if (value->is_string()) return std::string(value->as_string());
  return to_text(*value);
}

}  // namespace

std::optional<std::int64_t> parse_time_ms(std::string_view text) {
  // RFC 3339 section 5.6, as core/base/clock writes it; a date alone is its midnight.
  const auto year = digits(text, 0, 4);
  const auto month = digits(text, 5, 2);
  const auto day = digits(text, 8, 2);
  if (!year || !month || !day || text[4] != '-' || text[7] != '-' || *month < 1 || *month > 12 || *day < 1 || *day > 31)
    return std::nullopt;
  std::tm utc{};
  utc.tm_year = *year - 1900;
  utc.tm_mon = *month - 1;
  utc.tm_mday = *day;
  std::int64_t fraction = 0;
  if (text.size() > 10) {
    const auto hour = digits(text, 11, 2);
    const auto minute = digits(text, 14, 2);
    const auto second = digits(text, 17, 2);
    if (!hour || !minute || !second || (text[10] != 'T' && text[10] != ' ') || text[13] != ':' || text[16] != ':' ||
        *hour > 23 || *minute > 59 || *second > 60)
      return std::nullopt;
    utc.tm_hour = *hour;
    utc.tm_min = *minute;
    utc.tm_sec = *second;
    std::string_view rest = text.substr(19);
    if (rest.starts_with('.')) {
      std::int64_t scale = 100;
      rest.remove_prefix(1);
      while (!rest.empty() && rest.front() >= '0' && rest.front() <= '9') {
        fraction += scale * (rest.front() - '0');
        scale /= 10;
        rest.remove_prefix(1);
      }
    }
    if (rest != "Z" && rest != "z") return std::nullopt;
  }
  return static_cast<std::int64_t>(::timegm(&utc)) * 1000 + fraction;
}

bool EventFilter::passes(const json::object& event) const {
  if (!kinds.empty() && !kinds.contains(get_string(event, "kind"))) return false;
  if (!since_ms) return true;
  const auto time = parse_time_ms(get_string(event, "time"));
  return time && *time >= *since_ms;
}

std::string format_event(const Context& context, const json::object& event) {
  const std::string level = get_string(event, "level", "info");
  const Tone tone = level == "block" ? Tone::bad : level == "warn" ? Tone::warning : Tone::plain;
  // Each field is escaped on its own and bounded: one may not push the others off the screen.
  const auto field = [&event](std::string_view key, std::size_t most) {
    return escape_untrusted(text_of(event, key), most);
  };
  std::string line = context.paint(short_time(get_string(event, "time")), Tone::dim);
  line += fmt::format("  {:<9}  ", field("kind", 16));
  line += context.paint(fmt::format("{:<5}", escape_untrusted(level, 8)), tone);
  line += "  " + field("event", 64);
  std::string target;
  if (const std::string method = field("method", 16); !method.empty()) target += " " + method;
  if (const std::string host = field("host", 256); !host.empty())
    target += " " + host + field("path", 512);
  else if (const std::string path = field("path", 512); !path.empty())
    target += " " + path;
  line += target;
  if (const std::string status = field("status", 8); !status.empty()) line += " → " + status;
  if (const std::string rule = field("rule", 64); !rule.empty()) line += " [" + rule + "]";
  if (const std::string where = field("where", 64); !where.empty()) line += " in " + where;
  if (const std::string reason = field("reason", 512); !reason.empty()) line += ": " + reason;
  if (const std::string snippet = field("snippet", 256); !snippet.empty()) line += " | " + snippet;
  static constexpr std::array<std::string_view, 14> shown{"time",   "kind",    "level",    "event",    "host",
                                                          "method", "path",    "status",   "rule",     "where",
                                                          "reason", "snippet", "bytes_in", "bytes_out"};
  for (const auto& [key, value] : event) {
    if (std::ranges::find(shown, std::string_view(key)) != shown.end() || key == "ms" || value.is_null()) continue;
    line += fmt::format(" {}={}", escape_untrusted(std::string_view(key), 32), field(key, 128));
  }
  const std::int64_t in = get_int(event, "bytes_in", -1);
  const std::int64_t out = get_int(event, "bytes_out", -1);
  if (out > 0) line += " ↑" + format_bytes(static_cast<std::uint64_t>(out));
  if (in > 0) line += " ↓" + format_bytes(static_cast<std::uint64_t>(in));
  if (const std::int64_t ms = get_int(event, "ms", -1); ms >= 0) line += fmt::format(" {} ms", ms);
  return line;
}

UniqueFd open_event_log(const std::filesystem::path& state) {
  const std::filesystem::path file = state / "logs" / "events.jsonl";
  // O_NONBLOCK: a pipe in its place would block us; O_NOFOLLOW: a link would show another file of the operator.
  UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT) return fd;
    throw Failure(error_from_errno("opening " + file.string(), errno));
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))
    throw Failure(make_error(ErrorKind::failed_precondition, file.string() + " is not a regular file",
                             "something replaced it; do not trust this bottle's logs"));
  return fd;
}

void LineReader::read_available(int fd, const std::function<void(std::string_view)>& on_line) {
  std::array<char, 65536> buffer{};
  while (true) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Failure(error_from_errno("reading the event log", errno));
    if (got == 0) return;
    std::string_view piece(buffer.data(), static_cast<std::size_t>(got));
    while (!piece.empty()) {
      const std::size_t end = piece.find('\n');
      const std::string_view part = piece.substr(0, end);
      if (!skipping_) {
        rest_ += part;
        if (rest_.size() > max_event_line) {
          rest_.clear();
          skipping_ = true;
          on_line("(a line that is too long was left out)");
        }
      }
      if (end == std::string_view::npos) break;
      if (!skipping_ && !rest_.empty()) on_line(rest_);
      rest_.clear();
      skipping_ = false;
      piece.remove_prefix(end + 1);
    }
  }
}

#ifdef __linux__
LogWatch::LogWatch(const std::filesystem::path& state) : fd_(::inotify_init1(IN_CLOEXEC)) {
  if (!fd_) throw Failure(error_from_errno("watching the event log", errno));
  const std::filesystem::path logs = state / "logs";
  // Our own open log keeps the deleted directory alive, so IN_DELETE_SELF may never come: its parent tells when the
  // name goes.
  state_watch_ =
      ::inotify_add_watch(fd_.get(), state.c_str(),
                          IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW);
  if (state_watch_ < 0) throw Failure(error_from_errno("watching " + state.string(), errno));
  logs_watch_ = ::inotify_add_watch(
      fd_.get(), logs.c_str(),
      IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW);
  if (logs_watch_ < 0) throw Failure(error_from_errno("watching " + logs.string(), errno));
}

bool LogWatch::wait() {
  alignas(inotify_event) std::array<char, 16384> buffer{};
  while (true) {
    const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw Failure(error_from_errno("watching the event log", errno));
    bool relevant = false;
    for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0) return false;
      const std::string_view name =
          event.len == 0 ? std::string_view() : std::string_view(buffer.data() + at + sizeof event);
      if (event.wd == state_watch_ && name == "logs") return false;
      if ((event.mask & IN_Q_OVERFLOW) != 0 || (event.wd == logs_watch_ && name == "events.jsonl")) {
        relevant = true;
        if ((event.mask & (IN_CREATE | IN_MOVED_TO)) != 0) replaced_ = true;
      }
      at += sizeof event + event.len;
    }
    if (relevant) return true;
  }
}
#else
LogWatch::LogWatch(const std::filesystem::path& /*state*/) {
  throw Failure(make_error(ErrorKind::unsupported, "following a log needs inotify, which this system does not have",
                           "leave out -f"));
}
bool LogWatch::wait() {
  return false;
}
#endif

bool LogWatch::take_replaced() {
  return std::exchange(replaced_, false);
}

}  // namespace bot_bottle::cli
