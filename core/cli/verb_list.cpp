// `list active`: what runs, on every backend that is there; and what is kept.
#include <algorithm>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/base/text_width.hpp"
#include "core/cli/kept_note.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/backends.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"
#include "core/state/frozen.hpp"

namespace bot_bottle::cli {
namespace {

std::string since(std::int64_t started_at_ms) {
  return started_at_ms == 0 ? std::string("?") : format_age(std::max<std::int64_t>(0, now_ms() - started_at_ms));
}

/// What does not run and is kept, or runs and has a snapshot.
struct Kept {
  std::vector<std::string> preserved;
  std::vector<std::pair<std::string, state::Frozen>> frozen;
};

Kept find_kept(const Home& home, const launch::Running& running) {
  Kept kept;
  for (const std::string& slug : state::list_slugs(home)) {
    const state::Directory directory = state::Directory::open(home, slug);
    if (running.find(slug) == nullptr && directory.is_preserved()) kept.preserved.push_back(slug);
    if (auto frozen = state::find_frozen(directory); frozen && frozen->has_snapshot())
      kept.frozen.emplace_back(slug, std::move(*frozen));
  }
  return kept;
}

/// "label (agent)"; the label alone says nothing where it is the slug, which stands beside it.
std::string who(const std::string& label, const std::string& slug, const std::string& agent) {
  return label.empty() || label == slug ? agent : label + " (" + agent + ")";
}

json::array to_json(const Kept& kept) {
  json::array all;
  for (const auto& [slug, frozen] : kept.frozen)
    all.push_back({{"slug", slug},
                   {"backend", frozen.backend},
                   {"kind", get_string(frozen.snapshot, "kind")},
                   {"ref", frozen.ref()},
                   {"size", frozen.size()},
                   {"frozen_at", format_time(frozen.frozen_at_ms)},
                   {"next_resume", frozen.next_resume}});
  return all;
}

}  // namespace

int list_active(Context& context) {
  const launch::Running running = launch::list_running(launch::Backends::of(context.registry()), context.home());
  for (const auto& [backend, error] : running.failed) context.warn("backend " + backend + ": " + error.message);
  const Kept kept = find_kept(context.home(), running);
  if (context.output.json) {
    json::array bottles;
    for (const launch::RunningBottle& bottle : running.bottles)
      bottles.push_back({{"backend", bottle.backend},
                         {"slug", bottle.slug},
                         {"label", bottle.label},
                         {"agent", bottle.agent},
                         {"status", bottle.status},
                         {"started_at", bottle.started_at_ms == 0 ? json::value(nullptr)
                                                                  : json::value(format_time(bottle.started_at_ms))},
                         {"services", to_array(bottle.services)}});
    context.print_json({{"schema", "bot-bottle.active/1"},
                        {"bottles", std::move(bottles)},
                        {"preserved", to_array(kept.preserved)},
                        {"frozen", to_json(kept)}});
    return 0;
  }
  Table table{.headers = {"BACKEND", "SLUG", "AGENT", "STATUS", "SINCE", "SERVICES"}, .rows = {}};
  for (const launch::RunningBottle& bottle : running.bottles)
    table.rows.push_back({bottle.backend, bottle.slug, who(bottle.label, bottle.slug, bottle.agent),
                          Cell(bottle.status, bottle.status == "running" ? Tone::good : Tone::warning),
                          since(bottle.started_at_ms), join(bottle.services, ",")});
  if (running.bottles.empty()) context.note("nothing runs");
  if (!table.rows.empty()) context.print_table(table);
  const std::size_t width = context.stdout_is_terminal() ? terminal_width() : 0;
  for (const auto& [slug, frozen] : kept.frozen) {
    const std::string line =
        "frozen: " + slug + ", " + format_bytes(frozen.size()) + ", " + since(frozen.frozen_at_ms) + " ago";
    context.note(width == 0 ? line : cut_to_width(line, width));
  }
  note_kept(context, context.home(), running);
  return 0;
}

}  // namespace bot_bottle::cli
