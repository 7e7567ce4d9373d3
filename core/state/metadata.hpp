// metadata.json: what core knows about a bottle. Written by launch, read by list, attach, resume, stop and cleanup.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.hpp"

namespace bot_bottle::state {

/// As core last saw it. Whether it runs is the backend's to say.
/// frozen: preserved, with a snapshot (freeze.json).
enum class Status : std::uint8_t { launching, running, stopped, preserved, frozen };
std::string_view name_of(Status status);

/// A process, told apart from a later one with the same number by when it started (clock ticks since boot, proc(5)
/// field 22).
struct ProcessIdentity {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
  static ProcessIdentity of_this_process();
  /// False for a zombie too: it will not undo anything any more.
  [[nodiscard]] bool is_alive() const;
};

struct Metadata {
  std::string slug;
  std::string agent;  // empty when a bottle was run without an agent file
  std::string bottle;
  std::string backend;
  std::string provider;
  std::string label;
  std::string color;
  std::string cwd;
  std::int64_t started_at_ms = 0;
  Status status = Status::launching;
  bool detached = false;
  bool headless = false;
  ProcessIdentity cli;  // who launches and will undo
  std::optional<std::int64_t> exit_code;
  // What `resume` must say again. Values of --env are not kept: they may be private.
  std::optional<std::string> bottle_override;
  bool no_workspace = false;
  bool worktree = false;              // its work goes to agent/<slug>
  std::vector<std::string> settings;  // --set
  std::vector<std::string> arguments;
};

json::object to_json(const Metadata& metadata);
/// Absent fields get their defaults; it is our own file.
Metadata metadata_from_json(const json::object& document);

/// "label (agent)", or the one that there is (spec 02).
std::string display_name(const Metadata& metadata);

}  // namespace bot_bottle::state
