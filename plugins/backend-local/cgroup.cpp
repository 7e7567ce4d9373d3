#include "plugins/backend-local/cgroup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <thread>

#include "core/base/file.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::backend_local {
namespace {

constexpr std::string_view parent_name = "bot-bottle";

bool is_writable(const std::string& path) {
  return ::access(path.c_str(), W_OK) == 0;
}

Result<void> write_value(const std::string& file, const std::string& value) {
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), value.data(), value.size()) != static_cast<ssize_t>(value.size()))
    return fail(error_from_errno("cannot write " + file, errno));
  return {};
}

/// Mount points of v1 controllers and of v2, from /proc/self/mountinfo (proc(5): fields, " - ", type, source, options).
struct Hierarchies {
  std::string unified;
  std::string memory;
  std::string pids;
  std::string cpu;
};

Hierarchies find_hierarchies() {
  Hierarchies found;
  const auto text = read_file("/proc/self/mountinfo");
  if (!text) return found;
  for (const std::string_view line : split(*text, '\n')) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    const auto left = split(line.substr(0, dash), ' ');
    const auto right = split(line.substr(dash + 3), ' ');
    if (left.size() < 6 || right.size() < 3) continue;
    const std::string mount_point(left[4]);
    if (right[0] == "cgroup2" && found.unified.empty()) found.unified = mount_point;
    if (right[0] != "cgroup") continue;
    for (const std::string_view option : split(right[2], ',')) {
      if (option == "memory") found.memory = mount_point;
      if (option == "pids") found.pids = mount_point;
      if (option == "cpu") found.cpu = mount_point;
    }
  }
  return found;
}

/// Our own group on v2: the line "0::/path" of /proc/self/cgroup.
std::string own_unified_group() {
  const auto text = read_file("/proc/self/cgroup");
  if (!text) return {};
  for (const std::string_view line : split(*text, '\n'))
    if (line.starts_with("0::")) return std::string(line.substr(3));
  return {};
}

bool has_controller(const std::string& directory, std::string_view controller) {
  const auto text = read_file(directory + "/cgroup.controllers");
  if (!text) return false;
  const auto names = split(trim(*text), ' ');
  return std::ranges::find(names, controller) != names.end();
}

bool make_directory(const std::string& path) {
  return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST;
}

}  // namespace

CgroupPlace find_cgroup_place() {
  CgroupPlace place;
  const Hierarchies found = find_hierarchies();
  const auto under = [](const std::string& root) {
    return !root.empty() && is_writable(root) ? root + "/" + std::string(parent_name) : std::string();
  };
  if (!found.memory.empty() || !found.pids.empty() || !found.cpu.empty()) {
    place.memory = under(found.memory);
    place.pids = under(found.pids);
    place.cpu = under(found.cpu);
    return place;
  }
  if (found.unified.empty()) return place;
  place.unified = true;
  std::string base;
  if (::geteuid() == 0) {
    if (is_writable(found.unified + "/cgroup.subtree_control")) base = found.unified;
  } else {
    // A process may be moved only within what both ends' common ancestor lets it (cgroups(7), delegation): so the
    // parent must be above our own group. The group that holds us cannot hand out controllers while it has processes.
    std::string group = own_unified_group();
    while (group.size() > 1) {
      group = group.substr(0, group.rfind('/'));
      const std::string directory = found.unified + group;
      if (group.empty() || !is_writable(directory + "/cgroup.procs") ||
          !is_writable(directory + "/cgroup.subtree_control") || !is_writable(directory))
        break;
      base = directory;
    }
  }
  if (base.empty()) return place;
  const std::string directory = base + "/" + std::string(parent_name);
  if (has_controller(base, "memory")) place.memory = directory;
  if (has_controller(base, "pids")) place.pids = directory;
  if (has_controller(base, "cpu")) place.cpu = directory;
  return place;
}

