// The smolvm program: its versions, and one function a verb. What each prints, refuses and forgets was read out of its
// source, tags v0.8.0 to v1.9.3; where versions differ it says so.
#pragma once

#include <chrono>
#include <compare>
#include <optional>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-driven/guest_ops.hpp"
#include "plugins/backend-driven/tool.hpp"

namespace bot_bottle::backend_smolvm {

struct Version {
  int major = 0;
  int minor = 0;
  int patch = 0;
  auto operator<=>(const Version&) const = default;
};
std::string to_text(const Version& version);
/// "smolvm 1.9.3"; nothing for anything else.
std::optional<Version> parse_version(std::string_view line);

/// What this version may be driven with; `problem` and `fix` where it may not.
struct Abilities {
  std::string problem;
  std::string fix;
  bool has_socket_wire = false;  // 1.7.0: --mount-socket
  bool names_by_flag = false;    // 1.0.2: create and delete take --name; before it a positional
  bool has_labels = false;       // 1.8.0
  bool takes_command = false;    // 1.0.2: a workload behind "--" of create; before it a Smolfile's entrypoint
};
Abilities abilities_of(const Version& version);

/// The program on the operator's PATH. Throws unavailable.
std::string find_smolvm();

/// Where bottle-init is in the machine: a layer of the image, for /run is a tmpfs there.
inline constexpr const char* init_in_machine = "/opt/bot-bottle/bottle-init";
inline constexpr const char* wire_in_machine = "/run/bottle/wire";

struct MachineStatus {
  std::string name;
  std::string state;  // created, running, stopped, failed, unreachable, frozen
  std::int64_t pid = 0;
  json::object labels;
};

/// What `machine ls --json` printed. Throws unavailable for all that is no list of machines with a name and a state.
std::vector<MachineStatus> parse_machines(const std::string& text);
/// Only states that are known to be without a process: a word that is not known may be a machine that runs.
bool is_stopped(const MachineStatus& machine);

struct Creation {
  std::string name;
  std::string image;  // an archive, a directory; on the address wire a registry's reference
  std::vector<std::string> command;
  std::string smolfile;  // where `takes_command` is false: written there
  std::optional<std::int64_t> cpus;
  std::optional<std::int64_t> memory_mib;
  std::optional<std::int64_t> disk_gib;
  std::vector<std::pair<std::string, std::string>> sockets;  // host path, guest path
  std::string allowed_address;                               // the address wire: this /32 and nothing else
  std::vector<std::pair<std::string, std::string>> labels;
};

class Machines {
 public:
  Machines(std::string program, int cancel_fd);

  void set_cancel_fd(int fd) { cancel_fd_ = fd; }
  [[nodiscard]] const driven::Tool& tool() const { return tool_; }
  /// Asked once. Throws unavailable when it says nothing that is a version.
  const Version& version();
  /// Throws unavailable with the reason where this version is none that we drive.
  const Abilities& abilities();

  std::vector<MachineStatus> list();
  std::optional<MachineStatus> find(const std::string& name);
  void create(const Creation& creation);
  void start(const std::string& name);
  /// Nothing of that name, or one that is stopped, is success. Afterwards neither it nor a process of it runs, or this
  /// throws.
  void stop(const std::string& name);
  /// Stopped first: before 0.8.1 the program deletes the record and leaves the machine's process. With its data.
  void remove(const std::string& name);

  /// The arguments that end a machine; for the lifeline's keeper.
  static std::vector<std::string> stop_arguments(const std::string& name);
  /// A program in the machine as its root, without pid 1's limits: only while nothing hostile has run in it, or for
  /// what the agent cannot have changed. Its standard input is `run.input`.
  driven::ToolResult exec_as_root(const std::string& name, const std::vector<std::string>& argv, driven::ToolRun run);
  /// A relay to pid 1.
  [[nodiscard]] static std::vector<std::string> relay_arguments(const std::string& name);
  [[nodiscard]] driven::OpenChannel relay(const std::string& name) const;

 private:
  /// The machine's own; empty when the program does not say it.
  std::string directory_of(const std::string& name);
  /// Ends what runs on as a process of a machine that is not running: by its command line, which names the directory.
  static void end_leftovers(const std::string& name, const std::string& directory, std::int64_t recorded);
  driven::ToolResult run(std::vector<std::string> arguments, std::chrono::milliseconds deadline,
                         std::string input = {});
  void run_or_throw(std::vector<std::string> arguments, std::chrono::milliseconds deadline, const std::string& what);

  driven::Tool tool_;
  int cancel_fd_;
  std::optional<Version> version_;
  std::optional<Abilities> abilities_;
};

}  // namespace bot_bottle::backend_smolvm
