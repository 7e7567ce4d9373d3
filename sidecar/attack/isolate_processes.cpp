// 5.20 to 5.29: other processes, pid 1 and privileges (C7, H4, M).
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/attack/probe.hpp"

namespace bot_bottle::attack {
namespace {

std::vector<pid_t> visible_processes() {
  std::vector<pid_t> out;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir("/proc"), &::closedir);
  if (!dir) return out;
  while (const dirent* entry = ::readdir(dir.get()))
    if (const int pid = std::atoi(entry->d_name); pid > 0) out.push_back(pid);
  return out;
}

std::string status_field(const std::string& name, const std::string& path = "/proc/self/status") {
  const std::string text = read_start(path, 65536);
  for (std::string_view line : split(text, '\n'))
    if (line.starts_with(name + ":")) return std::string(trim(line.substr(name.size() + 1)));
  return {};
}

/// Not the suite: the agent may do to itself what it likes.
bool is_foreign(pid_t pid) {
  return pid != ::getpid() && pid != ::getppid() &&
         read_start("/proc/" + std::to_string(pid) + "/comm", 64) != read_start("/proc/self/comm", 64);
}

void add_pid_one(std::vector<Attempt>& out) {
  Subject one(out, "5.20", "init");
  for (const char* name : {"environ", "mem", "maps", "auxv", "stack", "syscall", "pagemap", "io", "fd/0", "fd/3",
                           "root/etc/hosts", "cwd/.", "exe", "map_files"})
    one.add(std::string("read /proc/1/") + name,
            [name = std::string(name)](const Context&) { return open_path("/proc/1/" + name, O_RDONLY); });
  one.add("ptrace pid 1", [](const Context&) {
    // Seized first: unlike PTRACE_ATTACH that does not stop it, so a bottle that lets it happen still comes to its end.
    Outcome result = judge_call(::ptrace(PTRACE_SEIZE, 1, nullptr, nullptr), {EPERM, EACCES, ENOSYS});
    if (result.verdict == Verdict::escaped) return result;
    result = worse(result, judge_call(::ptrace(PTRACE_ATTACH, 1, nullptr, nullptr), {EPERM, EACCES, ENOSYS}));
    if (result.verdict == Verdict::escaped) {
      ::waitpid(1, nullptr, __WALL);
      ::ptrace(PTRACE_DETACH, 1, nullptr, nullptr);
      ::kill(1, SIGCONT);
    }
    return result;
  });
  one.add("read and write the memory of pid 1 (process_vm_readv, process_vm_writev, C7)", [](const Context&) {
    std::array<char, 8> buffer{};
    iovec local{buffer.data(), buffer.size()};
    iovec remote{reinterpret_cast<void*>(0x400000), buffer.size()};
    for (long result : {long{::process_vm_readv(1, &local, 1, &remote, 1, 0)},
                        long{::process_vm_writev(1, &local, 1, &remote, 1, 0)}}) {
      if (result < 0 && errno == EFAULT) return escaped("allowed; only the address was wrong");
      if (Outcome each = judge_call(result, {EPERM, EACCES, ENOSYS}); each.verdict != Verdict::blocked) return each;
    }
    return blocked("EPERM");
  });
  one.add("steal a descriptor of pid 1 (pidfd_getfd, C7)", [](const Context&) {
    UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, 1, 0)));
    if (!pidfd) return judge_call(-1, {EPERM, EACCES, ENOSYS});
    for (int fd = 0; fd < 16; ++fd)
      if (UniqueFd stolen(static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd.get(), fd, 0))); stolen)
        return escaped("descriptor " + std::to_string(fd));
    return judge_call(-1, {EPERM, EACCES, ENOSYS});
  });
  one.add("process_madvise, kcmp and move_pages on pid 1", [](const Context&) {
    Outcome result = judge_call(::syscall(SYS_kcmp, 1, ::getpid(), 0, 0, 0), {EPERM, EACCES, ENOSYS, EOPNOTSUPP});
    return worse(result,
                 judge_call(::syscall(SYS_move_pages, 1, 0, nullptr, nullptr, nullptr, 0), {EPERM, EACCES, ENOSYS}));
  });
  one.add("raise limits and priority of pid 1", [](const Context&) {
    // To lower them is to cut off one's own wire: every process of the same uid may, and nothing is won.
    const rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
    Outcome result = judge_call(::prlimit(1, RLIMIT_NOFILE, &limit, nullptr), {EPERM, EACCES, ENOSYS});
    return worse(result, judge_call(::setpriority(PRIO_PROCESS, 1, -20), {EPERM, EACCES, ENOSYS}));
  });
  one.add("kill and stop pid 1", [](const Context&) {
    const std::string before = read_start("/proc/1/stat", 4096);
    const long killed = ::kill(1, SIGKILL);
    const int number = errno;
    ::kill(1, SIGSTOP);
    const std::string state = status_field("State", "/proc/1/status");
    ::kill(1, SIGCONT);
    if (before.empty() || state.empty()) return failed("pid 1 is not visible");
    if (state.starts_with("T") || state.starts_with("Z")) return escaped("pid 1 is " + state);
    return blocked(killed != 0 ? errno_name(number) : "ignored by the kernel");
  });
}

