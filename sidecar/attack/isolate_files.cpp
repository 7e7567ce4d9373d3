// 5.1 to 5.9: the host's files, devices and kernel switches (G, H, C8).
#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
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

std::vector<std::string> entries_of(const std::string& directory) {
  std::vector<std::string> out;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), &::closedir);
  if (!dir) return out;
  while (const dirent* entry = ::readdir(dir.get()))
    if (std::string_view name = entry->d_name; name != "." && name != "..") out.emplace_back(name);
  return out;
}

std::string home() {
  const char* value = std::getenv("HOME");
  return value != nullptr ? value : "";
}

void add_host_files(std::vector<Attempt>& out, const Context& base) {
  Subject files(out, "5.1", "files");
  for (const std::string& path : base.host_paths) {
    files.add("read " + path, [path](const Context&) { return open_path(path, O_RDONLY); });
    for (const char* prefix : {"/proc/1/root", "/proc/self/root", "/proc/1/cwd/../../../../../.."})
      files.add(std::string("read ") + prefix + path + " (H4)",
                [path = prefix + path](const Context&) { return open_path(path, O_RDONLY); });
    files.add("read " + path + " through a link made in /tmp (H1)", [path](const Context& context) {
      const std::string link = "/tmp/link-" + context.session;
      if (::symlink(path.c_str(), link.c_str()) != 0) return failed("symlink: " + errno_name(errno));
      Outcome result = open_path(link, O_RDONLY);
      ::unlink(link.c_str());
      return result;
    });
    files.add("hard link to " + path + " (H1)", [path](const Context& context) {
      const std::string link = "/tmp/hard-" + context.session;
      Outcome result = judge_call(::link(path.c_str(), link.c_str()), {ENOENT, EACCES, EPERM, EXDEV, EROFS, ENOTDIR});
      ::unlink(link.c_str());
      return result;
    });
  }
  files.add("~/.ssh holds nothing", [](const Context&) {
    const auto names = entries_of(home() + "/.ssh");
    return names.empty() ? blocked("nothing") : escaped("holds " + names.front());
  });
  files.add("the operator's state and credentials are not in the home", [](const Context&) {
    for (const char* name : {".bot-bottle", ".gnupg", ".docker/config.json", ".kube/config", ".config/gh/hosts.yml",
                             ".git-credentials", ".bash_history", ".claude/.credentials.json"})
      if (::access((home() + "/" + name).c_str(), F_OK) == 0) return escaped(std::string(name) + " is there");
    return blocked("ENOENT");
  });
  files.add("other homes: /root and /home hold nobody else", [](const Context&) {
    for (const char* directory : {"/root", "/home"})
      for (const std::string& name : entries_of(directory))
        if (const std::string path = std::string(directory) + "/" + name;
            path != home() && !home().starts_with(path + "/") && !(home() == directory))
          return escaped(path + " is visible");
    return blocked("nobody");
  });
  files.add("shadow, ssh host keys, sudoers (5)", [](const Context&) {
    for (const char* path :
         {"/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_rsa_key",
          "/etc/krb5.keytab", "/var/lib/docker", "/var/lib/systemd/random-seed", "/var/log/syslog", "/var/log/auth.log",
          "/boot/grub/grub.cfg"})
      if (Outcome each = open_path(path, O_RDONLY); each.verdict != Verdict::blocked) return each;
    return blocked("ENOENT or EACCES");
  });
  if (!base.operator_name.empty())
    files.add("the name of the operator in /etc/passwd", [](const Context& context) {
      if (::getpwnam(context.operator_name.c_str()) != nullptr) return escaped("known");
      return read_start("/etc/passwd", 1 << 20).find(context.operator_name + ":") == std::string::npos
                 ? blocked("unknown")
                 : escaped("known");
    });
}

void add_writes(std::vector<Attempt>& out) {
  Subject writes(out, "5.2", "files");
  for (const char* directory :
       {"/", "/usr", "/usr/bin", "/usr/local/bin", "/usr/lib", "/etc", "/etc/bot-bottle", "/lib64", "/opt", "/var",
        "/boot", "/run", "/run/bottle", "/run/bottle/bin", "/sys", "/proc", "/dev"})
    writes.add(std::string("create a file in ") + directory,
               [directory = std::string(directory)](const Context& context) {
                 const std::string path = directory + "/attack-" + context.session;
                 Outcome result = open_path(path, O_WRONLY | O_CREAT | O_EXCL);
                 if (result.verdict == Verdict::escaped) ::unlink(path.c_str());
                 return result;
               });
  for (const char* path :
       {"/etc/passwd", "/etc/hosts", "/etc/resolv.conf", "/etc/ld.so.preload", "/etc/ssl/certs/ca-certificates.crt",
        "/etc/bot-bottle/ca.pem", "/bin/sh", "/usr/bin/env", "/proc/1/exe", "/run/bottle/bin/bottle-init"})
    writes.add(std::string("open for writing: ") + path, [path = std::string(path)](const Context&) {
      UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
      return judge_call(fd ? 0 : -1, {EACCES, EPERM, EROFS, ENOENT, ETXTBSY, ENOTDIR});
    });
  writes.add("chmod, rename and unlink of what is not ours", [](const Context&) {
    for (const char* path : {"/etc/hosts", "/usr/bin/env", "/etc/bot-bottle/ca.pem"}) {
      if (::access(path, F_OK) != 0) continue;
      struct stat status {};
      ::stat(path, &status);
      if (::chmod(path, status.st_mode) == 0) return escaped(std::string("chmod ") + path);
      if (::rename(path, (std::string(path) + ".x").c_str()) == 0) {
        ::rename((std::string(path) + ".x").c_str(), path);
        return escaped(std::string("rename ") + path);
      }
    }
    return blocked("EPERM or EROFS");
  });
}

