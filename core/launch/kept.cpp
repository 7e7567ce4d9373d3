#include "core/launch/kept.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "core/plan/plan.hpp"

namespace bot_bottle::launch {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t du_timeout_ms = 2000;
constexpr std::int64_t find_timeout_ms = 5000;
constexpr int deepest = 100;          // each level holds a descriptor
constexpr std::uint64_t block = 512;  // stat(2): st_blocks

class Walk {
 public:
  Walk(dev_t device, Clock::time_point deadline) : device_(device), deadline_(deadline) {}
  void directory(UniqueFd fd, int depth) {
    if (depth > deepest) {
      size.complete = false;
      return;
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(fd.get()), ::closedir);
    if (!entries) {
      size.complete = false;
      return;
    }
    const int at = fd.release();
    while (const dirent* entry = ::readdir(entries.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (Clock::now() >= deadline_) {
        size.complete = false;
        return;
      }
      struct stat status {};
      if (::fstatat(at, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
      if (!S_ISDIR(status.st_mode)) {
        ++size.files;
        // A sparse file may claim any size, a small one takes a whole block.
        size.bytes +=
            std::min(static_cast<std::uint64_t>(status.st_size), static_cast<std::uint64_t>(status.st_blocks) * block);
        continue;
      }
      if (status.st_dev != device_) continue;
      UniqueFd child(::openat(at, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (child)
        directory(std::move(child), depth + 1);
      else
        size.complete = false;
    }
  }
  TreeSize size;

 private:
  dev_t device_;
  Clock::time_point deadline_;
};

json::object ask_bottle(plugins::Backend& backend, const json::object& bottle, const SessionFile& session,
                        std::vector<std::string> argv, std::int64_t timeout_ms) {
  plan::ExecRequest request;
  request.argv = std::move(argv);
  request.env = session.env;
  request.cwd = "/";
  request.timeout_ms = timeout_ms;
  request.max_output = std::size_t{4} << 10;
  return backend.exec(bottle, plan::to_json(request), -1);
}

}  // namespace

TreeSize measure_tree(const std::filesystem::path& root, std::chrono::milliseconds patience) {
  UniqueFd fd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return {};
  Walk walk(status.st_dev, Clock::now() + patience);
  walk.directory(std::move(fd), 0);
  return walk.size;
}

std::vector<KeptPart> measure_bottle(plugins::Backend& backend, const json::object& bottle,
                                     const SessionFile& session) {
  std::vector<KeptPart> parts;
  const bool has_workspace = session.workspace != session.guest_home;
  if (has_workspace) parts.push_back({.name = "workspace"});
  parts.push_back({.name = "home"});
  std::vector<std::string> argv{"du", "-skx", "--"};
  if (has_workspace) argv.push_back(session.workspace);
  argv.push_back(session.guest_home);
  try {
    const std::string out = get_string(ask_bottle(backend, bottle, session, std::move(argv), du_timeout_ms), "stdout");
    std::size_t at = 0;
    for (const std::string_view line : split(out, '\n')) {
      constexpr std::uint64_t most = std::uint64_t{1} << 50U;  // kibibytes; a lie above it does not overflow
      std::uint64_t kibibytes = 0;
      const auto [end, code] = std::from_chars(line.data(), line.data() + line.size(), kibibytes);
      if (code != std::errc{} || kibibytes > most || at >= parts.size()) break;
      parts[at++].bytes = kibibytes << 10U;
    }
  } catch (const std::exception&) {  // stopped from elsewhere, or without `du`: what is kept is said without its size
  }
  return parts;
}

std::string describe(const std::vector<KeptPart>& parts) {
  std::vector<std::string> texts;
  texts.reserve(parts.size());
  for (const KeptPart& part : parts)
    texts.push_back(part.bytes ? part.name + (part.at_least ? " at least " : " ") + format_bytes(*part.bytes)
                               : part.name);
  return join(texts, ", ");
}

bool may_have_transcript(plugins::Backend& backend, const json::object& bottle, const SessionFile& session) {
  if (session.transcript_paths.empty()) return true;
  std::vector<std::string> argv{"find"};
  argv.insert(argv.end(), session.transcript_paths.begin(), session.transcript_paths.end());
  argv.insert(argv.end(), {"-type", "f", "-print", "-quit"});
  try {
    const json::object result = ask_bottle(backend, bottle, session, std::move(argv), find_timeout_ms);
    // 1: a path is not there. 127 and others: no `find`, nothing is known.
    const std::int64_t code = get_int(result, "code", -1);
    return (code != 0 && code != 1) || !trim(get_string(result, "stdout")).empty();
  } catch (const Failure& failure) {
    if (failure.error().kind == ErrorKind::cancelled) throw;
    return true;
  }
}

std::string why_kept(const state::Directory& directory) {
  if (!directory.is_preserved()) return {};
  const std::string reason = directory.preserve_reason();
  return reason.empty() ? "kept" : reason;
}

}  // namespace bot_bottle::launch
