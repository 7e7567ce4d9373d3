// `logs SLUG`: what happened in a bottle, one line per event; works while it runs and after it ended.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/event_log.hpp"
#include "core/cli/verbs.hpp"
#include "core/cli/words.hpp"
#include "core/launch/control_client.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {
namespace {

/// After the sidecar's end its launcher still writes a line or two.
constexpr std::chrono::milliseconds last_words{500};
/// How often a bottle that is being launched is looked at.
constexpr std::chrono::milliseconds look_again{300};
/// A sidecar that does not answer keeps nobody from what is on disk.
constexpr std::chrono::milliseconds flush_time{500};

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
      if (std::ranges::find(event_kinds(), kind) == event_kinds().end()) {
        Error error =
            make_error(ErrorKind::usage, "no kind of event is called '" + kind + "'", "bot-bottle logs --help");
        error.details = "there is: " + join(event_kinds(), ", ");
        if (const auto near = nearest(kind, event_kinds())) error.details += "\ndid you mean: " + *near;
        throw Failure(std::move(error));
      }
      filter.kinds.insert(kind);
    }
  }
  if (options.since.empty()) return filter;
  filter.since_ms = parse_since(options.since, now_ms());
  if (!filter.since_ms)
    throw Failure(
        make_error(ErrorKind::usage, "cannot read the time '" + options.since + "'",
                   "--since 10m, --since 14:05, --since '2026-11-28 14:05', or --since 2026-11-28T14:05:00Z"));
  return filter;
}

class Shower {
 public:
  Shower(Context& context, EventFilter filter)
      : context_(context), filter_(std::move(filter)), on_terminal_(context.stdout_is_terminal()) {}

  void show(std::string_view line) {
    const auto event = parse_json_object(line, max_event_line);
    if (!event) {
      if (!context_.output.json && filter_.kinds.empty() && !filter_.since_ms)
        context_.out("? " + escape_untrusted(line, 512));
      return;
    }
    if (!filter_.passes(*event)) return;
    if (context_.output.json) {
      context_.out(to_ascii_json(to_text(*event)));
      return;
    }
    if (on_terminal_) show_date(date_of(*event));
    const bool whole = !on_terminal_ || context_.output.verbose;
    context_.out(format_event(context_, *event,
                              {.width = whole ? 0 : terminal_width(),  // each time: a window may change
                               .dates = on_terminal_ ? EventLayout::Dates::apart : EventLayout::Dates::in_line}));
  }

 private:
  void show_date(std::string date) {
    if (date == date_) return;
    context_.out(context_.paint(date, Tone::dim));
    date_ = std::move(date);
  }

  Context& context_;
  EventFilter filter_;
  bool on_terminal_;
  std::string date_;
};

bool is_same_file(int one, int other) {
  struct stat first {};
  struct stat second {};
  return ::fstat(one, &first) == 0 && ::fstat(other, &second) == 0 && first.st_ino == second.st_ino &&
         first.st_dev == second.st_dev;
}

/// The event log as it grows, whatever file has its name.
class Reading {
 public:
  Reading(std::filesystem::path state, Shower& shower)
      : state_(std::move(state)), shower_(shower), log_(open_event_log(state_)) {
    // Opened after the current one: what is renamed in between is then the same file, and read once.
    const UniqueFd old = open_event_log(state_, LogFile::previous);
    if (old && !(log_ && is_same_file(old.get(), log_.get()))) read(old.get());
    reader_ = LineReader();
  }
  void go_on() {
    if (log_) read(log_.get());
  }
  void reopen() {
    log_ = open_event_log(state_);
    reader_ = LineReader();
  }

 private:
  void read(int fd) {
    reader_.read_available(fd, [this](std::string_view line) { shower_.show(line); });
  }

  std::filesystem::path state_;
  Shower& shower_;
  UniqueFd log_;
  LineReader reader_;
};

/// A connection to the sidecar says nothing and is closed when the sidecar ends: that is how the end is seen.
UniqueFd connect(const state::Directory& directory) {
  try {
    return launch::connect_control(directory.control_socket());
  } catch (const Failure&) {
    return {};
  }
}

void follow(Context& context, const state::Directory& directory, LogWatch& watch, Reading& reading) {
  using Wake = LogWatch::Wake;
  UniqueFd sidecar = connect(directory);
  bool ending = !sidecar && !state::is_being_launched(directory);
  while (true) {
    const Wake wake = sidecar  ? watch.wait(sidecar.get())
                      : ending ? watch.wait(-1, last_words)
                               : watch.wait(-1, look_again);
    const bool replaced = watch.take_replaced();
    reading.go_on();
    if (replaced) {
      reading.reopen();
      reading.go_on();
    }
    if (wake == Wake::gone) {
      context.note("the bottle " + directory.slug() + " is gone");
      return;
    }
    if (wake == Wake::time && ending) {
      context.note("the bottle " + directory.slug() + " does not run any more; go on: bot-bottle resume " +
                   directory.slug());
      return;
    }
    if (wake == Wake::other) sidecar.reset();
    if (!sidecar && !ending) {
      // While it is being launched, or while its launcher takes it apart.
      if (wake != Wake::other) sidecar = connect(directory);
      ending = !sidecar && !state::is_being_launched(directory);
    }
  }
}

/// The sidecar writes its events in batches: what has happened by now shall be seen now.
void flush_events(const state::Directory& directory) {
  std::error_code code;
  if (!std::filesystem::exists(directory.control_socket(), code)) return;
  try {
    launch::control_call(directory.control_socket(), {{"call", "flush"}}, flush_time);
  } catch (const Failure&) {  // it has ended
  }
}

int show_logs(Context& context, const LogsOptions& options) {
  const state::Directory directory = state::Directory::open(context.home(), options.slug);
  Shower shower(context, filter_of(options));
  // The watch comes before the first read: what is written in between is then seen twice by us, never missed.
  std::unique_ptr<LogWatch> watch;
  if (options.follow) watch = std::make_unique<LogWatch>(directory.path());
  flush_events(directory);
  Reading reading(directory.path(), shower);
  reading.go_on();
  if (watch) follow(context, directory, *watch, reading);
  return 0;
}

}  // namespace

void add_logs(CLI::App& app, Context& context) {
  CLI::App* verb =
      add_verb(app, "logs", "What happened in a bottle: requests, blocks, DNS, launch", "Look",
               "bot-bottle logs fixer-x7k2p -f --kind egress,dlp\nbot-bottle logs fixer-x7k2p --since 10m --json");
  auto options = std::make_shared<LogsOptions>();
  verb->add_option("SLUG", options->slug, "The bottle, running or kept")->required();
  verb->add_flag("-f,--follow", options->follow, "Go on with what comes, until the bottle ends");
  verb->add_option("--kind", options->kinds, join(event_kinds(), ", ") + " (repeat or separate by commas)")
      ->type_name("KIND")
      ->allow_extra_args(false);
  verb->add_option("--since", options->since,
                   "Only events of the last 10m, 2h, 1d …, or after 14:05, '2026-11-28 14:05' or a time of RFC 3339")
      ->type_name("TIME");
  verb->add_flag("--json", context.output.json, "One JSON object a line");
  verb->callback(
      [&context, options] { context.action = [&context, options] { return show_logs(context, *options); }; });
}

}  // namespace bot_bottle::cli
