// `plugin list|info|trust|new|check`: what is installed, what it claims, whether it may run. `list` and `info` read
// plugin.toml only; a library is opened by `check`, in a child process.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/plugin_new.hpp"
#include "core/cli/plugin_table.hpp"
#include "core/cli/show.hpp"
#include "core/cli/verbs.hpp"

namespace bot_bottle::cli {
namespace {

using plugins::Description;

std::string_view name_of(Description::Location location) {
  return location == Description::Location::contrib ? "contrib" : "installed";
}

json::object to_json(const Description& plugin) {
  return {{"name", plugin.name},
          {"version", plugin.version},
          {"abi", plugin.abi},
          {"provides", to_array(plugin.provides)},
          {"description", plugin.description},
          {"library", plugin.library},
          {"directory", plugin.directory.string()},
          {"location", name_of(plugin.location)},
          {"state", cli::name_of(plugin.state)},
          {"reason", plugin.reason},
          {"fix", plugin.fix}};
}

const Description& need_plugin(Context& context, const std::string& name) {
  std::vector<std::string> known;
  for (const Description& plugin : context.registry().list()) {
    if (plugin.name == name) return plugin;
    known.push_back(plugin.name);
  }
  Error error = make_error(ErrorKind::not_found, "no plugin named '" + name + "'", "bot-bottle plugin list");
  error.details =
      "looked in: " + short_path(context.home().contrib()) + ", " + short_path(context.installation().plugins);
  if (const auto near = nearest(name, known)) error.details += "\ndid you mean: " + *near;
  throw Failure(std::move(error));
}

int show_plugin(Context& context, const std::string& name) {
  const Description& plugin = need_plugin(context, name);
  if (context.output.json) {
    json::object document = to_json(plugin);
    document["schema"] = "bot-bottle.plugin-info/1";
    context.print_json(document);
    return 0;
  }
  Table table{.headers = {"", ""}, .rows = {}};
  const auto add = [&table](const char* key, std::string value, Tone tone = Tone::plain) {
    if (!value.empty()) table.rows.push_back({Cell(key, Tone::strong), Cell(std::move(value), tone)});
  };
  add("name", plugin.name);
  add("version", plugin.version);
  add("description", plugin.description);
  add("provides", join(plugin.provides, ", "));
  add("abi", plugin.abi);
  add("library", plugin.library);
  add("directory", short_path(plugin.directory));
  add("location", std::string(name_of(plugin.location)));
  add("state", std::string(cli::name_of(plugin.state)), tone_of(plugin.state));
  add("reason", plugin.reason);
  add("fix", plugin.fix);
  for (const Description& other : context.registry().list())
    if (&other != &plugin && other.name == plugin.name) add("shadows", short_path(other.directory));
  context.print_table(table);
  return 0;
}

int trust_plugin(Context& context, const std::string& name) {
  context.registry().trust(name);
  context.note("trusted " + escape_untrusted(name) + "; recorded in " + short_path(context.home().trust()));
  // What the name of the plugin does not tell: it may be the backend that everybody means by `local` from now on.
  for (const Description& plugin : context.registry().list()) {
    if (plugin.name != name || plugin.state != Description::State::ready) continue;
    for (const Description& other : context.registry().list())
      for (const std::string& item : other.provides)
        if (other.name != name && other.state == Description::State::ready &&
            plugin.location == Description::Location::contrib && other.location == Description::Location::installed &&
            std::ranges::find(plugin.provides, item) != plugin.provides.end())
          context.warn(plugin.name + " offers " + item + " and comes before " + other.name + ", which offers it, too");
  }
  return 0;
}

/// The word for JSON.
std::string_view word_of(plugins::CheckOutcome outcome) {
  return outcome == plugins::CheckOutcome::failed   ? "failed"
         : outcome == plugins::CheckOutcome::passed ? "passed"
                                                    : "not_run";
}

Cell cell_of(plugins::CheckOutcome outcome) {
  return outcome == plugins::CheckOutcome::failed   ? Cell("FAILED", Tone::bad)
         : outcome == plugins::CheckOutcome::passed ? Cell("passed", Tone::good)
                                                    : Cell("not run", Tone::warning);
}

int check(Context& context, const std::string& name) {
  std::filesystem::path directory(name);
  std::error_code code;
  if (name.find('/') == std::string::npos && !std::filesystem::is_directory(directory, code))
    directory = need_plugin(context, name).directory;
  const auto lines = plugins::check_plugin(std::filesystem::absolute(directory), context.registry().options());
  std::size_t failed = 0;
  std::size_t not_run = 0;
  json::array items;
  Table table{.headers = {"CHECK", "RESULT", "DETAIL"}, .rows = {}};
  for (const plugins::CheckLine& line : lines) {
    failed += line.outcome == plugins::CheckOutcome::failed ? 1 : 0;
    not_run += line.outcome == plugins::CheckOutcome::not_run ? 1 : 0;
    // `passed` is of before `outcome`: that it did not fail.
    items.push_back({{"check", line.check},
                     {"passed", line.outcome != plugins::CheckOutcome::failed},
                     {"outcome", word_of(line.outcome)},
                     {"detail", line.detail}});
    table.rows.push_back({line.check, cell_of(line.outcome), line.detail});
  }
  if (context.output.json) {
    context.print_json({{"schema", "bot-bottle.plugin-check/1"},
                        {"passed", failed == 0},
                        {"failed", failed},
                        {"not_run", not_run},
                        {"checks", std::move(items)}});
  } else {
    context.print_table(table);
    context.note(fmt::format("{} checks, {} failed, {} not run", lines.size(), failed, not_run));
  }
  return failed == 0 && !lines.empty() ? 0 : 1;
}

struct NewOptions {
  NewPlugin plugin{.name = {}, .kind = {}, .language = "cpp"};
  std::string directory;
};

/// As a word of sh.
std::string shell_word(const std::string& text) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("/._-+:@%").find(c) != std::string_view::npos;
  };
  if (!text.empty() && std::ranges::all_of(text, is_plain)) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// The command that builds what was written; it names this program's prefix where CMake would not look by itself.
std::string build_command(Context& context, const NewOptions& options, const std::filesystem::path& directory) {
  const std::string source = shell_word(directory.string());
  if (options.plugin.language == "rust") return "cd " + source + " && cargo test --offline";
  const std::string build = shell_word((directory / "build").string());
  const std::filesystem::path prefix = context.installation().bin.parent_path();
  std::error_code code;
  const bool has_sdk = std::filesystem::exists(prefix / "lib" / "cmake" / "BotBottlePluginApi", code);
  std::string where;
  if (!has_sdk)
    where = " -DCMAKE_PREFIX_PATH=SDK";
  else if (prefix != "/usr" && prefix != "/usr/local")
    where = " -DCMAKE_PREFIX_PATH=" + shell_word(prefix.string());
  if (!has_sdk)
    context.note(
        "SDK is where `cmake --install BUILD --component plugin-api --prefix SDK` of bot-bottle's source puts it");
  return "cmake -S " + source + " -B " + build + where + " && cmake --build " + build + " && ctest --test-dir " + build;
}

int write_new_plugin(Context& context, const NewOptions& options) {
  const NewPlugin& plugin = options.plugin;
  if (const std::string problem = plugin_name_problem(plugin); !problem.empty())
    throw Failure(make_error(ErrorKind::usage, "'" + plugin.name + "': " + problem,
                             "bot-bottle plugin new my-" + plugin.kind + " --kind " + plugin.kind));
  const std::string provided = plugin.kind + ":" + plugin.name;
  for (const Description& other : context.registry().list()) {
    if (other.name != plugin.name && std::ranges::find(other.provides, provided) == other.provides.end()) continue;
    throw Failure(make_error(
        ErrorKind::already_exists,
        "there is a " + plugin.kind + " or plugin called " + plugin.name + " already: " + short_path(other.directory),
        "choose another name: the first one found would hide the other"));
  }
  const std::filesystem::path directory = options.directory.empty() ? plugin.name : options.directory;
  const auto files = make_plugin_project(plugin);
  write_project(directory, files);
  for (const ProjectFile& file : files) context.out((directory / file.path).string());
  context.note("next: " + build_command(context, options, directory));
  return 0;
}

void add_new(CLI::App& verb, Context& context) {
  CLI::App* inner = add_verb(verb, "new", "Write a project that builds: a provider or a backend of your own", "Verbs",
                             "bot-bottle plugin new my-agent --kind provider --lang rust");
  auto options = std::make_shared<NewOptions>();
  inner->add_option("NAME", options->plugin.name, "Its name: a-z, 0-9 and -")->required();
  inner->add_option("--kind", options->plugin.kind, "What it is: provider or backend")
      ->required()
      ->check(CLI::IsMember({"provider", "backend"}));
  inner->add_option("--lang", options->plugin.language, "Its language: cpp, c or rust; cpp by default")
      ->check(CLI::IsMember({"cpp", "c", "rust"}));
  inner->add_option("--dir", options->directory, "Where to write it; a directory of its name by default");
  inner->callback(
      [&context, options] { context.action = [&context, options] { return write_new_plugin(context, *options); }; });
}

}  // namespace

