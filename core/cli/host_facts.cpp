#include "core/cli/host_facts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::cli {
namespace {

struct Program {
  const char* name;
  const char* argument;  // prints the version
  Verdict when_absent;
  const char* purpose;
};

constexpr Program programs[] = {
    {"bwrap", "--version", Verdict::missing, "isolates on the local backend"},
    {"git", "--version", Verdict::missing, "workspaces and the git gate"},
    {"ssh", "-V", Verdict::optional_missing, "git remotes over SSH"},
    {"docker", "--version", Verdict::optional_missing, "the docker backend"},
    {"tmux", "-V", Verdict::optional_missing, "sessions side by side"},
    {"node", "--version", Verdict::optional_missing, "agents that are node programs (claude, codex)"},
};

std::string first_line(const std::string& text) {
  const std::string_view trimmed = trim(text);
  return std::string(trimmed.substr(0, trimmed.find('\n')));
}

std::string read_small(const std::string& path) {
  const auto text = read_file(path, 65536);
  return text ? std::string(trim(*text)) : std::string();
}

/// Runs `attempt` in a child, so that what it changes ends with it. 0 or an errno.
template <typename Attempt>
int errno_in_child(const Attempt& attempt) {
  const pid_t child = ::fork();
  if (child < 0) return errno;
  if (child == 0) ::_exit(attempt() ? 0 : errno == 0 ? EIO : errno);
  const auto code = wait_for_exit(child);
  return code ? *code : EIO;
}

std::string sudo() {
  return ::geteuid() == 0 ? "" : "sudo ";
}

/// A package's names by family of distributions; empty: the program's own.
struct Packages {
  const char* program;
  const char* debian;
  const char* fedora;
  const char* arch;
  const char* alpine;
};
constexpr Packages packages[] = {
    {"bwrap", "bubblewrap", "bubblewrap", "bubblewrap", "bubblewrap"},
    {"git", "git", "git", "git", "git"},
    {"ssh", "openssh-client", "openssh-clients", "openssh", "openssh-client"},
    {"docker", "docker.io", "moby-engine", "docker", "docker"},
    {"tmux", "tmux", "tmux", "tmux", "tmux"},
    {"node", "nodejs", "nodejs", "nodejs", "nodejs"},
};

/// True when the root directory is no mount point of this namespace's own tree, or not that of process 1.
bool is_in_chroot() {
  struct stat own {};
  struct stat first {};
  if (::stat("/", &own) == 0 && ::stat("/proc/1/root/.", &first) == 0 &&
      (own.st_dev != first.st_dev || own.st_ino != first.st_ino))
    return true;
  const std::string mounts = read_small("/proc/self/mountinfo");
  if (mounts.empty()) return false;
  for (const std::string_view line : split(mounts, '\n'))
    if (const auto fields = split(line, ' '); fields.size() > 4 && fields[4] == "/") return false;
  return true;
}

Fact user_namespaces() {
  Fact fact{.group = "kernel", .name = "user namespaces", .verdict = Verdict::ok, .detail = {}, .fix = {}};
  const int number = errno_in_child([] { return ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0; });
  if (number == 0) {
    fact.detail =
        ::geteuid() == 0 ? "unshare works; you are root: bottles get unprivileged users of their own" : "unshare works";
    return fact;
  }
  fact.verdict = Verdict::missing;
  fact.detail = std::strerror(number);
  // unshare(2): EPERM for whoever is in a chroot, whatever rights it has.
  if (number == EPERM && is_in_chroot()) {
    fact.detail += ": this is a chroot, and the kernel makes no user namespaces in one";
    fact.fix =
        "leave the chroot; or enter the directory as a container: systemd-nspawn -D DIR, podman run --rootfs DIR";
    return fact;
  }
  if (read_small("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1")
    fact.fix = sudo() + "sysctl kernel.apparmor_restrict_unprivileged_userns=0 (or an AppArmor profile for bwrap)";
  else if (read_small("/proc/sys/kernel/unprivileged_userns_clone") == "0")
    fact.fix = sudo() + "sysctl kernel.unprivileged_userns_clone=1";
  else if (read_small("/proc/sys/user/max_user_namespaces") == "0")
    fact.fix = sudo() + "sysctl user.max_user_namespaces=15000";
  else
    fact.fix =
        "in a container or a chroot: allow unshare and mount in it (seccomp, capabilities); else the docker backend";
  return fact;
}

Fact seccomp() {
  const std::string actions = read_small("/proc/sys/kernel/seccomp/actions_avail");
  if (!actions.empty())
    return {.group = "kernel", .name = "seccomp", .verdict = Verdict::ok, .detail = actions, .fix = {}};
  // The sysctl is hidden in some containers; prctl(2) answers where the call exists.
  if (::prctl(PR_GET_SECCOMP) >= 0)
    return {.group = "kernel", .name = "seccomp", .verdict = Verdict::ok, .detail = "present", .fix = {}};
  return {.group = "kernel",
          .name = "seccomp",
          .verdict = Verdict::missing,
          .detail = std::strerror(errno),
          .fix = "a kernel with CONFIG_SECCOMP_FILTER"};
}

Fact landlock() {
  Fact fact{.group = "kernel", .name = "Landlock", .verdict = Verdict::ok, .detail = {}, .fix = {}};
#ifdef SYS_landlock_create_ruleset
  constexpr unsigned int version_flag = 1;  // LANDLOCK_CREATE_RULESET_VERSION, landlock_create_ruleset(2)
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0}, version_flag);
  if (abi > 0) {
    fact.detail = fmt::format("ABI {}", abi);
    return fact;
  }
  fact.detail = std::strerror(errno);
#else
  fact.detail = "unknown to this build";
#endif
  fact.verdict = Verdict::optional_missing;
  fact.fix = "a kernel ≥ 5.13 with landlock in lsm=; the bottle holds without it, by namespaces alone";
  return fact;
}

