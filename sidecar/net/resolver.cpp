#include "sidecar/net/resolver.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>

#include <cstring>
#include <unordered_map>

#include "sidecar/net/timer.hpp"

namespace bot_bottle::net {

std::optional<Address> Address::parse(const std::string& text, std::uint16_t port) {
  Address address;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    std::memcpy(&address.storage, &v4, sizeof v4);
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    std::memcpy(&address.storage, &v6, sizeof v6);
  } else {
    return std::nullopt;
  }
  address.set_port(port);
  return address;
}

std::optional<Address> Address::from(const sockaddr* address) {
  Address result;
  if (address->sa_family == AF_INET) {
    std::memcpy(&result.storage, address, sizeof(sockaddr_in));
  } else if (address->sa_family == AF_INET6) {
    std::memcpy(&result.storage, address, sizeof(sockaddr_in6));
  } else {
    return std::nullopt;
  }
  return result;
}

void Address::set_port(std::uint16_t port) {
  if (storage.ss_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
  }
}

std::span<const std::uint8_t> Address::octets() const {
  if (storage.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
    return {v6->sin6_addr.s6_addr, 16};
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
  return {reinterpret_cast<const std::uint8_t*>(&v4->sin_addr), 4};
}

std::string Address::text() const {
  char text[INET6_ADDRSTRLEN] = {};
  const bool v6 = storage.ss_family == AF_INET6;
  ::inet_ntop(storage.ss_family, octets().data(), text, sizeof text);
  const std::uint16_t port = ntohs(v6 ? reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port
                                      : reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
  return v6 ? fmt::format("[{}]:{}", text, port) : fmt::format("{}:{}", text, port);
}

namespace {

constexpr std::uint64_t keep_ms = 30'000;
constexpr std::size_t max_kept = 256;

struct Kept {
  std::vector<Address> addresses;
  std::uint64_t until = 0;
};

/// Shared with the thread pool's request, which may outlive the question.
struct Question {
  uv_getaddrinfo_t request{};
  Loop* loop = nullptr;
  std::string host;
  OnAddresses on_addresses;  // empty once the asker is gone
  std::shared_ptr<std::unordered_map<std::string, Kept>> kept;
  std::shared_ptr<Question> self;  // while libuv holds `request`
};

class SystemLookup : public Lookup {
 public:
  explicit SystemLookup(std::shared_ptr<Question> question) : question_(std::move(question)) {}
  ~SystemLookup() override {
    question_->on_addresses = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&question_->request));
  }

 private:
  std::shared_ptr<Question> question_;
};

/// An answer that is known already, given in the next round.
class KeptLookup : public Lookup {
 public:
  KeptLookup(Loop& loop, std::vector<Address> addresses, OnAddresses on_addresses)
      : timer_(loop, [addresses = std::move(addresses), on_addresses = std::move(on_addresses)] {
          on_addresses(addresses);
        }) {
    timer_.set(std::chrono::milliseconds(0));
  }

 private:
  Timer timer_;
};

void on_answer(uv_getaddrinfo_t* request, int status, addrinfo* answer) {
  const std::shared_ptr<Question> question = std::move(static_cast<Question*>(request->data)->self);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> free_answer(answer, uv_freeaddrinfo);
  if (!question->on_addresses) return;
  const Loop::Turn turn(*question->loop);
  const OnAddresses on_addresses = std::move(question->on_addresses);
  if (status != 0) {
    on_addresses(fail(ErrorKind::unavailable, fmt::format("cannot resolve the name: {}", uv_strerror(status))));
    return;
  }
  std::vector<Address> addresses;
  for (const addrinfo* entry = answer; entry != nullptr; entry = entry->ai_next) {
    if (auto address = Address::from(entry->ai_addr)) addresses.push_back(*address);
  }
  if (question->kept->size() >= max_kept) question->kept->clear();
  (*question->kept)[question->host] = {addresses, question->loop->now_ms() + keep_ms};
  on_addresses(std::move(addresses));
}

class SystemResolver : public Resolver {
 public:
  explicit SystemResolver(Loop& loop) : loop_(loop) {}

  std::unique_ptr<Lookup> resolve(const std::string& host, OnAddresses on_addresses) override {
    if (const auto found = kept_->find(host); found != kept_->end() && found->second.until > loop_.now_ms())
      return std::make_unique<KeptLookup>(loop_, found->second.addresses, std::move(on_addresses));
    auto question = std::make_shared<Question>();
    question->loop = &loop_;
    question->host = host;
    question->on_addresses = std::move(on_addresses);
    question->kept = kept_;
    question->request.data = question.get();
    question->self = question;
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    // The root's dot keeps search domains of resolv.conf out of it: an allowed name means that name and no other (B2).
    const std::string rooted = host.find('.') == std::string::npos ? host : host + ".";
    if (uv_getaddrinfo(loop_.raw(), &question->request, on_answer, rooted.c_str(), nullptr, &hints) != 0) {
      question->self.reset();
      return nullptr;
    }
    return std::make_unique<SystemLookup>(std::move(question));
  }

 private:
  Loop& loop_;
  std::shared_ptr<std::unordered_map<std::string, Kept>> kept_ =
      std::make_shared<std::unordered_map<std::string, Kept>>();
};

}  // namespace

std::unique_ptr<Resolver> make_system_resolver(Loop& loop) {
  return std::make_unique<SystemResolver>(loop);
}

}  // namespace bot_bottle::net
