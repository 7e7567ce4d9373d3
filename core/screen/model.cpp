#include "core/screen/model.hpp"

#include <algorithm>

#include "core/screen/view.hpp"

namespace bot_bottle::screen {

std::size_t Model::update(std::vector<desk::Bottle> new_bottles, std::vector<desk::Proposal> new_proposals,
                          std::deque<desk::Event> new_events, Time now) {
  bottles = std::move(new_bottles);
  proposals = std::move(new_proposals);
  events = std::move(new_events);
  // Bottles that run first; by name within.
  std::ranges::stable_sort(bottles, {}, [](const desk::Bottle& one) { return static_cast<int>(one.presence); });

  std::size_t fresh = 0;
  std::map<ProposalKey, Time> arrived;
  for (const desk::Proposal& proposal : proposals) {
    const ProposalKey key = key_of(proposal);
    const auto known = arrived_.find(key);
    const bool waited = proposal.proposed_at < opened_at;  // before the screen was opened
    const Time since = known != arrived_.end() ? known->second : waited ? now - mark_time : now;
    if (known == arrived_.end() && !waited) ++fresh;
    arrived.emplace(key, since);
  }
  arrived_ = std::move(arrived);
  std::erase_if(answering, [this](const ProposalKey& key) { return !arrived_.contains(key); });

  if (find(selected_proposal_) == nullptr)
    selected_proposal_ = proposals.empty() ? ProposalKey{} : key_of(proposals.front());
  if (find_bottle(selected_bottle_) == nullptr && mode == Mode::confirm_stop) {
    // The key that would answer must not stop the one that comes next.
    mode = Mode::panes;
    say(selected_bottle_ + " is gone: nothing was stopped", Tone::plain);
  }
  if (find_bottle(selected_bottle_) == nullptr) selected_bottle_ = bottles.empty() ? "" : bottles.front().slug;

  if (detail) {
    const desk::Proposal* shown = find(detail->key);
    if (shown == nullptr) {
      if (prompt && prompt->key == detail->key) prompt.reset();
      if (!answering.contains(detail->key)) say(detail->key.id + " is not asked any more", Tone::plain);
      leave_detail();
    } else if (shown->hash != detail->hash) {
      // What was read is not what would be approved: all of it is to be looked at again.
      detail->hash = shown->hash;
      detail->since = now;
      detail->scroll = 0;
      detail->end_was_seen = false;
      detail->moved = true;
      if (mode == Mode::prompt || mode == Mode::narrow_menu) {
        prompt.reset();
        mode = Mode::detail;
      }
      say("what it would change has moved: look at it again", Tone::bad);
    }
  }
  return fresh;
}

void Model::leave_detail() {
  detail.reset();
  prompt.reset();
  if (mode == Mode::detail || mode == Mode::narrow_menu || mode == Mode::prompt) mode = Mode::panes;
}

void Model::say(std::string text, Tone tone) {
  message = std::move(text);
  message_tone = tone;
}

void Model::settle(std::size_t rows, std::size_t columns, Charset charset) {
  page_ = std::max<std::size_t>(body_rows(rows), 2) - 1;
  if (!detail) return;
  const std::size_t lines = lay_out_detail(*this, columns, charset).size();
  const std::size_t height = body_rows(rows);
  detail->scroll = std::min(detail->scroll, lines > height ? lines - height : 0);
  if (detail->scroll + height >= lines) detail->end_was_seen = true;
}

Time Model::next_change(Time now) const {
  Time next = Time::max();
  for (const auto& [key, since] : arrived_)
    if (since + mark_time > now) next = std::min(next, since + mark_time);
  return next;
}

bool Model::is_new(const desk::Proposal& proposal, Time now) const {
  const auto found = arrived_.find(key_of(proposal));
  return found != arrived_.end() && now < found->second + mark_time;
}

const desk::Proposal* Model::find(const ProposalKey& key) const {
  const auto found = std::ranges::find_if(
      proposals, [&](const desk::Proposal& one) { return one.slug == key.slug && one.id == key.id; });
  return found == proposals.end() ? nullptr : &*found;
}

const desk::Proposal* Model::selected_proposal() const {
  return find(detail ? detail->key : selected_proposal_);
}

const desk::Bottle* Model::find_bottle(const std::string& slug) const {
  const auto found = std::ranges::find(bottles, slug, &desk::Bottle::slug);
  return found == bottles.end() ? nullptr : &*found;
}

const desk::Bottle* Model::selected_bottle() const {
  return find_bottle(selected_bottle_);
}

void Model::move(std::ptrdiff_t by) {
  const auto moved = [by](std::size_t at, std::size_t size) {
    const auto last = static_cast<std::ptrdiff_t>(size) - 1;
    return static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(at) + by, 0, last));
  };
  switch (focus) {
    case Pane::proposals:
      if (const desk::Proposal* at = selected_proposal(); at != nullptr)
        selected_proposal_ =
            key_of(proposals[moved(static_cast<std::size_t>(at - proposals.data()), proposals.size())]);
      break;
    case Pane::bottles:
      if (const desk::Bottle* at = selected_bottle(); at != nullptr)
        selected_bottle_ = bottles[moved(static_cast<std::size_t>(at - bottles.data()), bottles.size())].slug;
      break;
    case Pane::events: {
      const auto back = static_cast<std::ptrdiff_t>(events_back) - by;
      events_back =
          static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(back, 0, static_cast<std::ptrdiff_t>(events.size())));
      break;
    }
  }
}

Action Model::selection_moved(const std::string& before) const {
  if (selected_bottle_ == before) return {};
  Action action;
  action.what = Action::What::selected_bottle;
  action.slug = selected_bottle_;
  return action;
}

}  // namespace bot_bottle::screen
