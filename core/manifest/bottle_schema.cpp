// The bottle's keys but for git-gate and egress, which have files of their own.
#include <algorithm>
#include <array>

#include "core/base/text.hpp"
#include "core/manifest/env.hpp"
#include "core/manifest/scalars.hpp"
#include "core/manifest/schema.hpp"
#include "core/policy/packs.hpp"

namespace bot_bottle::manifest {
namespace {

const std::vector<std::string>& bottle_keys() {
  static const std::vector<std::string> keys{"extends",   "backend",   "agent_provider", "env",    "env_file",
                                             "skills",    "git",       "git-gate",       "egress", "supervise",
                                             "resources", "workspace", "post_init",      "local",  "docker"};
  return keys;
}

void read_provider(const View& block, AgentProvider& provider) {
  static const std::vector<std::string> keys{
      "template", "dockerfile", "command", "auth_token", "forward_host_credentials", "config"};
  static const std::array<std::string, 2> configs{"fresh", "copy"};
  if (!block.map_of(keys)) return;
  if (const auto plugin = block.child("template"))
    provider.plugin = plugin->name("a provider's name").value_or(provider.plugin);
  if (const auto path = block.child("dockerfile")) provider.dockerfile = path->host_path().value_or("");
  if (const auto name = block.child("auth_token")) provider.auth_token = name->variable_name().value_or("");
  if (const auto forward = block.child("forward_host_credentials"))
    provider.forward_host_credentials = forward->boolean().value_or(false);
  if (const auto config = block.child("config"))
    provider.config = config->choice(configs).value_or("fresh") == "copy" ? AgentProvider::Config::copy
                                                                          : AgentProvider::Config::fresh;
  const auto command = block.child("command");
  if (command) {
    provider.command = command->lines("a list: the program and its arguments").value_or(std::vector<std::string>{});
    if (command->node().kind == Node::Kind::sequence && command->node().items.empty())
      command->fault("is empty, expected the program and its arguments");
    if (provider.plugin != "command")
      command->key_fault("is only read with template: command",
                         "the template is '" + provider.plugin + "', which brings its own program");
  } else if (provider.plugin == "command") {
    block.missing("template: command needs a command", "add command: [program, argument, …]");
  }
}

void read_env(const View& block, Manifest& manifest) {
  if (!block.map()) return;
  for (const View& member : block.members()) {
    if (!is_variable_name(member.key())) {
      member.key_fault(in_quotes(member.key()) + " is not a variable's name",
                       "letters, digits and '_', not beginning with a digit");
      continue;
    }
    EnvEntry entry;
    entry.place = member.place();
    if (member.node().kind == Node::Kind::integer) {
      // The only number with one spelling: 8080 is "8080" to every reader.
      entry.text = std::to_string(member.node().integer);
    } else if (const auto text = member.text()) {
      entry.text = *text;
      if (text->starts_with('?')) {
        entry.kind = EnvEntry::Kind::prompt;
        entry.text = std::string(trim(std::string_view(*text).substr(1)));
        if (entry.text.empty()) entry.text = member.key();
      } else if (text->find("${") != std::string::npos) {
        entry.kind = EnvEntry::Kind::interpolated;
        if (const auto parsed = parse_template(*text); !parsed) {
          member.fault(parsed.error().message, parsed.error().hint);
          continue;
        }
      }
    } else {
      continue;
    }
    manifest.env.emplace(member.key(), std::move(entry));
  }
}

std::optional<std::uint64_t> read_size(const View& view) {
  if (view.node().kind == Node::Kind::integer && view.node().integer > 0)
    return static_cast<std::uint64_t>(view.node().integer);
  const auto text = view.line("a size such as 4GiB", Quoting::useless);
  if (!text) return std::nullopt;
  const auto size = parse_size(*text);
  if (!size)
    view.fault(in_quotes(*text) + " is not a size",
               "write a number and a unit: KiB, MiB, GiB, TiB, kB, MB, GB, TB or B");
  return size;
}

}  // namespace

void read_resources(const View& block, Resources& resources) {
  static const std::vector<std::string> keys{"cpus", "memory", "pids", "disk", "timeout"};
  if (!block.map_of(keys)) return;
  if (const auto cpus = block.child("cpus")) {
    const Node& node = cpus->node();
    if (node.kind == Node::Kind::integer || node.kind == Node::Kind::floating) {
      const double value = node.kind == Node::Kind::integer ? static_cast<double>(node.integer) : node.floating;
      if (value >= 0.01 && value <= 4096)
        resources.cpus = value;
      else
        cpus->fault(shown(node.text) + " is out of range, expected a number from 0.01 to 4096");
    } else if (node.kind == Node::Kind::text) {
      cpus->fault("found a string, expected a number of processors such as 2 or 0.5", "remove the quotes");
    } else {
      static_cast<void>(cpus->text("a number of processors such as 2 or 0.5", Quoting::useless));
    }
  }
  if (const auto memory = block.child("memory")) resources.memory_bytes = read_size(*memory);
  if (const auto disk = block.child("disk")) resources.disk_bytes = read_size(*disk);
  if (const auto pids = block.child("pids")) resources.pids = pids->positive(4'194'304);
  if (const auto timeout = block.child("timeout")) {
    if (const auto text = timeout->line("a duration such as 2h", Quoting::useless)) {
      resources.timeout_ms = parse_duration(*text);
      if (!resources.timeout_ms)
        timeout->fault(in_quotes(*text) + " is not a duration", "write 2h, 90m, 1h30m, 45s or 1d");
    }
  }
}

namespace {

/// A directory in the guest: absolute, without "..", so that no backend is talked into a place above it.
bool is_guest_path(std::string_view path) {
  if (!path.starts_with('/') || path == "/") return false;
  const auto parts = split(path.substr(1), '/');
  return std::ranges::none_of(parts, [](std::string_view part) { return part.empty() || part == "." || part == ".."; });
}

void read_workspace(const View& block, Workspace& workspace) {
  static const std::vector<std::string> keys{"mode", "path"};
  static const std::array<std::string, 3> modes{"copy", "mount", "none"};
  if (!block.map_of(keys)) return;
  if (const auto mode = block.child("mode")) {
    const std::string word = mode->choice(modes).value_or("copy");
    workspace.mode = word == "mount"  ? Workspace::Mode::mount
                     : word == "none" ? Workspace::Mode::none
                                      : Workspace::Mode::copy;
  }
  if (const auto path = block.child("path")) {
    if (const auto text = path->line("an absolute path in the bottle")) {
      if (is_guest_path(*text))
        workspace.path = *text;
      else
        path->fault(in_quotes(*text) + " is not an absolute path in the bottle",
                    "for example /workspace; no '..', no '/' at the end");
    }
  }
}

void read_post_init(const View& block, Manifest& manifest) {
  for (const View& item : block.list().value_or(std::vector<View>{})) {
    if (item.node().kind == Node::Kind::sequence) {
      const auto argv = item.lines("a command");
      if (argv && argv->empty())
        item.fault("is an empty command");
      else if (argv)
        manifest.post_init.push_back(*argv);
    } else if (const auto line = item.text("a shell command or a list: the program and its arguments")) {
      if (trim(*line).empty())
        item.fault("is an empty command");
      else
        manifest.post_init.push_back({"sh", "-c", *line});
    }
  }
}

void read_supervise(const View& block, Supervise& supervise) {
  static const std::vector<std::string> keys{"auto", "disclose"};
  if (block.node().kind != Node::Kind::map) {
    supervise.enabled = block.boolean().value_or(true);
    return;
  }
  if (!block.map_of(keys)) return;
  if (const auto disclose = block.child("disclose")) supervise.discloses = disclose->boolean().value_or(true);
  const auto rules = block.child("auto");
  if (!rules) return;
  const std::size_t before = block.faults().errors();
  const json::value document = to_json_value(*rules, Ambiguity::report);
  if (block.faults().errors() != before) return;
  policy::Problems problems;
  static_cast<void>(policy::read_automatic(document, rules->path(), problems));
  for (const policy::Problem& problem : problems) rules->fault(problem.message, problem.hint);
  if (problems.empty()) supervise.automatic = document.as_array();
}

void read_local(const View& block, LocalOptions& local) {
  static const std::vector<std::string> keys{"bind_ro", "rootfs"};
  if (!block.map_of(keys)) return;
  if (const auto list = block.child("bind_ro"))
    for (const View& item : list->list().value_or(std::vector<View>{}))
      if (auto path = item.host_path()) local.bind_ro.push_back(std::move(*path));
  if (const auto rootfs = block.child("rootfs")) local.rootfs = rootfs->host_path().value_or("");
}

void read_docker(const View& block, DockerOptions& docker) {
  static const std::vector<std::string> keys{"wire", "runtime"};
  static const std::array<std::string, 2> wires{"socket", "address"};
  if (!block.map_of(keys)) return;
  if (const auto wire = block.child("wire")) docker.wire = wire->choice(wires).value_or("");
  if (const auto runtime = block.child("runtime")) docker.runtime = runtime->name("a runtime's name").value_or("");
}

void note_places(const Node& node, const std::string& path,
                 std::map<std::string, Place>& places) {  // NOLINT(misc-no-recursion)
  if (node.is_map()) {
    for (std::size_t i = 0; i < node.keys.size(); ++i)
      note_places(node.items[i], join_path(path, node.keys[i].name), places);
    return;
  }
  places[path] = node.spot.place();
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    places[index_path(path, i)] = node.items[i].spot.place();
    note_places(node.items[i], index_path(path, i), places);
  }
}

}  // namespace

