// What the plugin tells bottle-keeper on a descriptor: one bwrap with everything around it. Trusted on both sides.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "plugins/backend-local/cgroup.hpp"

namespace bot_bottle::backend_local {

enum class Component : std::uint8_t { bottle, sidecar };
std::string_view name_of(Component component);

/// One argument of the sandbox's file system, in bwrap's order.
struct SandboxStep {
  enum class Kind : std::uint8_t { bind, ro_bind, tmpfs, symlink, directory, proc, dev, remount_ro };
  Kind kind = Kind::directory;
  std::string source;  // bind, ro_bind: host path; symlink: its target
  std::string dest;
  std::uint64_t bytes = 0;  // tmpfs: its size
};

struct KeeperDocument {
  Component component = Component::bottle;
  std::string slug;
  std::string agent;
  std::string label;
  std::string state_dir;
  std::string bwrap;                 // absolute
  std::optional<std::uint32_t> uid;  // root only: the unprivileged uid (and gid) that runs bwrap
  std::uint32_t inner_uid = 1000;
  std::uint32_t inner_gid = 1000;
  std::vector<SandboxStep> steps;
  std::vector<std::string> init;     // bottle-init and its options inside the sandbox; descriptors are added
  std::vector<std::string> program;  // behind "--" (sidecar)
  std::vector<std::pair<std::string, std::string>> env;
  std::string idmapped_tree;   // root only: this source and what is below it is shown as `uid`'s own (mount_setattr(2))
  std::uint32_t tree_uid = 0;  // whose it is on the disk
  std::uint32_t tree_gid = 0;
  CgroupLimits limits;
  std::uint64_t reserve_bytes = 0;  // free space of the state's file system that the bottle may not eat; 0: default
  std::uint64_t disk_bytes = 0;     // what `measured` may hold together; 0: no limit
  std::vector<std::string> measured;
  std::vector<std::string> must_stay_absent;  // files whose appearance ends the bottle (attack G3)
  std::vector<std::string> disabled_guards;   // test hooks only: netns, seccomp, caps, userns
};

json::object to_json(const KeeperDocument& document);
Result<KeeperDocument> parse_keeper_document(std::string_view text);

/// "<state>/backend/<component>.lock": who holds its POSIX lock is the keeper.
std::string lock_path(std::string_view state_dir, Component component);
std::string exec_socket_path(std::string_view state_dir);
/// Bytes that the disk guard keeps free, as text.
std::string reserve_path(std::string_view state_dir);
/// {reason, code}: how the last run ended.
std::string exit_record_path(std::string_view state_dir, Component component);
/// The cgroup's name: unique on the machine, as homes may share slugs.
std::string cgroup_name(std::string_view slug, std::string_view state_dir, Component component);

/// Descriptors that `bottle-keeper run` finds open.
inline constexpr int keeper_document_fd = 3;
inline constexpr int keeper_status_fd = 4;    // one JSON line: {"ready": true, …} or {"error": {kind, message, hint}}
inline constexpr int keeper_lifeline_fd = 5;  // only with --lifeline
inline constexpr int keeper_config_fd = 6;    // only with --config: the program's standard input
inline constexpr int keeper_uid_lock_fd = 7;  // only with --uid-lock: held until the end

}  // namespace bot_bottle::backend_local
