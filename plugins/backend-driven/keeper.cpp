#include "plugins/backend-driven/keeper.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "plugins/backend-driven/signal_pipe.hpp"
#include "plugins/backend-driven/tool.hpp"

namespace bot_bottle::driven {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t max_document = std::size_t{1} << 20;
constexpr std::chrono::milliseconds grace{2'000};
constexpr int tries = 3;

void say(const json::object& message) {
  if (auto written = write_all(keep_status_fd, to_text(message) + "\n"); !written)
    static_cast<void>(written.error());  // the plugin is gone: the lifeline tells
  ::close(keep_status_fd);
}

int refuse(const std::string& text) {
  say({{"error", text}});
  return 1;
}

/// A log below a directory that a compromised sidecar may write: no link, no special file (attack H1).
UniqueFd open_log(const std::string& path) {
  UniqueFd log(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  struct stat status {};
  if (log && (::fstat(log.get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1)) log.reset();
  return log;
}

class Keep {
 public:
  Keep(json::object document, const KeepOptions& options) : document_(std::move(document)), options_(options) {}

  int run() {
    const std::string path = get_string(document_, "lock");
    lock_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (!lock_ || ::fcntl(lock_.get(), F_SETLK, &whole) != 0) return refuse(path + " is held: it runs already");
    log_ = open_log(get_string(document_, "log"));
    const SignalPipe signals({SIGTERM, SIGINT, SIGCHLD});
    ::signal(SIGHUP, SIG_IGN);
    ::signal(SIGPIPE, SIG_IGN);
    if (document_.contains("program") && !start_program()) return 1;
    say({{"ready", true}, {"pid", child_ > 0 ? child_ : ::getpid()}});
    bool told = false;
    while (true) {
      std::array<pollfd, 2> polled{{{.fd = signals.fd(), .events = POLLIN, .revents = 0},
                                    {.fd = options_.lifeline ? keep_lifeline_fd : -1, .events = POLLIN, .revents = 0}}};
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) break;
      while (const int number = signals.take()) told = told || number == SIGTERM || number == SIGINT;
      if (child_ > 0 && ::waitpid(child_, nullptr, WNOHANG) == child_) {
        child_ = -1;
        break;
      }
      // Nothing is ever written to it: readable is its end.
      if (told || polled[1].revents != 0) break;
    }
    end_program();
    if (!told) run_commands();
    return 0;
  }

 private:
  [[nodiscard]] Tool::Environment env() const {
    Tool::Environment env;
    if (const json::object* given = find_object(document_, "env"))
      for (const auto& [name, value] : *given)
        if (value.is_string()) env[std::string(name)] = std::string(value.as_string());
    return env;
  }

  bool start_program() {
    ProcessRequest request;
    request.argv = get_strings(document_, "program");
    request.env = env();
    request.cwd = "/";
    request.session = StartSession::yes;
    if (options_.config) request.fds.push_back({keep_config_fd, 0});
    if (log_) request.fds.insert(request.fds.end(), {{log_.get(), 1}, {log_.get(), 2}});
    auto started = spawn_process(request);
    if (options_.config) ::close(keep_config_fd);  // else it would never see the end of its configuration
    if (!started) {
      refuse(started.error().message);
      return false;
    }
    child_ = *started;
    return true;
  }

  void end_program() {
    if (child_ <= 0) return;
    ::kill(child_, SIGTERM);
    const auto deadline = Clock::now() + grace;
    while (::waitpid(child_, nullptr, WNOHANG) == 0) {
      if (Clock::now() > deadline) {
        ::kill(-child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
        return;
      }
      ::poll(nullptr, 0, 10);
    }
  }

  void note(const std::string& text) {
    if (!log_) return;
    if (auto written = write_all(log_.get(), format_time(now_ms()) + " bottle-driven: " + text + "\n"); !written)
      static_cast<void>(written.error());  // nobody is left to ask
  }

  void run_commands() {
    const json::array* commands = find_array(document_, "commands");
    if (commands == nullptr) return;
    const std::chrono::milliseconds deadline(get_int(document_, "deadline_ms", 30'000));
    for (const json::value& value : *commands) {
      std::vector<std::string> argv;
      if (const json::array* words = value.if_array())
        for (const json::value& word : *words)
          if (word.is_string()) argv.emplace_back(word.as_string());
      if (argv.empty()) continue;
      const Tool tool(argv.front(), env());
      ToolRun run;
      run.arguments.assign(argv.begin() + 1, argv.end());
      run.deadline = deadline;
      for (int i = 0; i < tries; ++i) {
        try {
          const ToolResult result = tool.run(run, -1);
          note(argv.front() + " " + (run.arguments.size() > 1 ? run.arguments[1] : "") + ": code " +
               std::to_string(result.code) + (result.code == 0 ? "" : ": " + complaint_of(result)));
          if (result.code == 0) break;
        } catch (const sdk::Error& error) {
          note(error.message);
        } catch (const std::exception& error) {
          note(error.what());
        }
        ::poll(nullptr, 0, 200);
      }
    }
  }

  json::object document_;
  KeepOptions options_;
  UniqueFd lock_;
  UniqueFd log_;
  pid_t child_ = -1;
};

}  // namespace

int run_keep(const KeepOptions& options) {
  for (const int fd : {keep_document_fd, keep_status_fd, keep_lifeline_fd, keep_config_fd})
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  const auto text = read_all(keep_document_fd, max_document);
  ::close(keep_document_fd);
  auto document = text ? parse_json_object(*text) : Result<json::object>(fail(text.error()));
  if (!document) return refuse(document.error().message);
  ::umask(077);
  if (::chdir("/") != 0) return refuse("cannot change to /");
  return Keep(std::move(*document), options).run();
}

}  // namespace bot_bottle::driven
