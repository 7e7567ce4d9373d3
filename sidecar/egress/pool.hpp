// Idle upstream connections, each good for one route's name, port and credential only (attack A9).
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sidecar/egress/http1_client.hpp"
#include "sidecar/net/timer.hpp"

namespace bot_bottle::egress {

class Pool {
 public:
  explicit Pool(House& house);
  /// The youngest idle connection of that key, or null.
  std::unique_ptr<Http1Client> take(const std::string& key);
  /// Keeps it for a minute when it is reusable, ends it when it is not.
  void put(std::unique_ptr<Http1Client> client);
  /// Ends all: the routes, pins or trust they were made under have changed.
  void clear();
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  void sweep();
  void drop(Http1Client* client);
  House& house_;
  std::unordered_map<std::string, std::vector<std::unique_ptr<Http1Client>>> idle_;
  std::size_t size_ = 0;
  net::Timer timer_;
};

}  // namespace bot_bottle::egress
