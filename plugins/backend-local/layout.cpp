#include "plugins/backend-local/layout.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <set>

namespace bot_bottle::backend_local {
namespace {

namespace fs = std::filesystem;
using Kind = SandboxStep::Kind;

/// Files of a working tree that run by themselves on the host (spec 02, `sync`).
constexpr std::array<const char*, 17> auto_run{".envrc",         ".vscode",           ".idea",
                                               ".husky",         ".githooks",         ".pre-commit-config.yaml",
                                               ".npmrc",         ".github/workflows", ".gitlab-ci.yml",
                                               ".gitattributes", ".gitmodules",       ".mcp.json",
                                               ".cursor",        ".devcontainer",     ".claude/settings.json",
                                               "package.json",   "Makefile"};

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

class Steps {
 public:
  void add(Kind kind, std::string source, std::string dest, std::uint64_t bytes = 0) {
    list_.push_back({.kind = kind, .source = std::move(source), .dest = std::move(dest), .bytes = bytes});
  }
  void ro(const std::string& path) { add(Kind::ro_bind, path, path); }
  void ro(std::string source, std::string dest) { add(Kind::ro_bind, std::move(source), std::move(dest)); }
  void directory(std::string dest) { add(Kind::directory, {}, std::move(dest)); }
  std::vector<SandboxStep> take() { return std::move(list_); }

 private:
  std::vector<SandboxStep> list_;
};

/// /usr and the links (or directories) into it, as the host has them.
void add_host_system(Steps& steps) {
  steps.ro("/usr");
  for (const char* name : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    std::error_code code;
    if (fs::is_symlink(name, code))
      steps.add(Kind::symlink, fs::read_symlink(name, code).string(), name);
    else if (fs::is_directory(name, code))
      steps.ro(name);
  }
}

/// Every top-level entry of an unpacked root file system but what the bottle has of its own: binding it as a whole
/// would leave no place for mount points.
Result<void> add_rootfs(Steps& steps, const std::string& rootfs, const std::set<std::string>& own) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(rootfs, code)) {
    const std::string name = entry.path().filename().string();
    if (own.contains(name)) continue;
    if (entry.is_symlink(code))
      steps.add(Kind::symlink, fs::read_symlink(entry.path(), code).string(), "/" + name);
    else if (entry.is_directory(code) || entry.is_regular_file(code))
      steps.ro(entry.path().string(), "/" + name);
  }
  if (code) return fail(ErrorKind::not_found, "rootfs: cannot read " + rootfs + ": " + code.message());
  return {};
}

void add_kernel_file_systems(Steps& steps, std::uint64_t tmp_bytes) {
  steps.add(Kind::proc, {}, "/proc");
  // Say nothing of the machine to an unprivileged reader, but cost nothing to hide.
  for (const char* path : {"/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/sched_debug", "/proc/kcore"})
    if (exists(path)) steps.ro("/dev/null", path);
  steps.add(Kind::dev, {}, "/dev");
  steps.add(Kind::tmpfs, {}, "/dev/shm", tmp_bytes);
  steps.add(Kind::tmpfs, {}, "/tmp", tmp_bytes);
}

}  // namespace

