#include "plugins/backend-smolvm/machine.hpp"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "core/base/file.hpp"
#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-driven/tool_channel.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

using namespace std::chrono_literals;
constexpr Version oldest{0, 8, 0};
constexpr Version flags_for_names{1, 0, 2};
constexpr Version policy_left_tsi{1, 1, 3};
constexpr Version sockets_came{1, 7, 0};
constexpr Version labels_came{1, 8, 0};
constexpr int newest_major = 1;

constexpr auto short_call = 30s;     // a live but silent machine costs the program a timeout of its own
constexpr auto create_call = 10min;  // unpacks an image
constexpr auto start_call = 5min;
constexpr auto stop_call = 60s;
constexpr auto leftover_grace = 5s;  // the program's own way from SIGTERM to SIGKILL is about 3 s
constexpr int look_ms = 50;

bool says_unknown(const driven::ToolResult& result, const std::string& name) {
  const std::string said = driven::complaint_of(result);
  return said.find("vm not found: " + name) != std::string::npos ||
         said.find("machine '" + name + "' not found") != std::string::npos ||
         said.find("Machine '" + name + "' not found") != std::string::npos;
}

/// As `ps` shows it; empty when it has ended.
std::string command_of(std::int64_t pid) {
  if (pid <= 1 || pid > std::numeric_limits<pid_t>::max()) return {};
  if (::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return {};
#ifdef __linux__
  const auto status = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!status || status->find(") Z ") != std::string::npos) return {};
  auto command = read_file("/proc/" + std::to_string(pid) + "/cmdline", 65536);
  if (!command) return {};
  std::ranges::replace(*command, '\0', ' ');
  return std::move(*command);
#else
  driven::ToolRun run;
  run.arguments = {"-ww", "-o", "command=", "-p", std::to_string(pid)};
  run.deadline = short_call;
  return driven::Tool("/bin/ps", driven::tool_environment()).run(run, -1).out;
#endif
}

/// Whether that is the process of the machine with this directory: the number may be another's by now.
bool is_machine_process(std::int64_t pid, const std::string& directory) {
  const std::string command = command_of(pid);
  return command.find("_boot-vm") != std::string::npos &&
         command.find(directory + "/boot-config.json") != std::string::npos;
}

}  // namespace

std::string to_text(const Version& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." + std::to_string(version.patch);
}

std::optional<Version> parse_version(std::string_view line) {
  const std::string text(trim(line));
  Version version;
  int used = 0;
  if (std::sscanf(text.c_str(), "smolvm %d.%d.%d%n", &version.major, &version.minor, &version.patch, &used) != 3 ||
      version.major < 0 || version.minor < 0 || version.patch < 0)
    return std::nullopt;
  // "1.9.3-rc.1" is not what was looked at.
  if (static_cast<std::size_t>(used) != text.size()) return std::nullopt;
  return version;
}

Abilities abilities_of(const Version& version) {
  Abilities abilities;
  const std::string name = "smolvm " + to_text(version);
  if (version < oldest) {
    abilities.problem = name + " is too old: 0.8.0 is the first that can be driven";
    abilities.fix = "install smolvm 1.7.0 or newer";
  } else if (version.major > newest_major) {
    abilities.problem = name + " is not known: its walls were never looked at";
    abilities.fix = "use a smolvm 1.x from 1.7.0 on, or a newer bot-bottle";
  } else if (version >= policy_left_tsi && version < sockets_came) {
    abilities.problem = name +
                        " cannot be used: from 1.1.3 to 1.6 an allow-list leads through a gateway that does not reach "
                        "this machine, and "
                        "sockets cannot be mounted before 1.7.0";
    abilities.fix = "install smolvm 1.7.0 or newer";
  }
  abilities.has_socket_wire = version >= sockets_came;
  abilities.names_by_flag = version >= flags_for_names;
  abilities.takes_command = version >= flags_for_names;
  abilities.has_labels = version >= labels_came;
  return abilities;
}

std::vector<MachineStatus> parse_machines(const std::string& text) {
  const auto bad = [](const std::string& what) {
    return sdk::Error(sdk::Status::unavailable, "smolvm machine ls --json did not answer with a list" + what,
                      "run it by hand: smolvm machine ls --json");
  };
  const auto parsed = parse_json(text);
  const json::array* items = parsed ? parsed->if_array() : nullptr;
  if (items == nullptr) throw bad("");
  std::vector<MachineStatus> found;
  for (const json::value& value : *items) {
    const json::object* item = value.if_object();
    if (item == nullptr) throw bad(" of machines");
    MachineStatus status{.name = get_string(*item, "name"), .state = get_string(*item, "state")};
    if (status.name.empty() || status.state.empty()) throw bad(": a machine without a name or a state");
    status.pid = get_int(*item, "pid", 0);
    if (const json::object* labels = find_object(*item, "labels")) status.labels = *labels;
    found.push_back(std::move(status));
  }
  return found;
}

