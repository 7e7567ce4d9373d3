#include "core/cli/event_log.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/inotify.h>
#endif
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"

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

/// "14:05" or "14:05:30" at `at` to its end.
bool read_clock(std::string_view text, std::size_t at, std::tm& local) {
  const auto hour = digits(text, at, 2);
  const auto minute = digits(text, at + 3, 2);
  if (!hour || !minute || text[at + 2] != ':' || *hour > 23 || *minute > 59) return false;
  local.tm_hour = *hour;
  local.tm_min = *minute;
  local.tm_sec = 0;
  if (text.size() == at + 5) return true;
  const auto second = digits(text, at + 6, 2);
  if (!second || text[at + 5] != ':' || *second > 60 || text.size() != at + 8) return false;
  local.tm_sec = *second;
  return true;
}

std::int64_t to_ms(std::tm local) {
  local.tm_isdst = -1;
  return static_cast<std::int64_t>(std::mktime(&local)) * 1000;
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

std::optional<std::int64_t> parse_since(std::string_view text, std::int64_t now_ms) {
  if (const auto ago = parse_duration_ms(text)) return now_ms - *ago;
  const std::time_t now = now_ms / 1000;
  std::tm local{};
  if (::localtime_r(&now, &local) == nullptr) return std::nullopt;
  if (read_clock(text, 0, local)) {
    std::int64_t ms = to_ms(local);
    if (ms > now_ms) {
      --local.tm_mday;  // mktime puts the day before the first in the month before
      ms = to_ms(local);
    }
    return ms;
  }
  if (text.size() > 16 && (text.ends_with('Z') || text.ends_with('z'))) return parse_time_ms(text);
  const auto year = digits(text, 0, 4);
  const auto month = digits(text, 5, 2);
  const auto day = digits(text, 8, 2);
  if (!year || !month || !day || text[4] != '-' || text[7] != '-' || *month < 1 || *month > 12 || *day < 1 || *day > 31)
    return std::nullopt;
  local = {};
  local.tm_year = *year - 1900;
  local.tm_mon = *month - 1;
  local.tm_mday = *day;
  if (text.size() == 10) return to_ms(local);
  if (text.size() < 16 || (text[10] != ' ' && text[10] != 'T') || !read_clock(text, 11, local)) return std::nullopt;
  return to_ms(local);
}

UniqueFd open_event_log(const std::filesystem::path& state, LogFile which) {
  const std::filesystem::path file = state / "logs" / (which == LogFile::current ? "events.jsonl" : "events.jsonl.1");
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

LogWatch::Wake LogWatch::wait(int other, std::optional<std::chrono::milliseconds> time) {
  while (true) {
    std::array<pollfd, 2> polled{
        {{.fd = fd_.get(), .events = POLLIN, .revents = 0}, {.fd = other, .events = POLLIN, .revents = 0}}};
    const int ready = ::poll(polled.data(), polled.size(), time ? static_cast<int>(time->count()) : -1);
    if (ready < 0 && errno != EINTR) throw Failure(error_from_errno("watching the event log", errno));
    if (ready == 0) return Wake::time;
    if (ready < 0) continue;
    if (polled[0].revents != 0)
      if (const Wake wake = read_changes(); wake != Wake::time) return wake;
    if (polled[1].revents != 0) return Wake::other;
  }
}

/// Wake::time: nothing that is of interest.
LogWatch::Wake LogWatch::read_changes() {
  alignas(inotify_event) std::array<char, 16384> buffer{};
  const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return Wake::time;
  if (got <= 0) throw Failure(error_from_errno("watching the event log", errno));
  Wake wake = Wake::time;
  for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
    inotify_event event{};
    std::memcpy(&event, buffer.data() + at, sizeof event);
    if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0) return Wake::gone;
    const std::string_view name =
        event.len == 0 ? std::string_view() : std::string_view(buffer.data() + at + sizeof event);
    if (event.wd == state_watch_ && name == "logs") return Wake::gone;
    if ((event.mask & IN_Q_OVERFLOW) != 0 || (event.wd == logs_watch_ && name == "events.jsonl")) {
      wake = Wake::log;
      if ((event.mask & (IN_CREATE | IN_MOVED_TO)) != 0) replaced_ = true;
    }
    at += sizeof event + event.len;
  }
  return wake;
}
#else
LogWatch::LogWatch(const std::filesystem::path& /*state*/) {
  throw Failure(make_error(ErrorKind::unsupported, "following a log needs inotify, which this system does not have",
                           "leave out -f"));
}
LogWatch::Wake LogWatch::wait(int /*other*/, std::optional<std::chrono::milliseconds> /*time*/) {
  return Wake::gone;
}
#endif

bool LogWatch::take_replaced() {
  return std::exchange(replaced_, false);
}

}  // namespace bot_bottle::cli
