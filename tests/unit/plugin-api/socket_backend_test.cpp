// What the SDK's socket wire does with what an agent made, as the ordinary user that it is written for.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bot_bottle/plugin.hpp>
#include <bot_bottle/sdk/fake_host.hpp>
#include <bot_bottle/sdk/sandbox_process.hpp>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace bot_bottle::sdk {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// A directory of nobody's; goes with the object.
class Place {
 public:
  Place() {
    std::string name = (fs::temp_directory_path() / "bb-socket-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw_errno(name);
    path = name;
    if (::geteuid() == 0 && ::chown(name.c_str(), ordinary_user, ordinary_user) != 0) throw_errno(name);
  }
  ~Place() { remove_tree(path); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  static constexpr uid_t ordinary_user = 65533;
  fs::path path;
};

/// What `body` says in a child; or what it throws.
std::string in_child(const std::function<std::string()>& body) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    std::string said;
    try {
      said = body();
    } catch (const std::exception& problem) {
      said = problem.what();
    }
    [[maybe_unused]] const ssize_t told = ::write(ends[1], said.data(), said.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string said;
  char bytes[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], bytes, sizeof bytes)) > 0;)
    said.append(bytes, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status == 0 ? said : "the child ended with " + std::to_string(status);
}

/// The same without any right to pass modes by.
std::string as_ordinary_user(const std::function<std::string()>& body) {
  return in_child([&] {
    const uid_t user = Place::ordinary_user;
    if (::geteuid() == 0 && (::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0))
      throw_errno("cannot become an ordinary user");
    return body();
  });
}

constexpr std::string_view no_disk = "no disk of its own: ";

