// What is the same on every system; the rest is in host_sidecar_linux.cpp and host_sidecar_macos.cpp.
#include "plugins/backend-driven/host_sidecar.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-driven/keep_start.hpp"
#include "plugins/backend-driven/keeper.hpp"

namespace bot_bottle::driven {
namespace {

constexpr std::chrono::milliseconds keeper_grace{4'000};

std::string lifeline_lock(const std::string& state_dir) {
  return state_dir + "/backend/lifeline.lock";
}

}  // namespace

StartedKeep start_keep(const sdk::Host& host, const sdk::Call& call, const json::object& document, int config_fd,
                       int lifeline_fd) {
  PipeEnds text = make_pipe();
  PipeEnds status = make_pipe();
  sdk::ProcessRequest request;
  request.argv = {host.path(call, "libexec") + "/bottle-driven", "keep"};
  request.env = sdk::StringMap{};
  request.session = true;
  std::vector<sdk::ChildFd> fds{{text.read.get(), keep_document_fd}, {status.write.get(), keep_status_fd}};
  if (lifeline_fd >= 0) {
    request.argv.emplace_back("--lifeline");
    fds.push_back({lifeline_fd, keep_lifeline_fd});
  }
  if (config_fd >= 0) {
    request.argv.emplace_back("--config");
    fds.push_back({config_fd, keep_config_fd});
  }
  StartedKeep started;
  started.pid = static_cast<pid_t>(host.spawn(call, request, fds));
  text.read.reset();
  status.write.reset();
  std::string line;
  auto given = write_all(text.write.get(), to_text(document));
  text.write.reset();
  while (given && line.find('\n') == std::string::npos && line.size() < 65536) {
    std::array<pollfd, 2> polled{{{.fd = status.read.get(), .events = POLLIN, .revents = 0},
                                  {.fd = call.cancel_fd(), .events = POLLIN, .revents = 0}}};
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) break;
    if (polled[1].revents != 0) break;
    if (polled[0].revents == 0) continue;
    std::array<char, 4096> bytes{};
    const ssize_t got = ::read(status.read.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    line.append(bytes.data(), static_cast<std::size_t>(got));
  }
  const auto message = parse_json_object(line);
  if (message && get_bool(*message, "ready", false)) {
    started.program = static_cast<pid_t>(get_int(*message, "pid", -1));
    return started;
  }
  ::kill(started.pid, SIGTERM);
  ::waitpid(started.pid, nullptr, 0);
  call.check_cancelled();
  throw sdk::Error(sdk::Status::failed_precondition,
                   message ? get_string(*message, "error", "bottle-driven refused")
                           : std::string("bottle-driven ended without a word"),
                   "look into the bottle's logs: bot-bottle logs --help");
}

void start_lifeline_keeper(const sdk::Host& host, const sdk::Call& call, const Tool& tool, const LifelineKeeper& keeper,
                           int lifeline_fd) {
  if (lifeline_fd < 0) return;  // detached: nothing to follow
  or_throw(make_directories(keeper.state_dir + "/backend", 0700));
  json::array commands;
  for (const std::vector<std::string>& arguments : keeper.commands) commands.push_back(to_array(tool.argv(arguments)));
  json::object env;
  for (const auto& [name, value] : tool.environment()) env[name] = value;
  start_keep(host, call,
             {{"lock", lifeline_lock(keeper.state_dir)},
              {"log", keeper.state_dir + "/backend/lifeline.log"},
              {"commands", std::move(commands)},
              {"env", std::move(env)},
              {"deadline_ms", keeper.deadline.count()}},
             -1, lifeline_fd);
}

Result<void> end_lifeline_keeper(const std::string& state_dir) {
  return end_holder(lifeline_lock(state_dir), keeper_grace);
}

bool is_lifeline_kept(const std::string& state_dir) {
  return find_holder(lifeline_lock(state_dir)).has_value();
}

}  // namespace bot_bottle::driven