std::string_view name_of(Description::State state) {
  switch (state) {
    case Description::State::ready:
      return "ready";
    case Description::State::not_described:
      return "not described";
    case Description::State::refused:
      return "refused";
    case Description::State::untrusted:
      return "untrusted";
    case Description::State::shadowed:
      return "shadowed";
  }
  return "unknown";
}

Tone tone_of(Description::State state) {
  switch (state) {
    case Description::State::ready:
      return Tone::good;
    case Description::State::shadowed:
      return Tone::dim;
    case Description::State::refused:
      return Tone::bad;
    default:
      return Tone::warning;
  }
}

int list_plugins(Context& context) {
  const auto& all = context.registry().list();
  if (context.output.json) {
    json::array items;
    for (const Description& plugin : all) items.push_back(to_json(plugin));
    context.print_json({{"schema", "bot-bottle.plugins/1"}, {"plugins", std::move(items)}});
    return 0;
  }
  Table table{.headers = {"NAME", "VERSION", "PROVIDES", "FROM", "STATE"}, .rows = {}};
  for (const Description& plugin : all)
    table.rows.push_back({plugin.name.empty() ? plugin.directory.filename().string() : plugin.name, plugin.version,
                          join(plugin.provides, ", "), std::string(name_of(plugin.location)),
                          Cell(std::string(name_of(plugin.state)), tone_of(plugin.state))});
  if (table.rows.empty()) {
    context.note("no plugins in " + short_path(context.home().contrib()) + " or " +
                 short_path(context.installation().plugins));
    return 0;
  }
  context.print_table(table);
  for (const Description& plugin : all) {
    if (plugin.state == Description::State::ready || plugin.state == Description::State::shadowed) continue;
    context.warn(fmt::format("{}: {}{}", plugin.name.empty() ? short_path(plugin.directory) : plugin.name,
                             plugin.reason, plugin.fix.empty() ? "" : "; fix: " + plugin.fix));
  }
  return 0;
}

