// What the SDK's socket wire does with what an agent made, as the ordinary user that it is written for.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bot_bottle/plugin.hpp>
#include <bot_bottle/sdk/fake_host.hpp>
#include <bot_bottle/sdk/sandbox_process.hpp>
#include <functional>
#include <string>
#include <thread>

namespace bot_bottle::sdk {
namespace {

namespace fs = std::filesystem;

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

/// What `body` says in a child that has no right to pass modes by.
std::string as_ordinary_user(const std::function<std::string()>& body) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    std::string said;
    try {
      const uid_t user = Place::ordinary_user;
      if (::geteuid() == 0 && (::setresgid(user, user, user) != 0 || ::setresuid(user, user, user) != 0))
        throw_errno("cannot become an ordinary user");
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

struct Copies {
  explicit Copies(const fs::path& directory) : own(directory / "backend") { host.paths["libexec"] = "/nowhere"; }
  /// Stands for bottle-init's pack and unpack: a tree of an agent's, in the scratch directory that the program names.
  void unpack(const std::function<void(const fs::path& tree)>& make) {
    host.on_run = [make](const ProcessRequest& request) {
      make(fs::path(request.argv.at(4)) / "copy");
      return ProcessResult{};
    };
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

}  // namespace
}  // namespace bot_bottle::sdk
