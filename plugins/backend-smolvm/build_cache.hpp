// Machines' images by content, kept for every launch to come: `<cache>/smolvm/<digest>.tar`. Never what an agent made:
// that goes with its bottle.
#pragma once

#include <string>
#include <utility>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::backend_smolvm {

class BuildCache {
 public:
  /// For one build, below `cache` (made where it is not there). Builds hold its lock together; one that is alone first
  /// removes what killed ones have left in the making.
  static Result<BuildCache> open(const std::string& cache);
  /// A new name for an image as docker saves it; whoever writes it removes it.
  [[nodiscard]] std::string new_saved() const;

 private:
  BuildCache(std::string directory, UniqueFd lock) : directory_(std::move(directory)), lock_(std::move(lock)) {}

  std::string directory_;
  UniqueFd lock_;
};

/// Where an image of that digest is, for who does not build.
std::string cached_image(const std::string& cache, const std::string& digest);

}  // namespace bot_bottle::backend_smolvm
