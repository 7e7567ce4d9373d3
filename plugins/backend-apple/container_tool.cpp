#include "plugins/backend-apple/container_tool.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-driven/tool_channel.hpp"

namespace bot_bottle::backend_apple {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds quick = seconds(15);  // a ping of the service alone takes up to 10 s
constexpr milliseconds listing = seconds(30);
constexpr milliseconds making = minutes(3);    // an image is unpacked into a disk
constexpr milliseconds starting = minutes(2);  // a machine boots; the first one of a day takes its time
constexpr milliseconds stopping = seconds(20);
constexpr milliseconds killing = seconds(10);
constexpr milliseconds deleting = seconds(30);  // with SIGKILL and the tool's own 5 s
constexpr milliseconds building = minutes(60);  // the builder's image may have to be loaded first
constexpr milliseconds saving = minutes(30);
constexpr milliseconds settling = seconds(5);  // what the service says lags behind
constexpr std::size_t max_log_lines = 15;
constexpr const char* grace_seconds = "3";  // bottle-init's children get SIGTERM and end

bool is_service_absent(const std::string& said) {
  return said.find("XPC connection error") != std::string::npos ||
         said.find("container system start") != std::string::npos;
}

[[noreturn]] void throw_service_absent() {
  throw sdk::Error(sdk::Status::unavailable, "the service of container does not run", "container system start");
}

[[noreturn]] void throw_failed(const std::string& what, const driven::ToolResult& result) {
  const std::string said = driven::complaint_of(result);
  if (is_service_absent(said)) throw_service_absent();
  throw sdk::Error(sdk::Status::failed_precondition, "cannot " + what + ": container ended with code " +
                                                         std::to_string(result.code) +
                                                         (said.empty() ? "" : ": " + said));
}

}  // namespace

std::optional<std::string> find_container_program() {
  if (const auto named = environment("BOT_BOTTLE_CONTAINER"); named && named->starts_with('/')) {
    if (::access(named->c_str(), X_OK) == 0) return named;
    return std::nullopt;
  }
#ifdef __APPLE__
  if (const auto found = find_program(
          "container", environment("PATH").value_or("/usr/bin:/bin") + ":/usr/local/bin:/opt/homebrew/bin"))
    return found->string();
#endif
  return std::nullopt;
}

ContainerTool::ContainerTool()
    : tool_([] {
        const auto program = find_container_program();
        if (!program)
#ifdef __APPLE__
          throw sdk::Error(sdk::Status::unavailable, "Apple's container is not installed",
                           "brew install container, or the package of github.com/apple/container/releases");
#else
          throw sdk::Error(sdk::Status::unavailable, "Apple's container runs on macOS only",
                           "use another backend: bot-bottle doctor says which ones can run here");
#endif
        return driven::Tool(*program, driven::tool_environment());
      }()) {
}

driven::ToolResult ContainerTool::run(std::vector<std::string> arguments, milliseconds deadline) const {
  driven::ToolRun run;
  run.arguments = std::move(arguments);
  run.deadline = deadline;
  return tool_.run(run, cancel_fd_);
}

driven::ToolResult ContainerTool::run_or_throw(std::vector<std::string> arguments, milliseconds deadline,
                                               const std::string& what) const {
  driven::ToolResult result = run(std::move(arguments), deadline);
  if (result.code != 0) throw_failed(what, result);
  return result;
}

const Version& ContainerTool::version() {
  if (version_) return *version_;
  const driven::ToolResult result = run({"--version"}, quick);
  version_ = parse_version(result.out);
  if (!version_)
    throw sdk::Error(sdk::Status::unavailable, tool_.program() + " is not Apple's container: --version says '" +
                                                   std::string(trim(result.out + result.err)).substr(0, 100) + "'");
  return *version_;
}

int ContainerTool::macos_major() const {
  const std::string beside = tool_.program().substr(0, tool_.program().rfind('/')) + "/sw_vers";
  for (const std::string& program : {std::string("/usr/bin/sw_vers"), beside}) {
    if (::access(program.c_str(), X_OK) != 0) continue;
    driven::ToolRun run;
    run.arguments = {"-productVersion"};
    run.deadline = quick;
    return std::atoi(driven::Tool(program, tool_.environment()).run(run, cancel_fd_).out.c_str());
  }
  return 0;
}

