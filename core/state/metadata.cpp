#include "core/state/metadata.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::state {
namespace {

struct ProcessStat {
  char run_state = '?';
  std::uint64_t start_ticks = 0;
};

/// proc(5): "pid (comm) state ppid …"; comm may hold spaces and parentheses, so fields are counted from the last ')'.
std::optional<ProcessStat> read_process_stat(pid_t pid) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!text) return std::nullopt;
  const std::size_t close = text->rfind(')');
  if (close == std::string::npos || close + 2 >= text->size()) return std::nullopt;
  const auto fields = split(std::string_view(*text).substr(close + 2), ' ');
  constexpr std::size_t start_time = 19;  // field 22 of the line; field 3 is the first here
  if (fields.size() <= start_time || fields[0].size() != 1) return std::nullopt;
  ProcessStat stat{.run_state = fields[0][0]};
  std::from_chars(fields[start_time].data(), fields[start_time].data() + fields[start_time].size(), stat.start_ticks);
  return stat;
}

}  // namespace

std::string_view name_of(Status status) {
  switch (status) {
    case Status::launching:
      return "launching";
    case Status::running:
      return "running";
    case Status::stopped:
      return "stopped";
    case Status::preserved:
      return "preserved";
    case Status::frozen:
      return "frozen";
  }
  return "stopped";
}

ProcessIdentity ProcessIdentity::of_this_process() {
  ProcessIdentity self{.pid = ::getpid()};
  if (const auto stat = read_process_stat(self.pid)) self.start_ticks = stat->start_ticks;
  return self;
}

bool ProcessIdentity::is_alive() const {
  if (pid <= 0) return false;
  if (const auto stat = read_process_stat(pid))
    return stat->run_state != 'Z' && stat->run_state != 'X' && (start_ticks == 0 || stat->start_ticks == start_ticks);
  if (start_ticks != 0) return false;            // there is a /proc, and it is not in there
  return ::kill(pid, 0) == 0 || errno == EPERM;  // macOS
}

json::object to_json(const Metadata& metadata) {
  json::object document{
      {"schema", "bot-bottle.metadata/1"},
      {"slug", metadata.slug},
      {"agent", metadata.agent},
      {"bottle", metadata.bottle},
      {"backend", metadata.backend},
      {"provider", metadata.provider},
      {"label", metadata.label},
      {"color", metadata.color},
      {"cwd", metadata.cwd},
      {"started_at", format_time(metadata.started_at_ms)},
      {"started_at_ms", metadata.started_at_ms},
      {"status", name_of(metadata.status)},
      {"detached", metadata.detached},
      {"headless", metadata.headless},
      {"pid", metadata.cli.pid},
      {"pid_start_ticks", metadata.cli.start_ticks},
      {"no_workspace", metadata.no_workspace},
      {"worktree", metadata.worktree},
      {"settings", to_array(metadata.settings)},
      {"arguments", to_array(metadata.arguments)},
  };
  if (metadata.exit_code) document["exit_code"] = *metadata.exit_code;
  if (metadata.bottle_override) document["bottle_override"] = *metadata.bottle_override;
  return document;
}

Metadata metadata_from_json(const json::object& document) {
  Metadata metadata;
  metadata.slug = get_string(document, "slug");
  metadata.agent = get_string(document, "agent");
  metadata.bottle = get_string(document, "bottle");
  metadata.backend = get_string(document, "backend");
  metadata.provider = get_string(document, "provider");
  metadata.label = get_string(document, "label");
  metadata.color = get_string(document, "color");
  metadata.cwd = get_string(document, "cwd");
  metadata.started_at_ms = get_int(document, "started_at_ms", 0);
  const std::string status = get_string(document, "status");
  metadata.status = Status::stopped;
  for (const Status candidate :
       {Status::launching, Status::running, Status::stopped, Status::preserved, Status::frozen})
    if (status == name_of(candidate)) metadata.status = candidate;
  metadata.detached = get_bool(document, "detached", false);
  metadata.headless = get_bool(document, "headless", false);
  metadata.cli.pid = static_cast<pid_t>(get_int(document, "pid", 0));
  metadata.cli.start_ticks = static_cast<std::uint64_t>(get_int(document, "pid_start_ticks", 0));
  metadata.no_workspace = get_bool(document, "no_workspace", false);
  metadata.worktree = get_bool(document, "worktree", false);
  metadata.settings = get_strings(document, "settings");
  metadata.arguments = get_strings(document, "arguments");
  if (const json::value* code = document.if_contains("exit_code"); code != nullptr && code->is_int64())
    metadata.exit_code = code->as_int64();
  if (document.contains("bottle_override")) metadata.bottle_override = get_string(document, "bottle_override");
  return metadata;
}

std::string display_name(const Metadata& metadata) {
  const std::string& agent = metadata.agent.empty() ? metadata.bottle : metadata.agent;
  return metadata.label.empty() ? agent : metadata.label + " (" + agent + ")";
}

}  // namespace bot_bottle::state