std::vector<std::string> cgroup_directories(const CgroupPlace& place, const std::string& name) {
  std::vector<std::string> directories;
  for (const std::string* parent : {&place.memory, &place.pids, &place.cpu}) {
    const std::string directory = *parent + "/" + name;
    if (!parent->empty() && std::ranges::find(directories, directory) == directories.end())
      directories.push_back(directory);
  }
  return directories;
}

Result<void> create_cgroup(const CgroupPlace& place, const std::string& name, const CgroupLimits& limits) {
  const auto missing = [](const char* limit) {
    return fail(ErrorKind::unsupported, std::string("this machine cannot enforce limits.") + limit,
                "remove the limit, run as root, or start bot-bottle in a delegated cgroup (systemd-run --user --scope "
                "-p Delegate=yes)");
  };
  if (limits.memory && place.memory.empty()) return missing("memory");
  if (limits.cpus && place.cpu.empty()) return missing("cpus");
  for (const std::string* parent : {&place.memory, &place.pids, &place.cpu}) {
    if (parent->empty()) continue;
    // Again when another bottle's end took the parent away in between.
    for (int attempt = 0;; ++attempt) {
      if (!make_directory(*parent)) return fail(error_from_errno("cannot make the cgroup " + *parent, errno));
      if (place.unified) {
        const std::string base = parent->substr(0, parent->rfind('/'));
        const std::string enable = std::string(place.memory.empty() ? "" : "+memory ") +
                                   (place.pids.empty() ? "" : "+pids ") + (place.cpu.empty() ? "" : "+cpu");
        BB_CHECK(write_value(base + "/cgroup.subtree_control", enable));
        if (auto enabled = write_value(*parent + "/cgroup.subtree_control", enable); !enabled && attempt >= 3)
          return enabled;
      }
      if (make_directory(*parent + "/" + name)) break;
      if (errno != ENOENT || attempt >= 3)
        return fail(error_from_errno("cannot make the cgroup " + *parent + "/" + name, errno));
    }
  }
  const auto group = [&](const std::string& parent) { return parent + "/" + name; };
  if (limits.memory) {
    const std::string value = std::to_string(*limits.memory);
    if (place.unified) {
      BB_CHECK(write_value(group(place.memory) + "/memory.max", value));
      // Without this the limit only moves the agent's memory to the operator's disk. Absent when swap accounting is
      // off.
      if (auto done = write_value(group(place.memory) + "/memory.swap.max", "0"); !done) (void)done.error();
    } else {
      BB_CHECK(write_value(group(place.memory) + "/memory.limit_in_bytes", value));
      if (auto done = write_value(group(place.memory) + "/memory.memsw.limit_in_bytes", value); !done)
        (void)done.error();
    }
  }
  if (limits.pids && !place.pids.empty())
    BB_CHECK(write_value(group(place.pids) + "/pids.max", std::to_string(*limits.pids)));
  if (limits.cpus) {
    const auto quota = std::to_string(std::max<std::int64_t>(1000, std::llround(*limits.cpus * 100'000)));
    if (place.unified)
      BB_CHECK(write_value(group(place.cpu) + "/cpu.max", quota + " 100000"));
    else
      BB_CHECK(write_value(group(place.cpu) + "/cpu.cfs_quota_us", quota));
  }
  return {};
}

Result<void> enter_cgroup(const CgroupPlace& place, const std::string& name, int pid) {
  for (const std::string& directory : cgroup_directories(place, name))
    BB_CHECK(write_value(directory + "/cgroup.procs", std::to_string(pid)));
  return {};
}

Result<void> remove_cgroup(const std::vector<std::string>& directories) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  for (const std::string& directory : directories) {
    while (::rmdir(directory.c_str()) != 0 && errno != ENOENT) {
      if (errno != EBUSY || std::chrono::steady_clock::now() > deadline)
        return fail(error_from_errno("cannot remove the cgroup " + directory, errno));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    ::rmdir(directory.substr(0, directory.rfind('/')).c_str());  // ours too, when this was its last group
  }
  return {};
}

}  // namespace bot_bottle::backend_local
