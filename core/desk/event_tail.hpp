// The new lines of one bottle's event log, in small.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "core/base/json.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::desk {

/// Every text may be hostile; each is bounded.
struct Event {
  std::string slug;
  std::string time;
  std::string kind;
  std::string level;  // "info", "warn", "block"
  std::string text;   // "blocked POST example.com/x [rule]: reason"
};
Event make_event(const json::object& document, std::string_view slug);

class EventTail {
 public:
  EventTail(std::filesystem::path state, std::string slug) : state_(std::move(state)), slug_(std::move(slug)) {}
  /// Gives what came since the last call; the first one begins a few lines before the end. A file that was replaced is
  /// read from its start. At most a few hundred KiB a call: a flood of events delays itself and nothing else. True when
  /// there was something.
  bool look(const std::function<void(Event)>& on_event);

 private:
  std::filesystem::path state_;
  std::string slug_;
  UniqueFd fd_;
  std::uint64_t inode_ = 0;
  std::uint64_t at_ = 0;
  std::string rest_;
  bool skips_ = false;  // to the next line's start
  bool looked_ = false;
};

}  // namespace bot_bottle::desk
