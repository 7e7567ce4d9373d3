// Files the way this product needs them: bounded reads, atomic replaces, directories with a mode.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle {

/// The whole file, or an error when it has more than `max_bytes`. Follows links.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t max_bytes = std::size_t{16} << 20);

/// Replaces the file so that a reader sees the old or the new content and nothing else, also after a
/// crash: temporary file in the same directory, fsync, rename, fsync of the directory (DESIGN 6).
Result<void> write_file_atomic(const std::filesystem::path& path, std::string_view data, mode_t mode = 0600);

/// As write_file_atomic without the two fsyncs: for files that are worthless after a crash.
Result<void> write_file_fast(const std::filesystem::path& path, std::string_view data, mode_t mode = 0600);

/// mkdir -p; directories made here get `mode` whatever the umask.
Result<void> make_directories(const std::filesystem::path& path, mode_t mode = 0700);

/// Writes everything, through EINTR and short writes.
Result<void> write_all(int fd, std::string_view data);

/// Reads to the end, at most `max_bytes`.
Result<std::string> read_all(int fd, std::size_t max_bytes);

/// Removes a tree without ever following a link (openat, O_NOFOLLOW): its content may be hostile.
/// Absent is success. Directories without write permission are made writable first.
Result<void> remove_tree(const std::filesystem::path& path);

}  // namespace bot_bottle