/// The same where `at` is a disk of `mebibytes`, which goes with the child.
std::string on_small_disk(const fs::path& at, int mebibytes, const std::function<std::string()>& body) {
  const std::string said = in_child([&]() -> std::string {
    const std::string uid = std::to_string(::geteuid());
    const std::string gid = std::to_string(::getegid());
    if (::unshare(uid == "0" ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0)
      return std::string(no_disk) + std::strerror(errno);
    if (uid != "0") {
      write_text_file("/proc/self/setgroups", "deny");
      write_text_file("/proc/self/uid_map", "0 " + uid + " 1");
      write_text_file("/proc/self/gid_map", "0 " + gid + " 1");
    }
    const std::string size = "size=" + std::to_string(mebibytes) + "m";
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", at.c_str(), "tmpfs", 0, size.c_str()) != 0)
      return std::string(no_disk) + std::strerror(errno);
    return body();
  });
  const char* const ci = std::getenv("CI");  // there it must run
  EXPECT_FALSE(said.starts_with(no_disk) && ci != nullptr && std::string_view(ci) == "true") << said;
  return said;
}

/// A tree as `bottle-init --unpack` leaves it: `shut` may not be written, `dark` not even be read.
void make_agents_tree(const fs::path& at) {
  write_text_file(at / "shut" / "in" / "file", "kept");
  write_text_file(at / "dark" / "file", "unseen");
  fs::create_symlink("/etc/passwd", at / "shut" / "link");
  for (const char* name : {"shut/in", "shut"}) ::chmod((at / name).c_str(), 0500);
}

TEST(RemoveTree, what_may_not_be_read_or_written_goes_and_what_a_link_names_stays) {
  const Place place;
  EXPECT_EQ(as_ordinary_user([&]() -> std::string {
              write_text_file(place.path / "outside" / "file", "stays");
              make_agents_tree(place.path / "tree");
              fs::create_symlink(place.path / "outside", place.path / "tree" / "way");
              fs::create_symlink(place.path / "outside", place.path / "way");
              write_text_file(place.path / "tree" / "1", "where something would be moved to");
              ::chmod((place.path / "tree" / "dark").c_str(), 0);
              ::chmod((place.path / "tree").c_str(), 0);
              remove_tree(place.path / "tree");
              remove_tree(place.path / "way");
              remove_tree(place.path / "never" / "was");
              std::string left;
              for (const auto& entry : fs::directory_iterator(place.path)) left += entry.path().filename().string();
              return left + " " + read_text(place.path / "outside" / "file");
            }),
            "outside stays");
}

TEST(RemoveTree, no_depth_is_too_deep) {
  const Place place;
  EXPECT_EQ(as_ordinary_user([&]() -> std::string {
              fs::create_directory(place.path / "deep");
              const std::string name(200, 'd');  // 1200 of them are longer than any path may be
              int at = ::open((place.path / "deep").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
              for (int i = 0; i < 1200; ++i) {
                if (::mkdirat(at, name.c_str(), 0700) != 0) throw_errno("mkdirat");
                const int next = ::openat(at, name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (i % 2 == 1) ::chmod(("/proc/self/fd/" + std::to_string(at)).c_str(), 0500);
                ::close(at);
                at = next;
              }
              ::close(at);
              remove_tree(place.path / "deep");
              return fs::exists(place.path / "deep") ? "it is there" : "";
            }),
            "");
}

TEST(RemoveTree, a_link_in_the_place_of_a_directory_is_not_opened_and_its_target_keeps_its_mode) {
  const Place place;
  fs::create_directory(place.path / "target");
  ::chmod((place.path / "target").c_str(), 0500);
  fs::create_symlink("target", place.path / "link");
  const OwnedFd at(::open(place.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(detail::open_agents_directory(at.get(), "link"), -1);
  struct stat status {};
  ASSERT_EQ(::stat((place.path / "target").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0500U);
  const OwnedFd real(detail::open_agents_directory(at.get(), "target"));
  EXPECT_GE(real.get(), 0);
}

TEST(CopyTree, what_is_no_file_directory_or_link_is_left_out) {
  const Place place;
  write_text_file(place.path / "from" / ".git" / "config", "kept");
  ASSERT_EQ(::mkfifo((place.path / "from" / ".git" / "pipe").c_str(), 0600), 0);
  ASSERT_EQ(::mknod((place.path / "from" / ".git" / "fsmonitor--daemon.ipc").c_str(), S_IFSOCK | 0600, 0), 0);
  copy_tree(place.path / "from", place.path / "to", Links::keep);
  EXPECT_EQ(read_text(place.path / "to" / ".git" / "config"), "kept");
  EXPECT_EQ(std::distance(fs::directory_iterator(place.path / "to" / ".git"), {}), 1);
}

TEST(CopyTree, a_file_takes_the_place_of_what_is_there_and_follows_no_link_of_it) {
  const Place place;
  write_text_file(place.path / "from" / "a", "new");
  write_text_file(place.path / "from" / "b", "new");
  ::chmod((place.path / "from" / "a").c_str(), 0751);
  write_text_file(place.path / "outside", "stays");
  write_text_file(place.path / "to" / "b", "longer than before");
  fs::create_symlink("../outside", place.path / "to" / "a");
  copy_tree(place.path / "from", place.path / "to", Links::keep);
  EXPECT_EQ(read_text(place.path / "outside"), "stays");
  EXPECT_EQ(read_text(place.path / "to" / "b"), "new");
  struct stat status {};
  ASSERT_EQ(::lstat((place.path / "to" / "a").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode, S_IFREG | 0751U);
}

/// A process that ends with 0 at once, as a host starts one.
std::int64_t ended_process() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  return pid;
}

struct Copies {
  explicit Copies(const fs::path& directory) : own(directory / "backend") { host.paths["libexec"] = "/nowhere"; }
  /// Stands for bottle-init's pack and unpack: a tree of an agent's, in the scratch directory that the program names.
  void unpack(const std::function<void(const fs::path& tree)>& make) {
    host.on_spawn = [make](const ProcessRequest& request) {
      if (request.argv.at(1) == "--unpack") make(fs::path(request.argv.at(2)) / "copy");
      return ended_process();
    };
  }
  /// The real bottle-init on the host's side; `script` stands for what bottle-keeper brings from the guest.
  void bring(const std::string& script) {
    const fs::path libexec = own.parent_path() / "libexec";
    fs::create_directories(libexec);
    fs::copy_file(fs::path(BB_BUILD_DIR) / "libexec/bot-bottle/bottle-init", libexec / "bottle-init");
    write_text_file(libexec / "bottle-keeper", "#!/bin/sh\ninit=${0%/*}/bottle-init\n" + script + "\n");
    ::chmod((libexec / "bottle-keeper").c_str(), 0755);
    host.paths["libexec"] = libexec.string();
    host.on_spawn = [this](const ProcessRequest& request) {
      std::vector<char*> argv;
      for (const std::string& word : request.argv) argv.push_back(const_cast<char*>(word.c_str()));
      argv.push_back(nullptr);
      const pid_t pid = ::fork();
      if (pid != 0) {
        started.push_back(pid);
        return std::int64_t{pid};
      }
      for (const ChildFd& fd : host.spawned_fds) ::dup2(fd.source, fd.target);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    };
  }
  /// What it says; "" when it is done.
  std::string out_says(const fs::path& dest) {
    try {
      out(dest);
      return "";
    } catch (const Error& problem) {
      return problem.what();
    }
  }
  /// No child of this process any more, running or not.
  [[nodiscard]] bool all_are_reaped() const {
    return std::ranges::all_of(started,
                               [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) < 0 && errno == ECHILD; });
  }
  void out(const fs::path& dest) {
    CopyRequest request;
    request.source = "/workspace/tree";
    request.dest = dest.string();
    request.recursive = true;
    SocketCopy(host.host(), host.call(), own).out(request);
  }
  FakeHost host;
  fs::path own;
  std::vector<pid_t> started;
};

TEST(SocketCopy, a_directory_that_may_not_be_written_comes_out_and_again) {
  const Place place;
  EXPECT_EQ(
      as_ordinary_user([&]() -> std::string {
        Copies copies(place.path);
        copies.unpack(make_agents_tree);
        for (const char* name : {"once", "again"}) {
          copies.out(place.path / name);
          struct stat status {};
          if (::stat((place.path / name / "shut" / "in").c_str(), &status) != 0 || (status.st_mode & 0777) != 0500)
            return "the mode is lost";
          if (read_text(place.path / name / "shut" / "in" / "file") != "kept") return "the file is lost";
          if (fs::is_symlink(place.path / name / "shut" / "link")) return "a link came out";
        }
        return fs::is_empty(copies.own) ? "" : "something is left";
      }),
      "");
}

TEST(SocketCopy, one_that_fails_leaves_nothing_in_the_way_of_the_next) {
  const Place place;
  EXPECT_EQ(as_ordinary_user([&]() -> std::string {
              Copies copies(place.path);
              copies.unpack([](const fs::path& tree) {
                make_agents_tree(tree);
                ::chmod((tree / "dark").c_str(), 0);
              });
              try {
                copies.out(place.path / "dark");
                return "an unreadable directory was read";
              } catch (const std::exception&) {
                if (!fs::is_empty(copies.own)) return "the scratch directory is left";
              }
              copies.unpack(make_agents_tree);
              copies.out(place.path / "next");
              return read_text(place.path / "next" / "shut" / "in" / "file");
            }),
            "kept");
}

TEST(SocketCopy, two_at_once_do_not_mix) {
  const Place place;
  Copies first(place.path);
  Copies second(place.path);
  second.unpack([](const fs::path& tree) { write_text_file(tree / "of-second", "2"); });
  first.unpack([&](const fs::path& tree) {
    write_text_file(tree / "of-first", "1");
    second.out(place.path / "second");  // begins and ends while the first one is at work
  });
  first.out(place.path / "first");
  EXPECT_EQ(read_text(place.path / "first" / "of-first"), "1");
  EXPECT_FALSE(fs::exists(place.path / "first" / "of-second"));
  EXPECT_EQ(read_text(place.path / "second" / "of-second"), "2");
  EXPECT_FALSE(fs::exists(place.path / "second" / "of-first"));
}

TEST(SocketCopy, a_sparse_file_of_the_agents_fills_no_disk) {
  const Place disk;
  const Place guest;
  write_text_file(guest.path / "file", "begin");
  fs::resize_file(guest.path / "file", std::uintmax_t{256} << 20);
  const std::string said = on_small_disk(disk.path, 128, [&]() -> std::string {
    Copies copies(disk.path);
    copies.bring("exec $init --pack " + (guest.path / "file").string() + " copy");
    if (const std::string problem = copies.out_says(disk.path / "file"); !problem.empty()) return problem;
    struct stat status {};
    if (::stat((disk.path / "file").c_str(), &status) != 0) return "it did not come";
    if (status.st_size != 256 << 20) return "it has " + std::to_string(status.st_size) + " bytes";
    return status.st_blocks > 2048 ? "it takes " + std::to_string(status.st_blocks / 2) + " KiB" : "";
  });
  if (said.starts_with(no_disk)) GTEST_SKIP() << said;
  EXPECT_EQ(said, "");
}

TEST(SocketCopy, what_an_agent_fills_leaves_the_disk_its_reserve) {
  const Place disk;
  const Place guest;
  write_text_file(guest.path / "file", std::string(std::size_t{80} << 20, 'x'));
  const std::string said = on_small_disk(disk.path, 128, [&]() -> std::string {
    Copies copies(disk.path);
    copies.bring("exec $init --pack " + (guest.path / "file").string() + " copy");
    const std::string problem = copies.out_says(disk.path / "file");
    if (fs::exists(disk.path / "file")) return "a part of it came";
    return fs::is_empty(copies.own) ? problem : "something is left";
  });
  if (said.starts_with(no_disk)) GTEST_SKIP() << said;
  EXPECT_EQ(said, "cannot copy: the disk is almost full");
}

TEST(CopyTree, the_disk_keeps_its_reserve) {
  const Place disk;
  const Place source;
  write_text_file(source.path / "tree" / "file", std::string(std::size_t{64} << 20, 'x'));
  const std::string said = on_small_disk(disk.path, 100, [&]() -> std::string {
    try {
      copy_tree(source.path / "tree", disk.path / "tree", Links::keep);
      return "";
    } catch (const Error& problem) {
      return problem.what();
    }
  });
  if (said.starts_with(no_disk)) GTEST_SKIP() << said;
  EXPECT_EQ(said, "the disk is almost full");
}

TEST(SocketCopy, a_guest_that_fails_behind_a_whole_archive_has_failed) {
  const Place place;
  write_text_file(place.path / "guest" / "file", "inside");
  Copies copies(place.path);
  copies.bring("$init --pack " + (place.path / "guest" / "file").string() + " copy; exit 9");
  EXPECT_EQ(copies.out_says(place.path / "out"), "cannot copy: code 9");
  EXPECT_FALSE(fs::exists(place.path / "out"));
  EXPECT_TRUE(copies.all_are_reaped());
}

TEST(SocketCopy, what_the_guest_says_of_its_failure_is_told_alone) {
  const Place place;
  Copies copies(place.path);
  copies.bring("echo 'copy: No such file or directory' >&2; exit 1");
  EXPECT_EQ(copies.out_says(place.path / "out"), "cannot copy: copy: No such file or directory");
}

TEST(SocketCopy, a_guest_that_never_ends_to_complain_can_be_cancelled_and_what_it_says_is_text) {
  const Place place;
  Copies copies(place.path);
  copies.bring("printf 'odd \\377' >&2; exit 1");
  EXPECT_EQ(copies.out_says(place.path / "out"), "cannot copy: odd \xef\xbf\xbd");
  fs::remove_all(place.path / "libexec");
  copies.bring("exec cat /dev/zero >&2");
  const auto start = copies.host.on_spawn;
  copies.host.on_spawn = [&](const ProcessRequest& request) {
    const std::int64_t pid = start(request);
    if (request.argv.at(1) == "--unpack") copies.host.cancel();
    return pid;
  };
  EXPECT_EQ(copies.out_says(place.path / "out"), "cancelled");
  EXPECT_TRUE(copies.all_are_reaped());
}

TEST(SocketCopy, half_an_archive_is_no_copy) {
  const Place place;
  write_text_file(place.path / "guest" / "file", std::string(20000, 'x'));
  Copies copies(place.path);
  copies.bring("$init --pack " + (place.path / "guest" / "file").string() + " copy | head -c 10000");
  EXPECT_EQ(copies.out_says(place.path / "out"), "cannot copy: the archive is cut short");
  EXPECT_FALSE(fs::exists(place.path / "out"));
  EXPECT_TRUE(fs::is_empty(copies.own));
}

TEST(SocketCopy, a_guest_that_sends_nothing_more_ends_with_a_copy_that_fails) {
  const Place place;
  Copies copies(place.path);
  copies.bring("echo no archive at all, longer than any header of one is; head -c 1000 /dev/zero; kill -STOP $$");
  EXPECT_THAT(copies.out_says(place.path / "out"), HasSubstr("cannot copy: "));
  EXPECT_TRUE(copies.all_are_reaped());
}

TEST(SocketCopy, a_cancelled_copy_ends_though_the_agent_stopped_what_packs) {
  const Place place;
  Copies copies(place.path);
  copies.bring("kill -STOP $$");
  const auto start = copies.host.on_spawn;
  copies.host.on_spawn = [&](const ProcessRequest& request) {
    const std::int64_t pid = start(request);
    if (request.argv.at(1) == "--unpack") copies.host.cancel();
    return pid;
  };
  try {
    copies.out(place.path / "out");
    ADD_FAILURE() << "it was not cancelled";
  } catch (const Error& problem) {
    EXPECT_EQ(problem.status, Status::cancelled);
  }
  EXPECT_EQ(copies.started.size(), 2U);
  EXPECT_TRUE(copies.all_are_reaped());
  EXPECT_TRUE(fs::is_empty(copies.own));
}

TEST(SocketCopy, a_copy_has_a_limit_of_its_own) {
  const Place place;
  Copies copies(place.path);
  copies.bring("kill -STOP $$");
  ProcessRequest keeper;
  keeper.argv = {copies.host.paths["libexec"] + "/bottle-keeper"};
  try {
    detail::run_piped(copies.host.host(), copies.host.call(), keeper, keeper, std::chrono::milliseconds(1));
    ADD_FAILURE() << "it has none";
  } catch (const Error& problem) {
    EXPECT_EQ(problem.status, Status::timeout);
  }
  EXPECT_TRUE(copies.all_are_reaped());
}

TEST(SocketCopy, a_tree_on_its_way_to_the_operator_can_be_cancelled) {
  const Place place;
  Copies copies(place.path);
  copies.unpack([&](const fs::path& tree) {
    write_text_file(tree / "file", "x");
    copies.host.cancel();
  });
  EXPECT_THROW(copies.out(place.path / "out"), Error);
  EXPECT_FALSE(fs::exists(place.path / "out"));
  int looks = 0;
  write_text_file(place.path / "tree" / "file", "x");
  EXPECT_THROW(copy_tree(place.path / "tree", place.path / "copied", Links::keep,
                         [&looks] {
                           if (++looks == 2) throw Error(Status::cancelled, "cancelled");
                         }),
               Error);
  EXPECT_FALSE(fs::exists(place.path / "copied" / "file"));
}

TEST(ForbidDangerousCalls, socket_families_are_a_list_of_what_is_needed) {
  EXPECT_EQ(as_ordinary_user([]() -> std::string {
              forbid_dangerous_calls();
              struct Tried {
                int family;
                int type;
                int protocol;
              };
              std::string wrong;
              for (const Tried& one :
                   {Tried{AF_VSOCK, SOCK_STREAM, 0}, Tried{AF_PACKET, SOCK_DGRAM, 0}, Tried{AF_ALG, SOCK_SEQPACKET, 0},
                    Tried{AF_TIPC, SOCK_RDM, 0}, Tried{AF_CAN, SOCK_RAW, 1}, Tried{AF_RDS, SOCK_SEQPACKET, 0},
                    Tried{AF_NETLINK, SOCK_RAW, 9 /* NETLINK_AUDIT */},
                    Tried{AF_NETLINK, SOCK_RAW, 15 /* NETLINK_KOBJECT_UEVENT */}}) {
                errno = 0;
                if (::socket(one.family, one.type, one.protocol) >= 0 || errno != EPERM)
                  wrong += "family " + std::to_string(one.family) + " says " + std::to_string(errno) + "; ";
              }
              int pair[2] = {-1, -1};
              if (::socketpair(AF_TIPC, SOCK_RDM, 0, pair) == 0 || errno != EPERM) wrong += "a pair; ";
              for (const Tried& one :
                   {Tried{AF_UNIX, SOCK_STREAM, 0}, Tried{AF_INET, SOCK_DGRAM, 17}, Tried{AF_NETLINK, SOCK_RAW, 0}})
                if (::socket(one.family, one.type, one.protocol) < 0) wrong += std::to_string(one.family) + " fails; ";
              if (::socket(AF_INET6, SOCK_STREAM, 0) < 0 && errno == EPERM) wrong += "AF_INET6 is refused; ";
              if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) wrong += "an ordinary pair fails; ";
              return wrong;
            }),
            "");
}

/// A process that waits to be ended.
class Child {
 public:
  Child() : pid(::fork()) {
    if (pid != 0) return;
    for (int fd = 3; fd < 100; ++fd) ::close(fd);
    for (;;) ::pause();
  }
  ~Child() {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  [[nodiscard]] bool lives() const { return ::waitpid(pid, nullptr, WNOHANG) == 0; }
  const pid_t pid;
};

int locked(const fs::path& path, int how) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  EXPECT_EQ(::flock(fd, how | LOCK_NB), 0);
  return fd;
}

TEST(SandboxProcess, who_merely_asks_is_not_taken_for_it_and_a_strangers_pid_is_left_alone) {
  const Place place;
  const fs::path lock = place.path / "bottle.lock";
  const Child stranger;
  write_text_file(lock, std::to_string(stranger.pid));
  const OwnedFd asking(locked(lock, LOCK_SH));
  const SandboxProcess process(lock);
  EXPECT_FALSE(process.runs());
  process.end();
  EXPECT_TRUE(stranger.lives());
}

TEST(SandboxProcess, start_waits_for_who_asks_forgets_the_old_pid_and_says_why_nothing_came_up) {
  const Place place;
  const fs::path lock = place.path / "bottle.lock";
  write_text_file(lock, "1");
  OwnedFd asking(locked(lock, LOCK_SH));
  std::thread later([&asking] {
    ::poll(nullptr, 0, 30);
    asking.reset();
  });
  FakeHost host;
  std::string at_start = "not started";
  host.on_spawn = [&](const ProcessRequest&) -> std::int64_t {
    at_start = read_text(lock);
    write_text_file(place.path / "log", "no such file\nmore");
    return 0;  // gone already
  };
  ProcessRequest request;
  request.argv = {"sandbox"};
  std::string said;
  try {
    SandboxProcess(lock).start(host.host(), host.call(), request, {}, 4, 6, place.path / "log");
  } catch (const Error& problem) {
    said = problem.what();
  }
  later.join();
  EXPECT_EQ(at_start, "");
  EXPECT_EQ(said, "the sandbox did not start: no such file");
}

TEST(SandboxProcess, a_second_one_is_refused) {
  const Place place;
  const OwnedFd held(locked(place.path / "bottle.lock", LOCK_EX));
  FakeHost host;
  ProcessRequest request;
  request.argv = {"sandbox"};
  const SandboxProcess process(place.path / "bottle.lock");
  EXPECT_TRUE(process.runs());
  EXPECT_THROW(process.start(host.host(), host.call(), request, {}, 4, 6, place.path / "log"), Error);
  EXPECT_TRUE(host.programs.empty());
}

class IdleBackend : public SocketBackend {
 public:
  Probe probe(const Call&) override { return {}; }
  Plan plan(const Call&, const Spec&) override { return {}; }
  Sidecar start_sidecar(const Call&, const Plan&, int, int) override { return {}; }
  Bottle launch(const Call&, const Plan&, const LaunchInputs&, int) override { return {}; }
  using SocketBackend::process;
};

TEST(SocketBackend, a_bottle_that_does_not_end_leaves_no_sidecar_running) {
  const Place place;
  write_text_file(place.path / "backend" / "bottle.lock", "");  // held by whom nobody knows: it cannot be ended
  const OwnedFd held(locked(place.path / "backend" / "bottle.lock", LOCK_EX));
  const fs::path lock = place.path / "backend" / "sidecar.lock";
  const pid_t sidecar = ::fork();
  if (sidecar == 0) {
    static_cast<void>(locked(lock, LOCK_EX));
    write_text_file(lock, std::to_string(::getpid()));
    for (;;) ::pause();
  }
  while (read_text(lock) != std::to_string(sidecar)) ::poll(nullptr, 0, 1);
  ASSERT_TRUE(IdleBackend::process(place.path, "sidecar").runs());
  const FakeHost host;
  Bottle bottle;
  bottle.state_dir = place.path.string();
  try {
    IdleBackend().stop(host.call(), bottle);
    ADD_FAILURE() << "it said that all had ended";
  } catch (const Error& problem) {
    EXPECT_EQ(problem.status, Status::timeout);
  }
  EXPECT_FALSE(IdleBackend::process(place.path, "sidecar").runs());
  ::kill(sidecar, SIGKILL);
  ::waitpid(sidecar, nullptr, 0);
}

}  // namespace
}  // namespace bot_bottle::sdk
