#include "core/cli/kept_note.hpp"

#include <algorithm>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/base/text_width.hpp"
#include "core/launch/kept.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {

void note_kept(const Context& context, const Home& home, const launch::Running& running) {
  struct Line {
    std::string slug;
    std::string text;
  };
  std::vector<Line> kept;
  std::vector<std::string> orphans;
  for (const std::string& slug : state::list_slugs(home)) {
    if (running.find(slug) != nullptr) continue;
    try {
      const state::Directory directory = state::Directory::open(home, slug);
      const state::Metadata metadata = directory.metadata();
      const std::string why = launch::why_kept(directory);
      if (why.empty()) {
        if (!state::is_being_launched(directory)) orphans.push_back(slug);
        continue;
      }
      // A label is the slug; the agent's name says the rest.
      std::string text = escape_untrusted(metadata.agent.empty() ? metadata.bottle : metadata.agent, 80);
      if (metadata.started_at_ms > 0)
        text += ", started " + format_age(std::max<std::int64_t>(0, now_ms() - metadata.started_at_ms)) + " ago";
      kept.push_back({slug, text + ": " + escape_untrusted(why, 200)});
    } catch (const Failure&) {  // gone meanwhile, or what the verb itself says that it left alone
    }
  }
  std::size_t widest = 0;
  for (const Line& line : kept) widest = std::max(widest, line.slug.size());
  widest = std::min<std::size_t>(widest, 30);
  const std::size_t width = terminal_width();
  if (!kept.empty()) context.note("kept (bot-bottle resume SLUG):");
  for (const Line& line : kept) {
    std::string text = "  " + line.slug;
    if (text.size() < widest + 2) text.append(widest + 2 - text.size(), ' ');
    text += "  " + line.text;
    context.note(context.stdout_is_terminal() ? cut_to_width(text, width) : text);
  }
  if (!orphans.empty())
    context.note("left by launches that were killed: " + join(orphans, ", ") + " (bot-bottle cleanup)");
}

}  // namespace bot_bottle::cli
