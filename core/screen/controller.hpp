// What the operator's keys do. Called by the loop in screen.cpp; one thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/desk/watch.hpp"
#include "core/screen/jobs.hpp"
#include "core/screen/model.hpp"
#include "core/screen/surface.hpp"
#include "core/screen/tmux.hpp"

namespace bot_bottle::screen {

class Controller {
 public:
  Controller(desk::Watch& watch, Model& model, Surface& surface, std::filesystem::path program)
      : watch_(watch), model_(model), surface_(surface), program_(std::move(program)), tmux_(Tmux::find()) {}

  /// False: the operator leaves.
  bool act(const Action& action);
  Jobs& jobs() { return jobs_; }
  /// A word on the desktop, where there is one: how many ask, never what an agent wrote.
  void notify(std::size_t count);

 private:
  void send(const Action& action, const desk::Answer& answer);
  void modify(const Action& action);
  void edit_routes(const std::string& slug);
  void attach(const std::string& slug);
  void start_agent();
  void resolve(const Action& action);
  void ask_others(const Action& action);
  void run_verb(const std::string& verb, const std::string& slug);
  [[nodiscard]] std::vector<std::string> argv(std::initializer_list<std::string> arguments) const;

  desk::Watch& watch_;
  Model& model_;
  Surface& surface_;
  std::filesystem::path program_;
  std::optional<Tmux> tmux_;
  Jobs jobs_;
};

}  // namespace bot_bottle::screen
