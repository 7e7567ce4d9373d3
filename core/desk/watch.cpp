#include "core/desk/watch.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "core/base/error.hpp"
#include "core/launch/decisions.hpp"

namespace bot_bottle::desk {
namespace {

using std::chrono::milliseconds;
/// New bottles and log lines are looked for this often; proposals come by themselves.
constexpr milliseconds scan_pause{250};
constexpr milliseconds long_poll{25'000};
constexpr milliseconds answer_time{5'000};
/// Between an answer and the next long poll: what a flood of records costs us is bounded.
constexpr milliseconds watch_pause{30};
/// Between two looks at a sidecar that does not know `watch` (an older version's).
constexpr milliseconds poll_pause{1'000};
constexpr milliseconds first_retry{250};
constexpr milliseconds last_retry{5'000};
/// Between two copies of one bottle's decisions: a burst of answers is one append.
constexpr milliseconds copy_pause{200};
constexpr std::size_t max_events = 2'000;
constexpr std::size_t max_complaints = 16;

enum class Polling : std::uint8_t { watch, proposals };

}  // namespace

struct Watch::Followed {
  Followed(state::Directory directory_of)
      : directory(std::move(directory_of)), tail(directory.path(), directory.slug()) {}
  state::Directory directory;
  state::Metadata metadata;
  EventTail tail;
  std::unique_ptr<Channel> channel;
  Polling polling = Polling::watch;
  bool waits = false;  // a request of ours is under way
  std::int64_t seen = 0;
  Clock::time_point next_try;
  ino_t tried_socket = 0;
  milliseconds retry = first_retry;
  std::vector<Proposal> pending;
  std::string complaint;
  bool stop_due = false;
  bool copies = false;
  bool wants_copy = true;  // what an earlier operator's process could not copy any more
  bool knows_decisions = true;
  Clock::time_point next_copy;
  timespec metadata_changed{};
};

Watch::Watch(Home home) : home_(std::move(home)) {}
Watch::~Watch() = default;

void Watch::add_to(std::vector<pollfd>& polled) const {
  const auto add = [&polled](const Channel* channel) {
    // poll(2) leaves a negative descriptor out: the number of entries is what `work` counts on.
    polled.push_back({.fd = channel == nullptr ? -1 : channel->fd(),
                      .events = channel == nullptr ? static_cast<short>(0) : channel->events(),
                      .revents = 0});
  };
  for (const auto& [slug, one] : followed_) add(one->channel.get());
  for (const auto& channel : calls_) add(channel.get());
}

Watch::Clock::time_point Watch::next_look() const {
  auto next = next_scan_;
  for (const auto& [slug, one] : followed_)
    if (one->channel) next = std::min(next, one->waits ? one->channel->deadline() : one->next_try);
  for (const auto& channel : calls_) next = std::min(next, channel->deadline());
  return next;
}

void Watch::work(const pollfd* polled, std::size_t count) {
  std::size_t at = 0;
  const auto ready = [&] { return at < count ? polled[at++].revents : static_cast<short>(0); };
  for (const auto& [slug, one] : followed_) {
    const short revents = ready();
    if (one->channel && !one->channel->work(revents)) lose(*one);
    begin_poll_if_due(*one);
  }
  // `done` may ask more: what is appended meanwhile has its turn after the next poll.
  const std::size_t calls = calls_.size();
  for (std::size_t i = 0; i < calls; ++i) {
    const short revents = ready();
    Channel* channel = calls_[i].get();
    if (!channel->work(revents) || channel->is_idle()) calls_[i].reset();
  }
  std::erase(calls_, nullptr);
  if (Clock::now() >= next_scan_) scan();
}

/// What is there, what came and what went; cheap enough to be done a few times a second.
void Watch::scan() {
  const auto now = Clock::now();
  next_scan_ = now + scan_pause;
  const std::vector<std::string> slugs = state::list_slugs(home_);
  for (auto at = followed_.begin(); at != followed_.end();) {
    if (std::ranges::binary_search(slugs, at->first)) {
      ++at;
      continue;
    }
    at = followed_.erase(at);
    ++version_;
  }
  for (const std::string& slug : slugs) {
    if (followed_.contains(slug)) continue;
    try {
      followed_.emplace(slug, std::make_unique<Followed>(state::Directory::open(home_, slug)));
      ++version_;
    } catch (const Failure&) {  // removed between the two looks
    }
  }
  std::vector<Event> fresh;
  for (const auto& [slug, one] : followed_) {
    follow(*one);
    one->tail.look([&fresh](Event event) { fresh.push_back(std::move(event)); });
  }
  if (fresh.empty()) return;
  ++version_;
  // RFC 3339 in UTC sorts as text.
  std::ranges::stable_sort(fresh, {}, &Event::time);
  events_.insert(events_.end(), std::make_move_iterator(fresh.begin()), std::make_move_iterator(fresh.end()));
  drop_old_events();
}

/// Of the bottles that have the most: one that is flooded loses its own, and no other's.
void Watch::drop_old_events() {
  while (events_.size() > max_events) {
    std::map<std::string_view, std::size_t> counts;
    for (const Event& event : events_) ++counts[event.slug];
    const auto most = std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
    const std::size_t fair = max_events / counts.size();
    std::size_t excess = std::min(events_.size() - max_events, most->second - std::min(most->second - 1, fair));
    const std::string slug(most->first);
    std::erase_if(events_, [&](const Event& event) { return excess > 0 && event.slug == slug && excess-- > 0; });
  }
}

void Watch::follow(Followed& one) {
  const auto now = Clock::now();
  struct stat status {};
  const std::string file = one.directory.path() / "metadata.json";
  if (::lstat(file.c_str(), &status) == 0 && (status.st_mtim.tv_sec != one.metadata_changed.tv_sec ||
                                              status.st_mtim.tv_nsec != one.metadata_changed.tv_nsec)) {
    one.metadata_changed = status.st_mtim;
    try {
      one.metadata = one.directory.metadata();
    } catch (const Failure& failure) {
      one.complaint = failure.error().message;
    }
    ++version_;
  }
  struct stat socket {};
  const bool listens = ::lstat(one.directory.control_socket().c_str(), &socket) == 0;
  // A sidecar that has just come up is not kept waiting for what an older one did.
  const bool is_fresh = listens && socket.st_ino != one.tried_socket;
  if (!one.channel && listens && (is_fresh || now >= one.next_try)) {
    one.tried_socket = socket.st_ino;
    if (is_fresh) one.retry = first_retry;
    auto channel = Channel::connect(one.directory.control_socket());
    if (channel) {
      one.channel = std::make_unique<Channel>(std::move(*channel));
      one.next_try = now;
      one.polling = Polling::watch;
      one.seen = -1;
      one.waits = false;
      one.knows_decisions = true;
      one.wants_copy = true;
    } else {
      if (channel.error().kind != ErrorKind::unavailable && one.complaint != channel.error().message) {
        one.complaint = channel.error().message;
        ++version_;
      }
      one.next_try = now + one.retry;
      one.retry = std::min(one.retry * 2, last_retry);
    }
  }
  begin_poll_if_due(one);
  copy_if_due(one);
}

void Watch::copy_if_due(Followed& one) {
  if (one.channel && one.wants_copy && !one.copies && one.knows_decisions && Clock::now() >= one.next_copy)
    copy_decisions(one);
}

void Watch::finish(milliseconds timeout) {
  for (const auto& [slug, one] : followed_) {
    if (!one->channel || !one->knows_decisions || (!one->wants_copy && !one->copies)) continue;
    try {
      launch::copy_decisions(home_, one->directory, timeout);
    } catch (const Failure&) {  // the next look does it
    }
  }
}

void Watch::begin_poll_if_due(Followed& one) {
  if (!one.channel || one.waits || Clock::now() < one.next_try) return;
  one.waits = true;
  const auto done = [this, &one](Result<json::object> answer) { on_proposals(one, std::move(answer)); };
  if (one.polling == Polling::watch && one.seen >= 0)
    one.channel->call({{"call", "watch"}, {"seen", one.seen}, {"timeout_ms", long_poll.count()}},
                      long_poll + answer_time, done);
  else
    one.channel->call({{"call", "proposals"}}, answer_time, done);
  if (!one.channel->work(POLLOUT)) lose(one);
}

void Watch::on_proposals(Followed& one, Result<json::object> answer) {
  one.waits = false;
  if (!answer) {
    const ErrorKind kind = answer.error().kind;
    if (kind == ErrorKind::unavailable || kind == ErrorKind::timeout) {
      one.complaint = answer.error().message;
      return;  // the channel ends, `lose` follows
    }
    if (one.polling == Polling::watch && one.seen >= 0) {
      one.polling = Polling::proposals;  // it does not know `watch`
    } else if (one.complaint != answer.error().message) {
      one.complaint = answer.error().message;
      ++version_;
    }
    one.next_try = Clock::now() + poll_pause;
    return;
  }
  one.retry = first_retry;
  std::vector<Proposal> pending = parse_proposals(*answer, one.directory.slug());
  std::erase_if(pending, [](const Proposal& proposal) { return !proposal.is_pending(); });
  if (pending.size() > max_pending_of_a_bottle) pending.resize(max_pending_of_a_bottle);
  const auto same = [](const Proposal& a, const Proposal& b) { return a.document == b.document; };
  const bool stop_due = get_bool(*answer, "stop_due", false);
  if (!one.complaint.empty() || one.seen < 0 || stop_due != one.stop_due ||
      !std::ranges::equal(pending, one.pending, same))
    ++version_;
  one.complaint.clear();
  one.stop_due = stop_due;
  one.pending = std::move(pending);
  const std::int64_t seq = get_int(*answer, "seq", -1);
  if (seq != one.seen) one.wants_copy = true;
  one.seen = std::max<std::int64_t>(seq, 0);
  copy_if_due(one);
  if (seq < 0) one.polling = Polling::proposals;
  one.next_try = Clock::now() + (one.polling == Polling::proposals ? poll_pause : watch_pause);
}

void Watch::copy_decisions(Followed& one) {
  one.wants_copy = false;
  one.copies = true;
  one.next_copy = Clock::now() + copy_pause;
  const std::string slug = one.directory.slug();
  const auto complain = [this, slug](const Error& error) {
    if (complaints_.size() < max_complaints) complaints_.push_back(slug + ": " + error.message);
    ++version_;
  };
  try {
    const std::uint64_t after = launch::decisions_recorded(home_, one.directory);
    call(slug, {{"call", "decisions"}, {"after", after}}, answer_time,
         [this, slug, complain](Result<json::object> answer) {
           const auto found = followed_.find(slug);
           if (found == followed_.end()) return;
           found->second->copies = false;
           if (!answer) {
             found->second->knows_decisions = answer.error().kind == ErrorKind::timeout;
             return;
           }
           try {
             // What one answer could not hold comes with the next.
             if (launch::record_decisions(home_, found->second->directory, *answer) > 0)
               found->second->wants_copy = true;
           } catch (const Failure& failure) {
             complain(failure.error());
           }
         });
  } catch (const Failure& failure) {
    one.copies = false;
    one.knows_decisions = false;  // until it is connected again: the file needs a look first
    complain(failure.error());
  }
}

void Watch::lose(Followed& one) {
  one.channel.reset();
  one.pending.clear();
  one.next_try = Clock::now() + one.retry;
  one.retry = std::min(one.retry * 2, last_retry);
  one.copies = false;
  ++version_;
}

std::vector<Bottle> Watch::bottles() const {
  std::vector<Bottle> all;
  for (const auto& [slug, one] : followed_) {
    const state::Metadata& metadata = one->metadata;
    Bottle bottle{.slug = slug,
                  .name = state::display_name(metadata),
                  .backend = metadata.backend,
                  .status = std::string(state::name_of(metadata.status)),
                  .started_at_ms = metadata.started_at_ms,
                  .presence = Presence::silent,
                  .pending = one->pending.size(),
                  .stop_due = false,
                  .complaint = one->complaint};
    if (one->channel && one->seen >= 0) {
      bottle.presence = Presence::listening;
      bottle.stop_due = one->stop_due;
    } else if (metadata.status != state::Status::running && metadata.status != state::Status::launching) {
      bottle.presence = Presence::kept;
    }
    all.push_back(std::move(bottle));
  }
  return all;
}

std::vector<Proposal> Watch::pending() const {
  std::vector<Proposal> all;
  for (const auto& [slug, one] : followed_) all.insert(all.end(), one->pending.begin(), one->pending.end());
  std::ranges::stable_sort(all, {}, &Proposal::proposed_at);
  return all;
}

std::vector<std::string> Watch::take_complaints() {
  return std::exchange(complaints_, {});
}

void Watch::call(const std::string& slug, json::object request, milliseconds timeout, Channel::Done done) {
  auto channel = Channel::connect(home_.state_of(slug) / "control" / "control.sock");
  if (!channel) {
    done(fail(std::move(channel.error())));
    return;
  }
  calls_.push_back(std::make_unique<Channel>(std::move(*channel)));
  calls_.back()->call(std::move(request), timeout, [this, done = std::move(done)](Result<json::object> answer) {
    ++version_;  // what it says is to be shown, whatever else happens
    done(std::move(answer));
  });
}

}  // namespace bot_bottle::desk
