// Where snapshots of the local backend are: state/<slug>/frozen/<id>/{home,workspace}, a plain copy. A copy and no
// archive: what is never parsed cannot be parsed wrongly (attack H6), and reflinks make it cheap.
#pragma once

#include <string>

#include "core/base/result.hpp"

namespace bot_bottle::backend_local {

inline constexpr const char* snapshot_kind = "directory";

struct SnapshotPlace {
  std::string slug;
  std::string parent;   // …/state/<slug>/frozen
  std::string path;     // parent/<id>
  std::string partial;  // parent/.<id>: until it is whole
};

/// `ref` is "<slug>.<id>" and nothing else: it comes from a file, and a path must never come out of it.
Result<SnapshotPlace> find_snapshot_place(const std::string& state_root, const std::string& ref);

}  // namespace bot_bottle::backend_local
