#include "sidecar/egress/dial.hpp"

#include <fmt/format.h>

#include "core/base/text.hpp"
#include "sidecar/egress/pool.hpp"
#include "sidecar/http1/head.hpp"

namespace bot_bottle::egress {

Dial::Dial(House& house, std::shared_ptr<const policy::RouteTable> routes, Authority authority, Security security,
           OnDone on_done)
    : house_(house),
      routes_(std::move(routes)),
      authority_(std::move(authority)),
      security_(security),
      on_done_(std::move(on_done)),
      timer_(house.loop, [this] {
        if (!late_) late_ = upstream_failed(504, "upstream_timeout", "the upstream did not answer in time");
        refuse(std::move(*late_));
      }) {
  ++house_.counters.open_upstreams;
}

Dial::~Dial() {
  --house_.counters.open_upstreams;
}

void Dial::start() {
  timer_.set(house_.times.connect);
  // Idle ones make room; descriptors must not run out, or nothing can be accepted either (attack L).
  if (house_.counters.open_upstreams > house_.bounds.upstreams && !house_.pool->drop_oldest()) {
    Refusal refusal{.blame = Blame::load, .status = 503, .reason = "too_many_upstreams"};
    refusal.retry_after_s = 1;
    refuse_later(std::move(refusal));
    return;
  }
  const policy::Egress& egress = routes_->egress();
  const auto pin = egress.hosts.find(authority_.host);
  std::optional<net::Address> pinned;
  if (pin != egress.hosts.end()) {
    pinned = net::Address::parse(pin->second.address, pin->second.port.value_or(authority_.port));
    if (!pinned) {
      refuse_later(upstream_failed(502, "name_not_resolved", "the pinned address cannot be read"));
      return;
    }
  }
  if (egress.upstream_proxy) {
    // The parent resolves and dials: our address rules cannot hold behind it. The operator chose it.
    parent_ = &*egress.upstream_proxy;
    if (auto literal = net::Address::parse(parent_->host, parent_->port)) {
      connect({*literal});
    } else {
      resolve(parent_->host);
    }
    return;
  }
  if (pinned) {
    // An explicit pin may be an address that the SSRF rules refuse: the operator wrote it.
    connect({*pinned});
    return;
  }
  resolve(authority_.host);
}

void Dial::resolve(const std::string& host) {
  lookup_ = house_.resolver.resolve(
      host, [this](Result<std::vector<net::Address>> addresses) { on_addresses(std::move(addresses)); });
  if (!lookup_) refuse_later(upstream_failed(502, "name_not_resolved", "the resolver takes no more questions"));
}

/// Through the timer: the caller is still in start().
void Dial::refuse_later(Refusal refusal) {
  late_ = std::move(refusal);
  timer_.set(std::chrono::milliseconds(0));
}

void Dial::on_addresses(Result<std::vector<net::Address>> addresses) {
  if (stage_ != Stage::resolving) return;
  if (!addresses) {
    refuse(upstream_failed(502, "name_not_resolved", addresses.error().message));
    return;
  }
  std::vector<net::Address> allowed;
  for (net::Address& address : *addresses) {
    // By address, never by name (attack A17), and these very values are dialled: no second lookup (attacks B4, A11).
    const bool forbidden =
        parent_ == nullptr && house_.guards.is_on(Guard::ssrf) && policy::is_forbidden_address(address.octets());
    if (forbidden) continue;
    address.set_port(parent_ != nullptr ? parent_->port : authority_.port);
    allowed.push_back(address);
  }
  if (allowed.empty() && !addresses->empty()) {
    Refusal refusal = blocked("address_not_allowed",
                              "the name leads to a private, local or reserved address; pin it in `hosts` to allow it");
    refuse(std::move(refusal));
    return;
  }
  connect(std::move(allowed));
}

void Dial::connect(std::vector<net::Address> addresses) {
  stage_ = Stage::connecting;
  connecting_ = std::make_unique<net::Connecting>(
      house_.loop, std::move(addresses), house_.times.connect,
      [this](Result<net::Connecting::Connected> connected) { on_connected(std::move(connected)); });
}

void Dial::on_connected(Result<net::Connecting::Connected> connected) {
  if (stage_ != Stage::connecting) return;
  if (!connected) {
    const bool timeout = connected.error().kind == ErrorKind::timeout;
    refuse(upstream_failed(timeout ? 504 : 502, timeout ? "upstream_timeout" : "upstream_unreachable",
                           connected.error().message));
    return;
  }
  channel_ = std::make_unique<tls::Channel>(house_.loop, std::move(connected->stream), &house_.counters.open_upstreams);
  channel_->set_handler(this);
  if (parent_ != nullptr) {
    ask_parent_proxy();
  } else {
    secure();
  }
}

void Dial::ask_parent_proxy() {
  stage_ = Stage::parent;
  const policy::Egress& egress = routes_->egress();
  const auto pin = egress.hosts.find(authority_.host);
  std::string target = fmt::format("{}:{}", authority_.host, authority_.port);
  if (pin != egress.hosts.end()) {
    if (const auto address = net::Address::parse(pin->second.address, pin->second.port.value_or(authority_.port)))
      target = address->text();
  }
  std::string head = fmt::format("CONNECT {0} HTTP/1.1\r\nhost: {0}\r\n", target);
  if (!parent_->token_ref.empty()) {
    const SecretBytes* secret = house_.secrets.find(parent_->token_ref);
    if (secret == nullptr) {
      refuse(upstream_failed(502, "credential_missing", "the parent proxy's credential was not given to the bottle"));
      return;
    }
    std::string encoded = base64_encode(secret->view());
    head.append("proxy-authorization: Basic ").append(encoded).append("\r\n");
    wipe(encoded.data(), encoded.size());
  }
  head.append("\r\n");
  channel_->write(head);
  wipe(head.data(), head.size());
  channel_->resume();
}

void Dial::on_bytes(std::string_view bytes) {
  if (stage_ != Stage::parent) {
    refuse(upstream_failed(502, "upstream_protocol", "the upstream spoke before it was asked"));
    return;
  }
  parent_answer_.append(bytes);
  http1::HeadProgress progress;
  http1::ResponseHead head;
  const http1::HeadResult result = http1::read_response_head(parent_answer_, progress, head);
  if (result.reading == http1::Reading::need_more) return;
  if (result.reading == http1::Reading::bad || head.status != 200 || result.size != parent_answer_.size()) {
    refuse(upstream_failed(502, "parent_proxy_refused",
                           result.reading == http1::Reading::bad
                               ? std::string("the parent proxy's answer is malformed")
                               : fmt::format("the parent proxy answered {}", head.status)));
    return;
  }
  secure();
}

void Dial::secure() {
  if (security_ == Security::plain) {
    succeed();
    return;
  }
  stage_ = Stage::tls;
  auto context = house_.client_context();
  if (!context) {
    refuse(upstream_failed(502, "upstream_tls", context.error().message));
    return;
  }
  auto session = (*context)->connect(authority_.host, fmt::format("{}:{}", authority_.host, authority_.port),
                                     security_ == Security::tls ? tls::Offer::http2_and_http1 : tls::Offer::http1);
  if (!session) {
    refuse(upstream_failed(502, "upstream_tls", session.error().message));
    return;
  }
  channel_->start_tls(std::move(*session), {});
  channel_->resume();
}

void Dial::on_secured() {
  succeed();
}

void Dial::succeed() {
  if (stage_ == Stage::done) return;
  stage_ = Stage::done;
  timer_.clear();
  channel_->set_handler(nullptr);
  Done done;
  done.channel = std::move(channel_);
  const OnDone callback = std::move(on_done_);
  callback(done);
  // Refused after all (canaries_test: a_freeze_during_a_dial_ends_it): it must outlive this call.
  channel_ = std::move(done.channel);
}

void Dial::refuse(Refusal refusal) {
  if (stage_ == Stage::done) return;
  stage_ = Stage::done;
  timer_.clear();
  lookup_.reset();
  connecting_.reset();
  if (channel_) channel_->close();
  Done done;
  done.refusal = std::move(refusal);
  const OnDone callback = std::move(on_done_);
  callback(done);
}

void Dial::on_end() {
  refuse(upstream_failed(502, "upstream_closed", "the upstream closed the connection"));
}

void Dial::on_failure(std::string_view reason) {
  if (stage_ == Stage::tls) {
    refuse(upstream_failed(502, "upstream_tls", fmt::format("TLS to the upstream failed: {}", reason)));
  } else {
    refuse(upstream_failed(502, "upstream_unreachable", std::string(reason)));
  }
}

}  // namespace bot_bottle::egress
