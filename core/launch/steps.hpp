// A list of named steps with an undo each (DESIGN 5). Called by launch; knows nothing of bottles.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/launch/signals.hpp"
#include "core/tui/progress.hpp"

namespace bot_bottle::launch {

class Steps {
 public:
  /// Both are borrowed and outlive this.
  Steps(tui::Progress& progress, const Signals& signals) : progress_(&progress), signals_(&signals) {}
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  /// Names the step to the display and runs it, unless a signal came before. What it throws goes on.
  void run(const std::string& name, const std::function<void()>& action, tui::Shows shows = tui::Shows::status);
  /// How to take back what was done; run last in, first out. `what` is shown: "the sidecar".
  void on_undo(std::string what, std::function<void()> undo) { undos_.emplace_back(std::move(what), std::move(undo)); }

  struct Undone {
    std::vector<std::string> done;                      // in the order in which they ran
    std::vector<std::pair<std::string, Error>> failed;  // reported, and the rest still ran
  };
  /// Runs and forgets all undos. One that throws does not stop the others.
  Undone unwind() noexcept;

  /// Milliseconds of each step and of the way back ("undo"), for --verbose.
  [[nodiscard]] const std::vector<std::pair<std::string, double>>& times() const { return times_; }

 private:
  tui::Progress* progress_;
  const Signals* signals_;
  std::vector<std::pair<std::string, std::function<void()>>> undos_;
  std::vector<std::pair<std::string, double>> times_;
};

}  // namespace bot_bottle::launch