void add_switches(std::vector<Attempt>& out) {
  Subject switches(out, "5.3", "files");  // only opened: what success would mean is too much to try
  for (const char* path : {"/proc/sys/kernel/core_pattern",
                           "/proc/sysrq-trigger",
                           "/proc/sys/kernel/modprobe",
                           "/proc/sys/kernel/hotplug",
                           "/proc/sys/vm/overcommit_memory",
                           "/proc/sys/kernel/randomize_va_space",
                           "/proc/sys/net/ipv4/ip_forward",
                           "/proc/sys/net/ipv4/ping_group_range",
                           "/proc/sys/kernel/hostname",
                           "/proc/sys/fs/binfmt_misc/register",
                           "/proc/sys/kernel/ns_last_pid",
                           "/proc/acpi/wakeup",
                           "/sys/kernel/uevent_helper",
                           "/sys/kernel/mm/transparent_hugepage/enabled",
                           "/sys/power/state",
                           "/sys/kernel/debug/tracing/trace",
                           "/sys/fs/selinux/enforce",
                           "/sys/module/kernel/parameters/panic",
                           "/proc/self/uid_map",
                           "/proc/self/gid_map",
                           "/proc/1/oom_score_adj",
                           "/proc/1/attr/current",
                           "/proc/self/loginuid"})
    switches.add(std::string("open for writing: ") + path, [path = std::string(path)](const Context&) {
      UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
      if (!fd) return judge_call(-1, {ENOENT, EACCES, EPERM, EROFS, ENOTDIR});
      // These can be opened by anybody; the kernel decides at write(2), where it asks who writes.
      if (path.starts_with("/proc/self/"))
        return judge_call(::write(fd.get(), "0 0 4294967295\n", 15), {EPERM, EACCES, EINVAL});
      if (path == "/proc/sys/kernel/ns_last_pid") return judge_call(::write(fd.get(), "300\n", 4), {EPERM, EACCES});
      if (path == "/proc/1/attr/current")
        return judge_call(::write(fd.get(), "unconfined", 10), {EPERM, EACCES, EINVAL});
      return escaped("opened");
    });
  for (const char* path :
       {"/proc/kcore", "/proc/kmsg", "/proc/vmcore", "/proc/kpagemap", "/proc/kpageflags", "/proc/timer_list",
        "/sys/kernel/debug", "/sys/kernel/tracing/trace", "/sys/firmware/efi/efivars",
        "/sys/kernel/security/apparmor/profiles", "/sys/class/dmi/id/product_serial"})
    switches.add(std::string("read ") + path,
                 [path = std::string(path)](const Context&) { return open_path(path, O_RDONLY); });

  Subject cgroups(out, "5.4", "files");
  cgroups.add("cgroup files that can be written (release_agent, cgroup.procs)", [](const Context&) {
    std::vector<std::string> directories{"/sys/fs/cgroup"};
    for (std::size_t i = 0; i < directories.size() && directories.size() < 2000; ++i) {
      const std::string directory = directories[i];
      for (const char* name : {"release_agent", "cgroup.procs", "tasks", "notify_on_release", "memory.max", "pids.max",
                               "devices.allow", "cgroup.subtree_control", "memory.limit_in_bytes"})
        if (UniqueFd fd(::open((directory + "/" + name).c_str(), O_WRONLY | O_CLOEXEC)); fd)
          return escaped(directory + "/" + name);
      for (const std::string& name : entries_of(directory)) {
        struct stat status {};
        if (::lstat((directory + "/" + name).c_str(), &status) == 0 && S_ISDIR(status.st_mode))
          directories.push_back(directory + "/" + name);
      }
    }
    return blocked(std::to_string(directories.size()) + " directories, none writable");
  });
  cgroups.add("make a cgroup", [](const Context& context) {
    for (const char* directory :
         {"/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"}) {
      const std::string path = std::string(directory) + "/attack-" + context.session;
      if (::mkdir(path.c_str(), 0700) == 0) {
        ::rmdir(path.c_str());
        return escaped(path);
      }
    }
    return judge_call(-1, {ENOENT, EACCES, EPERM, EROFS});
  });
}

