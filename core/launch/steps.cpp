#include "core/launch/steps.hpp"

#include <chrono>

#include "core/launch/test_hooks.hpp"

namespace bot_bottle::launch {
namespace {

/// Closes the step's line on the display also when the step throws.
class StepDisplay {
 public:
  StepDisplay(tui::Progress& progress, const std::string& name, tui::Shows shows) : progress_(progress) {
    progress_.begin(name, shows);
  }
  StepDisplay(const StepDisplay&) = delete;
  StepDisplay& operator=(const StepDisplay&) = delete;
  ~StepDisplay() { progress_.end(outcome_); }
  void succeed() { outcome_ = tui::Progress::Outcome::done; }

 private:
  tui::Progress& progress_;
  tui::Progress::Outcome outcome_ = tui::Progress::Outcome::failed;
};

}  // namespace

void Steps::run(const std::string& name, const std::function<void()>& action, tui::Shows shows) {
  signals_->throw_if_cancelled();
  StepDisplay display(*progress_, name, shows);
  const auto began = std::chrono::steady_clock::now();
  action();
  times_.emplace_back(name,
                      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count());
  act_on_step_hooks(name);
  display.succeed();
}

Steps::Undone Steps::unwind() noexcept {
  Undone undone;
  const auto began = std::chrono::steady_clock::now();
  while (!undos_.empty()) {
    auto [what, undo] = std::move(undos_.back());
    undos_.pop_back();
    try {
      undo();
      undone.done.push_back(what);
    } catch (const Failure& failure) {
      undone.failed.emplace_back(what, failure.error());
    } catch (const std::exception& error) {
      undone.failed.emplace_back(what, make_error(ErrorKind::internal, error.what()));
    }
  }
  times_.emplace_back("undo",
                      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count());
  return undone;
}

}  // namespace bot_bottle::launch
