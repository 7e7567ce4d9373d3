// `commit [SLUG]` and `fork SLUG -n N`: snapshots of bottles, and new bottles from them. `resume` goes on from one,
// too.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/cli/verb_lifecycle.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/backends.hpp"
#include "core/launch/freeze.hpp"
#include "core/launch/signals.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"
#include "core/state/frozen.hpp"
#include "core/tui/picker.hpp"
#include "core/tui/progress.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::cli {
namespace {

constexpr int most_forks = 256;

/// The one that runs; asked for where there are several and somebody can answer.
std::string pick_running(Context& context, const launch::Backends& backends) {
  std::vector<tui::PickerItem> items;
  for (const launch::RunningBottle& bottle : launch::list_running(backends, context.home()).bottles)
    items.push_back({bottle.slug, bottle.agent + ", " + bottle.backend});
  if (items.empty())
    throw Failure(make_error(ErrorKind::failed_precondition, "no bottle runs", "bot-bottle start --detach"));
  if (items.size() == 1) return items.front().name;
  if (!context.stdin_is_terminal() || !tui::is_terminal(STDERR_FILENO))
    throw Failure(make_error(ErrorKind::usage, "'commit' needs a SLUG: several bottles run", "bot-bottle list active"));
  const auto chosen = tui::pick(
      {.what = "bottle", .items = std::move(items), .look = tui::Look::find(STDERR_FILENO, context.no_color)});
  if (!chosen) throw Failure(make_error(ErrorKind::refused, "no bottle was chosen"));
  return *chosen;
}

int commit(Context& context, std::string slug) {
  plugins::Registry& registry = context.registry();
  const launch::Backends backends = launch::Backends::of(registry);
  if (slug.empty()) slug = pick_running(context, backends);
  static_cast<void>(state::Directory::open(context.home(), slug));  // before anything is shown to be done
  launch::Signals signals;
  tui::Progress progress(tui::Progress::style_for(STDERR_FILENO, context.output.quiet), STDERR_FILENO);
  registry.options().on_progress = [&progress](std::uint32_t permille, const std::string& what) {
    progress.update(permille, what);
  };
  registry.options().cancel_fd = signals.cancel_fd();
  launch::CommitParts parts;
  parts.backends = &backends;
  parts.home = context.home();
  parts.warn = [&context](std::string_view text) { context.warn(text); };
  parts.cancel_fd = signals.cancel_fd();
  progress.begin("freeze");
  state::Frozen frozen;
  try {
    frozen = launch::commit_bottle(parts, slug);
  } catch (...) {
    progress.end(tui::Progress::Outcome::failed);
    registry.options().cancel_fd = -1;
    throw;
  }
  progress.end(tui::Progress::Outcome::done);
  registry.options().cancel_fd = -1;
  if (context.output.json) {
    context.print_json({{"schema", "bot-bottle.commit-result/1"},
                        {"slug", slug},
                        {"backend", frozen.backend},
                        {"snapshot", frozen.snapshot},
                        {"frozen_at", format_time(frozen.frozen_at_ms)}});
    return 0;
  }
  context.note(fmt::format("froze {}: {}", slug, format_bytes(frozen.size())));
  context.note("  go on from it: bot-bottle resume " + slug + " (once it has ended)");
  context.note("  more like it:  bot-bottle fork " + slug + " -n 2");
  return 0;
}

int fork(Context& context, const std::string& slug, int count, LaunchOptions options) {
  if (count < 1 || count > most_forks)
    throw Failure(make_error(ErrorKind::usage, fmt::format("-n: {} is not in 1 to {}", count, most_forks),
                             "bot-bottle fork " + slug + " -n 2"));
  const state::Directory directory = state::Directory::open(context.home(), slug);
  const state::Metadata metadata = directory.metadata();
  // Shared: several may fork it, nobody may replace or remove the snapshot meanwhile.
  const UniqueFd lock = state::lock_freeze(directory, state::FreezeLock::shared);
  const auto frozen = state::find_frozen(directory);
  if (!frozen || !frozen->has_snapshot())
    throw Failure(make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' was never frozen",
                             "while it runs: bot-bottle commit " + slug));
  repeat_options(metadata, options);
  const std::string label = std::exchange(options.label, "");
  options.detach = true;
  options.yes = true;
  for (int number = 1; number <= count; ++number) {
    if (!label.empty()) options.label = count == 1 ? label : fmt::format("{}-{}", label, number);
    launch_bottle(context, options, plan::Session::detached, metadata.arguments,
                  Origin{Origin::Into::new_bottle, slug, metadata.backend, frozen->snapshot});
  }
  return 0;
}

}  // namespace

void add_commit(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "commit", "Freeze a running bottle: the next resume starts from it", "Everyday",
                            "bot-bottle commit fixer-x7k2p");
  auto slug = std::make_shared<std::string>();
  verb->add_option("SLUG", *slug, "The running bottle; not needed when only one runs");
  add_json_option(*verb, context);
  verb->callback([&context, slug] { context.action = [&context, slug] { return commit(context, *slug); }; });
}

void add_fork(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "fork", "New bottles from a frozen one, each with its own keys", "Everyday",
                            "bot-bottle fork fixer-x7k2p -n 3\nbot-bottle attach fixer-x7k2p-4h0zq");
  auto slug = std::make_shared<std::string>();
  auto count = std::make_shared<int>(1);
  auto options = std::make_shared<LaunchOptions>();
  verb->add_option("SLUG", *slug, "The frozen bottle")->required();
  verb->add_option("-n,--number", *count, "How many")->type_name("N");
  verb->add_option("--label", options->label, "Their names: LABEL, or LABEL-1, LABEL-2, …")->type_name("LABEL");
  verb->add_option("-e,--env", options->env, "A variable for the agents (repeat)")
      ->type_name("N=V")
      ->allow_extra_args(false);
  add_json_option(*verb, context);
  verb->callback([&context, slug, count, options] {
    context.action = [&context, slug, count, options] { return fork(context, *slug, *count, *options); };
  });
}

}  // namespace bot_bottle::cli