std::optional<std::pair<std::string, Place>> read_extends(const Node& root, Faults& faults) {
  const auto extends = View(faults, root).child("extends");
  if (!extends) return std::nullopt;
  auto name = extends->name("a bottle's name");
  if (!name) return std::nullopt;
  return std::pair(std::move(*name), extends->place());
}

void read_bottle(const Node& root, Manifest& manifest, Faults& faults) {
  const View view(faults, root);
  if (!view.map_of(bottle_keys())) return;
  note_places(root, {}, manifest.provenance);
  if (const auto backend = view.child("backend")) manifest.backend = backend->name("a backend's name").value_or("");
  if (const auto provider = view.child("agent_provider")) read_provider(*provider, manifest.provider);
  if (const auto env = view.child("env")) read_env(*env, manifest);
  if (const auto file = view.child("env_file")) manifest.env_file = file->host_path().value_or("");
  if (const auto skills = view.child("skills"))
    for (const auto& [name, place] : read_skills(*skills)) manifest.skills.push_back(name);
  if (const auto git = view.child("git")) {
    const GitUser user = read_git(*git);
    manifest.git_user = {.name = user.name.value_or(""), .email = user.email.value_or("")};
  }
  if (const auto gate = view.child("git-gate")) {
    static const std::vector<std::string> keys{"repos"};
    if (gate->map_of(keys))
      if (const auto repos = gate->child("repos")) manifest.git_gate_repos = read_git_gate_repos(*repos);
  }
  if (const auto egress = view.child("egress")) read_egress(*egress, manifest);
  if (const auto supervise = view.child("supervise")) read_supervise(*supervise, manifest.supervise);
  if (const auto resources = view.child("resources")) read_resources(*resources, manifest.resources);
  if (const auto workspace = view.child("workspace")) read_workspace(*workspace, manifest.workspace);
  if (const auto post_init = view.child("post_init")) read_post_init(*post_init, manifest);
  if (const auto local = view.child("local")) read_local(*local, manifest.local);
  if (const auto docker = view.child("docker")) read_docker(*docker, manifest.docker);
}

}  // namespace bot_bottle::manifest
