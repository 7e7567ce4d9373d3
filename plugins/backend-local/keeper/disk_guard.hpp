// Watches free space and, when asked, what the bottle's own trees hold (attack L: disk fill). Cheap: one statvfs(3) a
// tick; trees are walked in slices, and only when free space has dropped since the last walk.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::backend_local {

class DiskGuard {
 public:
  /// `place`: a directory on the file system to watch. `reserve`: 0 = min(max(1 GiB, 5 %), 10 GiB, half of what is free
  /// now).
  DiskGuard(std::string place, std::vector<std::string> measured, std::uint64_t limit, std::uint64_t reserve);
  /// Why the bottle must end, or nothing. Called about four times a second.
  std::optional<std::string> check();
  /// Bytes that must stay free: what else writes to this disk for the bottle's sake (a freeze) stays above it.
  [[nodiscard]] std::uint64_t reserve() const { return reserve_; }

 private:
  struct Level {
    UniqueFd directory;
    std::vector<std::string> names;  // subdirectories still to walk
  };
  void begin_walk();
  /// At most `entries` more; true when the walk is complete.
  bool walk(std::size_t entries);
  void enter(int parent, const std::string& name);

  std::string place_;
  std::vector<std::string> measured_;
  std::uint64_t limit_;
  std::uint64_t reserve_;
  std::uint64_t free_at_walk_ = UINT64_MAX;
  std::uint64_t inode_reserve_ = 0;
  bool walking_ = false;
  bool too_deep_ = false;
  std::uint64_t counted_ = 0;
  std::deque<std::string> roots_;
  std::vector<Level> levels_;
  std::size_t budget_ = 0;
};

}  // namespace bot_bottle::backend_local
