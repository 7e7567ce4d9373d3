#include "plugins/backend-apple/carry_over.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-apple/tree_pull.hpp"
#include "sidecar/guest/tar.hpp"

namespace bot_bottle::backend_apple {
namespace {

std::string place_of(const std::string& state_dir) {
  return state_dir + "/backend/carried";
}

struct Part {
  std::string path;
  std::string directory;  // of the bottle
};

/// One in the other is carried with it and once more: they are unpacked one after another, by the agent's rights. The
/// inner one is looked at by that, before the old container goes.
std::vector<Part> parts_of(const sdk::Plan& plan) {
  const std::string home = get_string(plan.data, "home");
  const std::string workspace = get_string(plan.data, "workspace_path");
  std::vector<Part> parts{{place_of(plan.state_dir) + "/home.tar", home}};
  if (get_string(plan.data, "workspace_mode") == "copy" && workspace != home)
    parts.push_back({place_of(plan.state_dir) + "/workspace.tar", workspace});
  return parts;
}

Result<void> sync_directory(const std::string& path) {
  const UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0) return fail(error_from_errno("cannot sync " + path, errno));
  return {};
}

}  // namespace

bool has_carried(const std::string& state_dir) {
  return ::access((place_of(state_dir) + "/whole").c_str(), F_OK) == 0;
}

Result<void> mark_carried(const std::string& state_dir) {
  // First the names of what lies there: `whole` without them would be a lie.
  BB_CHECK(sync_directory(place_of(state_dir)));
  BB_CHECK(write_file_atomic(place_of(state_dir) + "/whole", "", 0600));
  BB_CHECK(sync_directory(state_dir + "/backend"));
  return sync_directory(state_dir);
}

void carry_over(const sdk::Call& call, const ContainerTool& tool, const sdk::Plan& plan, const std::string& container) {
  call.progress("carrying home and workspace over");
  or_throw(remove_tree(place_of(plan.state_dir)));
  or_throw(make_directories(place_of(plan.state_dir), 0700));
  tool.start(container);
  for (const auto& [path, directory] : parts_of(plan)) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) throw Failure(error_from_errno("cannot keep what is carried over", errno));
    const auto channel = open_relay(tool, container, user_of(plan.data));
    PulledNames names;
    pull_tree(call, *channel, {.directory = directory, .as = "", .uid = 0, .gid = 0}, file.get(), names);
    or_throw(write_all(file.get(), guest::make_tar_end()));
    if (::fsync(file.get()) != 0) throw Failure(error_from_errno("cannot keep what is carried over", errno));
  }
  or_throw(mark_carried(plan.state_dir));
  tool.end(plan.state_dir);
}

void unpack_carried(const sdk::Call& call, const ContainerTool& tool, const sdk::Plan& plan) {
  if (!has_carried(plan.state_dir)) return;
  for (const auto& [path, directory] : parts_of(plan)) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!file && errno == ENOENT) continue;  // there was no workspace
    if (!file) throw Failure(error_from_errno("cannot read what is carried over", errno));
    driven::GuestRun run;
    run.argv = {driven::guest_init, "--unpack", directory};
    run.cwd = "/";
    run.stdin_fd = file.get();
    run.cancel_fd = call.cancel_fd();
    const auto channel = open_relay(tool, container_name(plan.state_dir), user_of(plan.data));
    const driven::GuestResult done = run_in_guest(*channel, run);
    if (done.code != 0)
      throw sdk::Error(sdk::Status::failed_precondition,
                       "cannot put " + directory + " into the new container: " + done.err.substr(0, 500),
                       "what the agent made is in " + place_of(plan.state_dir));
  }
  or_throw(remove_tree(place_of(plan.state_dir)));
}

}  // namespace bot_bottle::backend_apple
