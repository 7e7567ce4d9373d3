// freeze, exists, remove: the bottle is held still, its home and workspace are copied, and the copy gets its name when
// it is whole and on disk.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-local/copy_progress.hpp"
#include "plugins/backend-local/copy_tree.hpp"
#include "plugins/backend-local/keeper_document.hpp"
#include "plugins/backend-local/local_backend.hpp"
#include "plugins/backend-local/local_freezer.hpp"
#include "plugins/backend-local/snapshots.hpp"

namespace bot_bottle::backend_local {
namespace {

/// A helper that holds the bottle still until this ends, or this process does.
class Stillness {
 public:
  Stillness(const sdk::Host& host, const sdk::Call& call, const std::string& state_dir) {
    std::array<int, 2> life{};
    std::array<int, 2> word{};
    if (::pipe2(life.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
    const UniqueFd life_read(life[0]);
    lifeline_.reset(life[1]);
    if (::pipe2(word.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
    const UniqueFd status(word[0]);
    UniqueFd status_write(word[1]);
    sdk::ProcessRequest request;
    request.argv = {host.path(call, "libexec") + "/bottle-keeper", "pause", state_dir};
    request.env = sdk::StringMap{};
    request.session = true;  // Ctrl-C is for us; it ends with the lifeline
    pid_ = static_cast<pid_t>(
        host.spawn(call, request, {{life_read.get(), keeper_lifeline_fd}, {status_write.get(), keeper_status_fd}}));
    status_write.reset();
    const auto line = read_all(status.get(), 4096, '\n');
    const auto message = parse_json_object(line);
    if (message && get_bool(*message, "paused", false)) return;
    end();
    const std::string why = message ? get_string(*message, "error") : "bottle-keeper ended without a word";
    throw sdk::Error(sdk::Status::failed_precondition, why);
  }
  ~Stillness() { end(); }
  Stillness(const Stillness&) = delete;
  Stillness& operator=(const Stillness&) = delete;

 private:
  static std::string read_all(int fd, std::size_t most, char until) {
    std::string text;
    char byte = 0;
    while (text.size() < most) {
      const ssize_t got = ::read(fd, &byte, 1);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0 || byte == until) break;
      text += byte;
    }
    return text;
  }
  void end() {
    lifeline_.reset();
    if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  UniqueFd lifeline_;
  pid_t pid_ = -1;
};

/// Takes away what is half-made unless it was kept.
class Partial {
 public:
  explicit Partial(std::string path) : path_(std::move(path)) {}
  ~Partial() {
    if (!path_.empty()) [[maybe_unused]]
      const auto removed = remove_tree(path_);
  }
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;
  void keep() { path_.clear(); }

 private:
  std::string path_;
};

/// More than what the disk guard keeps free: a freeze must fail rather than have the guard end the bottle.
std::uint64_t bytes_to_keep_free(const std::string& state_dir) {
  constexpr std::uint64_t least = std::uint64_t{512} << 20;
  constexpr std::uint64_t margin = std::uint64_t{64} << 20;
  const auto text = read_file(reserve_path(state_dir), 64);
  return std::max<std::uint64_t>(least, (text ? std::strtoull(text->c_str(), nullptr, 10) : 0) + margin);
}

CopyReport copy_part(const sdk::Call& call, const std::string& state_dir, int to, const std::string& name) {
  const UniqueFd from = open_state_directory(state_dir + "/backend/" + name);
  CopyOptions options;
  options.keep_free_bytes = bytes_to_keep_free(state_dir);
  options.links = LinkRule::keep;  // they mean something inside only, and are never followed outside
  options.locked = LockedFiles::opened;
  options.threads = std::clamp(std::thread::hardware_concurrency(), 2U, 4U);
  options.cancelled = [&call] { return call.cancelled(); };
  options.progress = copy_report(call, "freezing the " + name);
  return or_throw(copy_tree({from.get(), ""}, {to, name}, options));
}

SnapshotPlace place_of(const sdk::Host& host, const sdk::Call& call, const std::string& ref) {
  return or_throw(find_snapshot_place(host.path(call, "state"), ref));
}

}  // namespace

sdk::Snapshot LocalFreezer::freeze(const sdk::Call& call, const sdk::Bottle& bottle) {
  const std::string ref = get_string(bottle.extra, "snapshot");
  const SnapshotPlace place = place_of(host(), call, ref);
  if (std::filesystem::path(bottle.state_dir).filename() != place.slug)
    throw sdk::Error(sdk::Status::invalid_argument, "the snapshot " + ref + " is not named after " + bottle.slug);
  or_throw(make_directories(place.parent, 0700));
  struct stat status {};
  if (::lstat(place.path.c_str(), &status) == 0)
    throw sdk::Error(sdk::Status::already_exists, "there is a snapshot " + ref);
  or_throw(remove_tree(place.partial));
  Partial partial(place.partial);
  or_throw(make_directories(place.partial, 0700));
  const UniqueFd to = open_state_directory(place.partial);

  CopyReport total;
  {
    const Stillness stillness(host(), call, bottle.state_dir);
    const auto add = [&](const CopyReport& report) {
      total.bytes += report.bytes;
      total.skipped += report.skipped;
    };
    add(copy_part(call, bottle.state_dir, to.get(), "home"));
    if (get_string(bottle.data, "workspace_mode") == "copy")
      add(copy_part(call, bottle.state_dir, to.get(), "workspace"));
  }
  if (total.skipped > 0)
    host().warning(std::to_string(total.skipped) + " pipes, sockets and devices of " + bottle.slug + " are not kept");
  // On disk before it has its name: a crash leaves the old snapshot or the new one, never a part.
  if (::syncfs(to.get()) != 0) throw Failure(error_from_errno("cannot write the snapshot", errno));
  const UniqueFd parent = open_state_directory(place.parent);
  if (::rename(place.partial.c_str(), place.path.c_str()) != 0 || ::fsync(parent.get()) != 0)
    throw Failure(error_from_errno("cannot name the snapshot", errno));
  partial.keep();
  sdk::Snapshot snapshot;
  snapshot.kind = snapshot_kind;
  snapshot.ref = ref;
  snapshot.size = total.bytes;
  return snapshot;
}

bool LocalFreezer::exists(const sdk::Call& call, const std::string& ref) {
  struct stat status {};
  return ::lstat(place_of(host(), call, ref).path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

void LocalFreezer::remove(const sdk::Call& call, const std::string& ref) {
  const SnapshotPlace place = place_of(host(), call, ref);
  or_throw(remove_tree(place.partial));
  or_throw(remove_tree(place.path));
  ::rmdir(place.parent.c_str());  // when it was the last
}

}  // namespace bot_bottle::backend_local
