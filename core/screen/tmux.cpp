#include "core/screen/tmux.hpp"

#include "core/base/paths.hpp"
#include "core/base/process.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::screen {
namespace {
constexpr std::chrono::milliseconds tmux_time{2'000};
/// Below it two panes side by side are too narrow.
constexpr std::size_t side_by_side = 160;
}  // namespace

std::optional<Tmux> Tmux::find() {
  const auto server = environment("TMUX");
  const auto pane = environment("TMUX_PANE");
  if (!server || server->empty() || !pane || pane->empty()) return std::nullopt;
  if (!find_program("tmux", environment("PATH").value_or("/usr/bin:/bin"))) return std::nullopt;
  return Tmux(*pane);
}

Result<std::string> Tmux::run(std::vector<std::string> arguments) {
  ProcessRequest request;
  request.argv = {"tmux"};
  request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
  request.timeout = tmux_time;
  BB_TRY(const ProcessResult result, run_process(request));
  if (result.code != 0) return fail(ErrorKind::failed_precondition, "tmux: " + std::string(trim(result.err)));
  return std::string(trim(result.out));
}

bool Tmux::lives(const std::string& pane) const {
  const auto panes = run({"list-panes", "-a", "-F", "#{pane_id}"});
  if (!panes) return false;
  for (const std::string_view line : split(*panes, '\n'))
    if (line == pane) return true;
  return false;
}

/// Out of our window, alive.
void Tmux::put_away() {
  const auto found = panes_.find(shown_);
  if (found != panes_.end() && lives(found->second)) [[maybe_unused]]
    const auto away = run({"break-pane", "-d", "-s", found->second, "-n", shown_});
  shown_.clear();
}

bool Tmux::bring(const std::string& slug, std::size_t columns) {
  const auto found = panes_.find(slug);
  if (found == panes_.end()) return false;
  if (!lives(found->second)) {
    panes_.erase(found);
    if (shown_ == slug) shown_.clear();
    return false;
  }
  if (shown_ == slug) return true;
  put_away();
  if (!run({"join-pane", "-d", columns >= side_by_side ? "-h" : "-v", "-s", found->second, "-t", own_})) return false;
  shown_ = slug;
  return true;
}

Result<void> Tmux::open(const std::string& slug, const std::vector<std::string>& argv, std::size_t columns) {
  if (!bring(slug, columns)) {
    put_away();
    std::vector<std::string> arguments{
        "split-window", columns >= side_by_side ? "-h" : "-v", "-P", "-F", "#{pane_id}", "-t", own_, "--"};
    arguments.insert(arguments.end(), argv.begin(), argv.end());
    BB_TRY(panes_[slug], run(arguments));
    shown_ = slug;
  }
  BB_TRY([[maybe_unused]] const std::string selected, run({"select-pane", "-t", panes_[slug]}));
  return {};
}

void Tmux::follow(const std::string& slug, std::size_t columns) {
  if (slug != shown_) bring(slug, columns);
}

}  // namespace bot_bottle::screen
