// `cleanup`: finds and removes what dead bottles left, on every backend: one plan, one question.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/removal.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::cli {
namespace {

struct CleanupOptions {
  bool yes = false;
  bool all = false;
  bool dry_run = false;
};

json::object to_json(const launch::CleanupPlan& plan) {
  json::array states;
  for (const launch::CleanupPlan::State& item : plan.states)
    states.push_back({{"slug", item.slug}, {"backend", item.backend}, {"why", item.why}});
  json::array orphans;
  for (const launch::CleanupPlan::Orphans& item : plan.orphans) {
    const json::array* items = find_array(item.document, "items");
    orphans.push_back({{"backend", item.backend}, {"items", items == nullptr ? json::array{} : *items}});
  }
  json::array stagings;
  for (const auto& [slug, directory] : plan.stagings) stagings.push_back({{"slug", slug}, {"directory", directory}});
  json::array worktrees;
  for (const launch::WorktreeRecord& item : plan.worktrees)
    worktrees.push_back(
        {{"slug", item.slug}, {"directory", item.worktree.path.string()}, {"branch", item.worktree.branch}});
  json::array keys;
  for (const launch::DeployKeyRecord& item : plan.keys)
    keys.push_back({{"slug", item.slug}, {"provider", item.provider}, {"url", item.url}, {"title", item.title}});
  json::array snapshots;
  for (const launch::CleanupPlan::Snapshots& item : plan.snapshots)
    snapshots.push_back({{"slug", item.slug}, {"names", to_array(item.names)}});
  return {{"schema", "bot-bottle.cleanup/1"}, {"states", std::move(states)},       {"snapshots", std::move(snapshots)},
          {"stagings", std::move(stagings)},  {"worktrees", std::move(worktrees)}, {"deploy_keys", std::move(keys)},
          {"orphans", std::move(orphans)}};
}

int cleanup(Context& context, const CleanupOptions& options) {
  const launch::Backends backends = launch::Backends::of(context.registry());
  const launch::Preserved preserved = options.all ? launch::Preserved::removed : launch::Preserved::kept;
  const launch::CleanupPlan plan = launch::plan_cleanup(backends, context.home(), preserved);
  for (const auto& [backend, error] : plan.failed)
    context.warn("backend " + backend + " was left out: " + error.message);
  for (const auto& [slug, error] : plan.unreadable)
    context.warn(slug + " is left alone: " + error.message + (error.hint.empty() ? "" : " (" + error.hint + ")"));
  if (context.output.json) context.print_json(to_json(plan));
  if (plan.is_empty()) {
    context.note("nothing to clean up");
    return plan.failed.empty() ? 0 : 1;
  }
  if (!context.output.json)
    for (const std::string& line : launch::describe(plan)) context.out(escape_untrusted(line));
  if (options.dry_run) return 0;
  if (!options.yes && !context.confirm("Remove all of this?"))
    throw Failure(make_error(ErrorKind::refused, "nothing was removed", "bot-bottle cleanup --yes"));
  const auto failed =
      launch::run_cleanup(backends, context.home(), plan, preserved, launch::DeployKeyPlugins::of(context.registry()));
  for (const auto& [what, error] : failed)
    context.warn(what + " is still there: " + error.message + (error.hint.empty() ? "" : " (" + error.hint + ")"));
  return failed.empty() && plan.failed.empty() ? 0 : 1;
}

}  // namespace

void add_cleanup(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "cleanup", "Find and remove what dead bottles left", "Everyday",
                            "bot-bottle cleanup\nbot-bottle cleanup --all --yes");
  auto options = std::make_shared<CleanupOptions>();
  verb->add_flag("-y,--yes", options->yes, "Do not ask");
  verb->add_flag("--all", options->all, "Kept bottles too: what the agents made in them is lost");
  verb->add_flag("--dry-run", options->dry_run, "Only show it");
  add_json_option(*verb, context);
  verb->callback([&context, options] { context.action = [&context, options] { return cleanup(context, *options); }; });
}

}  // namespace bot_bottle::cli
