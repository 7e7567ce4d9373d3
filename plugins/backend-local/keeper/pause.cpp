#include "plugins/backend-local/keeper/pause.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <vector>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-local/keeper_document.hpp"
#include "plugins/backend-local/processes.hpp"

namespace bot_bottle::backend_local {
namespace {

namespace fs = std::filesystem;
constexpr auto patience = std::chrono::seconds(5);
constexpr int pause_between_looks_ms = 1;

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  char state = '?';
  std::uint64_t start_ticks = 0;
};

/// proc(5): the name may hold anything, fields are counted from the last ')'.
std::optional<Process> read_stat(const std::string& path, pid_t pid) {
  const auto text = read_file(path, 4096);
  if (!text) return std::nullopt;
  const std::size_t close = text->rfind(')');
  if (close == std::string::npos) return std::nullopt;
  std::istringstream rest(text->substr(close + 1));
  Process process{.pid = pid};
  std::string skipped;
  rest >> process.state >> process.parent;
  constexpr int fields_between = 17;  // from field 5 to field 21
  for (int i = 0; i < fields_between; ++i) rest >> skipped;
  rest >> process.start_ticks;
  return rest ? std::optional(process) : std::nullopt;
}

std::vector<pid_t> numbers_in(const std::string& directory) {
  std::vector<pid_t> numbers;
  std::error_code code;
  for (fs::directory_iterator it(directory, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().string();
    if (!name.empty() && name[0] >= '0' && name[0] <= '9') numbers.push_back(static_cast<pid_t>(std::stol(name)));
  }
  return numbers;
}

/// In a process namespace below that of our /proc: NSpid has more than one number (proc(5)).
bool is_in_bottle(pid_t pid) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/status", 65536);
  if (!text) return false;
  for (const std::string_view line : split(*text, '\n'))
    if (line.starts_with("NSpid:")) return split(trim(line.substr(6)), '\t').size() > 1;
  return false;
}

/// All threads have stopped or ended. A main thread that has exited hides the others behind its own 'Z'.
bool is_still(pid_t pid) {
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const pid_t task : numbers_in(tasks)) {
    const auto stat = read_stat(tasks + "/" + std::to_string(task) + "/stat", task);
    if (stat && std::string_view("TtZX").find(stat->state) == std::string_view::npos) return false;
  }
  return true;
}

/// The keeper's descendants that are the bottle's, parents before their children.
std::vector<Process> processes_of(pid_t keeper) {
  std::multimap<pid_t, Process> children;
  for (const pid_t pid : numbers_in("/proc"))
    if (const auto process = read_stat("/proc/" + std::to_string(pid) + "/stat", pid))
      children.emplace(process->parent, *process);
  std::vector<Process> found;
  std::vector<pid_t> open{keeper};
  for (std::size_t i = 0; i < open.size(); ++i) {
    const auto [begin, end] = children.equal_range(open[i]);
    for (auto child = begin; child != end; ++child) {
      open.push_back(child->second.pid);
      if (is_in_bottle(child->second.pid)) found.push_back(child->second);
    }
  }
  return found;
}

/// By descriptor, and only when it is still the process that was looked at.
void signal_process(const Process& process, int number) {
  const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0U)));
  if (!fd) return;
  const auto now = read_stat("/proc/" + std::to_string(process.pid) + "/stat", process.pid);
  if (!now || now->start_ticks != process.start_ticks) return;
  ::syscall(SYS_pidfd_send_signal, fd.get(), number, nullptr, 0U);
}

std::string record_path(const std::string& state_dir) {
  return state_dir + "/backend/run/paused";
}
std::string helper_lock_path(const std::string& state_dir) {
  return state_dir + "/backend/run/pause.lock";
}

int say_error(const std::string& message) {
  const std::string line = to_text(json::object{{"error", message}}) + "\n";
  if (auto written = write_all(keeper_status_fd, line); !written) return 2;
  return 1;
}

}  // namespace

Result<void> hold_still(pid_t keeper, const std::string& record) {
  const UniqueFd file(::open(record.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return fail(error_from_errno("cannot write " + record, errno));
  const auto deadline = std::chrono::steady_clock::now() + patience;
  std::set<pid_t> ours;
  bool was_still = false;
  while (true) {
    // A process that is seen running may just have made another one: again until a look finds all of them still. And
    // once more: one that was in the midst of fork(2) when its signal came shows its child only then, maybe after /proc
    // was listed and before it was itself looked at.
    bool all_still = true;
    for (const Process& process : processes_of(keeper)) {
      if (is_still(process.pid)) continue;
      all_still = false;
      if (ours.insert(process.pid).second) {
        std::ostringstream line;
        line << process.pid << ' ' << process.start_ticks << '\n';
        BB_CHECK(write_all(file.get(), line.str()));
      }
      signal_process(process, SIGSTOP);
    }
    if (all_still && was_still) return {};
    was_still = all_still;
    if (std::chrono::steady_clock::now() > deadline)
      return fail(ErrorKind::timeout, "the bottle did not hold still within 5 s", "try again");
    ::poll(nullptr, 0, pause_between_looks_ms);
  }
}

void let_go(const std::string& record) {
  const auto text = read_file(record);
  if (!text) return;
  std::vector<Process> stopped;
  for (const std::string_view line : split(*text, '\n')) {
    std::istringstream words{std::string(line)};
    Process process;
    if (words >> process.pid >> process.start_ticks) stopped.push_back(process);
  }
  // Youngest first: children start after their parents.
  std::ranges::stable_sort(stopped, {}, [](const Process& process) { return ~process.start_ticks; });
  for (const Process& process : stopped) signal_process(process, SIGCONT);
  ::unlink(record.c_str());
}

void let_go_of_abandoned(const std::string& state_dir) {
  const std::string record = record_path(state_dir);
  if (::access(record.c_str(), F_OK) != 0 || find_lock_holder(helper_lock_path(state_dir))) return;
  let_go(record);
}

int run_pause(const std::string& state_dir) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(number, SIG_IGN);  // the lifeline alone ends it
  const std::string lock = helper_lock_path(state_dir);
  const UniqueFd held(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (!held || ::fcntl(held.get(), F_SETLK, &whole) != 0) return say_error("the bottle is being frozen already");
  const auto keeper = find_lock_holder(lock_path(state_dir, Component::bottle));
  if (!keeper) return say_error("the bottle does not run");
  const std::string record = record_path(state_dir);
  const auto held_still = hold_still(*keeper, record);
  int code = 0;
  if (!held_still) {
    code = say_error(held_still.error().message);
  } else if (write_all(keeper_status_fd, "{\"paused\": true}\n")) {
    pollfd polled{.fd = keeper_lifeline_fd, .events = POLLIN, .revents = 0};
    while (::poll(&polled, 1, -1) < 0 && errno == EINTR) {
    }
  }
  let_go(record);
  ::unlink(lock.c_str());
  return code;
}

}  // namespace bot_bottle::backend_local
