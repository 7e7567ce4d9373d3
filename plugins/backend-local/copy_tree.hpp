// Copies files and trees where one side is hostile: nothing is followed, nothing special is made, nothing leaves.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::backend_local {

/// One end of a copy: `path` below an open directory.
struct CopyEnd {
  int root = -1;  // borrowed
  std::string path;
};

enum class LinkRule : std::uint8_t {
  keep,         // as they are: host → bottle, where they mean something only inside
  keep_inside,  // only those that cannot lead out of the copied tree: bottle → host
};

/// What its owner took the read permission from, as an ordinary user: the agent must not make a freeze fail with chmod.
enum class LockedFiles : std::uint8_t {
  refused,  // an error, as for every program
  opened,   // read all the same, and left as it was: only where nobody else looks at the source
};

struct CopyOptions {
  LinkRule links = LinkRule::keep_inside;
  LockedFiles locked = LockedFiles::refused;
  bool recursive = true;
  std::optional<mode_t> mode;                    // of the top entry; else the source's. Set-id bits never survive
  std::optional<std::pair<uid_t, gid_t>> owner;  // of everything; needs root
  std::vector<std::pair<dev_t, ino_t>> skip;     // directories left out (the state of bot-bottle itself)
  std::uint64_t keep_free_bytes = std::uint64_t{512} << 20;  // stops before the destination's disk has less
  unsigned threads = 1;
  /// From one of the threads, now and then: entries begun, octets of files written.
  std::function<void(std::uint64_t entries, std::uint64_t bytes)> progress;
  std::function<bool()> cancelled;
};

struct CopyReport {
  std::uint64_t files = 0;
  std::uint64_t directories = 0;
  std::uint64_t links = 0;
  std::uint64_t skipped = 0;  // devices, sockets, pipes, links that lead out
  std::uint64_t bytes = 0;    // of files, without their holes
};

/// `to.path` is the new name itself (cp -T); its parent must exist. An existing file or link there is replaced as a
/// whole and never written through; an existing directory is merged into. Content that changes while it is read is
/// copied as found. Modes (0777), times, sparse files and hard links among what is copied are kept.
Result<CopyReport> copy_tree(const CopyEnd& from, const CopyEnd& to, const CopyOptions& options);

}  // namespace bot_bottle::backend_local