void add_plugin(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "plugin", "Backends, providers and their trust", "Plugins", "bot-bottle plugin list");
  verb->require_subcommand(1, 1);
  const auto add = [&](const char* name, const char* summary, const char* example, const char* word,
                       const char* meaning, int (*run)(Context&, const std::string&)) {
    CLI::App* inner = add_verb(*verb, name, summary, "Verbs", example);
    auto value = std::make_shared<std::string>();
    inner->add_option(word, *value, meaning)->required();
    inner->callback(
        [&context, value, run] { context.action = [&context, value, run] { return run(context, *value); }; });
    return inner;
  };
  CLI::App* list = add_verb(*verb, "list", "Every plugin, its state, and what is shadowed", "Verbs",
                            "bot-bottle plugin list --json");
  add_json_option(*list, context);
  list->callback([&context] { context.action = [&context] { return list_plugins(context); }; });
  add_json_option(*add("info", "What one plugin says about itself", "bot-bottle plugin info backend-local", "NAME",
                       "The plugin's name", show_plugin),
                  context);
  add_new(*verb, context);
  add("trust", "Let a plugin of ~/.bot-bottle/contrib run", "bot-bottle plugin trust my-provider", "NAME|PATH",
      "The plugin's name, or its library", trust_plugin);
  add_json_option(
      *add("check", "Load a plugin in a child process and test that it keeps its promises",
           "bot-bottle plugin check ./build/my-provider", "NAME|PATH", "The plugin's name or directory", check),
      context);
}

}  // namespace bot_bottle::cli
