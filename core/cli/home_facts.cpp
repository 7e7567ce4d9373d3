#include "core/cli/home_facts.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/unique_fd.hpp"
#include "core/cli/show.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {
namespace {

namespace fs = std::filesystem;
enum class Wanted : std::uint8_t { directory, file };
enum class WhenAbsent : std::uint8_t { fine, made };

std::string quoted(const fs::path& path) {
  std::string text = "'";
  for (const char c : path.string()) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string sudo() {
  return ::geteuid() == 0 ? "" : "sudo ";
}

/// The first fault of one path (`others`: bits that nobody else may have); nothing: it is as it must be. What a link
/// names is only ever told, never changed.
std::optional<Fact> examine(const std::string& name, const fs::path& path, Wanted wanted, WhenAbsent absent,
                            mode_t others) {
  Fact fact{.group = "home", .name = name, .verdict = Verdict::missing, .detail = short_path(path), .fix = {}};
  const auto fault = [&fact](std::string what, std::string fix) {
    fact.detail += ": " + std::move(what);
    fact.fix = std::move(fix);
    return fact;
  };
  struct stat own {};
  struct stat status {};
  if (::lstat(path.c_str(), &own) != 0) {
    if (errno != ENOENT)
      return fault(std::strerror(errno), "ls -ld " + quoted(path) + "; look at the directories above");
    if (absent == WhenAbsent::fine) return std::nullopt;
    fact.verdict = Verdict::optional_missing;
    fact.repair = Repair{Repair::Kind::make_directory, path};
    return fault("not there yet", "mkdir -m 700 -p " + quoted(path));
  }
  const bool is_link = S_ISLNK(own.st_mode);
  if (::stat(path.c_str(), &status) != 0)
    return fault(is_link ? "a link to nothing" : std::strerror(errno), "rm " + quoted(path) + ", after a look at it");
  if (is_link) {
    std::error_code code;
    fact.detail += " → " + fs::read_symlink(path, code).string();
  }
  if (wanted == Wanted::directory ? !S_ISDIR(status.st_mode) : !S_ISREG(status.st_mode))
    return fault(wanted == Wanted::directory ? "not a directory" : "not a file",
                 "mv " + quoted(path) + " elsewhere, after a look at it");
  for (const struct stat* one : {&own, &status})
    if (one->st_uid != ::geteuid())
      return fault(fmt::format("belongs to uid {}", one->st_uid),
                   fmt::format("{}chown -R {} {}; look first at what is in it: it grants powers", sudo(), ::geteuid(),
                               quoted(path)));
  // Whoever can write here grants powers to agents (spec 01).
  if ((status.st_mode & others) != 0) {
    if (!is_link) fact.repair = Repair{Repair::Kind::close_to_others, path};
    return fault("others can write in it", "chmod go-w " + quoted(path));
  }
  const mode_t need = wanted == Wanted::directory ? 0700U : 0600U;
  if ((status.st_mode & need) != need ||
      ::access(path.c_str(), wanted == Wanted::directory ? R_OK | W_OK | X_OK : R_OK) != 0) {
    if (!is_link) fact.repair = Repair{Repair::Kind::close_to_others, path};
    return fault("cannot be read and written", "chmod u+rw" + std::string(need == 0700U ? "x " : " ") + quoted(path));
  }
  return std::nullopt;
}

/// A socket that refuses: who listened is dead. One that answers, or that cannot be asked, is none of ours to judge.
bool is_dead_socket(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  // As root a bottle's sockets are of its own users.
  if (status.st_uid != ::geteuid() && ::geteuid() != 0) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    const UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return false;
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return false;
    if (errno != ECONNREFUSED && errno != EPROTOTYPE) return false;
    if (errno == ECONNREFUSED) return true;
  }
  return false;
}

void add_sockets(const Home& home, std::vector<Fact>& facts) {
  for (const std::string& slug : state::list_slugs(home)) {
    try {
      state::Directory directory = state::Directory::open(home, slug);
      // A bottle that is being made or runs attached has its process's lock; a detached one's sockets answer.
      if (state::is_being_launched(directory) || !directory.try_lock()) continue;
    } catch (const Failure&) {
      continue;  // gone, or not ours to read: a fact of its own above
    }
    for (const char* name : {"wire", "control"}) {
      std::error_code code;
      for (fs::directory_iterator it(home.state_of(slug) / name, code), end; !code && it != end; it.increment(code))
        if (is_dead_socket(it->path()))
          facts.push_back({.group = "home",
                           .name = "socket",
                           .verdict = Verdict::optional_missing,
                           .detail = short_path(it->path()) + ": nobody listens on it any more",
                           .fix = "rm " + quoted(it->path()),
                           .repair = Repair{Repair::Kind::remove_socket, it->path()}});
    }
  }
}

}  // namespace

