// What the screen shows and where the operator is in it. Knows no terminal; time is given to it.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/desk/answer.hpp"
#include "core/desk/event_tail.hpp"
#include "core/desk/proposal.hpp"
#include "core/desk/watch.hpp"
#include "core/screen/keys.hpp"

namespace bot_bottle::screen {

using Time = std::chrono::steady_clock::time_point;

enum class Pane : std::uint8_t { proposals, bottles, events };
enum class Tone : std::uint8_t { plain, good, bad };

/// A bottle's proposal: ids are only unique within one.
struct ProposalKey {
  std::string slug;
  std::string id;
  auto operator<=>(const ProposalKey&) const = default;
};
inline ProposalKey key_of(const desk::Proposal& proposal) {
  return {proposal.slug, proposal.id};
}

/// New ones are marked this long.
inline constexpr std::chrono::milliseconds mark_time{5'000};
/// What is on the screen for less than this was not read: no answer is taken for it.
inline constexpr std::chrono::milliseconds least_look{400};

struct Detail {
  ProposalKey key;
  std::string hash;  // of what is on the screen: what an answer names
  Time since;        // that this is on the screen
  std::size_t scroll = 0;
  bool end_was_seen = false;
  bool all_words = false;                                     // the agent's words in full
  bool moved = false;                                         // the live state moved while it was on the screen
  std::string resolved;                                       // asked for with 'd'
  std::optional<std::vector<std::string>> allowed_elsewhere;  // other bottles that allow the host, once they answered
};

struct Prompt {
  enum class What : std::uint8_t { reason, answer, seconds, requests, bytes } what = What::reason;
  std::string question;
  std::u32string text;
  ProposalKey key;
};

enum class Mode : std::uint8_t { panes, detail, narrow_menu, prompt, confirm_stop, logs, help };

/// What the operator wants done; the controller does it.
struct Action {
  enum class What : std::uint8_t {
    none,
    quit,
    redraw,
    opened,  // a detail: what else is known about it may be asked for
    approve,
    modify,
    reject,
    resolve,
    edit_routes,
    stop,
    commit,
    attach,
    start,
    selected_bottle,
  } what = What::none;
  std::string slug;
  ProposalKey key;
  std::string hash;
  std::string text;  // reason, or the answer to a question
  desk::Narrow narrow;
};

class Model {
 public:
  /// What the watch has now. Gives how many proposals are new. Selections stay on what they were on: nothing that
  /// arrives moves what a key would act on.
  std::size_t update(std::vector<desk::Bottle> bottles, std::vector<desk::Proposal> proposals,
                     std::deque<desk::Event> events, Time now);
  Action press(const Key& key, Time now);
  void say(std::string text, Tone tone);
  /// Keeps scroll positions inside and notes whether the end of a detail was on the screen.
  void settle(std::size_t rows, std::size_t columns, Charset charset);
  /// When something changes by itself (a mark that ends); Time::max() when nothing does.
  [[nodiscard]] Time next_change(Time now) const;
  [[nodiscard]] bool is_new(const desk::Proposal& proposal, Time now) const;

  [[nodiscard]] const desk::Proposal* find(const ProposalKey& key) const;
  [[nodiscard]] const desk::Proposal* selected_proposal() const;
  [[nodiscard]] const desk::Bottle* selected_bottle() const;
  [[nodiscard]] const desk::Bottle* find_bottle(const std::string& slug) const;

  std::vector<desk::Bottle> bottles;
  std::vector<desk::Proposal> proposals;
  std::deque<desk::Event> events;
  Mode mode = Mode::panes;
  Pane focus = Pane::proposals;
  std::optional<Detail> detail;
  std::optional<Prompt> prompt;
  std::string logs_slug;
  std::size_t events_back = 0;  // lines scrolled up from the newest; 0 follows
  std::string message;
  Tone message_tone = Tone::plain;
  std::set<ProposalKey> answering;  // an answer is under way
  std::string opened_at;            // RFC 3339: what was proposed before is not new

 private:
  Action press_in_panes(const Key& key, Time now);
  Action press_in_detail(const Key& key, Time now);
  Action press_in_prompt(const Key& key);
  Action press_in_narrow_menu(const Key& key);
  Action press_in_logs(const Key& key);
  Action open_detail(Time now);
  Action answer(Action::What what, const desk::Proposal& proposal);
  bool may_answer(Time now);
  void move(std::ptrdiff_t by);
  Action selection_moved(const std::string& before) const;
  void ask(Prompt::What what, std::string question);
  void leave_detail();

  ProposalKey selected_proposal_;
  std::string selected_bottle_;
  std::map<ProposalKey, Time> arrived_;
  std::size_t page_ = 10;
};

}  // namespace bot_bottle::screen
