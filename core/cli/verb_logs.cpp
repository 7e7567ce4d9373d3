// `logs SLUG`: what happened in a bottle, one line per event; works while it runs and after it ended.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/event_log.hpp"
#include "core/cli/show.hpp"
#include "core/cli/verbs.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::array<std::string_view, 8> all_kinds{"egress",    "dlp",   "dns",    "git",
                                                    "supervise", "agent", "launch", "sidecar"};

struct LogsOptions {
  std::string slug;
  std::vector<std::string> kinds;
  std::string since;
  bool follow = false;
};

EventFilter filter_of(const LogsOptions& options) {
  EventFilter filter;
  for (const std::string& list : options.kinds) {
    for (const std::string_view word : split(list, ',')) {
      const std::string kind(trim(word));
      if (std::ranges::find(all_kinds, kind) == all_kinds.end()) {
        Error error =
            make_error(ErrorKind::usage, "no kind of event is called '" + kind + "'", "bot-bottle logs --help");
        error.details = fmt::format("there is: {}", fmt::join(all_kinds, ", "));
        throw Failure(std::move(error));
      }
      filter.kinds.insert(kind);
    }
  }
  if (options.since.empty()) return filter;
  if (const auto ago = parse_duration_ms(options.since)) {
    filter.since_ms = now_ms() - *ago;
  } else if (const auto time = parse_time_ms(options.since)) {
    filter.since_ms = *time;
  } else {
    throw Failure(make_error(ErrorKind::usage, "cannot read the time '" + options.since + "'",
                             "--since 10m, --since 2h, or --since 2026-11-21T01:19:03Z"));
  }
  return filter;
}

int show_logs(Context& context, const LogsOptions& options) {
  const std::filesystem::path state = state::Directory::open(context.home(), options.slug).path();
  const EventFilter filter = filter_of(options);
  const auto show = [&](std::string_view line) {
    const auto event = parse_json_object(line, max_event_line);
    if (!event) {
      if (!context.output.json && filter.kinds.empty() && !filter.since_ms)
        context.out("? " + escape_untrusted(line, 512));
      return;
    }
    if (!filter.passes(*event)) return;
    context.out(context.output.json ? to_ascii_json(to_text(*event)) : format_event(context, *event));
  };
  // The watch comes before the first read: what is written in between is then seen twice by us, never missed.
  std::unique_ptr<LogWatch> watch;
  if (options.follow) watch = std::make_unique<LogWatch>(state);
  UniqueFd log = open_event_log(state);
  LineReader reader;
  while (true) {
    if (log) reader.read_available(log.get(), show);
    if (!watch) return 0;
    const bool alive = watch->wait();
    if (watch->take_replaced()) {
      if (log) reader.read_available(log.get(), show);
      log = open_event_log(state);
      reader = LineReader();
    }
    if (!alive) {
      if (log) reader.read_available(log.get(), show);
      context.note("the bottle " + options.slug + " is gone");
      return 0;
    }
  }
}

}  // namespace

void add_logs(CLI::App& app, Context& context) {
  CLI::App* verb =
      add_verb(app, "logs", "What happened in a bottle: requests, blocks, DNS, launch", "Look",
               "bot-bottle logs fixer-x7k2p -f --kind egress,dlp\nbot-bottle logs fixer-x7k2p --since 10m --json");
  auto options = std::make_shared<LogsOptions>();
  verb->add_option("SLUG", options->slug, "The bottle, running or preserved")->required();
  verb->add_flag("-f,--follow", options->follow, "Go on with what comes, until the bottle is gone");
  verb->add_option("--kind", options->kinds,
                   "egress, dlp, dns, git, supervise, agent, launch, sidecar (repeat or separate by commas)")
      ->type_name("KIND")
      ->allow_extra_args(false);
  verb->add_option("--since", options->since, "Only events of the last 10m, 2h, 1d …, or after a time (RFC 3339)")
      ->type_name("TIME");
  verb->add_flag("--json", context.output.json, "One JSON object a line");
  verb->callback(
      [&context, options] { context.action = [&context, options] { return show_logs(context, *options); }; });
}

}  // namespace bot_bottle::cli
