#include "core/desk/ask.hpp"

#include <poll.h>

#include <algorithm>
#include <memory>

#include "core/base/error.hpp"
#include "core/desk/channel.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::desk {

std::vector<Answered> ask_all(const Home& home, const json::object& request, std::chrono::milliseconds timeout) {
  std::vector<Answered> answered;
  std::vector<std::unique_ptr<Channel>> channels;
  for (const std::string& slug : state::list_slugs(home)) {
    const std::filesystem::path socket = home.state_of(slug) / "control" / "control.sock";
    auto channel = Channel::connect(socket);
    if (!channel) {
      const ErrorKind kind = channel.error().kind;
      if (kind != ErrorKind::unavailable && kind != ErrorKind::not_found)
        answered.push_back({slug, socket, fail(std::move(channel.error()))});
      continue;
    }
    auto owned = std::make_unique<Channel>(std::move(*channel));
    owned->call(request, timeout, [&answered, slug, socket](Result<json::object> answer) {
      if (answer || answer.error().kind != ErrorKind::unavailable)
        answered.push_back({slug, socket, std::move(answer)});
    });
    channels.push_back(std::move(owned));
  }
  while (!channels.empty()) {
    std::vector<pollfd> polled;
    auto deadline = Channel::Clock::time_point::max();
    for (const auto& channel : channels) {
      polled.push_back({.fd = channel->fd(), .events = channel->events(), .revents = 0});
      deadline = std::min(deadline, channel->deadline());
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Channel::Clock::now()).count() + 1;
    ::poll(polled.data(), polled.size(), static_cast<int>(std::max<std::int64_t>(left, 0)));
    for (std::size_t i = 0; i < polled.size(); ++i)
      if (!channels[i]->work(polled[i].revents) || channels[i]->is_idle()) channels[i].reset();
    std::erase(channels, nullptr);
  }
  std::ranges::sort(answered, {}, &Answered::slug);
  return answered;
}

AllPending ask_pending(const Home& home, std::chrono::milliseconds timeout) {
  AllPending all;
  for (Answered& one : ask_all(home, {{"call", "proposals"}}, timeout)) {
    if (!one.answer) {
      all.complaints.push_back(one.slug + ": " + one.answer.error().message);
      continue;
    }
    if (get_bool(*one.answer, "stop_due", false)) all.stop_due.push_back(one.slug);
    for (Proposal& proposal : parse_proposals(*one.answer, one.slug))
      if (proposal.is_pending()) all.pending.push_back({one.socket, std::move(proposal)});
  }
  std::ranges::stable_sort(all.pending, {}, [](const Pending& one) { return one.proposal.proposed_at; });
  return all;
}

Pending find_pending(const Home& home, const std::string& id, const std::string& slug,
                     std::chrono::milliseconds timeout) {
  AllPending all = ask_pending(home, timeout);
  std::vector<Pending> found;
  for (Pending& one : all.pending)
    if (one.proposal.id == id && (slug.empty() || one.proposal.slug == slug)) found.push_back(std::move(one));
  if (found.empty()) {
    Error error =
        make_error(ErrorKind::not_found, "no bottle that runs asks for '" + id + "'", "bot-bottle supervise --once");
    for (const std::string& complaint : all.complaints)
      error.details += (error.details.empty() ? "" : "\n") + complaint;
    throw Failure(std::move(error));
  }
  if (found.size() > 1)
    throw Failure(make_error(ErrorKind::usage, "several bottles ask under the id '" + id + "'",
                             "name the one you mean: --bottle " + found.front().proposal.slug));
  return std::move(found.front());
}

}  // namespace bot_bottle::desk
