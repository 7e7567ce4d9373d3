// The process as a whole: builds the house, confines itself, listens, runs, ends.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/base/result.hpp"
#include "sidecar/control/config.hpp"
#include "sidecar/control/confine.hpp"
#include "sidecar/control/control_server.hpp"
#include "sidecar/control/report_socket.hpp"
#include "sidecar/egress/proxy.hpp"

namespace bot_bottle::sidecar {

struct Options {
  std::filesystem::path state;           // holds egress/, wire/, control/, logs/
  std::filesystem::path share;           // holds rules/
  std::filesystem::path rules_database;  // empty: compile at the start
};

class Sidecar {
 public:
  /// Does everything up to listening; on return both sockets accept.
  static Result<std::unique_ptr<Sidecar>> create(const Options& options, Config config);
  Sidecar(const Sidecar&) = delete;
  Sidecar& operator=(const Sidecar&) = delete;
  ~Sidecar();

  /// Until SIGTERM, SIGINT or the call `shutdown`; requests under way get 2 s to end.
  void run();

 private:
  Sidecar();
  Result<void> build(const Options& options, Config config);
  Result<void> listen();
  Result<json::object> call(const std::string& name, const json::object& arguments);
  // calls.cpp
  [[nodiscard]] json::object call_status() const;
  [[nodiscard]] json::object call_routes() const;
  Result<json::object> call_reload();
  [[nodiscard]] Result<json::object> call_check(const json::object& arguments) const;
  void on_signal(int number);
  void begin_end();

  net::Loop loop_;
  std::optional<egress::EventLog> log_;
  std::unique_ptr<net::Resolver> resolver_;
  std::optional<egress::House> house_;
  std::optional<egress::Proxy> proxy_;
  std::optional<ReportSocket> reports_;
  std::optional<ControlServer> control_;
  std::optional<net::Timer> end_timer_;
  struct Signals;
  std::unique_ptr<Signals> signals_;
  policy::Egress configured_;
  std::optional<net::Address> egress_address_;  // what a reload does not replace: trust, parent proxy
  Confinement confinement_;
  std::string started_at_;
  std::uint64_t ending_since_ms_ = 0;
};

}  // namespace bot_bottle::sidecar
