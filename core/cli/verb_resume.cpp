// `resume SLUG`: goes on with a preserved bottle on the backend it was made on, with its home, workspace and
// transcript.
#include <fmt/format.h>
#include <poll.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/cli/verb_lifecycle.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/backends.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"
#include "core/state/frozen.hpp"

namespace bot_bottle::cli {
namespace {

constexpr auto ending_time = std::chrono::seconds(10);
constexpr int look_again_ms = 50;

enum class From : std::uint8_t { automatic, frozen, latest };

/// The snapshot to start from; empty: home and workspace as they were left.
json::object snapshot_for(const Context& context, const state::Directory& directory, From from) {
  const auto frozen = state::find_frozen(directory);
  const bool has_snapshot = frozen && frozen->has_snapshot();
  if (from == From::latest || !has_snapshot) {
    if (from == From::frozen)
      throw Failure(make_error(ErrorKind::failed_precondition, "the bottle '" + directory.slug() + "' was never frozen",
                               "bot-bottle resume " + directory.slug()));
    return {};
  }
  if (from == From::automatic && !frozen->next_resume) return {};
  context.note(fmt::format("from the snapshot of {} ago; what came after it is not in it (--latest goes on with that)",
                           format_age(std::max<std::int64_t>(0, now_ms() - frozen->frozen_at_ms))));
  return frozen->snapshot;
}

/// A bottle whose bot-bottle was killed ends by its lifeline, a moment later: that is waited for.
bool still_runs(Context& context, const std::string& slug, const state::Metadata& metadata) {
  const launch::Backends all = launch::Backends::of(context.registry());
  const launch::Backends own{.names = {metadata.backend}, .get = all.get};
  const bool is_ending = !metadata.detached && metadata.status == state::Status::running && !metadata.cli.is_alive();
  const auto deadline = std::chrono::steady_clock::now() + ending_time;
  while (launch::list_running(own, context.home()).find(slug) != nullptr) {
    if (!is_ending || std::chrono::steady_clock::now() >= deadline) return true;
    ::poll(nullptr, 0, look_again_ms);
  }
  return false;
}

int resume(Context& context, const std::string& slug, LaunchOptions options, From from) {
  const state::Directory directory = state::Directory::open(context.home(), slug);
  const state::Metadata metadata = directory.metadata();
  if (metadata.backend.empty())
    throw Failure(make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' was never launched",
                             "bot-bottle cleanup"));
  if (still_runs(context, slug, metadata))
    throw Failure(make_error(ErrorKind::already_exists, "the bottle '" + slug + "' runs", "bot-bottle attach " + slug));
  // Home and workspace are kept by a backend in its part of the state; one that was removed has nothing to go on with.
  if (!directory.is_preserved() && state::is_being_launched(directory))
    throw Failure(
        make_error(ErrorKind::already_exists, "the bottle '" + slug + "' is being launched", "bot-bottle list active"));
  repeat_options(metadata, options);
  options.label = metadata.label;
  const plan::Session session = options.detach           ? plan::Session::detached
                                : options.prompt.empty() ? plan::Session::interactive
                                                         : plan::Session::headless;
  return launch_bottle(
      context, options, session, context.rest.empty() ? metadata.arguments : context.rest,
      Origin{Origin::Into::same_bottle, slug, metadata.backend, snapshot_for(context, directory, from)});
}

}  // namespace

void add_resume(CLI::App& app, Context& context) {
  CLI::App* verb =
      add_verb(app, "resume", "Go on with a bottle that was kept", "Everyday", "bot-bottle resume fixer-x7k2p");
  auto options = std::make_shared<LaunchOptions>();
  auto slug = std::make_shared<std::string>();
  verb->add_option("SLUG", *slug, "The kept bottle. What stands behind -- goes to the agent")->required();
  verb->add_option("-p,--prompt", options->prompt, "Go on without a terminal, with this prompt; '-' or '@FILE' too")
      ->type_name("PROMPT");
  verb->add_option("--color", options->color, "Tint of terminal and agent")->type_name("COLOR");
  verb->add_option("-e,--env", options->env, "A variable for the agent (repeat)")
      ->type_name("N=V")
      ->allow_extra_args(false);
  verb->add_flag("-y,--yes", options->yes, "Do not ask");
  verb->add_flag("-d,--detach", options->detach, "Leave the bottle running and print its name");
  auto* keep = verb->add_flag("--keep", options->keep, "Keep the bottle's state whatever the exit code");
  verb->add_flag("--rm", options->remove, "Remove the bottle's state whatever the exit code")->excludes(keep);
  verb->add_option("--timeout", options->timeout, "Stop it after this time: 90s, 5m, 2h")->type_name("TIME");
  auto from = std::make_shared<From>(From::automatic);
  auto* frozen = verb->add_flag_callback(
      "--frozen", [from] { *from = From::frozen; }, "From its snapshot, also when it went on since");
  verb->add_flag_callback(
          "--latest", [from] { *from = From::latest; }, "From where it ended, also when it was frozen before")
      ->excludes(frozen);
  add_json_option(*verb, context);
  verb->callback([&context, options, slug, from] {
    context.action = [&context, options, slug, from] { return resume(context, *slug, *options, *from); };
  });
}

}  // namespace bot_bottle::cli
