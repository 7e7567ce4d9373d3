// Brings chosen changes into the operator's tree: each file is replaced as a whole or not at all, through no link, and
// only when it still is what was compared. Throws Failure for what stops all of it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/sync/compare.hpp"

namespace bot_bottle::sync {

/// New files wait in here, in the operator's tree (the same file system), until they get their names. What a killed
/// sync left of it is removed by the next one and by cleanup.
std::string staging_name(const std::string& slug);
void remove_staging(const std::filesystem::path& ours, const std::string& slug);

struct Applied {
  std::vector<std::string> done;
  std::vector<std::pair<std::string, std::string>> failed;  // path, why: the file is as it was
};
/// `on_step` is called before each of "staged", "renamed" (test hooks).
Applied apply(const std::vector<Change>& chosen, const std::filesystem::path& ours, const std::filesystem::path& theirs,
              const std::string& slug, const std::function<void(const char*)>& on_step = {});

}  // namespace bot_bottle::sync
