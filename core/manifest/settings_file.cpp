// config.toml, BOT_BOTTLE_* and --set → Settings: one schema reads all three, through the tree that manifests use.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "core/manifest/front_matter.hpp"
#include "core/manifest/scalars.hpp"
#include "core/manifest/schema.hpp"
#include "core/manifest/settings.hpp"
#include "core/manifest/settings_names.hpp"

namespace bot_bottle::manifest {
namespace {

enum class Layer : std::uint8_t { config, environment, flags };

const std::vector<SettingKey>& all_keys() {
  static const std::vector<SettingKey> keys{
      {"backend", "BOT_BOTTLE_BACKEND", "--backend", "automatic", "a backend's name"},
      {"tint", "BOT_BOTTLE_TINT", "--color", "none", "a color of the terminal's background"},
      {"color", "BOT_BOTTLE_COLOR", "--no-color", "auto", "auto, always, never"},
      {"log_level", "BOT_BOTTLE_LOG_LEVEL", "-q, -v, -D", "normal", "quiet, normal, verbose, debug"},
      {"git.user.name", "BOT_BOTTLE_GIT_USER_NAME", "", "none", "who the agent's commits are from"},
      {"git.user.email", "BOT_BOTTLE_GIT_USER_EMAIL", "", "none", "an e-mail address"},
      {"workspace.mode", "BOT_BOTTLE_WORKSPACE_MODE", "--no-workspace", "copy", "copy, none"},
      {"workspace.worktree", "BOT_BOTTLE_WORKTREE", "--worktree", "false", "true, false"},
      {"resources.cpus", "BOT_BOTTLE_CPUS", "", "the backend's", "a number of processors"},
      {"resources.memory", "BOT_BOTTLE_MEMORY", "", "the backend's", "a size such as 4GiB"},
      {"resources.pids", "BOT_BOTTLE_PIDS", "", "the backend's", "a number of processes"},
      {"resources.disk", "BOT_BOTTLE_DISK", "", "the backend's", "a size such as 10GiB"},
      {"resources.timeout", "BOT_BOTTLE_TIMEOUT", "--timeout", "none", "a duration such as 2h"},
  };
  return keys;
}

/// Keys that people try. None of them may have a meaning: what answers a question for the operator or grants a power
/// must be said where it is seen (settings_test: no_setting_answers_questions_or_grants_powers).
std::string refusal_of(const std::string& key) {
  constexpr std::array<std::string_view, 6> answers{"yes",   "assume_yes",    "confirm",
                                                    "trust", "trust_plugins", "allow_autorun"};
  constexpr std::array<std::string_view, 12> powers{"egress",   "env",    "env_file",  "agent_provider",
                                                    "git-gate", "local",  "post_init", "docker",
                                                    "skills",   "routes", "bottle",    "supervise"};
  if (std::ranges::find(answers, key) != answers.end())
    return "no file answers questions for you: say it on the command line";
  if (std::ranges::find(powers, key) != powers.end()) return "powers are a bottle's: ~/.bot-bottle/bottles/NAME.md";
  return {};
}

class Reader {
 public:
  Reader(Layer layer, Faults& faults) : layer_(layer), faults_(faults) {}

  Settings read(const Node& root) {
    static const std::vector<std::string> keys{"backend",   "tint", "color",    "log_level",
                                               "resources", "git",  "workspace"};
    const View view(faults_, root);
    for (const View& member : view.members()) {
      if (std::ranges::find(keys, member.key()) != keys.end()) continue;
      const std::string refusal = refusal_of(member.key());
      member.key_fault(refusal.empty() ? "unknown key" : "is no setting",
                       refusal.empty() ? suggestion(member.key(), keys, "known keys") : refusal);
    }
    if (const auto backend = view.child("backend")) settings_.backend = backend->name("a backend's name");
    if (const auto tint = view.child("tint")) settings_.tint = tint->line("a color's name");
    if (const auto color = view.child("color")) settings_.color = word<ColorMode>(*color, color_names);
    if (const auto level = view.child("log_level")) settings_.log_level = word<LogLevel>(*level, log_level_names);
    if (const auto resources = view.child("resources")) read_resources(*resources, settings_.resources);
    if (const auto git = view.child("git")) {
      GitUser user = read_git(*git);
      settings_.git_name = std::move(user.name);
      settings_.git_email = std::move(user.email);
    }
    if (const auto workspace = view.child("workspace")) read_workspace(*workspace);
    note_places(root, {});
    return std::move(settings_);
  }

 private:
  template <typename Enum, std::size_t Size>
  static std::optional<Enum> word(const View& view, const std::array<std::string, Size>& names) {
    const auto chosen = view.choice(names);
    if (!chosen) return std::nullopt;
    return static_cast<Enum>(std::ranges::find(names, *chosen) - names.begin());
  }

  void read_workspace(const View& block) {
    static const std::vector<std::string> keys{"mode", "worktree"};
    if (!block.map_of(keys)) return;
    if (const auto mode = block.child("mode")) {
      settings_.workspace_mode = word<Workspace::Mode>(*mode, mode_names);
      // Every agent of every repository would write into the operator's tree; and an environment is set by editors and
      // shells from files of the repository.
      if (settings_.workspace_mode == Workspace::Mode::mount && layer_ != Layer::flags) {
        mode->fault("mount is no default", "a bottle says it, or the command line: --set workspace.mode=mount");
        settings_.workspace_mode.reset();
      }
    }
    if (const auto worktree = block.child("worktree")) settings_.worktree = worktree->boolean();
  }

