#include "sidecar/egress/pool.hpp"

#include <algorithm>

#include "sidecar/egress/http1_client.hpp"

namespace bot_bottle::egress {
namespace {
constexpr std::size_t max_idle = 128;
constexpr std::chrono::milliseconds sweep_every{5000};
}  // namespace

Pool::Pool(House& house) : house_(house), timer_(house.loop, [this] { sweep(); }) {}

Pool::~Pool() = default;

std::unique_ptr<Upstream> Pool::open_shared(const std::string& key) {
  for (const auto& client : shared_) {
    if (client->key() == key && client->can_open()) return client->open();
  }
  return nullptr;
}

std::unique_ptr<Upstream> Pool::take(const std::string& key) {
  if (auto stream = open_shared(key)) return stream;
  const auto found = idle_.find(key);
  if (found == idle_.end() || found->second.empty()) return nullptr;
  std::unique_ptr<Upstream> upstream = std::move(found->second.back());
  found->second.pop_back();
  --size_;
  upstream->on_idle_event = nullptr;
  return upstream;
}

std::unique_ptr<Upstream> Pool::adopt(const std::string& key, std::unique_ptr<tls::Channel> channel) {
  const bool http2 = channel->is_secure() && channel->session()->alpn() == "h2";
  auto stream = http2 ? open_shared(key) : nullptr;
  if (!http2 || stream) {
    auto upstream = std::make_unique<Http1Client>(house_, std::move(channel));
    upstream->pool_key = key;
    if (!stream) return upstream;
    // Not wanted any more. It may be the channel itself that is calling: it dies when the turn ends.
    house_.loop.retire(std::move(upstream));
    return stream;
  }
  auto client = std::make_unique<Http2Client>(house_, std::move(channel), key, [this] { drop_done(); });
  stream = client->open();
  shared_.push_back(std::move(client));
  timer_.set(sweep_every);
  return stream;
}

void Pool::put(std::unique_ptr<Upstream> upstream) {
  if (!upstream->is_reusable() || size_ >= max_idle) {
    house_.loop.retire(std::move(upstream));
    return;
  }
  upstream->idle_since_ms = house_.loop.now_ms();
  upstream->set_handler(nullptr);
  upstream->resume_response();
  upstream->on_idle_event = [this, raw = upstream.get()] { drop(raw); };
  idle_[upstream->pool_key].push_back(std::move(upstream));
  if (size_++ == 0) timer_.set(sweep_every);
}

void Pool::drop(Upstream* upstream) {
  auto& list = idle_[upstream->pool_key];
  const auto found = std::find_if(list.begin(), list.end(), [&](const auto& entry) { return entry.get() == upstream; });
  if (found == list.end()) return;
  house_.loop.retire(std::move(*found));
  list.erase(found);
  --size_;
}

bool Pool::drop_oldest() {
  Upstream* oldest = nullptr;
  for (const auto& [key, list] : idle_) {
    if (!list.empty() && (oldest == nullptr || list.front()->idle_since_ms < oldest->idle_since_ms))
      oldest = list.front().get();
  }
  if (oldest != nullptr) drop(oldest);
  return oldest != nullptr;
}

void Pool::clear() {
  for (auto& [key, list] : idle_) {
    for (auto& upstream : list) house_.loop.retire(std::move(upstream));
  }
  idle_.clear();
  size_ = 0;
  for (const auto& client : shared_) client->open_no_more();
  drop_done();
}

void Pool::drop_done() {
  for (auto entry = shared_.begin(); entry != shared_.end();) {
    if (!(*entry)->is_done()) {
      ++entry;
      continue;
    }
    house_.loop.retire(std::move(*entry));
    entry = shared_.erase(entry);
  }
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
  for (const auto& client : shared_) {
    if (client->open_streams() == 0 && now - client->idle_since_ms() >= keep) client->open_no_more();
  }
  drop_done();
  if (size_ > 0 || !shared_.empty()) timer_.set(sweep_every);
}

}  // namespace bot_bottle::egress
