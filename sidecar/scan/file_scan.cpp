#include "sidecar/scan/file_scan.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/unique_fd.hpp"
#include "sidecar/scan/content_scan.hpp"

namespace bot_bottle::scan {
namespace {

constexpr std::size_t piece_octets = std::size_t{4} << 20;
constexpr int max_depth = 200;
constexpr std::size_t max_errors = 1000;

}  // namespace

FileScan::FileScan(std::shared_ptr<const dlp::Rules> rules, std::function<void(const FileFinding&)> found)
    : rules_(std::move(rules)), found_(std::move(found)) {
  if (auto none = dlp::KnownSecrets::create({})) no_secrets_ = std::move(*none);
}

void FileScan::error(const std::filesystem::path& path, std::string_view what) {
  if (totals_.errors.size() < max_errors) totals_.errors.push_back(fmt::format("{}: {}", path.string(), what));
}

void FileScan::path(const std::filesystem::path& path) {
  entry(path, 0);
}

void FileScan::entry(const std::filesystem::path& path, int depth) {  // NOLINT(misc-no-recursion): bounded by max_depth
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    error(path, std::strerror(errno));
  } else if (S_ISDIR(status.st_mode)) {
    if (depth >= max_depth)
      error(path, "too deep");
    else
      directory(path, depth);
  } else if (S_ISREG(status.st_mode)) {
    file(path);
  } else {
    ++totals_.skipped;
  }
}

void FileScan::directory(const std::filesystem::path& path, int depth) {  // NOLINT(misc-no-recursion)
  std::error_code code;
  std::vector<std::filesystem::path> entries;
  for (std::filesystem::directory_iterator at(path, code), end; !code && at != end; at.increment(code))
    entries.push_back(at->path());
  if (code) error(path, code.message());
  std::ranges::sort(entries);
  for (const auto& one : entries) entry(one, depth + 1);
}

void FileScan::file(const std::filesystem::path& path) {
  // Not blocking: between lstat and here it may have become a pipe.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    error(path, std::strerror(errno));
    return;
  }
  if (!S_ISREG(status.st_mode)) {
    ++totals_.skipped;
    return;
  }
  stream(path, path.string(), [&](char* into, std::size_t size) -> Result<std::size_t> {
    ssize_t count = 0;
    do {
      count = ::read(fd.get(), into, size);
    } while (count < 0 && errno == EINTR);
    if (count < 0) return fail(ErrorKind::unavailable, std::strerror(errno));
    return static_cast<std::size_t>(count);
  });
}

void FileScan::stream(const std::filesystem::path& label, const std::string& name, const Read& read) {
  ++totals_.files;
  ContentScan content(*rules_, *no_secrets_, name, [&](const ContentFinding& found) {
    ++totals_.findings;
    found_({label, found.line, found.column, found.offset, found.rule, found.encoding, found.snippet});
  });
  std::vector<char> piece(piece_octets);
  while (true) {
    const Result<std::size_t> count = read(piece.data(), piece.size());
    if (count.value_or(0) == 0) {
      content.finish();
      if (!count) error(label, count.error().message);
      break;
    }
    totals_.bytes += *count;
    content.write({piece.data(), *count});
  }
}

void FileScan::text(const std::filesystem::path& label, std::string_view text) {
  stream(label, label.string(), [text](char* into, std::size_t size) mutable -> Result<std::size_t> {
    const std::size_t count = text.copy(into, size);
    text.remove_prefix(count);
    return count;
  });
}

}  // namespace bot_bottle::scan
