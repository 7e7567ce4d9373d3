// Upstream connections, each good for one route's name, port and credential only (attack A9): HTTP/1 while idle, HTTP/2
// as long as they live.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sidecar/egress/house.hpp"
#include "sidecar/egress/http2_client.hpp"
#include "sidecar/egress/sides.hpp"
#include "sidecar/net/timer.hpp"

namespace bot_bottle::egress {

class Pool {
 public:
  explicit Pool(House& house);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();
  /// A stream of a connection of that key, or the youngest idle connection, or null.
  std::unique_ptr<Upstream> take(const std::string& key);
  /// A new connection speaks what ALPN agreed on. Where another that many can use was quicker, it is dropped.
  std::unique_ptr<Upstream> adopt(const std::string& key, std::unique_ptr<tls::Channel> channel);
  /// Keeps it for a minute when it is reusable, ends it when it is not.
  void put(std::unique_ptr<Upstream> upstream);
  /// Ends the connection that has been idle longest; false: there is none.
  bool drop_oldest();
  /// No more requests on any: the routes, pins or trust they were made under have changed.
  void clear();
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  void sweep();
  void drop(Upstream* upstream);
  void drop_done();
  std::unique_ptr<Upstream> open_shared(const std::string& key);
  House& house_;
  std::unordered_map<std::string, std::vector<std::unique_ptr<Upstream>>> idle_;
  std::size_t size_ = 0;
  std::vector<std::unique_ptr<Http2Client>> shared_;
  net::Timer timer_;
};

}  // namespace bot_bottle::egress