Result<std::vector<SandboxStep>> bottle_steps(const BottleLayout& layout) {
  Steps steps;
  const std::string backend = layout.state_dir + "/backend";
  if (layout.rootfs.empty()) {
    add_host_system(steps);
  } else {
    std::set<std::string> own{"proc", "dev", "sys", "tmp", "run", "etc", "home", "var"};
    if (!layout.workspace_path.empty()) own.insert((*std::next(fs::path(layout.workspace_path).begin())).string());
    BB_CHECK(add_rootfs(steps, layout.rootfs, own));
  }
  steps.ro(backend + "/etc", "/etc");
  for (const std::string& path : layout.etc_binds) steps.ro(path);
  add_kernel_file_systems(steps, layout.tmp_bytes);
  steps.directory("/var");
  steps.add(Kind::symlink, "/tmp", "/var/tmp");
  steps.directory("/run/bottle/bin");
  steps.ro(layout.libexec + "/bottle-init", "/run/bottle/bin/bottle-init");
  steps.ro(layout.state_dir + "/wire", "/run/bottle/wire");
  // The agent's program and what the operator added, before home and workspace, which may lie above them.
  steps.add(Kind::bind, backend + "/home", layout.guest_home);
  for (const std::string& path : layout.program.binds) steps.ro(path);
  for (const std::string& path : layout.program.links) {
    std::error_code code;
    steps.add(Kind::symlink, fs::read_symlink(path, code).string(), path);
  }
  for (const std::string& path : layout.bind_ro) {
    for (const char* own : {"/etc", "/proc", "/dev", "/tmp", "/run"})
      if (path == own)
        return fail(ErrorKind::invalid_argument, "bind_ro: " + path + " would cover a part of the bottle");
    steps.ro(path);
  }
  if (!layout.workspace_path.empty()) {
    steps.add(Kind::bind, layout.workspace_source, layout.workspace_path);
    if (layout.workspace_is_operators) {
      BB_TRY(const MountProtection protection, protect_mounted_tree(layout.workspace_source, false));
      // A mount point cannot be renamed: without this ".git" could be moved away and a hostile one put in its place.
      if (protection.has_git_directory)
        steps.add(Kind::bind, layout.workspace_source + "/.git", layout.workspace_path + "/.git");
      for (const std::string& path : protection.read_only)
        steps.ro(layout.workspace_source + "/" + path, layout.workspace_path + "/" + path);
    }
  }
  // bwrap's own tmpfs belongs to the agent's uid and has no size: nothing may be written to it.
  steps.add(Kind::remount_ro, {}, "/dev");
  steps.add(Kind::remount_ro, {}, "/");
  return steps.take();
}

Result<MountProtection> protect_mounted_tree(const std::string& tree, bool make_missing) {
  MountProtection protection;
  const std::string git = tree + "/.git";
  const auto make = [&](const std::string& path) -> Result<void> {
    if (::mkdir(path.c_str(), 0755) != 0) return fail(error_from_errno("cannot make " + path, errno));
    protection.made.push_back(path);
    return {};
  };
  if (!exists(git)) {
    if (make_missing) BB_CHECK(make(git));
    if (exists(git)) protection.read_only.emplace_back(".git");
  } else if (is_directory(git) && exists(git + "/HEAD")) {
    protection.has_git_directory = true;
    if (!exists(git + "/hooks") && make_missing) BB_CHECK(make(git + "/hooks"));
    for (const char* name :
         {".git/hooks", ".git/config", ".git/config.worktree", ".git/info", ".git/modules", ".git/commondir"})
      if (exists(tree + "/" + name)) protection.read_only.emplace_back(name);
    // Both redirect where git reads its configuration (gitrepository-layout(5)), and an empty stand-in would break git.
    for (const char* name : {"/commondir", "/config.worktree"})
      if (!exists(git + name)) protection.must_stay_absent.push_back(git + name);
  } else {
    protection.read_only.emplace_back(".git");  // a worktree's file, or an empty directory: nothing may come into it
  }
  for (const char* name : auto_run) {
    std::error_code code;
    const fs::path path = fs::path(tree) / name;
    // A link would bind what it points to; it can only be replaced as a whole, and its target is protected by being
    // outside.
    if (fs::is_symlink(path, code)) continue;
    if (fs::is_regular_file(path, code) || fs::is_directory(path, code)) protection.read_only.emplace_back(name);
  }
  return protection;
}

std::vector<SandboxStep> sidecar_steps(const std::string& state_dir, const std::string& libexec,
                                       const std::string& share, const std::string& rules_database,
                                       const std::vector<std::string>& own_directories) {
  Steps steps;
  add_host_system(steps);
  steps.ro(state_dir + "/backend/sidecar-etc", "/etc");
  add_kernel_file_systems(steps, std::uint64_t{64} << 20);
  steps.directory("/run/sidecar/bin");
  steps.ro(libexec + "/bottle-init", "/run/sidecar/bin/bottle-init");
  steps.ro(libexec + "/bot-bottle-sidecar", "/run/sidecar/bin/bot-bottle-sidecar");
  steps.directory("/run/sidecar/state");
  for (const std::string& name : own_directories)
    steps.add(Kind::bind, state_dir + "/" + name, "/run/sidecar/state/" + name);
  steps.ro(share, "/run/sidecar/share");
  if (!rules_database.empty()) steps.ro(rules_database, "/run/sidecar/rules.database");
  steps.add(Kind::remount_ro, {}, "/dev");
  steps.add(Kind::remount_ro, {}, "/");
  return steps.take();
}

}  // namespace bot_bottle::backend_local
