// A model with bottles, proposals and a clock of its own.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "core/screen/model.hpp"
#include "core/screen/view.hpp"

namespace bot_bottle::screen {

struct Desk {
  Model model;
  Time now = Time{} + std::chrono::hours(1);
  std::vector<desk::Bottle> bottles;
  std::vector<desk::Proposal> proposals;
  std::deque<desk::Event> events;
  std::size_t rows = 24;
  std::size_t columns = 80;

  Desk() {
    for (const char* slug : {"alpha", "beta", "gamma"})
      bottles.push_back({.slug = slug,
                         .name = "fixer",
                         .backend = "local",
                         .status = "running",
                         .presence = desk::Presence::listening});
  }
  static desk::Proposal proposal(const std::string& slug, const std::string& id,
                                 const std::string& host = "api.example.com") {
    desk::Proposal one;
    one.slug = slug;
    one.id = id;
    one.kind = "egress-block";
    one.state = "pending";
    one.hash = "hash-" + id;
    one.proposed_at = "2026-11-28T19:00:00.000Z";
    one.change = {{"host", host}};
    one.before = "routes:\n  - host: live.example.com\n";
    one.after = one.before + "  - host: " + host + "\n";
    one.justification = "I need it";
    one.facts = {{"widens", "a new host"}};
    return one;
  }
  std::size_t update() { return model.update(bottles, proposals, events, now); }
  void settle() { model.settle(rows, columns, Charset::unicode); }
  Action press(const Key& key) {
    Action action = model.press(key, now);
    settle();
    return action;
  }
  Action press(char32_t character) { return press(typed(character)); }
  void wait(std::chrono::milliseconds time) { now += time; }
  [[nodiscard]] std::string text(Charset charset = Charset::unicode) const {
    return render(model, rows, columns, charset, now).all_text();
  }
  /// Opens the selected one and looks at it.
  void look() {
    press(Key{Key::Code::enter});
    wait(least_look);
  }
};

}  // namespace bot_bottle::screen
