#include "plugins/backend-apple/tree_pull.hpp"

#include <sys/statvfs.h>

#include <algorithm>

#include "core/base/file.hpp"

namespace bot_bottle::backend_apple {
namespace {

constexpr std::uint64_t most = std::uint64_t{16} << 30;
constexpr std::uint64_t check_every = std::uint64_t{16} << 20;
/// bottle-init's name for what it packs (sidecar/guest/tree.cpp).
constexpr std::string_view packed_name = "copy";

/// "a/b/c": no empty part, no "." and no "..".
bool is_plain(std::string_view name) {
  for (std::size_t from = 0; from <= name.size();) {
    const std::size_t slash = std::min(name.find('/', from), name.size());
    const std::string_view part = name.substr(from, slash - from);
    if (part.empty() || part == "." || part == "..") return false;
    from = slash + 1;
  }
  return true;
}

bool is_in(const std::string& path, const std::string& directory) {
  return path == directory || path.starts_with(directory + "/");
}

}  // namespace

std::vector<std::string> kept_directories(const json::object& data) {
  const std::string home = get_string(data, "home");
  const std::string workspace = get_string(data, "workspace_path");
  if (workspace.empty() || get_string(data, "workspace_mode") == "none") return {home};
  if (is_in(workspace, home)) return {home};
  if (is_in(home, workspace)) return {workspace};
  return {home, workspace};
}

bool TreeRewriter::refuse(std::string why) {
  if (problem_.empty()) problem_ = std::move(why);
  return false;
}

bool TreeRewriter::remember(const guest::TarEntry& entry) {
  const std::string& name = entry.path;
  const bool is_directory = entry.kind == guest::TarEntry::Kind::directory;
  if (!is_plain(name)) return refuse("'" + name + "' is not a plain relative path");
  const bool is_top = name.find('/') == std::string::npos;
  if (is_top && (name != packed_name || !is_directory))
    return refuse("'" + name + "' is not the directory that was asked for");
  const std::string made = made_name(name);
  if (!is_below_directories(made, is_top)) return refuse("'" + name + "' lies below what is not a directory");
  const auto [place, is_new] = names_.is_directory.emplace(made, is_directory);
  if (!is_new) return (place->second && is_directory) || refuse("'" + name + "' comes twice");
  names_.bytes += made.size();
  if (names_.is_directory.size() > tree_.max_entries || names_.bytes > tree_.max_name_bytes)
    return refuse("too many entries");
  return true;
}

/// What lies above the tree itself nobody names: it is there, and no tree of the same archive may have put anything
/// else in its place, or do so later.
bool TreeRewriter::is_below_directories(std::string_view name, bool is_top) {
  if (!is_top) {
    const std::size_t slash = name.rfind('/');
    const auto parent = names_.is_directory.find(name.substr(0, slash == std::string_view::npos ? 0 : slash));
    return parent != names_.is_directory.end() && parent->second;
  }
  for (std::size_t slash = name.find('/'); slash != std::string_view::npos; slash = name.find('/', slash + 1))
    if (!names_.is_directory.emplace(name.substr(0, slash), true).first->second) return false;
  return true;
}

std::string TreeRewriter::made_name(std::string_view name) const {
  std::string made = tree_.as;
  made += name.substr(packed_name.size());
  while (made.starts_with('/')) made.erase(0, 1);
  return made;
}

bool TreeRewriter::begin(const guest::TarEntry& entry) {
  left_ = 0;
  if (!problem_.empty() || !remember(entry)) return false;
  if (entry.kind == guest::TarEntry::Kind::other) return true;
  std::string path = made_name(entry.path);
  if (path.empty()) return true;
  guest::TarEntry made = entry;
  made.path = std::move(path);
  made.mode = entry.mode & 0777;  // set-id bits never travel
  made.uid = tree_.uid;
  made.gid = tree_.gid;
  if (made.kind != guest::TarEntry::Kind::file) made.size = 0;
  taken_ = true;
  left_ = made.size;
  padding_ = guest::tar_padding(made.size);
  return put(guest::make_tar_header(made));
}

bool TreeRewriter::data(std::string_view bytes) {
  if (!taken_) return true;
  if (bytes.size() > left_) return false;
  left_ -= bytes.size();
  return put(bytes);
}

bool TreeRewriter::end() {
  if (!taken_) return true;
  taken_ = false;
  return left_ == 0 && put(std::string(padding_, '\0'));
}

bool TreeRewriter::put(std::string_view bytes) {
  written_ += bytes.size();
  since_check_ += bytes.size();
  if (written_ > most) return refuse(tree_.directory + " of the bottle is larger than 16 GiB");
  if (since_check_ > check_every) {
    since_check_ = 0;
    struct statvfs space {};
    if (::fstatvfs(fd_, &space) == 0 &&
        static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize < tree_.keep_free_bytes)
      return refuse("the disk of the state directory is almost full");
  }
  if (auto done = write_all(fd_, bytes); !done) return refuse(done.error().message);
  return problem_.empty();
}

std::uint64_t pull_tree(const sdk::Call& call, driven::GuestChannel& channel, const PulledTree& tree, int fd,
                        PulledNames& names) {
  TreeRewriter rewriter(tree, fd, names);
  guest::TarReader reader(rewriter);
  driven::GuestRun run;
  run.argv = {driven::guest_init, "--pack", tree.directory};
  run.cwd = "/";
  run.cancel_fd = call.cancel_fd();
  run.output = [&](std::string_view bytes) {
    if (reader.feed(bytes)) return;
    const std::string& why = rewriter.problem().empty() ? reader.problem() : rewriter.problem();
    throw sdk::Error(sdk::Status::failed_precondition, "what came out of the bottle as " + tree.directory +
                                                           " cannot be taken" + (why.empty() ? "" : ": " + why));
  };
  const driven::GuestResult done = run_in_guest(channel, run);
  if (done.code != 0 || !reader.is_complete())
    throw sdk::Error(sdk::Status::failed_precondition,
                     "cannot keep " + tree.directory + " of the bottle" +
                         (done.err.empty() ? std::string(": it is cut short") : ": " + done.err.substr(0, 500)));
  return rewriter.written();
}

}  // namespace bot_bottle::backend_apple
