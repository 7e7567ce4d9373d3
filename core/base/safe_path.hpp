// Ways through a directory tree that somebody hostile has shaped.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle {

/// Opens `path` below the directory `root` with openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS):
/// a link anywhere on the way is an error, not a way out (attacks H1, H6). `path` may be "" or ".": the root itself.
Result<UniqueFd> open_beneath(int root, const std::string& path, int flags, mode_t mode = 0);

/// The names in a directory, without "." and "..".
Result<std::vector<std::string>> list_directory(int directory);

/// True when `target`, as a link `depth` directories below the top of a tree, stays inside it whatever the other links
/// of the tree are: some "..", at most `depth`, and then plain names.
bool link_stays_inside(std::string_view target, std::size_t depth);

/// Gives a hostile tree to `uid`, following nothing (resume under another uid).
Result<void> change_owner(int root, uid_t uid, gid_t gid);

}  // namespace bot_bottle