  void note_places(const Node& node, const std::string& path) {  // NOLINT(misc-no-recursion): depth bounded
    for (std::size_t i = 0; i < node.keys.size(); ++i) {
      const std::string key = path.empty() ? node.keys[i].name : path + "." + node.keys[i].name;
      if (node.items[i].is_map())
        note_places(node.items[i], key);
      else
        settings_.places[key] = node.items[i].spot.place();
    }
  }

  Layer layer_;
  Faults& faults_;
  Settings settings_;
};

/// "resources.cpus", "2" → {resources: {cpus: 2}}, all of it at `origin`.
void put(Node& root, std::string_view key, std::string_view value, const std::string& origin) {
  Node* at = &root;
  const Spot spot{std::make_shared<const std::filesystem::path>(origin), 0, 0};
  for (const std::string_view part : split(key, '.')) {
    at->kind = Node::Kind::map;
    std::size_t index = 0;
    while (index < at->keys.size() && at->keys[index].name != part) ++index;
    if (index == at->keys.size()) {
      at->keys.push_back({std::string(part), spot});
      at->items.emplace_back();
    }
    at = &at->items[index];
    at->spot = spot;
  }
  at->text = std::string(value);
  at->kind = Node::Kind::text;
  constexpr std::array<std::string_view, 3> typed{"resources.cpus", "resources.pids", "workspace.worktree"};
  if (std::ranges::find(typed, key) != typed.end()) classify_plain(value, *at);
}

Settings read_environment(Faults& faults) {
  Node root;
  root.kind = Node::Kind::map;
  for (const SettingKey& key : all_keys())
    if (const auto value = environment(key.variable); value && !value->empty())
      put(root, key.key, *value, "$" + key.variable);
  return Reader(Layer::environment, faults).read(root);
}

Settings read_flags(const std::vector<Assignment>& assignments, Faults& faults) {
  Node root;
  root.kind = Node::Kind::map;
  for (const Assignment& assignment : assignments) put(root, assignment.key, assignment.value, assignment.flag);
  return Reader(Layer::flags, faults).read(root);
}

/// The text of config.toml; nothing when there is none, or after a fault.
std::optional<std::string> open_config(const std::filesystem::path& file, Faults& faults) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  const Place place{file, 0, 0};
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    if (errno != ENOENT) faults.error(place, {}, error_from_errno("cannot open the file", errno).message);
    return std::nullopt;
  }
  if (!S_ISREG(status.st_mode)) {
    faults.error(place, {}, "not a regular file");
    return std::nullopt;
  }
  // Who can write it chooses for the operator (settings_test: a_file_that_others_can_write_is_refused).
  if ((status.st_mode & S_IWOTH) != 0 || (status.st_uid != ::geteuid() && status.st_uid != 0)) {
    faults.error(place, {}, "others can write it", "bot-bottle doctor");
    return std::nullopt;
  }
  auto text = read_all(fd.get(), max_file_bytes);
  if (text) return std::move(*text);
  faults.error(place, {}, "cannot read the file: " + text.error().message);
  return std::nullopt;
}

Settings read_config(const Home& home, Faults& faults) {
  const auto text = open_config(home.config(), faults);
  if (!text) return {};
  const auto whole = whole_file(*text, home.config(), faults);
  Node root;
  root.kind = Node::Kind::map;
  if (!whole || !read_toml(*whole, root, faults)) return {};
  return Reader(Layer::config, faults).read(root);
}

}  // namespace

std::span<const SettingKey> setting_keys() {
  return all_keys();
}

Assignment parse_assignment(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string key = text.substr(0, equals);
  std::vector<std::string> names;
  for (const SettingKey& known : all_keys()) names.push_back(known.key);
  if (equals != std::string::npos && std::ranges::find(names, key) != names.end())
    return {key, text.substr(equals + 1), "--set " + key};
  Error error = make_error(ErrorKind::usage,
                           equals == std::string::npos ? "--set needs KEY=VALUE, not " + in_quotes(text)
                                                       : "--set: there is no setting " + in_quotes(key),
                           "bot-bottle config show");
  error.details = suggestion(key, names, "settings");
  throw Failure(std::move(error));
}

SettingLayers load_settings(const Home& home, const std::vector<Assignment>& assignments) {
  Faults faults;
  SettingLayers layers;
  layers.flags = read_flags(assignments, faults);
  layers.environment = read_environment(faults);
  layers.config = read_config(home, faults);
  if (faults.has_errors()) throw_faults("the configuration", faults.take());
  return layers;
}

std::vector<Fault> check_settings(const Home& home) {
  Faults faults;
  read_environment(faults);
  read_config(home, faults);
  return faults.take();
}

void remember_backend(const Home& home, const std::string& name) {
  const auto read = read_file(home.config(), max_file_bytes);
  if (!read && read.error().kind != ErrorKind::not_found) throw Failure(read.error());
  const std::string before = read.value_or("");
  const std::string line = "backend = \"" + name + "\"";
  std::string text;
  bool written = false;
  bool in_table = false;
  for (const std::string_view old : split(before, '\n')) {
    in_table = in_table || trim(old).starts_with('[');
    const std::string_view key = trim(old.substr(0, old.find('=')));
    const bool is_backend = !in_table && old.find('=') != std::string_view::npos && key == "backend";
    text += is_backend ? line : std::string(old);
    text += '\n';
    written = written || is_backend;
  }
  if (text.ends_with("\n\n") || before.empty()) text.pop_back();
  // Before the first table: behind it the key would be the table's.
  if (!written) text = line + "\n" + text;
  or_throw(make_directories(home.root, 0700));
  // A file of the operator's that is kept elsewhere stays a link to there.
  std::error_code code;
  const std::filesystem::path file = std::filesystem::canonical(home.config(), code);
  or_throw(write_file_atomic(code ? home.config() : file, text, 0600));
}

}  // namespace bot_bottle::manifest
