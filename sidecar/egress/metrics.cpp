#include "sidecar/egress/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace bot_bottle::egress {
namespace {

constexpr std::size_t max_reasons = 64;

void head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

}  // namespace

void Metrics::count_block(std::string_view reason) {
  auto found = blocks_.find(reason);
  if (found == blocks_.end()) {
    if (blocks_.size() >= max_reasons) reason = "other";
    found = blocks_.emplace(std::string(reason), 0).first;
  }
  ++found->second;
}

void Metrics::observe(std::uint64_t nanoseconds) {
  const auto bucket = std::ranges::lower_bound(bounds_us, (nanoseconds + 999) / 1000);
  ++buckets_[static_cast<std::size_t>(bucket - bounds_us.begin())];
  sum_ns_ += nanoseconds;
  ++count_;
}

std::string Metrics::text(const Counters& counters) const {
  std::string out;
  const auto plain = [&](std::string_view name, std::string_view type, std::string_view help, std::uint64_t value) {
    head(out, name, type, help);
    out += fmt::format("{} {}\n", name, value);
  };
  plain("bot_bottle_requests_total", "counter", "Requests seen, blocked ones included.", counters.requests);
  head(out, "bot_bottle_blocked_total", "counter", "Requests refused by policy or DLP.");
  for (const auto& [reason, count] : blocks_)
    out += fmt::format("bot_bottle_blocked_total{{reason=\"{}\"}} {}\n", reason, count);
  head(out, "bot_bottle_bytes_total", "counter", "Octets of bodies that were passed on.");
  out += fmt::format("bot_bottle_bytes_total{{direction=\"in\"}} {}\n", counters.bytes_in);
  out += fmt::format("bot_bottle_bytes_total{{direction=\"out\"}} {}\n", counters.bytes_out);
  plain("bot_bottle_dlp_bytes_total", "counter", "Octets scanned for secrets on their way out.", counters.dlp_bytes);
  plain("bot_bottle_open_connections", "gauge", "Connections of the agent.", counters.open_connections);
  plain("bot_bottle_open_upstreams", "gauge", "Connections to upstreams.", counters.open_upstreams);
  plain("bot_bottle_open_requests", "gauge", "Requests under way.", counters.open_exchanges);
  constexpr std::string_view duration = "bot_bottle_request_duration_seconds";
  head(out, duration, "histogram", "From a request's head to the end of its answer.");
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < bounds_us.size(); ++i) {
    below += buckets_[i];
    out += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", duration, static_cast<double>(bounds_us[i]) / 1e6, below);
  }
  out += fmt::format("{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2:.6f}\n{0}_count {1}\n", duration, count_,
                     static_cast<double>(sum_ns_) / 1e9);
  return out;
}

}  // namespace bot_bottle::egress
