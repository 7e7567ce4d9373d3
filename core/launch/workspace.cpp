#include "core/launch/workspace.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/launch/canaries.hpp"
#include "core/launch/session_file.hpp"
#include "core/state/frozen.hpp"
#include "core/sync/apply.hpp"
#include "core/sync/git_config.hpp"

namespace bot_bottle::launch {
namespace {

constexpr const char* base_name = "workspace.base";
constexpr const char* uncommitted_name = "sync.uncommitted";  // paths, each ended by NUL
constexpr std::size_t max_uncommitted_bytes = std::size_t{64} << 20;

/// The state of bot-bottle is not part of any workspace, even of one that holds it.
sync::ScanOptions options_for(const std::filesystem::path& home) {
  sync::ScanOptions options;
  struct stat own {};
  if (::stat(home.c_str(), &own) == 0) options.skip.emplace_back(own.st_dev, own.st_ino);
  return options;
}

/// The record of this bottle's own worktree: one of an earlier bottle of that name is about other files.
std::optional<WorktreeRecord> worktree_of(const Home& home, const std::string& slug, const sync::Base& base) {
  auto record = find_worktree(home, slug);
  if (!record || record->worktree.path != base.source) return std::nullopt;
  return record;
}

UniqueFd open_lock(const state::Directory& directory) {
  UniqueFd fd(::open((directory.path() / "sync.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) throw Failure(error_from_errno("cannot open " + (directory.path() / "sync.lock").string(), errno));
  return fd;
}

/// Taken before the base is read: another sync that ends in between would have moved it.
UniqueFd take_lock(const state::Directory& directory) {
  UniqueFd fd = open_lock(directory);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    throw Failure(make_error(ErrorKind::failed_precondition,
                             "another bot-bottle looks at the workspace of '" + directory.slug() + "' right now",
                             "try again"));
  return fd;
}

sync::Base need_base(const state::Directory& directory) {
  auto base = sync::find_base(directory.path() / base_name);
  if (!base)
    throw Failure(make_error(ErrorKind::failed_precondition,
                             "nobody wrote down the workspace of '" + directory.slug() + "' when it was launched",
                             "bot-bottle cp " + directory.slug() + ":. DIR; it copies out what is there"));
  if (base->mode == "mount")
    throw Failure(make_error(ErrorKind::failed_precondition,
                             "the workspace of '" + directory.slug() + "' is your own tree: " + base->source.string(),
                             "what the agent changed is in there already"));
  if (base->mode != "copy")
    throw Failure(make_error(ErrorKind::failed_precondition, "the bottle '" + directory.slug() + "' has no workspace"));
  return std::move(*base);
}

}  // namespace

void record_base(const plan::Plan& plan, const state::Directory& directory, const Home& home,
                 const std::function<void(std::string_view)>& warn) {
  if (plan.choices.home == plan::GuestHome::reused) return;
  try {
    if (!plan.choices.snapshot.empty()) {
      if (auto base = sync::find_base(home.state_of(state::slug_of_snapshot(plan.choices.snapshot)) / base_name))
        sync::write_base(directory.path() / base_name, *base);
      return;
    }
    const json::object* workspace = find_object(plan.backend_spec, "workspace");
    if (workspace == nullptr) return;
    sync::Base base;
    base.mode = get_string(*workspace, "mode");
    base.source = get_string(*workspace, "source");
    if (base.mode == "copy") base.tree = sync::scan_tree(base.source, options_for(home.root)).tree;
    sync::write_base(directory.path() / base_name, base);
  } catch (const Failure& failure) {
    warn("the workspace was not recorded, `sync` will not work: " + failure.error().message);
  }
}

void record_worktree_base(const WorktreeRecord& record, const state::Directory& directory) {
  sync::write_base(
      directory.path() / base_name,
      {.source = record.worktree.path,
       .mode = "copy",
       .tree = sync::scan_tree(record.worktree.path, {.top_git = sync::TopGit::left_out, .skip = {}}).tree});
}

WorkspaceCopy::WorkspaceCopy(const Backends& backends, const Home& home, const std::string& slug)
    : directory_(state::Directory::open(home, slug)),
      lock_(take_lock(directory_)),
      place_(directory_.path() / "sync"),
      base_(need_base(directory_)),
      worktree_(worktree_of(home, slug, base_)) {
  std::error_code code;
  if (worktree_ && !std::filesystem::is_directory(base_.source, code))
    throw Failure(make_error(ErrorKind::not_found, "the worktree " + base_.source.string() + " is gone",
                             "git --git-dir=" + worktree_->worktree.git_dir.string() + " worktree add -f " +
                                 base_.source.string() + " " + worktree_->worktree.branch));
  if (const auto noted = read_file(directory_.path() / uncommitted_name, max_uncommitted_bytes))
    for (const std::string_view path : split(std::string_view(*noted), '\0'))
      if (!path.empty()) uncommitted_.emplace_back(path);
  const auto bottle = directory_.find_bottle();
  const state::Metadata metadata = directory_.metadata();
  if (!bottle || metadata.backend.empty())
    throw Failure(make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' was never launched to its end",
                             "bot-bottle cleanup"));
  const SessionFile session = read_session_file(directory_);
  or_throw(remove_tree(place_));
  or_throw(make_directories(place_, 0700));
  backends.get(metadata.backend)
      .copy_out(*bottle, {{"schema", "bot-bottle.copy/1"},
                          {"source", session.workspace},
                          {"dest", theirs().string()},
                          {"recursive", true}});
  sync::remove_staging(base_.source, slug);
  sync::ScanOptions options = options_for(home.root);
  if (worktree_) options.top_git = sync::TopGit::left_out;
  changes_ = sync::compare(base_, base_.source, theirs(), options);
  const auto configured = sync::ConfiguredPaths::load(base_.source, our_git());
  for (sync::Change& change : changes_.list)
    if (change.autorun.empty()) change.autorun = configured.reason_for(change.path);
  // What we planted ourselves is no work of the agent's, as long as it is as we planted it.
  const PlantedBefore planted = PlantedBefore::load(directory_);
  std::erase_if(changes_.list, [&](const sync::Change& change) {
    const auto found = planted.digests.find(session.workspace + "/" + change.path);
    if (change.kind != sync::Kind::added || found == planted.digests.end()) return false;
    const auto text = read_file(theirs() / change.path, std::size_t{1} << 20);
    return text && sha256_hex(*text) == found->second;
  });
}

WorkspaceCopy::~WorkspaceCopy() {
  [[maybe_unused]] const auto removed = remove_tree(place_);
}

void WorkspaceCopy::note_uncommitted(const std::vector<sync::Change>& chosen) {
  if (!worktree_) return;
  for (const sync::Change& change : chosen)
    if (std::ranges::find(uncommitted_, change.path) == uncommitted_.end()) uncommitted_.push_back(change.path);
  std::string text;
  for (const std::string& path : uncommitted_) text += path + '\0';
  or_throw(write_file_atomic(directory_.path() / uncommitted_name, text, 0600));
}

void WorkspaceCopy::forget_uncommitted() {
  uncommitted_.clear();
  directory_.remove_document(uncommitted_name);
}

void WorkspaceCopy::move_base(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    struct stat status {};
    const std::filesystem::path file = base_.source / path;
    if (::lstat(file.c_str(), &status) != 0) {
      base_.tree.erase(path);
      continue;
    }
    base_.tree[path] = sync::look_at(AT_FDCWD, file.string(), status);
  }
  sync::write_base(directory_.path() / base_name, base_);
}

std::optional<std::filesystem::path> find_abandoned_staging(const state::Directory& directory) {
  const auto base = sync::find_base(directory.path() / base_name);
  if (!base || base->mode != "copy") return std::nullopt;
  std::filesystem::path staging = base->source / sync::staging_name(directory.slug());
  struct stat status {};
  if (::lstat(staging.c_str(), &status) != 0) return std::nullopt;
  const UniqueFd lock = open_lock(directory);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return std::nullopt;
  return staging;
}

void remove_abandoned_staging(const state::Directory& directory) {
  if (const auto staging = find_abandoned_staging(directory)) or_throw(remove_tree(*staging));
}

}  // namespace bot_bottle::launch
