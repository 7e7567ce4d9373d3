// Datagrams on `wire/report.sock`: what bottle-init refused. The agent can write here too. Hostile input: every
// datagram; it is only ever logged, and at a bounded rate.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"
#include "sidecar/egress/house.hpp"
#include "sidecar/net/address.hpp"
#include "sidecar/net/loop.hpp"

namespace bot_bottle::sidecar {

class ReportSocket {
 public:
  ReportSocket(net::Loop& loop, egress::House& house);
  ReportSocket(const ReportSocket&) = delete;
  ReportSocket& operator=(const ReportSocket&) = delete;
  ~ReportSocket();
  Result<void> listen(const std::string& socket_path);
  /// The address wire: UDP.
  Result<void> listen(const net::Address& address);

 private:
  struct Watch;
  void read_all_waiting();
  void on_report(std::string_view datagram);
  bool take();
  Result<void> watch(UniqueFd fd);

  net::Loop& loop_;
  egress::House& house_;
  Watch* watch_ = nullptr;
  double tokens_;
  std::uint64_t filled_ms_ = 0;
  bool told_ = false;  // that reports are dropped
};

}  // namespace bot_bottle::sidecar