bool is_stopped(const MachineStatus& machine) {
  return machine.state == "created" || machine.state == "stopped" || machine.state == "failed";
}

std::string find_smolvm() {
  const auto path = find_program("smolvm", environment("PATH").value_or("/usr/local/bin:/usr/bin:/bin"));
  if (!path)
    throw sdk::Error(sdk::Status::unavailable, "there is no program smolvm on PATH",
                     "install it from smolmachines.com, version 1.7.0 or newer");
  return path->string();
}

Machines::Machines(std::string program, int cancel_fd)
    : tool_(std::move(program), driven::tool_environment({"SMOLVM_DATA_DIR", "SMOLVM_AGENT_ROOTFS"})),
      cancel_fd_(cancel_fd) {}

driven::ToolResult Machines::run(std::vector<std::string> arguments, std::chrono::milliseconds deadline,
                                 std::string input) {
  driven::ToolRun run;
  run.arguments = std::move(arguments);
  run.deadline = deadline;
  run.input = std::move(input);
  return tool_.run(run, cancel_fd_);
}

void Machines::run_or_throw(std::vector<std::string> arguments, std::chrono::milliseconds deadline,
                            const std::string& what) {
  driven::ToolRun run;
  run.arguments = std::move(arguments);
  run.deadline = deadline;
  static_cast<void>(tool_.run_or_throw(run, cancel_fd_, what));
}

const Version& Machines::version() {
  if (!version_) {
    const driven::ToolResult result = run({"--version"}, short_call);
    const auto found = result.code == 0 ? parse_version(result.out) : std::nullopt;
    if (!found)
      throw sdk::Error(sdk::Status::unavailable,
                       tool_.program() + " does not say a version that is known: '" +
                           std::string(trim(result.out + result.err).substr(0, 80)) + "'",
                       "use a smolvm 1.x from 1.7.0 on");
    version_ = *found;
  }
  return *version_;
}

const Abilities& Machines::abilities() {
  if (!abilities_) abilities_ = abilities_of(version());
  if (!abilities_->problem.empty()) throw sdk::Error(sdk::Status::unavailable, abilities_->problem, abilities_->fix);
  return *abilities_;
}

std::vector<MachineStatus> Machines::list() {
  driven::ToolRun run;
  run.arguments = {"machine", "ls", "--json"};
  run.deadline = short_call;
  const driven::ToolResult result = tool_.run_or_throw(run, cancel_fd_, "list the machines");
  return parse_machines(result.truncated ? std::string() : result.out);
}

std::optional<MachineStatus> Machines::find(const std::string& name) {
  for (MachineStatus& status : list())
    if (status.name == name) return std::move(status);
  return std::nullopt;
}

void Machines::create(const Creation& creation) {
  const Abilities& can = abilities();
  // Options first: what comes behind "--" is the workload's.
  std::vector<std::string> arguments{"machine", "create"};
  if (can.names_by_flag)
    arguments.insert(arguments.end(), {"--name", creation.name});
  else
    arguments.push_back(creation.name);
  arguments.insert(arguments.end(), {"--image", creation.image});
  const auto add = [&](const char* option, const std::optional<std::int64_t>& value) {
    if (value) arguments.insert(arguments.end(), {option, std::to_string(*value)});
  };
  add("--cpus", creation.cpus);
  add("--mem", creation.memory_mib);
  add("--overlay", creation.disk_gib);
  for (const auto& [outside, inside] : creation.sockets)
    arguments.insert(arguments.end(), {"--mount-socket", outside + ":" + inside});
  if (!creation.allowed_address.empty())
    arguments.insert(arguments.end(), {"--allow-cidr", creation.allowed_address + "/32"});
  if (can.has_labels)
    for (const auto& [key, value] : creation.labels) arguments.insert(arguments.end(), {"--label", key + "=" + value});
  if (can.takes_command) {
    arguments.emplace_back("--");
    arguments.insert(arguments.end(), creation.command.begin(), creation.command.end());
  } else {
    // TOML's basic strings are JSON's.
    or_throw(write_file_fast(creation.smolfile,
                             "entrypoint = " + bot_bottle::to_text(to_array(creation.command)) + "\n", 0600));
    arguments.insert(arguments.end(), {"--smolfile", creation.smolfile});
  }
  const driven::ToolResult result = run(arguments, create_call);
  if (result.code == 0) return;
  if (driven::complaint_of(result).find("already exists") != std::string::npos)
    throw sdk::Error(sdk::Status::already_exists,
                     "there is a machine " + creation.name + " already, or one is being made",
                     "bot-bottle list, bot-bottle cleanup; what no bottle's record names is not bot-bottle's");
  driven::ToolRun shown;
  shown.arguments = {"machine", "create"};
  driven::throw_tool_error("make the machine " + creation.name, tool_.program(), shown, result);
}

