// `list agents|bottles|backends|providers|plugins`: what there is, by names alone. No agent or bottle file is opened
// (one broken file never hides another, and 500 take milliseconds) and no plugin library is loaded.
#include <CLI/CLI.hpp>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/cli/plugin_table.hpp"
#include "core/cli/show.hpp"
#include "core/cli/verbs.hpp"
#include "core/cli/words.hpp"
#include "core/manifest/manifest.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::cli {
namespace {

int list_files(Context& context, const std::string& what, const manifest::Listing& listing) {
  show_faults(context, listing.warnings);
  if (context.output.json) {
    json::array items;
    for (const manifest::NamedFile& file : listing.files)
      items.push_back({{"name", file.name},
                       {"file", file.file.string()},
                       {"origin", file.origin == manifest::Origin::home ? "home" : "repository"}});
    context.print_json({{"schema", "bot-bottle." + what + "/1"}, {what, std::move(items)}});
    return 0;
  }
  Table table{.headers = {"NAME", "FROM", "FILE"}, .rows = {}};
  for (const manifest::NamedFile& file : listing.files)
    table.rows.push_back(
        {file.name, file.origin == manifest::Origin::home ? "home" : "repository", short_path(file.file)});
  if (table.rows.empty()) {
    context.note("no " + what + " yet; make the first with: bot-bottle init");
    return 0;
  }
  context.print_table(table);
  return 0;
}

int list_kind(Context& context, const std::string& kind) {
  const std::string prefix = kind + ":";
  json::array items;
  Table table{.headers = {"NAME", "PLUGIN", "VERSION", "STATE", "DESCRIPTION"}, .rows = {}};
  for (const plugins::Description& plugin : context.registry().list()) {
    for (const std::string& offer : plugin.provides) {
      if (!offer.starts_with(prefix)) continue;
      const std::string name = offer.substr(prefix.size());
      items.push_back({{"name", name},
                       {"plugin", plugin.name},
                       {"version", plugin.version},
                       {"state", name_of(plugin.state)},
                       {"description", plugin.description}});
      table.rows.push_back({name, plugin.name, plugin.version,
                            Cell(std::string(name_of(plugin.state)), tone_of(plugin.state)), plugin.description});
    }
  }
  if (context.output.json) {
    context.print_json({{"schema", "bot-bottle." + kind + "s/1"}, {kind + "s", std::move(items)}});
    return 0;
  }
  if (table.rows.empty()) {
    context.note("no plugin offers a " + kind);
    return 0;
  }
  context.print_table(table);
  return 0;
}

int list_names(Context& context, const std::string& what) {
  if (what == "active") return list_active(context);
  if (what == "agents") return list_files(context, what, manifest::list_agents(context.sources()));
  if (what == "bottles") return list_files(context, what, manifest::list_bottles(context.sources()));
  if (what == "backends") return list_kind(context, "backend");
  if (what == "providers") return list_kind(context, "provider");
  if (what == "plugins") return list_plugins(context);
  const std::vector<std::string>& known = list_subjects();
  Error error = make_error(ErrorKind::usage, "cannot list '" + what + "'", "bot-bottle list --help");
  error.details = "there is: " + join(known, ", ");
  if (const auto near = nearest(what, known)) error.details += "\ndid you mean: " + *near;
  throw Failure(std::move(error));
}

}  // namespace

void add_list(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "list", "What runs, and what there is to run", "Look",
                            "bot-bottle list\nbot-bottle list agents --json");
  auto what = std::make_shared<std::string>("active");
  verb->add_option("WHAT", *what, "active (default), agents, bottles, backends, providers or plugins");
  add_json_option(*verb, context);
  verb->callback([&context, what] { context.action = [&context, what] { return list_names(context, *what); }; });
}

}  // namespace bot_bottle::cli