void add_others(std::vector<Attempt>& out) {
  Subject others(out, "5.21", "pidns");
  others.add("only the bottle's own processes are visible", [](const Context&) {
    std::string found;
    for (pid_t pid : visible_processes()) {
      std::string name(trim(read_start("/proc/" + std::to_string(pid) + "/comm", 64)));
      for (const char* host : {"systemd", "dockerd", "sshd", "containerd", "bot-bottle", "bottle-keeper",
                               "bot-bottle-side", "kthreadd", "bwrap"})
        if (name == host && !(pid == 1 && name == "bwrap")) found += " " + name;
    }
    const std::size_t count = visible_processes().size();
    if (!found.empty()) return escaped("visible:" + found);
    return blocked(std::to_string(count) + " processes");
  });
  others.add("memory of every process that is not the agent's (/proc/*/mem)", [](const Context&) {
    int tried = 0;
    for (pid_t pid : visible_processes()) {
      if (!is_foreign(pid)) continue;
      ++tried;
      for (int flags : {O_RDONLY, O_RDWR})
        if (UniqueFd fd(::open(("/proc/" + std::to_string(pid) + "/mem").c_str(), flags | O_CLOEXEC)); fd) {
          std::array<char, 1> octet{};
          const std::string maps = read_start("/proc/" + std::to_string(pid) + "/maps", 64);
          if (!maps.empty() || ::pread(fd.get(), octet.data(), 1, 0x400000) == 1)
            return escaped("process " + std::to_string(pid));
        }
    }
    return blocked(std::to_string(tried) + " tried");
  });
  others.add("namespaces of the host's first process", [](const Context&) {
    // The initial namespaces have fixed numbers (include/linux/proc_ns.h): the bottle must be in none of them.
    const std::pair<const char*, const char*> initial[] = {{"pid", "4026531836"},
                                                           {"user", "4026531837"},
                                                           {"uts", "4026531838"},
                                                           {"ipc", "4026531839"},
                                                           {"cgroup", "4026531835"}};
    for (const auto& [name, number] : initial) {
      std::array<char, 64> target{};
      if (::readlink((std::string("/proc/self/ns/") + name).c_str(), target.data(), target.size() - 1) > 0 &&
          std::string_view(target.data()).find(number) != std::string_view::npos)
        return escaped(std::string("in the host's ") + name + " namespace");
    }
    return blocked("in none of them");
  });
}

