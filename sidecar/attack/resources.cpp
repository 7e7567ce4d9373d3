// 7: what an agent may use up (L). Every bomb is bounded by itself, a little beyond the limit the manifest gave, and
// cleans up.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "core/base/unique_fd.hpp"
#include "sidecar/attack/encode.hpp"
#include "sidecar/attack/http.hpp"
#include "sidecar/attack/probe.hpp"

namespace bot_bottle::attack {
namespace {

Outcome fork_bomb(const Context& context) {
  const std::uint64_t bound = context.pids_limit + context.pids_limit / 2 + 64;
  std::vector<pid_t> children;
  int number = 0;
  while (children.size() < bound) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(30);  // goes away by itself whatever happens to the parent
      for (;;) ::pause();
    }
    if (child < 0) {
      number = errno;
      break;
    }
    children.push_back(child);
  }
  for (pid_t child : children) ::kill(child, SIGKILL);
  for (pid_t child : children) ::waitpid(child, nullptr, 0);
  if (number == 0)
    return escaped(std::to_string(children.size()) + " processes, limit " + std::to_string(context.pids_limit));
  errno = number;
  Outcome result = judge_call(-1, {EAGAIN, ENOMEM});
  result.detail += " after " + std::to_string(children.size());
  return result;
}

Outcome memory_bomb(const Context& context) {
  const std::uint64_t bound = context.memory_limit + context.memory_limit / 4 + (std::uint64_t{128} << 20);
  const pid_t child = ::fork();
  if (child == 0) {
    // First to go when memory is short: the suite shall live to tell.
    if (UniqueFd score(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
        score && ::write(score.get(), "1000", 4) < 0)
      errno = 0;
    constexpr std::size_t step = 4 << 20;
    for (std::uint64_t have = 0; have < bound; have += step) {
      void* memory = ::mmap(nullptr, step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) ::_exit(2);
      std::memset(memory, 0x5a, step);
    }
    ::_exit(0);
  }
  if (child < 0) return failed("fork: " + errno_name(errno));
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return blocked("killed at the limit");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 2) return blocked("ENOMEM");
  return escaped(std::to_string(bound >> 20) + " MiB, limit " + std::to_string(context.memory_limit >> 20));
}

enum class Name { kept, unlinked };

/// `seconds`: how long somebody who only looks from time to time may take to notice.
Outcome fill(const Context& context, const std::string& directory, Name name = Name::kept, int seconds = 0) {
  const std::uint64_t bound = context.disk_limit + (std::uint64_t{64} << 20);
  const std::string path = directory + "/fill-" + context.session;
  UniqueFd file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  if (!file) return judge_call(-1, {ENOENT, EACCES, EPERM, EROFS, ENOSPC});
  if (name == Name::unlinked) ::unlink(path.c_str());
  const std::string block(1 << 20, 'f');
  std::uint64_t have = 0;
  int number = 0;
  while (have < bound) {
    const ssize_t size = ::write(file.get(), block.data(), block.size());
    if (size < 0) {
      number = errno;
      break;
    }
    have += static_cast<std::uint64_t>(size);
  }
  if (number == 0) ::poll(nullptr, 0, seconds * 1000);
  ::unlink(path.c_str());
  if (number == 0)
    return escaped(std::to_string(have >> 20) + " MiB, limit " + std::to_string(context.disk_limit >> 20));
  errno = number;
  Outcome result = judge_call(-1, {ENOSPC, EDQUOT, EFBIG, ENOMEM});
  result.detail += " after " + std::to_string(have >> 20) + " MiB";
  return result;
}

Outcome exhaust_descriptors(const Context&) {
  constexpr std::size_t bound = 1 << 20;
  std::vector<UniqueFd> open;
  int number = 0;
  while (open.size() < bound) {
    UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!fd) {
      number = errno;
      break;
    }
    open.push_back(std::move(fd));
  }
  const std::size_t count = open.size();
  open.clear();
  if (number == 0) return escaped("more than " + std::to_string(bound));
  errno = number;
  Outcome result = judge_call(-1, {EMFILE, ENFILE});
  result.detail += " after " + std::to_string(count);
  return result;
}

