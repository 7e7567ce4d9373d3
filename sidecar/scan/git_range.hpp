// A range of commits through the DLP engine: what they brought into a repository. Hostile input: the repository, its
// configuration and all its objects. Nothing of its configuration is run: only plumbing that knows no hook, filter or
// pager is called, no protocol is allowed (a partial clone would fetch what is missing, by a command of its choosing),
// and neither replaced objects nor grafts hide anything.
#pragma once

#include <filesystem>
#include <string>

#include "sidecar/scan/file_scan.hpp"

namespace bot_bottle::scan {

/// Contents, file names and messages of what `range` reaches ("main..topic", "HEAD", a hash; gitrevisions(7)). A
/// finding's path is `<12 digits of the object>:<file>`. Errors: git's own words; what was read before stays found.
Result<void> scan_git_range(FileScan& scan, const std::filesystem::path& repository, const std::string& range);

}  // namespace bot_bottle::scan