void add_privileges(std::vector<Attempt>& out) {
  Subject caps(out, "5.22", "caps");
  for (const char* name : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
    caps.add(std::string("capabilities: ") + name, [name = std::string(name)](const Context&) {
      const std::string value = status_field(name);
      if (value.empty()) return failed("not in /proc/self/status");
      return value.find_first_not_of('0') == std::string::npos ? blocked("none") : escaped(value);
    });
  caps.add("no_new_privs is set and cannot be cleared", [](const Context&) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0);
    return ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? blocked("set") : escaped("not set");
  });
  caps.add("the agent is not root", [](const Context&) {
    return ::getuid() != 0 && ::geteuid() != 0 ? blocked("uid " + std::to_string(::getuid())) : escaped("uid 0");
  });
  caps.add("setuid(0)", [](const Context&) { return judge_call(::setuid(0), {EPERM, EINVAL, EACCES, ENOSYS}); });
  caps.add("setresgid(0), setgroups(0)", [](const Context&) {
    const gid_t root = 0;
    return worse(judge_call(::setresgid(0, 0, 0), {EPERM, EINVAL, ENOSYS}),
                 judge_call(::setgroups(1, &root), {EPERM, EINVAL, ENOSYS}));
  });
  caps.add("supplementary groups of the host", [](const Context&) {
    std::array<gid_t, 128> groups{};
    const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
    for (int i = 0; i < count; ++i)
      if (groups[static_cast<std::size_t>(i)] == 0) return escaped("group 0");
    return blocked(std::to_string(count) + " groups");
  });
  caps.add("chown to root", [](const Context& context) {
    const std::string path = "/tmp/chown-" + context.session;
    UniqueFd fd(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    if (!fd) return failed("open: " + errno_name(errno));
    Outcome result = judge_call(::fchown(fd.get(), 0, 0), {EPERM, EINVAL, ENOSYS});
    ::unlink(path.c_str());
    return result;
  });
  caps.add("chroot", [](const Context&) { return judge_privileged(::chroot("/tmp")); });
  caps.add("a setuid program gives nothing (sudo, su, mount)", [](const Context&) {
    for (const char* path : {"/usr/bin/sudo", "/usr/bin/su", "/usr/bin/mount", "/usr/bin/newuidmap", "/usr/bin/passwd",
                             "/usr/bin/fusermount3"}) {
      if (::access(path, X_OK) != 0) continue;
      // no_new_privs makes execve(2) ignore the bit; the child's own status is the proof.
      const pid_t child = ::fork();
      if (child == 0) {
        UniqueFd null(::open("/dev/null", O_RDWR));
        for (int fd = 0; fd <= 2; ++fd) ::dup2(null.get(), fd);
        ::execl(path, path, "--help", nullptr);
        ::_exit(127);
      }
      Outcome result = blocked("");
      for (int round = 0; round < 50; ++round) {
        const std::string uids = status_field("Uid", "/proc/" + std::to_string(child) + "/status");
        const auto fields = split(uids, '\t');
        if (fields.size() > 1 && fields[1] == "0" && ::getuid() != 0)
          result = escaped(std::string(path) + " runs as root");
        if (::waitpid(child, nullptr, WNOHANG) != 0) break;
        ::poll(nullptr, 0, 2);
      }
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
      if (result.verdict == Verdict::escaped) return result;
    }
    return blocked("no_new_privs");
  });
  caps.add("raise the priority, lock memory without end, real-time scheduling", [](const Context&) {
    Outcome result = judge_call(::setpriority(PRIO_PROCESS, 0, -20), {EPERM, EACCES, ENOSYS});
    sched_param parameters{};
    parameters.sched_priority = 50;
    return worse(result, judge_call(::sched_setscheduler(0, SCHED_FIFO, &parameters), {EPERM, EACCES, ENOSYS}));
  });
}

}  // namespace

void add_isolate_processes(std::vector<Attempt>& out, const Context&) {
  add_pid_one(out);
  add_others(out);
  add_privileges(out);
}

}  // namespace bot_bottle::attack
