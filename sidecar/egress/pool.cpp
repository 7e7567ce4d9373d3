#include "sidecar/egress/pool.hpp"

#include <algorithm>

namespace bot_bottle::egress {
namespace {
constexpr std::size_t max_idle = 128;
constexpr std::chrono::milliseconds sweep_every{5000};
}  // namespace

Pool::Pool(House& house) : house_(house), timer_(house.loop, [this] { sweep(); }) {}

std::unique_ptr<Http1Client> Pool::take(const std::string& key) {
  const auto found = idle_.find(key);
  if (found == idle_.end() || found->second.empty()) return nullptr;
  std::unique_ptr<Http1Client> client = std::move(found->second.back());
  found->second.pop_back();
  --size_;
  client->on_idle_event = nullptr;
  return client;
}

void Pool::put(std::unique_ptr<Http1Client> client) {
  if (!client->is_reusable() || size_ >= max_idle) {
    house_.loop.retire(std::move(client));
    return;
  }
  client->idle_since_ms = house_.loop.now_ms();
  client->set_handler(nullptr);
  client->resume_response();
  client->on_idle_event = [this, raw = client.get()] { drop(raw); };
  idle_[client->pool_key].push_back(std::move(client));
  if (size_++ == 0) timer_.set(sweep_every);
}

void Pool::drop(Http1Client* client) {
  auto& list = idle_[client->pool_key];
  const auto found = std::find_if(list.begin(), list.end(), [&](const auto& entry) { return entry.get() == client; });
  if (found == list.end()) return;
  house_.loop.retire(std::move(*found));
  list.erase(found);
  --size_;
}

void Pool::clear() {
  for (auto& [key, list] : idle_) {
    for (auto& client : list) house_.loop.retire(std::move(client));
  }
  idle_.clear();
  size_ = 0;
}

void Pool::sweep() {
  const auto keep = static_cast<std::uint64_t>(house_.times.pooled.count());
  const std::uint64_t now = house_.loop.now_ms();
  for (auto entry = idle_.begin(); entry != idle_.end();) {
    auto& list = entry->second;
    // The front is the oldest: connections are taken from and put at the back.
    while (!list.empty() && now - list.front()->idle_since_ms >= keep) {
      house_.loop.retire(std::move(list.front()));
      list.erase(list.begin());
      --size_;
    }
    entry = list.empty() ? idle_.erase(entry) : std::next(entry);
  }
  if (size_ > 0) timer_.set(sweep_every);
}

}  // namespace bot_bottle::egress