/// The directory of our own cgroup (v2), or of one controller (v1), from /proc/self/cgroup; empty when unknown.
std::string own_cgroup(std::string_view controller) {
  const std::string table = read_small("/proc/self/cgroup");
  for (const std::string_view line : split(table, '\n')) {
    const auto parts = split(line, ':');
    if (parts.size() < 3) continue;
    for (const std::string_view name : split(parts[1], ','))
      if (name == controller) return std::string(parts[2]);
  }
  return {};
}

Fact cgroups() {
  Fact fact{.group = "kernel", .name = "cgroups", .verdict = Verdict::ok, .detail = {}, .fix = {}};
  if (::access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0) {
    const std::string own = "/sys/fs/cgroup" + own_cgroup("");
    const std::string controllers = read_small(own + "/cgroup.controllers");
    const bool writable = ::access(own.c_str(), W_OK) == 0 && ::access((own + "/cgroup.procs").c_str(), W_OK) == 0;
    fact.detail = fmt::format("v2, {}; controllers: {}", writable ? "delegated to you" : "not delegated",
                              controllers.empty() ? "none" : controllers);
    if (!writable) {
      fact.verdict = Verdict::optional_missing;
      fact.fix = "limits (cpus, memory, pids) need it: systemd-run --user --scope -p Delegate=yes bot-bottle …";
    }
    return fact;
  }
  if (::access("/sys/fs/cgroup/memory", F_OK) == 0) {
    std::vector<std::string> writable;
    for (const char* controller : {"memory", "pids", "cpu"})
      if (::access((std::string("/sys/fs/cgroup/") + controller + own_cgroup(controller)).c_str(), W_OK) == 0)
        writable.emplace_back(controller);
    fact.detail = "v1; writable: " + (writable.empty() ? std::string("none") : join(writable, ", "));
    if (writable.size() < 3) {
      fact.verdict = Verdict::optional_missing;
      fact.fix = "limits (cpus, memory, pids) need writable cgroups: run as root, or boot with cgroup v2";
    }
    return fact;
  }
  fact.verdict = Verdict::optional_missing;
  fact.detail = "not mounted";
  fact.fix = "mount cgroup2 on /sys/fs/cgroup; without it limits are refused";
  return fact;
}

}  // namespace

std::string install_command(const std::string& program) {
  const Packages* names = &packages[0];
  for (const Packages& one : packages)
    if (program == one.program) names = &one;
  std::string families;
  const std::string release = read_small("/etc/os-release");
  for (const std::string_view line : split(release, '\n'))
    if (line.starts_with("ID=") || line.starts_with("ID_LIKE="))
      for (const char c : line.substr(line.find('=') + 1)) families += c == '"' ? ' ' : c;
  families = " " + families + " ";
  const auto is = [&families](std::initializer_list<const char*> words) {
    return std::ranges::any_of(words, [&](const char* word) { return families.find(word) != std::string::npos; });
  };
  if (is({"fedora", "rhel", "centos"})) return sudo() + "dnf install " + names->fedora;
  if (is({"arch"})) return sudo() + "pacman -S " + names->arch;
  if (is({"alpine"})) return sudo() + "apk add " + names->alpine;
  if (is({"suse"})) return sudo() + "zypper install " + names->fedora;
  return sudo() + "apt-get install " + names->debian;
}

std::vector<Fact> program_facts() {
  std::vector<Fact> facts;
  const std::string search = environment("PATH").value_or("/usr/bin:/bin");
  for (const Program& program : programs) {
    Fact fact{.group = "programs", .name = program.name, .verdict = Verdict::ok, .detail = {}, .fix = {}};
    const auto path = find_program(program.name, search);
    if (!path) {
      fact.verdict = program.when_absent;
      fact.detail = std::string("not on PATH; ") + program.purpose;
      fact.fix = install_command(program.name);
    } else {
      ProcessRequest request;
      request.argv = {path->string(), program.argument};
      request.timeout = std::chrono::milliseconds{3000};
      request.max_output = 4096;
      const auto result = run_process(request);
      fact.detail = path->string();
      if (result) {
        const std::string line = first_line(result->out.empty() ? result->err : result->out);
        if (!line.empty()) fact.detail = line;
      }
      // A program that is there and does not even print its version will not isolate anything.
      if (!result || result->code != 0) {
        fact.verdict = program.when_absent;
        fact.fix = fmt::format("{} {} fails; {}", path->string(), program.argument, install_command(program.name));
      }
    }
    facts.push_back(std::move(fact));
  }
  return facts;
}

std::vector<Fact> kernel_facts() {
  return {user_namespaces(), seccomp(), landlock(), cgroups()};
}

}  // namespace bot_bottle::cli
