#include "plugins/backend-local/keeper/sandbox.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/file.hpp"

namespace bot_bottle::backend_local {
namespace {

// Where the sandbox's descriptors are in bwrap and in bottle-init.
constexpr int args_at = 10;
constexpr int seccomp_at = 11;  // and the next one
constexpr int info_at = 13;
constexpr int exec_at = 14;
constexpr int lifeline_at = 15;
constexpr int ready_at = 16;
constexpr int first_free = 64;

bool is_disabled(const KeeperDocument& document, std::string_view guard) {
  return std::ranges::find(document.disabled_guards, guard) != document.disabled_guards.end();
}

Result<void> write_text(const char* path, std::string_view text) {
  const UniqueFd fd(::open(path, O_WRONLY | O_CLOEXEC));
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail(error_from_errno(std::string("cannot write ") + path, errno));
  return {};
}

/// Lowers, and raises where we may.
void limit(__rlimit_resource_t resource, rlim_t value) {
  const struct rlimit all { .rlim_cur = value, .rlim_max = value };
  if (::setrlimit(resource, &all) == 0) return;
  struct rlimit old {};
  if (::getrlimit(resource, &old) != 0) return;
  const rlim_t hard = std::min(old.rlim_max, value);
  const struct rlimit wanted { .rlim_cur = hard, .rlim_max = hard };
  ::setrlimit(resource, &wanted);
}

/// A network namespace with nothing but lo, made here and not by bwrap: the namespace then belongs to a user namespace
/// outside the sandbox's, so that no capability that exists inside can ever change it; and port 53 can be opened to
/// all.
Result<void> enter_empty_network(const KeeperDocument& document) {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (document.uid) {
    if (::unshare(CLONE_NEWNET) != 0) return fail(error_from_errno("cannot make a network namespace", errno));
  } else {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
      return fail(error_from_errno("cannot make a user and network namespace", errno));
    BB_CHECK(write_text("/proc/self/setgroups", "deny"));
    BB_CHECK(write_text("/proc/self/uid_map", std::to_string(uid) + " " + std::to_string(uid) + " 1"));
    BB_CHECK(write_text("/proc/self/gid_map", std::to_string(gid) + " " + std::to_string(gid) + " 1"));
  }
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  if (!socket || ::ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0)
    return fail(error_from_errno("cannot find lo", errno));
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return fail(error_from_errno("cannot bring up lo", errno));
  return write_text("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
}

/// A user namespace that says "`disk` is shown as `shown`", for mount_setattr(2).
Result<UniqueFd> make_id_map(std::uint32_t disk_uid, std::uint32_t disk_gid, std::uint32_t shown) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(error_from_errno("cannot make a pipe", errno));
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const char done = ::unshare(CLONE_NEWUSER) == 0 ? '1' : '0';
    [[maybe_unused]] const ssize_t told = ::write(write_end.get(), &done, 1);
    while (true) ::pause();
  }
  if (pid < 0) return fail(error_from_errno("cannot start a process", errno));
  char done = '0';
  [[maybe_unused]] const ssize_t got = ::read(read_end.get(), &done, 1);
  const std::string process = "/proc/" + std::to_string(pid);
  Result<void> mapped = fail(ErrorKind::unsupported, "cannot make a user namespace");
  if (done == '1')
    mapped = write_text((process + "/uid_map").c_str(), std::to_string(disk_uid) + " " + std::to_string(shown) + " 1");
  if (mapped)
    mapped = write_text((process + "/gid_map").c_str(), std::to_string(disk_gid) + " " + std::to_string(shown) + " 1");
  UniqueFd userns(mapped ? ::open((process + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC) : -1);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  if (!mapped) return fail(std::move(mapped.error()));
  if (!userns) return fail(error_from_errno("cannot open a user namespace", errno));
  return userns;
}

/// A detached copy of the mount at `path`, with other owners.
Result<UniqueFd> make_idmapped(const std::string& path, int userns) {
  UniqueFd tree(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  struct mount_attr attributes {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<unsigned>(userns);
  if (!tree || ::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    const std::string why = error_from_errno(path, errno).message;
    return fail(ErrorKind::unsupported, "a tree cannot be mounted as root here: " + why,
                "its file system or this kernel (5.12 is needed) has no idmapped mounts: use workspace = \"copy\", or "
                "run bot-bottle as the tree's owner");
  }
  return tree;
}

/// As root: the sources of binds may lie below directories that only root may enter (a 0700 home). They are bound to a
/// place in a private mount namespace that the sandbox's uid can reach; nothing of it exists outside this process.
Result<void> stage(KeeperDocument& document) {
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0)
    return fail(error_from_errno("cannot make a mount namespace", errno));
  struct Source {
    SandboxStep* step;
    UniqueFd fd;
    bool is_directory;
    bool is_mount;
  };
  UniqueFd id_map;
  if (!document.idmapped_tree.empty()) {
    BB_TRY(id_map, make_id_map(document.tree_uid, document.tree_gid, *document.uid));
  }
  std::vector<Source> sources;
  for (SandboxStep& step : document.steps) {
    if (step.kind != SandboxStep::Kind::bind && step.kind != SandboxStep::Kind::ro_bind) continue;
    if (step.source.starts_with("/usr/") || step.source == "/usr" || step.source.starts_with("/dev/")) continue;
    UniqueFd fd(::open(step.source.c_str(), O_PATH | O_CLOEXEC));
    struct stat status {};
    if (!fd || ::fstat(fd.get(), &status) != 0) return fail(error_from_errno("cannot open " + step.source, errno));
    const bool mapped =
        id_map && (step.source == document.idmapped_tree || step.source.starts_with(document.idmapped_tree + "/"));
    if (mapped) {
      BB_TRY(fd, make_idmapped(step.source, id_map.get()));
    }
    sources.push_back({&step, std::move(fd), S_ISDIR(status.st_mode), mapped});
  }
  if (::mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") != 0)
    return fail(error_from_errno("cannot mount the staging place", errno));
  int number = 0;
  for (Source& source : sources) {
    const std::string place = "/tmp/" + std::to_string(number++);
    if (source.is_directory) {
      if (::mkdir(place.c_str(), 0755) != 0) return fail(error_from_errno("cannot make " + place, errno));
    } else if (const UniqueFd file(::open(place.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)); !file) {
      return fail(error_from_errno("cannot make " + place, errno));
    }
    const std::string from = "/proc/self/fd/" + std::to_string(source.fd.get());
    const int done = source.is_mount
                         ? ::move_mount(source.fd.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH)
                         : ::mount(from.c_str(), place.c_str(), nullptr, MS_BIND | MS_REC, nullptr);
    if (done != 0) return fail(error_from_errno("cannot bind " + source.step->source, errno));
    source.step->source = place;
  }
  return {};
}

Result<void> become(std::uint32_t uid) {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0)
    return fail(error_from_errno("cannot change to the bottle's uid", errno));
  return {};
}

std::vector<std::string> make_bwrap_arguments(const KeeperDocument& document, const SandboxFds& fds) {
  std::vector<std::string> args{"--unshare-user",
                                "--unshare-ipc",
                                "--unshare-pid",
                                "--unshare-uts",
                                "--unshare-cgroup-try",
                                "--as-pid-1",
                                "--die-with-parent",
                                "--new-session",
                                "--clearenv",
                                "--hostname",
                                std::string(name_of(document.component)),
                                "--uid",
                                std::to_string(document.inner_uid),
                                "--gid",
                                std::to_string(document.inner_gid),
                                "--info-fd",
                                std::to_string(info_at)};
  if (!is_disabled(document, "userns")) args.emplace_back("--disable-userns");
  if (document.component == Component::bottle) {
    // To empty the bounding set: bottle-init drops all of it before anything hostile exists.
    args.insert(args.end(), {"--cap-add", "CAP_SETPCAP"});
  }
  for (std::size_t i = 0; i < fds.seccomp.size(); ++i)
    args.insert(args.end(), {"--add-seccomp-fd", std::to_string(seccomp_at + static_cast<int>(i))});
  for (const auto& [name, value] : document.env) args.insert(args.end(), {"--setenv", name, value});
  for (const SandboxStep& step : document.steps) {
    switch (step.kind) {
      case SandboxStep::Kind::bind:
        args.insert(args.end(), {"--bind", step.source, step.dest});
        break;
      case SandboxStep::Kind::ro_bind:
        args.insert(args.end(), {"--ro-bind", step.source, step.dest});
        break;
      case SandboxStep::Kind::tmpfs:
        args.insert(args.end(), {"--perms", "1777", "--size", std::to_string(step.bytes), "--tmpfs", step.dest});
        break;
      case SandboxStep::Kind::symlink:
        args.insert(args.end(), {"--symlink", step.source, step.dest});
        break;
      case SandboxStep::Kind::directory:
        args.insert(args.end(), {"--dir", step.dest});
        break;
      case SandboxStep::Kind::proc:
        args.insert(args.end(), {"--proc", step.dest});
        break;
      case SandboxStep::Kind::dev:
        args.insert(args.end(), {"--dev", step.dest});
        break;
      case SandboxStep::Kind::remount_ro:
        args.insert(args.end(), {"--remount-ro", step.dest});
        break;
    }
  }
  return args;
}

Result<UniqueFd> make_argument_file(const std::vector<std::string>& args) {
  UniqueFd file(::memfd_create("bwrap-args", MFD_CLOEXEC));
  if (!file) return fail(error_from_errno("cannot make a memory file", errno));
  std::string text;
  for (const std::string& argument : args) {
    text += argument;
    text.push_back('\0');
  }
  BB_CHECK(write_all(file.get(), text));
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

/// Runs in the child; returns only when something failed.
Result<void> enter_and_exec(KeeperDocument document, const SandboxFds& fds, int grouped) {
  // In its own session: no controlling terminal, and no signal of the operator's terminal arrives.
  ::setsid();
  if (document.component == Component::bottle) {
    // The bottle dies before anything of the operator's does (raising needs no privilege).
    if (auto done = write_text("/proc/self/oom_score_adj", "1000"); !done) return done;
  }
  limit(RLIMIT_CORE, 0);  // no secret and no agent memory in a dump
  limit(RLIMIT_NOFILE, 65536);
  if (document.uid) BB_CHECK(stage(document));
  if (document.component == Component::bottle && !is_disabled(document, "netns"))
    BB_CHECK(enter_empty_network(document));
  if (document.uid) BB_CHECK(become(*document.uid));

  BB_TRY(const UniqueFd args_file, make_argument_file(make_bwrap_arguments(document, fds)));
  // Nothing runs in the sandbox before this process is in its control group.
  char byte = 0;
  if (::read(grouped, &byte, 1) != 1) return fail(ErrorKind::failed_precondition, "not in its control group");
  std::vector<std::string> argv{document.bwrap, "--args", std::to_string(args_at), "--"};
  argv.insert(argv.end(), document.init.begin(), document.init.end());
  if (fds.exec_listener >= 0) argv.insert(argv.end(), {"--exec-fd", std::to_string(exec_at)});
  argv.insert(argv.end(), {"--lifeline-fd", std::to_string(lifeline_at), "--ready-fd", std::to_string(ready_at)});
  if (!document.program.empty()) {
    argv.emplace_back("--");
    argv.insert(argv.end(), document.program.begin(), document.program.end());
  }
  std::vector<std::pair<int, int>> wanted{{fds.standard_in, 0},       {fds.log, 1},        {fds.log, 2},
                                          {args_file.get(), args_at}, {fds.info, info_at}, {fds.lifeline, lifeline_at},
                                          {fds.ready, ready_at}};
  for (std::size_t i = 0; i < fds.seccomp.size(); ++i)
    wanted.emplace_back(fds.seccomp[i], seccomp_at + static_cast<int>(i));
  if (fds.exec_listener >= 0) wanted.emplace_back(fds.exec_listener, exec_at);
  for (auto& [source, target] : wanted) source = ::fcntl(source, F_DUPFD_CLOEXEC, first_free);
  for (const auto& [source, target] : wanted)
    if (source < 0 || ::dup2(source, target) < 0) return fail(error_from_errno("cannot place a descriptor", errno));
  // Everything else is the keeper's own and stays out (attack C8).
  for (int fd = 3; fd < first_free; ++fd)
    if (std::ranges::none_of(wanted, [fd](const auto& entry) { return entry.second == fd; })) ::close(fd);
  ::close_range(first_free, ~0U, CLOSE_RANGE_CLOEXEC);

  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP}) ::signal(signal, SIG_DFL);
  ::umask(022);
  if (::chdir("/") != 0) return fail(error_from_errno("cannot change to /", errno));
  std::vector<char*> pointers;
  for (std::string& argument : argv) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::array<char*, 1> empty{nullptr};  // nothing of the operator's environment (spec 08)
  ::execve(document.bwrap.c_str(), pointers.data(), empty.data());
  return fail(error_from_errno("cannot run " + document.bwrap, errno));
}

}  // namespace

Result<pid_t> start_sandbox(const KeeperDocument& document, const CgroupPlace& cgroups, const SandboxFds& fds) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(error_from_errno("cannot make a pipe", errno));
  const UniqueFd grouped(ends[0]);
  UniqueFd group_now(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail(error_from_errno("cannot start a process", errno));
  if (pid > 0) {
    // Entering waits for a grace period of the kernel (9 ms on v1); the child makes its namespaces meanwhile.
    Result<void> entered;
    if (document.component == Component::bottle)
      entered = enter_cgroup(cgroups, cgroup_name(document.slug, document.state_dir, document.component), pid);
    if (!entered) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
      return fail(std::move(entered.error()));
    }
    // Had the child failed meanwhile, its end says so to the caller.
    [[maybe_unused]] const ssize_t told = ::write(group_now.get(), "1", 1);
    return pid;
  }
  group_now.reset();
  const Result<void> failed = enter_and_exec(document, fds, grouped.get());
  const std::string line =
      "bottle-keeper: " + (failed ? std::string("bwrap did not start") : failed.error().message) + "\n";
  [[maybe_unused]] const ssize_t told = ::write(fds.log, line.data(), line.size());
  ::_exit(126);
}

}  // namespace bot_bottle::backend_local
