// Sessions in panes beside the screen, where it runs in tmux.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::screen {

class Tmux {
 public:
  /// Nothing outside of tmux.
  static std::optional<Tmux> find();

  /// Shows the pane of `slug`, made with `argv` when it has none (any more), and puts the operator in it.
  Result<void> open(const std::string& slug, const std::vector<std::string>& argv, std::size_t columns);
  /// The selection moved: shows the pane of `slug` if it has one, beside us, without going there. A session that is no
  /// longer shown goes on in a window of its own: nothing is ended by looking elsewhere.
  void follow(const std::string& slug, std::size_t columns);

 private:
  explicit Tmux(std::string own) : own_(std::move(own)) {}
  static Result<std::string> run(std::vector<std::string> arguments);
  [[nodiscard]] bool lives(const std::string& pane) const;
  void put_away();
  bool bring(const std::string& slug, std::size_t columns);

  std::string own_;  // the pane of the screen
  std::map<std::string, std::string> panes_;
  std::string shown_;  // slug
};

}  // namespace bot_bottle::screen