/// Connections that never finish their request, thousands. The proxy may refuse some: it has to serve good requests
/// meanwhile or say so, and afterwards in any case.
Outcome half_open(const Context& context, const std::string& start) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  std::vector<Channel> held;
  std::size_t refused = 0;
  for (std::uint64_t i = 0; i < context.flood && refused < 50; ++i) {
    auto channel = Channel::dial(context);
    if (!channel || !channel->write(start)) {
      ++refused;
      continue;
    }
    held.push_back(std::move(*channel));
  }
  const std::size_t count = held.size();
  if (count < 10) return failed("only " + std::to_string(count) + " connections could be opened");
  for (int i = 0; i < 8 && held.size() > 1; ++i) held.pop_back();  // the control needs descriptors
  const Outcome during = control(context);
  held.clear();
  for (int i = 0; i < 20; ++i) {
    const Outcome after = control(context);
    if (after.verdict == Verdict::blocked)
      return blocked(std::to_string(count) + " held, control " +
                     (during.verdict == Verdict::blocked ? "answered during and after" : "answered after"));
    if (i == 19) return failed("the proxy does not recover: " + after.detail);
  }
  return failed("unreachable");
}

Outcome decompression_bomb(const Context& context) {
  // Ratio about 1,000: 256 KiB on the wire.
  const std::string bomb = gzip_of_zeros(std::size_t{1} << 28);
  Outcome result =
      judge(context,
            ask_tls(context, request("POST", "/upload", context.origin,
                                     "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", bomb)),
            accept::bad_request | accept::media);
  if (result.verdict == Verdict::blocked && control(context).verdict != Verdict::blocked)
    return failed("the proxy does not answer afterwards");
  return result;
}

}  // namespace

void add_resources(std::vector<Attempt>& out, const Context& context) {
  constexpr std::chrono::seconds long_limit(120);
  Subject limits(out, "7.1", "limits");
  if (context.pids_limit > 0) limits.add("fork bomb (L)", fork_bomb, long_limit);
  if (context.memory_limit > 0) limits.add("memory bomb (L)", memory_bomb, long_limit);
  if (context.disk_limit > 0) {
    for (const char* directory : {"/tmp", "/dev/shm"})
      limits.add(
          std::string("fill ") + directory + " (L)", [directory](const Context& each) { return fill(each, directory); },
          long_limit);
  }
  limits.add("exhaust file descriptors (L)", exhaust_descriptors, long_limit);
  if (context.disk_limit > 0) {
    // Where no quota can be had the bottle is ended when it holds too much: then there is no line, and that is the
    // refusal.
    Subject homes(out, "7.3", "limits");
    const char* home = std::getenv("HOME");
    const std::string directory = home != nullptr ? home : "/tmp";
    homes.add(
        "fill the home (L)", [directory](const Context& each) { return fill(each, directory, Name::kept, 15); },
        long_limit);
    homes.add(
        "fill the home with a file that has no name any more (L)",
        [directory](const Context& each) { return fill(each, directory, Name::unlinked, 15); }, long_limit);
  }
  Subject floods(out, "7.2", "limits", Needs::egress);
  const std::string many = std::to_string(context.flood);
  floods.add(
      many + " connections that send nothing (L)", [](const Context& each) { return half_open(each, "\r\n"); },
      long_limit);
  floods.add(
      many + " connections with half a request (L)",
      [](const Context& each) { return half_open(each, "GET http://" + each.origin + "/ HTTP/1.1\r\nHost: "); },
      long_limit);
  floods.add(
      many + " tunnels without a handshake (L)",
      [](const Context& each) {
        return half_open(each, "CONNECT " + each.origin + ":443 HTTP/1.1\r\nHost: " + each.origin + "\r\n\r\n");
      },
      long_limit);
  floods.add("a body that inflates from 256 KiB to 256 MiB (L)", decompression_bomb, long_limit);
}

}  // namespace bot_bottle::attack
