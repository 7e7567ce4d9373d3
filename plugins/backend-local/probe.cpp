#include "plugins/backend-local/probe.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-local/cgroup.hpp"

namespace bot_bottle::backend_local {
namespace {

constexpr std::array<int, 3> oldest_bwrap{0, 8, 0};  // --disable-userns, --size, --perms; all are used

std::optional<std::string> read_setting(const char* path) {
  auto text = read_file(path, 4096);
  if (!text) return std::nullopt;
  return std::string(trim(*text));
}

/// In a child: what it makes ends with it. 0, or the errno.
int try_user_namespace() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::unshare(CLONE_NEWUSER) != 0) ::_exit(errno);
    // Some AppArmor policies let the namespace be made and take the capabilities away in it.
    ::_exit(::unshare(CLONE_NEWNET) == 0 ? 0 : errno);
  }
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid) return EAGAIN;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

void explain_user_namespaces(ProbeResult& result, int code) {
  result.reason = "this user may not make user namespaces";
  if (const auto value = read_setting("/proc/sys/user/max_user_namespaces"); value == "0") {
    result.reason += ": user.max_user_namespaces is 0";
    result.fix = "sudo sysctl -w user.max_user_namespaces=15000 (and keep it in /etc/sysctl.d)";
  } else if (read_setting("/proc/sys/kernel/unprivileged_userns_clone") == "0") {
    result.reason += ": kernel.unprivileged_userns_clone is 0";
    result.fix = "sudo sysctl -w kernel.unprivileged_userns_clone=1 (and keep it in /etc/sysctl.d)";
  } else if (read_setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1") {
    result.reason +=
        ": AppArmor keeps them for programs with a profile (kernel.apparmor_restrict_unprivileged_userns is 1)";
    result.fix =
        "add AppArmor profiles with `userns,` for bwrap and bottle-keeper, or: sudo sysctl -w "
        "kernel.apparmor_restrict_unprivileged_userns=0";
  } else {
    result.reason += ": " + error_from_errno("unshare", code).message;
    result.fix = "in a container, allow unshare and mount (seccomp, capabilities); or use another backend";
  }
}

}  // namespace

bool process_limit_counts_the_bottle() {
  if (::geteuid() == 0) return true;
  struct utsname system {};
  int major = 0;
  int minor = 0;
  if (::uname(&system) != 0 || std::sscanf(system.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 5 || (major == 5 && minor >= 14);
}

std::vector<std::string> enforceable_limits() {
  std::vector<std::string> limits{"limits.disk"};
  const CgroupPlace place = find_cgroup_place();
  if (!place.pids.empty() || process_limit_counts_the_bottle()) limits.emplace_back("limits.pids");
  if (!place.memory.empty()) limits.emplace_back("limits.memory");
  if (!place.cpu.empty()) limits.emplace_back("limits.cpus");
  return limits;
}

ProbeResult probe_machine() {
  ProbeResult result;
  const auto path = find_program("bwrap", environment("PATH").value_or("/usr/bin:/bin") + ":/usr/bin:/usr/local/bin");
  if (!path) {
    result.reason = "bwrap (bubblewrap) is not installed";
    result.fix = "sudo apt-get install bubblewrap";
    return result;
  }
  result.bwrap = path->string();
  ProcessRequest request;
  request.argv = {result.bwrap, "--version"};
  request.timeout = std::chrono::seconds(5);
  const auto ran = run_process(request);
  if (!ran || ran->code != 0) {
    result.reason = "bwrap does not run: " + (ran ? ran->err : ran.error().message);
    result.fix = "install the package bubblewrap again";
    return result;
  }
  std::array<int, 3> version{};
  const std::string text(trim(ran->out));
  const std::size_t digits = text.find_first_of("0123456789");
  result.version = digits == std::string::npos ? text : text.substr(digits);
  if (std::sscanf(result.version.c_str(), "%d.%d.%d", &version[0], &version[1], &version[2]) < 2 ||
      version < oldest_bwrap) {
    result.reason = "bwrap " + result.version + " is too old, 0.8.0 is needed";
    result.fix = "install a newer bubblewrap";
    return result;
  }
  if (const int code = try_user_namespace(); code != 0) {
    explain_user_namespaces(result, code);
    return result;
  }
  struct open_how how {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH;
  const UniqueFd opened(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how)));
  if (!opened && errno == ENOSYS) {
    result.reason = "this kernel has no openat2 (Linux 5.6)";
    result.fix = "use a newer kernel";
    return result;
  }
  result.available = true;
  result.features = {"pty", "detach", "freeze", "sessions", "workspace.copy", "workspace.mount", "rootfs"};
  for (std::string& limit : enforceable_limits()) result.features.push_back(std::move(limit));
  return result;
}

}  // namespace bot_bottle::backend_local
