#include "plugins/backend-smolvm/sparse_file.hpp"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace bot_bottle::backend_smolvm {
namespace {

constexpr std::uint64_t block = 4096;  // what file systems leave out at least

}  // namespace

SparseFile::SparseFile(std::string path, std::uint64_t keep_free, std::uint64_t most)
    : path_(std::move(path)), keep_free_(keep_free), most_(most) {}

Result<void> SparseFile::open() {
  fd_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd_) return fail(error_from_errno("cannot make " + path_, errno));
  return look();
}

Result<void> SparseFile::look() {
  looked_at_ = size_;
  struct statvfs space {};
  if (::fstatvfs(fd_.get(), &space) != 0) return fail(error_from_errno("cannot see what is free for " + path_, errno));
  if (static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize < keep_free_)
    return fail(ErrorKind::failed_precondition, "the disk of " + path_ + " is almost full", "make room and try again");
  return {};
}

Result<void> SparseFile::write_at(std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(error_from_errno("cannot write " + path_, errno));
    bytes.remove_prefix(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
  return {};
}

Result<void> SparseFile::write(std::string_view bytes) {
  if (bytes.size() > most_ - size_)
    return fail(ErrorKind::failed_precondition,
                path_ + " would be larger than " + std::to_string(most_ >> 30U) + " GiB, which is the most");
  while (!bytes.empty()) {
    if (size_ - looked_at_ >= look_every) BB_CHECK(look());
    const std::string_view part = bytes.substr(0, std::min<std::uint64_t>(bytes.size(), block - size_ % block));
    if (part.find_first_not_of('\0') != std::string_view::npos) BB_CHECK(write_at(part, size_));
    size_ += part.size();
    bytes.remove_prefix(part.size());
  }
  return {};
}

Result<void> SparseFile::finish(Durable durable) {
  if (::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0 || (durable == Durable::yes && ::fsync(fd_.get()) != 0))
    return fail(error_from_errno("cannot keep " + path_, errno));
  fd_.reset();
  return {};
}

}  // namespace bot_bottle::backend_smolvm
