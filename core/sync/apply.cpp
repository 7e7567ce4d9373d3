#include "core/sync/apply.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/result.hpp"
#include "core/base/safe_path.hpp"

namespace bot_bottle::sync {
namespace {

struct Place {
  UniqueFd parent;
  std::string name;
};

/// The directory that holds `path`, made where it is missing, entered through no link (attack H1: a link of the tree
/// must not lead a new file out of it).
Result<Place> open_place(int root, const std::string& path) {
  UniqueFd at(::openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!at) return fail(error_from_errno("cannot open the directory", errno));
  std::size_t begin = 0;
  while (true) {
    const std::size_t slash = path.find('/', begin);
    const std::string part = path.substr(begin, slash - begin);
    if (part.empty() || part == "." || part == "..")
      return fail(ErrorKind::permission_denied, "it is not a plain path");
    if (slash == std::string::npos) return Place{std::move(at), part};
    struct stat above {};
    if (::mkdirat(at.get(), part.c_str(), 0777) == 0 && ::geteuid() == 0 && ::fstat(at.get(), &above) == 0)
      if (::fchownat(at.get(), part.c_str(), above.st_uid, above.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
        return fail(error_from_errno("cannot give the directory to its owner", errno));
    BB_TRY(at, open_beneath(at.get(), part, O_RDONLY | O_DIRECTORY));
    begin = slash + 1;
  }
}

class Applier {
 public:
  Applier(const std::filesystem::path& ours, const std::filesystem::path& theirs, std::string staging)
      : staging_name_(std::move(staging)) {
    ours_.reset(::open(ours.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    theirs_.reset(::open(theirs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!ours_ || !theirs_) throw Failure(error_from_errno("cannot open the workspace", errno));
    if (::mkdirat(ours_.get(), staging_name_.c_str(), 0700) != 0)
      throw Failure(error_from_errno("cannot write into " + ours.string(), errno));
    staging_ = or_throw<UniqueFd>(open_beneath(ours_.get(), staging_name_, O_RDONLY | O_DIRECTORY));
  }

  /// The new content under a number in the staging directory; nothing of the operator's is touched yet.
  Result<void> stage(std::size_t number, const Change& change) {
    const std::string name = std::to_string(number);
    if (change.theirs->type == Type::link) {
      const auto depth = static_cast<std::size_t>(std::ranges::count(change.path, '/'));
      if (!link_stays_inside(change.theirs->target, depth))
        return fail(ErrorKind::permission_denied, "it is a link that leads out");
      if (::symlinkat(change.theirs->target.c_str(), staging_.get(), name.c_str()) != 0)
        return fail(error_from_errno("cannot make the link", errno));
      return give_to_owner(change, name);
    }
    BB_TRY(const UniqueFd from, open_beneath(theirs_.get(), change.path, O_RDONLY | O_NONBLOCK));
    struct stat status {};
    if (::fstat(from.get(), &status) != 0 || !S_ISREG(status.st_mode))
      return fail(ErrorKind::permission_denied, "it is not a plain file any more");
    const UniqueFd to(::openat(staging_.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               change.theirs->executable ? 0777 : 0666));  // less the operator's umask
    if (!to) return fail(error_from_errno("cannot write", errno));
    BB_CHECK(copy(from.get(), to.get(), status.st_size));
    struct stat before {};
    const auto place = change.ours && change.ours->type == Type::file
                           ? open_beneath(ours_.get(), change.path, O_RDONLY | O_NONBLOCK)
                           : Result<UniqueFd>(UniqueFd());
    if (place && *place && ::fstat(place->get(), &before) == 0) {
      // The operator's own mode, with the bits for running as the agent has them.
      mode_t mode = before.st_mode & 0777;
      mode = change.theirs->executable ? mode | ((mode & 0444) >> 2) : mode & ~mode_t{0111};
      if (::fchmod(to.get(), mode) != 0) return fail(error_from_errno("cannot set the mode", errno));
    }
    return give_to_owner(change, name);
  }

  /// Everything that was staged is on disk before the first name changes.
  void settle() const {
#ifdef __linux__
    ::syncfs(staging_.get());
#else
    ::sync();
#endif
  }

  Result<void> put(std::size_t number, const Change& change) {
    BB_TRY(const Place place, open_place(ours_.get(), change.path));
    BB_CHECK(must_be_unchanged(place, change));
    if (change.ours && change.ours->type == Type::directory) {
      if (::unlinkat(place.parent.get(), place.name.c_str(), AT_REMOVEDIR) != 0)
        return fail(error_from_errno("the directory of that name cannot be removed", errno));
    }
    if (change.theirs->type == Type::directory) {
      if (change.ours && ::unlinkat(place.parent.get(), place.name.c_str(), 0) != 0)
        return fail(error_from_errno("cannot remove what is there", errno));
      if (::mkdirat(place.parent.get(), place.name.c_str(), 0777) != 0)
        return fail(error_from_errno("cannot make the directory", errno));
      return {};
    }
    if (::renameat(staging_.get(), std::to_string(number).c_str(), place.parent.get(), place.name.c_str()) != 0)
      return fail(error_from_errno("cannot put it in its place", errno));
    return {};
  }

  Result<void> remove(const Change& change) {
    BB_TRY(const Place place, open_place(ours_.get(), change.path));
    BB_CHECK(must_be_unchanged(place, change));
    if (::unlinkat(place.parent.get(), place.name.c_str(), 0) != 0)
      return fail(error_from_errno("cannot remove it", errno));
    return {};
  }

  /// Directories that the deletions emptied and that the agent does not have.
  void remove_empty_parents(const std::string& path) {
    for (std::string at = path; at.find('/') != std::string::npos;) {
      at.resize(at.rfind('/'));
      struct stat status {};
      if (::fstatat(theirs_.get(), at.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) return;
      auto place = open_beneath(ours_.get(), at.find('/') == std::string::npos ? "" : at.substr(0, at.rfind('/')),
                                O_RDONLY | O_DIRECTORY);
      if (!place || ::unlinkat(place->get(), at.substr(at.rfind('/') + 1).c_str(), AT_REMOVEDIR) != 0) return;
    }
  }

 private:
  static Result<void> copy(int from, int to, off_t size) {
    std::vector<char> buffer(256 * 1024);
    off_t at = 0;
    while (at < size) {
#ifdef SEEK_DATA
      // Holes stay holes: a sparse file of a hostile size must not fill the disk.
      const off_t data = ::lseek(from, at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) break;
      if (data > at) at = data;
#endif
      const ssize_t got = ::pread(from, buffer.data(), buffer.size(), at);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail(error_from_errno("cannot read the agent's copy", errno));
      if (got == 0) break;
      for (ssize_t done = 0; done < got;) {
        const ssize_t put = ::pwrite(to, buffer.data() + done, static_cast<std::size_t>(got - done), at + done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return fail(error_from_errno("cannot write", errno));
        done += put;
      }
      at += got;
    }
    if (::ftruncate(to, size) != 0) return fail(error_from_errno("cannot write", errno));
    return {};
  }

  /// As root in somebody's tree: what is new belongs to whom its neighbours belong to.
  Result<void> give_to_owner(const Change& change, const std::string& name) const {
    if (::geteuid() != 0) return {};
    struct stat owner {};
    std::string path = change.path;
    while (::fstatat(ours_.get(), path.empty() ? "." : path.c_str(), &owner, AT_SYMLINK_NOFOLLOW) != 0 && !path.empty())
      path.resize(path.find('/') == std::string::npos ? 0 : path.rfind('/'));
    if (::fchownat(staging_.get(), name.c_str(), owner.st_uid, owner.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
      return fail(error_from_errno("cannot give it to its owner", errno));
    return {};
  }

  /// Between the comparison and now a person has read a diff: what changed meanwhile is theirs (apply_test:
  /// what_changed_since_it_was_compared_is_not_touched).
  static Result<void> must_be_unchanged(const Place& place, const Change& change) {
    struct stat status {};
    const bool exists = ::fstatat(place.parent.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!change.ours) {
      if (exists) return fail(ErrorKind::already_exists, "there is one now");
      return {};
    }
    if (!exists) return fail(ErrorKind::not_found, "it is gone meanwhile");
    const Entry now = look_at(place.parent.get(), place.name, status);
    if (!change.ours->is_same_inode_state(now)) return fail(ErrorKind::failed_precondition, "it was changed meanwhile");
    return {};
  }

  UniqueFd ours_;
  UniqueFd theirs_;
  UniqueFd staging_;
  std::string staging_name_;
};

/// A staging directory that goes whatever happens.
class Staging {
 public:
  Staging(const std::filesystem::path& ours, const std::string& slug) : ours_(ours), slug_(slug) {
    remove_staging(ours_, slug_);
  }
  ~Staging() { [[maybe_unused]] const auto removed = remove_tree(ours_ / staging_name(slug_)); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

 private:
  const std::filesystem::path& ours_;
  const std::string& slug_;
};

}  // namespace

std::string staging_name(const std::string& slug) {
  return ".bot-bottle-sync-" + slug;
}

void remove_staging(const std::filesystem::path& ours, const std::string& slug) {
  or_throw(remove_tree(ours / staging_name(slug)));
}

Applied apply(const std::vector<Change>& chosen, const std::filesystem::path& ours, const std::filesystem::path& theirs,
              const std::string& slug, const std::function<void(const char*)>& on_step) {
  Applied applied;
  if (chosen.empty()) return applied;
  const Staging staging(ours, slug);
  Applier applier(ours, theirs, staging_name(slug));
  std::vector<bool> ready(chosen.size(), false);
  const auto note = [&applied](const Change& change, const Result<void>& result) {
    if (result)
      applied.done.push_back(change.path);
    else
      applied.failed.emplace_back(change.path, result.error().message);
    return static_cast<bool>(result);
  };
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const Change& change = chosen[i];
    if (!change.theirs || change.theirs->type == Type::directory) {
      ready[i] = true;
      continue;
    }
    const Result<void> staged = applier.stage(i, change);
    ready[i] = static_cast<bool>(staged);
    if (!staged) applied.failed.emplace_back(change.path, staged.error().message);
  }
  applier.settle();
  if (on_step) on_step("staged");
  // Deletions first and from the deepest: a directory may have to make room for a file of its name.
  for (std::size_t i = chosen.size(); i-- > 0;)
    if (ready[i] && !chosen[i].theirs && note(chosen[i], applier.remove(chosen[i])))
      applier.remove_empty_parents(chosen[i].path);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (!ready[i] || !chosen[i].theirs) continue;
    note(chosen[i], applier.put(i, chosen[i]));
    if (on_step) on_step("renamed");
  }
  std::ranges::sort(applied.done);
  return applied;
}

}  // namespace bot_bottle::sync
