// `list active`: what runs, on every backend that is there; and what is kept.
#include <algorithm>

#include "core/base/clock.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/backends.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {
namespace {

std::string since(std::int64_t started_at_ms) {
  return started_at_ms == 0 ? std::string("?") : format_age(std::max<std::int64_t>(0, now_ms() - started_at_ms));
}

std::vector<std::string> preserved_slugs(const Home& home, const launch::Running& running) {
  std::vector<std::string> slugs;
  for (const std::string& slug : state::list_slugs(home))
    if (running.find(slug) == nullptr && state::Directory::open(home, slug).is_preserved()) slugs.push_back(slug);
  return slugs;
}

}  // namespace

int list_active(Context& context) {
  const launch::Running running = launch::list_running(launch::Backends::of(context.registry()), context.home());
  for (const auto& [backend, error] : running.failed) context.warn("backend " + backend + ": " + error.message);
  const std::vector<std::string> preserved = preserved_slugs(context.home(), running);
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
    context.print_json(
        {{"schema", "bot-bottle.active/1"}, {"bottles", std::move(bottles)}, {"preserved", to_array(preserved)}});
    return 0;
  }
  if (running.bottles.empty()) {
    context.note("nothing runs");
  } else {
    Table table{.headers = {"BACKEND", "SLUG", "AGENT", "STATUS", "SINCE", "SERVICES"}, .rows = {}};
    for (const launch::RunningBottle& bottle : running.bottles)
      table.rows.push_back({bottle.backend, bottle.slug,
                            bottle.label.empty() ? bottle.agent : bottle.label + " (" + bottle.agent + ")",
                            Cell(bottle.status, bottle.status == "running" ? Tone::good : Tone::warning),
                            since(bottle.started_at_ms), join(bottle.services, ",")});
    context.print_table(table);
  }
  if (!preserved.empty()) context.note("kept: " + join(preserved, ", ") + " (bot-bottle resume SLUG)");
  return 0;
}

}  // namespace bot_bottle::cli