std::vector<Fact> home_facts(const Home& home) {
  std::vector<Fact> facts;
  // Behind a home that nobody else can enter a group's bit is the umask's, and opens nothing.
  struct stat top {};
  const bool is_closed = ::stat(home.root.c_str(), &top) == 0 && (top.st_mode & 0077U) == 0;
  const auto add = [&](const char* name, const fs::path& path, Wanted wanted, WhenAbsent absent) {
    const mode_t others = is_closed && path != home.root ? 0002U : 0022U;
    if (auto fact = examine(name, path, wanted, absent, others)) facts.push_back(std::move(*fact));
  };
  add("home", home.root, Wanted::directory, WhenAbsent::made);
  add("bottles", home.bottles(), Wanted::directory, WhenAbsent::made);
  add("agents", home.agents(), Wanted::directory, WhenAbsent::made);
  for (const auto& [name, path] : {std::pair("contrib", home.contrib()), std::pair("state", home.state()),
                                   std::pair("audit", home.audit()), std::pair("worktrees", home.worktrees()),
                                   std::pair("cache", home.cache()), std::pair("keys", home.root / "deploy-keys")})
    add(name, path, Wanted::directory, WhenAbsent::fine);
  add("config", home.config(), Wanted::file, WhenAbsent::fine);
  add("trust", home.trust(), Wanted::file, WhenAbsent::fine);
  for (const fs::path& directory : {home.bottles(), home.agents()}) {
    std::error_code code;
    for (fs::directory_iterator it(directory, code), end; !code && it != end; it.increment(code))
      if (it->path().extension() == ".md") add("manifest", it->path(), Wanted::file, WhenAbsent::fine);
  }
  add_sockets(home, facts);
  if (facts.empty() || facts.front().name != "home")
    facts.insert(facts.begin(),
                 {.group = "home", .name = "home", .verdict = Verdict::ok, .detail = short_path(home.root), .fix = {}});
  return facts;
}

Result<void> apply(const Repair& repair) {
  const std::string path = repair.path.string();
  if (repair.kind == Repair::Kind::make_directory) return make_directories(repair.path, 0700);
  // Through no link, and what is changed is what was looked at (init_test.py: a_link_is_never_followed_by_a_fix).
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return fail(error_from_errno("cannot look at " + path, errno));
  if (repair.kind == Repair::Kind::remove_socket) {
    if (!is_dead_socket(repair.path)) return fail(ErrorKind::failed_precondition, path + " is in use again");
    if (::unlink(path.c_str()) != 0) return fail(error_from_errno("cannot remove " + path, errno));
    return {};
  }
  if (status.st_uid != ::geteuid()) return fail(ErrorKind::permission_denied, path + " is somebody else's");
  if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
    return fail(ErrorKind::failed_precondition, path + " is neither a file nor a directory");
  const mode_t mode = (status.st_mode & 07755U) | (S_ISDIR(status.st_mode) ? 0700U : 0600U);
  if (::chmod(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), mode) != 0)
    return fail(error_from_errno("cannot set the mode of " + path, errno));
  return {};
}

}  // namespace bot_bottle::cli