void Machines::start(const std::string& name) {
  run_or_throw({"machine", "start", "--name", name}, start_call, "start the machine " + name);
}

std::vector<std::string> Machines::stop_arguments(const std::string& name) {
  return {"machine", "stop", "--name", name};
}

std::string Machines::directory_of(const std::string& name) {
  std::vector<std::string> arguments{"machine", "data-dir"};
  if (abilities().names_by_flag) arguments.emplace_back("--name");
  arguments.push_back(name);
  const driven::ToolResult result = run(std::move(arguments), short_call);
  const std::string directory(trim(result.out));
  return result.code == 0 && directory.starts_with('/') ? directory : std::string();
}

void Machines::end_leftovers(const std::string& name, const std::string& directory, std::int64_t recorded) {
  if (directory.empty()) return;
  std::vector<std::int64_t> pids{recorded};
  if (const auto text = read_file(directory + "/agent.pid", 64))
    pids.push_back(std::strtoll(text->c_str(), nullptr, 10));
  for (const std::int64_t pid : pids)
    for (const auto& [number, patience] : {std::pair{SIGTERM, leftover_grace}, std::pair{SIGKILL, leftover_grace}}) {
      if (!is_machine_process(pid, directory)) break;
      ::kill(static_cast<pid_t>(pid), number);
      const auto deadline = std::chrono::steady_clock::now() + patience;
      while (is_machine_process(pid, directory)) {
        if (std::chrono::steady_clock::now() > deadline) {
          if (number == SIGTERM) break;
          throw sdk::Error(sdk::Status::failed_precondition,
                           "the process " + std::to_string(pid) + " of the machine " + name + " does not end",
                           "end it: kill -9 " + std::to_string(pid));
        }
        ::poll(nullptr, 0, look_ms);
      }
    }
}

void Machines::stop(const std::string& name) {
  const auto before = find(name);
  // A machine that is not there: code 0 in 0.8.0, code 1 from 0.8.1 on.
  const driven::ToolResult result = run(stop_arguments(name), stop_call);
  if (result.code != 0 && !says_unknown(result, name)) {
    driven::ToolRun shown;
    shown.arguments = {"machine", "stop"};
    driven::throw_tool_error("stop the machine " + name, tool_.program(), shown, result);
  }
  const auto status = find(name);
  if (status && !is_stopped(*status))
    throw sdk::Error(sdk::Status::failed_precondition,
                     "the machine " + name + " still is " + status->state + " after smolvm machine stop",
                     "end its process " + std::to_string(status->pid));
  // Up to 1.4.7 a start that failed leaves its process (issue 582), up to 1.6.13 one may outlive its stop (issue 787):
  // it would hold the disk, and run on when the record is gone.
  if (before) end_leftovers(name, directory_of(name), before->pid);
}

void Machines::remove(const std::string& name) {
  const auto status = find(name);
  if (!status) return;
  const std::string directory = directory_of(name);  // afterwards nobody says it
  stop(name);
  std::vector<std::string> arguments{"machine", "delete"};
  if (abilities().names_by_flag)
    arguments.insert(arguments.end(), {"--name", name});
  else
    arguments.push_back(name);
  arguments.emplace_back("-f");  // else it asks, and an answer of nothing is "Cancelled" with code 0
  const driven::ToolResult result = run(arguments, stop_call);
  if (result.code != 0 && !says_unknown(result, name)) {
    driven::ToolRun shown;
    shown.arguments = {"machine", "delete"};
    driven::throw_tool_error("delete the machine " + name, tool_.program(), shown, result);
  }
  if (find(name))
    throw sdk::Error(sdk::Status::failed_precondition, "smolvm did not delete the machine " + name,
                     "run it by hand: smolvm machine delete");
  end_leftovers(name, directory, status->pid);
}

driven::ToolResult Machines::exec_as_root(const std::string& name, const std::vector<std::string>& argv,
                                          driven::ToolRun run) {
  // -i: without it there is no standard input, and output is kept back and cut.
  run.arguments = {"machine", "exec", "--name", name, "-i", "--"};
  run.arguments.insert(run.arguments.end(), argv.begin(), argv.end());
  return tool_.run(run, cancel_fd_);
}

std::vector<std::string> Machines::relay_arguments(const std::string& name) {
  return {"machine", "exec", "--name", name, "-i", "--", init_in_machine, "--relay"};
}

driven::OpenChannel Machines::relay(const std::string& name) const {
  return [this, name]() -> std::unique_ptr<driven::GuestChannel> {
    return std::make_unique<driven::ToolChannel>(tool_, relay_arguments(name));
  };
}

}  // namespace bot_bottle::backend_smolvm
