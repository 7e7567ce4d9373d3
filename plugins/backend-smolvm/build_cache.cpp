#include "plugins/backend-smolvm/build_cache.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <filesystem>
#include <vector>

#include "core/base/file.hpp"
#include "core/base/random.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

namespace fs = std::filesystem;
constexpr const char* saved_prefix = ".saved-";

std::string directory_of(const std::string& cache) {
  return cache + "/smolvm";
}

/// Docker's archive, the directory that it was built in, and `<digest>.tar.<random>` of one that was not whole.
bool is_in_the_making(const std::string& name) {
  return name.starts_with(saved_prefix) || name.find(".tar.") != std::string::npos;
}

void sweep(const std::string& directory) {
  std::error_code code;
  std::vector<fs::path> left;
  for (const auto& entry : fs::directory_iterator(directory, code))
    if (is_in_the_making(entry.path().filename().string())) left.push_back(entry.path());
  // What cannot be removed is looked at again by the next build; none is to fail for it.
  for (const fs::path& path : left) static_cast<void>(remove_tree(path));
}

bool lock(int fd, int operation) {
  int done = 0;
  while ((done = ::flock(fd, operation)) != 0 && errno == EINTR) {
  }
  return done == 0;
}

}  // namespace

Result<BuildCache> BuildCache::open(const std::string& cache) {
  const std::string directory = directory_of(cache);
  BB_CHECK(make_directories(directory, 0700));
  const std::string path = directory + "/.lock";
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return fail(error_from_errno("cannot open " + path, errno));
  if (lock(file.get(), LOCK_EX | LOCK_NB)) sweep(directory);
  if (!lock(file.get(), LOCK_SH)) return fail(error_from_errno("cannot lock " + path, errno));
  return BuildCache(directory, std::move(file));
}

std::string BuildCache::new_saved() const {
  return directory_ + "/" + saved_prefix + random_base36(8);
}

std::string cached_image(const std::string& cache, const std::string& digest) {
  return directory_of(cache) + "/" + digest + ".tar";
}

}  // namespace bot_bottle::backend_smolvm
