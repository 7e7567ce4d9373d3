// What an agent changed: three trees (the base at launch, the operator's now, the agent's copy) become a list. Throws
// Failure.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/sync/tree.hpp"

namespace bot_bottle::sync {

enum class Kind : std::uint8_t { added, modified, mode, type, deleted };
std::string_view name_of(Kind kind);

struct Change {
  std::string path;  // hostile bytes
  Kind kind = Kind::modified;
  std::optional<Entry> ours;  // as scanned; apply looks again
  std::optional<Entry> theirs;
  std::string conflict;  // why the operator's own change since the launch stands against it; empty: none
  std::string autorun;   // why it needs a look of its own; empty: it does not
};

struct Changes {
  std::vector<Change> list;           // by path
  std::vector<std::string> left_out;  // "sub/.git": what is never brought over, whatever is answered
};

/// `ours` and `theirs` are directories; `theirs` is a copy that nobody writes any more.
Changes compare(const Base& base, const std::filesystem::path& ours, const std::filesystem::path& theirs,
                const ScanOptions& options);

/// The change as a unified diff, with headers; hostile: escape its lines.
std::string diff_of(const Change& change, const std::filesystem::path& ours, const std::filesystem::path& theirs);

}  // namespace bot_bottle::sync
