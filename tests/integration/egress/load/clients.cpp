#include <atomic>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include "connection.hpp"
#include "programs.hpp"

namespace bot_bottle::load {
namespace {

std::string request(const std::string& host, const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nhost: " + host + "\r\n\r\n";
}

/// Asks `/n/id`; what came, empty when nothing did.
std::string ask(Connection& connection, const std::string& host, std::uint64_t id) {
  return connection.send(request(host, "/n/" + std::to_string(id))) ? connection.response() : std::string();
}

std::string right_answer(std::uint64_t id) {
  return "200 answer " + std::to_string(id);
}

}  // namespace

int requests(const Target& target, unsigned connections, unsigned rate) {
  using Clock = std::chrono::steady_clock;
  const Context context = client_context(target.ca_file);
  std::atomic<bool> ends{false};
  std::atomic<std::uint64_t> sent{0};
  std::atomic<std::uint64_t> right{0};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> lost{0};
  std::mutex mutex;
  std::string first;
  std::vector<std::thread> threads;
  const auto interval = std::chrono::nanoseconds(1'000'000'000ULL * connections / rate);
  for (unsigned i = 0; i < connections; ++i) {
    threads.emplace_back([&, i] {
      std::unique_ptr<Connection> connection;
      auto due = Clock::now() + interval * i / connections;
      while (!ends) {
        std::this_thread::sleep_until(due);
        due += interval;
        const std::uint64_t id = ++sent;
        if (!connection) connection = Connection::through(target.socket, context.get(), target.host, "http/1.1");
        const std::string got = connection ? ask(*connection, target.host, id) : std::string();
        if (got == right_answer(id)) {
          ++right;
          continue;
        }
        if (got.empty()) {
          ++lost;
          connection.reset();
          continue;
        }
        ++wrong;
        const std::lock_guard lock(mutex);
        if (first.empty()) first = got.substr(0, 3);
      }
    });
  }
  std::puts("{}");  // it runs
  std::fflush(stdout);
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  ends = true;
  for (std::thread& thread : threads) thread.join();
  std::printf("{\"sent\": %llu, \"right\": %llu, \"wrong\": %llu, \"lost\": %llu, \"first\": \"%s\"}\n",
              static_cast<unsigned long long>(sent), static_cast<unsigned long long>(right),
              static_cast<unsigned long long>(wrong), static_cast<unsigned long long>(lost), first.c_str());
  return 0;
}

int idle(const Target& target, unsigned count) {
  const Context context = client_context(target.ca_file);
  std::vector<std::unique_ptr<Connection>> open;
  Ticket ticket;
  std::uint64_t id = 0;
  unsigned right = 0;
  for (unsigned i = 0; i < count; ++i) {
    auto connection = Connection::through(target.socket, context.get(), target.host, "http/1.1", ticket.get());
    if (!connection) continue;
    ++id;
    if (ask(*connection, target.host, id) == right_answer(id)) ++right;
    connection->rest = std::string();
    // A ticket of TLS 1.3 is there after the first answer, and good for one connection here as elsewhere.
    ticket = connection->ticket();
    open.push_back(std::move(connection));
  }
  std::string line;
  do {
    std::printf("{\"right\": %u}\n", right);
    std::fflush(stdout);
    if (!std::getline(std::cin, line)) return 0;
    right = 0;
    for (const auto& connection : open) {
      ++id;
      if (ask(*connection, target.host, id) == right_answer(id)) ++right;
    }
  } while (true);
}

}  // namespace bot_bottle::load
