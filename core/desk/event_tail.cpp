#include "core/desk/event_tail.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "core/base/text.hpp"

namespace bot_bottle::desk {
namespace {

constexpr std::uint64_t first_look_octets = 16384;
constexpr std::uint64_t octets_a_look = std::uint64_t{256} << 10;
constexpr std::size_t max_event_line = std::size_t{256} << 10;

/// Cut at a character's start.
std::string bounded(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
  text.resize(most);
  return text + "…";
}

}  // namespace

Event make_event(const json::object& document, std::string_view slug) {
  const auto field = [&document](std::string_view key, std::size_t most) {
    return bounded(get_string(document, key), most);
  };
  Event event{.slug = std::string(slug),
              .time = field("time", 32),
              .kind = field("kind", 16),
              .level = field("level", 8),
              .text = field("event", 64)};
  if (event.level.empty()) event.level = "info";
  if (const std::string method = field("method", 16); !method.empty()) event.text += " " + method;
  if (const std::string host = field("host", 256); !host.empty())
    event.text += " " + host + field("path", 256);
  else if (const std::string path = field("path", 256); !path.empty())
    event.text += " " + path;
  if (const std::int64_t status = get_int(document, "status", 0); status > 0)
    event.text += fmt::format(" → {}", status);
  if (const std::string rule = field("rule", 64); !rule.empty()) event.text += " [" + rule + "]";
  if (const std::string where = field("where", 64); !where.empty()) event.text += " in " + where;
  if (const std::string reason = field("reason", 256); !reason.empty()) event.text += ": " + reason;
  return event;
}

bool EventTail::look(const std::function<void(Event)>& on_event) {
  const std::filesystem::path file = state_ / "logs" / "events.jsonl";
  struct stat named {};
  if (::lstat(file.c_str(), &named) != 0 || !S_ISREG(named.st_mode)) return false;
  if (!fd_ || named.st_ino != inode_) {
    // A pipe in its place would block us; a link would show another file of the operator.
    fd_.reset(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    struct stat opened {};
    if (!fd_ || ::fstat(fd_.get(), &opened) != 0 || !S_ISREG(opened.st_mode)) {
      fd_.reset();
      return false;
    }
    inode_ = opened.st_ino;
    const auto size = static_cast<std::uint64_t>(opened.st_size);
    at_ = looked_ || size <= first_look_octets ? 0 : size - first_look_octets;
    skips_ = at_ > 0;
    looked_ = true;
    rest_.clear();
  }
  const auto size = static_cast<std::uint64_t>(named.st_size);
  if (size < at_) at_ = 0;
  bool any = false;
  std::uint64_t left = octets_a_look;
  std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): pread(2) fills it
  while (at_ < size && left > 0) {
    const ssize_t got =
        ::pread(fd_.get(), buffer.data(), std::min<std::uint64_t>(buffer.size(), left), static_cast<off_t>(at_));
    if (got <= 0) break;
    at_ += static_cast<std::uint64_t>(got);
    left -= static_cast<std::uint64_t>(got);
    std::string_view piece(buffer.data(), static_cast<std::size_t>(got));
    while (!piece.empty()) {
      const std::size_t end = piece.find('\n');
      if (!skips_) rest_ += piece.substr(0, end);
      if (rest_.size() > max_event_line) {
        rest_.clear();
        skips_ = true;
      }
      if (end == std::string_view::npos) break;
      if (!skips_ && !rest_.empty()) {
        if (const auto document = parse_json_object(rest_, max_event_line)) {
          on_event(make_event(*document, slug_));
          any = true;
        }
      }
      rest_.clear();
      skips_ = false;
      piece.remove_prefix(end + 1);
    }
  }
  return any;
}

}  // namespace bot_bottle::desk