void ContainerTool::check_service() const {
  if (run({"system", "status"}, quick).code != 0) throw_service_absent();
}

std::vector<Owned> ContainerTool::list() const {
  return parse_containers(run_or_throw({"list", "--all", "--format", "json"}, listing, "list the containers").out);
}

std::optional<Owned> ContainerTool::find(const std::string& state_dir) const {
  for (Owned& owned : list())
    if (owned.state_dir == state_dir) return std::move(owned);
  return std::nullopt;
}

void ContainerTool::create(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all{"create", "--progress", "none"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const driven::ToolResult result = run(std::move(all), making);
  if (result.code == 0) return;
  if (driven::complaint_of(result).find("already exists") != std::string::npos)
    throw sdk::Error(sdk::Status::already_exists,
                     "there is a container of this bottle already, or one that is starting",
                     "bot-bottle list, bot-bottle cleanup; what has no label " + std::string(label_managed) +
                         " is not bot-bottle's: container delete it yourself");
  throw_failed("make the container", result);
}

void ContainerTool::start(const std::string& id) const {
  run_or_throw({"start", id}, starting, "start the container");
}

void ContainerTool::end(const std::string& state_dir) const {
  // Each step may hang or have no effect: what counts is what the service says afterwards.
  const auto attempt = [&](std::vector<std::string> arguments, milliseconds deadline) {
    try {
      static_cast<void>(run(std::move(arguments), deadline));
    } catch (const sdk::Error& error) {
      if (error.status != sdk::Status::timeout) throw;
    }
    const auto until = Clock::now() + settling;
    for (int pause_ms = 5; Clock::now() < until; pause_ms = std::min(pause_ms * 2, 200)) {
      const auto owned = find(state_dir);
      if (!owned || owned->is_stopped()) return true;
      if (owned->state == "stopping")
        ::poll(nullptr, 0, pause_ms);
      else if (owned->state == "running")
        return false;
    }
    return false;
  };
  const auto owned = find(state_dir);
  if (!owned || owned->is_stopped()) return;
  if (attempt({"stop", "--time", grace_seconds, owned->id}, stopping)) return;
  if (attempt({"kill", owned->id}, killing)) return;
  throw sdk::Error(sdk::Status::failed_precondition, "the container " + owned->id + " still runs after stop and kill",
                   "container delete --force " + owned->id + "; if that hangs: container system stop");
}

std::optional<pid_t> ContainerTool::machine_of(const std::string& id) const {
#ifdef __APPLE__
  const std::string program = "/bin/ps";
#else
  // Elsewhere the tool is a stand-in, whose machines a ps beside it knows.
  const std::string program = tool_.program().substr(0, tool_.program().rfind('/')) + "/ps";
  if (::access(program.c_str(), X_OK) != 0) return std::nullopt;
#endif
  driven::ToolRun run;
  run.arguments = {"-axww", "-o", "pid=,command="};
  run.deadline = quick;
  const driven::ToolResult result = driven::Tool(program, tool_.environment()).run(run, cancel_fd_);
  if (result.code != 0) throw_failed("see what runs (ps)", result);
  return find_machine(result.out, id);
}

void ContainerTool::check_ended(const std::string& id) const {
  const auto until = Clock::now() + settling;
  std::optional<pid_t> machine;
  for (int pause_ms = 5; (machine = machine_of(id)) && Clock::now() < until; pause_ms = std::min(pause_ms * 2, 200))
    ::poll(nullptr, 0, pause_ms);
  if (!machine) return;
  throw sdk::Error(sdk::Status::failed_precondition,
                   "the service says that the container " + id + " is stopped, but its machine runs as process " +
                       std::to_string(*machine) + ": its service has crashed, and stop has no effect then",
                   "bot-bottle stop --rm deletes it, with what the agent made");
}

void ContainerTool::remove(const std::string& state_dir) const {
  std::string trouble;
  try {
    end(state_dir);
  } catch (const sdk::Error& error) {
    if (error.status == sdk::Status::cancelled || error.status == sdk::Status::unavailable) throw;
    trouble = error.message;
  }
  const auto owned = find(state_dir);
  if (!owned) return;
  try {
    const driven::ToolResult result = run({"delete", "--force", owned->id}, deleting);
    if (result.code != 0) trouble = driven::complaint_of(result);
  } catch (const sdk::Error& error) {
    if (error.status != sdk::Status::timeout) throw;
    trouble = error.message;
  }
  if (!find(state_dir)) return;
  throw sdk::Error(sdk::Status::failed_precondition, "the container " + owned->id + " could not be deleted: " + trouble,
                   "container delete --force " + owned->id);
}

ImageOwner ContainerTool::image_owner(const std::string& reference) const {
  const driven::ToolResult result = run({"image", "inspect", reference}, listing);
  if (result.code == 0) return parse_image_owner(result.out);
  const std::string said = driven::complaint_of(result);
  if (said.find("not found") != std::string::npos) return ImageOwner::nobody;
  throw_failed("look for the image " + reference, result);
}

bool ContainerTool::has_own_image(const std::string& reference) const {
  const ImageOwner owner = image_owner(reference);
  if (owner == ImageOwner::foreign)
    throw sdk::Error(sdk::Status::already_exists,
                     "the image " + reference + " is not bot-bottle's: it has no label " + label_managed,
                     "remove it: container image delete " + reference);
  return owner == ImageOwner::ours;
}

void ContainerTool::build(const std::string& reference, const std::string& dockerfile, const std::string& directory,
                          const std::vector<std::string>& labels,
                          const std::function<void(std::string_view)>& progress) const {
  progress("building " + reference);
  std::vector<std::string> arguments{"build", "--progress", "plain", "--tag", reference, "--file", dockerfile};
  for (const std::string& label : labels) arguments.insert(arguments.end(), {"--label", label});
  arguments.push_back(directory);
  const driven::ToolResult result = run(std::move(arguments), building);
  if (result.code == 0 && has_own_image(reference)) return;
  if (is_service_absent(driven::complaint_of(result))) throw_service_absent();
  const std::vector<std::string_view> lines = split(trim(result.err), '\n');
  std::string tail;
  for (std::size_t i = lines.size() > max_log_lines ? lines.size() - max_log_lines : 0; i < lines.size(); ++i)
    tail += "\n" + std::string(lines[i].substr(0, 400));
  throw sdk::Error(
      sdk::Status::failed_precondition, "the image cannot be built:" + tail,
      "mend the Dockerfile, or look whether the builder can reach what it downloads: container builder status");
}

void ContainerTool::remove_image(const std::string& reference) const {
  if (!has_own_image(reference)) return;
  run_or_throw({"image", "delete", "--force", reference}, deleting, "remove the image " + reference);
}

void ContainerTool::save_image(const std::string& reference, const std::string& path) const {
  run_or_throw({"image", "save", "--output", path, reference}, saving, "save the image " + reference);
}

void ContainerTool::run_as_root(const std::string& id, const std::vector<std::string>& argv, std::string input,
                                const std::string& what) const {
  driven::ToolRun run;
  run.arguments = {"exec", "--interactive", "--user", "0:0", "--workdir", "/", id};
  run.arguments.insert(run.arguments.end(), argv.begin(), argv.end());
  run.input = std::move(input);
  run.deadline = minutes(2);
  const driven::ToolResult result = tool_.run(run, cancel_fd_);
  if (result.code != 0) throw_failed(what, result);
}

std::string ContainerTool::last_words(const std::string& id) const {
  try {
    return std::string(trim(run({"logs", "-n", "5", id}, quick).out)).substr(0, 500);
  } catch (const sdk::Error&) {
    return {};  // it only explains another failure
  }
}

std::vector<std::string> ContainerTool::relay_arguments(const std::string& id, const std::string& user) {
  return {"exec", "--interactive", "--user", user, "--workdir", "/", id, driven::guest_init, "--relay"};
}

std::string user_of(const json::object& plan_data) {
  return std::to_string(get_int(plan_data, "uid", 1000)) + ":" + std::to_string(get_int(plan_data, "gid", 1000));
}

std::unique_ptr<driven::GuestChannel> open_relay(const ContainerTool& tool, const std::string& container,
                                                 const std::string& user) {
  return std::make_unique<driven::ToolChannel>(tool.tool(), ContainerTool::relay_arguments(container, user));
}

}  // namespace bot_bottle::backend_apple