void add_devices(std::vector<Attempt>& out) {
  Subject devices(out, "5.5", "files");
  for (const char* path :
       {"/dev/mem",          "/dev/kmem",           "/dev/port",          "/dev/kmsg",      "/dev/sda",
        "/dev/vda",          "/dev/nvme0n1",        "/dev/xvda",          "/dev/dm-0",      "/dev/loop0",
        "/dev/loop-control", "/dev/ram0",           "/dev/kvm",           "/dev/fuse",      "/dev/net/tun",
        "/dev/vhost-vsock",  "/dev/vhost-net",      "/dev/vsock",         "/dev/uinput",    "/dev/input/event0",
        "/dev/dri/card0",    "/dev/tty0",           "/dev/tty1",          "/dev/vcs",       "/dev/ttyS0",
        "/dev/snapshot",     "/dev/mapper/control", "/dev/btrfs-control", "/dev/cpu/0/msr", "/dev/hpet",
        "/dev/userfaultfd",  "/dev/cuse",           "/dev/autofs",        "/dev/ppp",       "/dev/hwrng",
        "/dev/watchdog"})
    devices.add(std::string("open ") + path,
                [path = std::string(path)](const Context&) { return open_path(path, O_RDONLY); });
  devices.add("every node in /dev is one of the harmless", [](const Context&) {
    for (const std::string& name : entries_of("/dev")) {
      struct stat status {};
      if (::stat(("/dev/" + name).c_str(), &status) != 0 || (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode)))
        continue;
      bool harmless = false;
      // stdin and friends are links to what the agent was given: a pipe, /dev/null or its own terminal.
      for (const char* known :
           {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console", "stdin", "stdout", "stderr"})
        harmless = harmless || name == known;
      if (!harmless) return escaped("/dev/" + name);
    }
    return blocked("none else");
  });
  const std::pair<const char*, std::pair<mode_t, dev_t>> nodes[] = {{"a block device (8, 0)", {S_IFBLK, makedev(8, 0)}},
                                                                    {"/dev/mem (1, 1)", {S_IFCHR, makedev(1, 1)}},
                                                                    {"/dev/kmsg (1, 11)", {S_IFCHR, makedev(1, 11)}}};
  for (const auto& [text, node] : nodes)
    devices.add(std::string("mknod ") + text + " (H8)", [node = node](const Context& context) {
      const std::string path = "/tmp/node-" + context.session;
      Outcome result = judge_privileged(::mknod(path.c_str(), node.first | 0600, node.second));
      ::unlink(path.c_str());
      return result;
    });
}

void add_descriptors(std::vector<Attempt>& out) {
  Subject descriptors(out, "5.6", "files");
  descriptors.add("inherited descriptors above 2 (C8)", [](const Context& context) {
    return context.inherited.empty() ? blocked("none") : escaped(context.inherited.front());
  });
  descriptors.add("the three standard descriptors lead to no directory, device or host socket (C8)",
                  [](const Context&) {
                    for (int fd = 0; fd <= 2; ++fd) {
                      struct stat status {};
                      if (::fstat(fd, &status) != 0) continue;
                      if (S_ISDIR(status.st_mode) || S_ISBLK(status.st_mode))
                        return escaped("descriptor " + std::to_string(fd));
                      // A file of the host handed in as output can be reopened with other rights through /proc.
                      if (S_ISREG(status.st_mode)) {
                        UniqueFd again(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_RDONLY | O_CLOEXEC));
                        std::array<char, 1> octet{};
                        if (fd > 0 && again && ::read(again.get(), octet.data(), 1) > 0)
                          return escaped("descriptor " + std::to_string(fd) + " is a file that can be read back");
                      }
                    }
                    return blocked("pipes, a terminal or /dev/null");
                  });
  descriptors.add("mounts: no path of the host's home, no writable system directory", [](const Context&) {
    const std::string text = read_start("/proc/self/mountinfo", 1 << 20);
    for (std::string_view line : split(text, '\n')) {
      const auto fields = split(line, ' ');
      if (fields.size() < 6) continue;
      const std::string_view point = fields[4];
      // An engine mounts some files of /etc writable for root, and lays one mount over another: what counts is ours to
      // write.
      const bool writable = fields[5].starts_with("rw") && ::access(std::string(point).c_str(), W_OK) == 0;
      for (std::string_view system : {"/usr", "/etc", "/lib", "/lib64", "/bin", "/sbin", "/boot", "/sys", "/opt"})
        if (writable && (point == system || point.starts_with(std::string(system) + "/")))
          return escaped(std::string(point) + " is writable");
    }
    return blocked("none");
  });
}

}  // namespace

void add_isolate_files(std::vector<Attempt>& out, const Context& context) {
  add_host_files(out, context);
  add_writes(out);
  add_switches(out);
  add_devices(out);
  add_descriptors(out);
}

}  // namespace bot_bottle::attack
