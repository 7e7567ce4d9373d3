// The process as a whole: builds the house, confines itself, listens, runs, ends.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/base/result.hpp"
#include "core/supervise/journal.hpp"
#include "sidecar/control/config.hpp"
#include "sidecar/control/confine.hpp"
#include "sidecar/control/control_server.hpp"
#include "sidecar/control/report_socket.hpp"
#include "sidecar/egress/proxy.hpp"
#include "sidecar/git_gate/gate.hpp"
#include "sidecar/supervise/desk.hpp"
#include "sidecar/supervise/server.hpp"

namespace bot_bottle::sidecar {

struct Options {
  std::filesystem::path state;           // holds egress/, wire/, control/, logs/, git-gate/, supervise/
  std::filesystem::path share;           // holds rules/
  std::filesystem::path rules_database;  // empty: compile at the start
  // The address wire, where the backend decides the address when it starts us; else the configuration's, or sockets.
  std::optional<net::Address> egress_address;
  std::optional<net::Address> git_gate_address;
  std::optional<net::Address> report_address;
  std::optional<net::Address> supervise_address;
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
  Result<void> build_gate(const Options& options, Config& config);
  Result<void> build_desk(const Options& options, Config& config);
  Result<void> listen();
  Result<json::object> call(const std::string& name, const json::object& arguments);
  // calls.cpp
  [[nodiscard]] json::object call_status() const;
  [[nodiscard]] json::object call_routes() const;
  Result<json::object> call_reload();
  json::object call_lift_freeze();
  [[nodiscard]] Result<json::object> call_check(const json::object& arguments) const;
  void on_signal(int number);
  void begin_end();

  net::Loop loop_;
  std::optional<egress::EventLog> log_;
  std::unique_ptr<net::Resolver> resolver_;
  std::optional<egress::House> house_;
  std::optional<egress::Proxy> proxy_;
  std::optional<supervise::Journal> journal_;
  std::unique_ptr<git_gate::Gate> gate_;
  std::unique_ptr<supervise::Desk> desk_;
  std::unique_ptr<supervise::Server> supervise_;  // null: this bottle's agent may not ask
  std::optional<net::Address> supervise_address_;
  std::optional<net::Address> gate_address_;
  std::optional<ReportSocket> reports_;
  std::optional<ControlServer> control_;
  std::optional<net::Timer> end_timer_;
  struct Signals;
  std::unique_ptr<Signals> signals_;
  policy::Egress configured_;
  std::optional<net::Address> egress_address_;  // what a reload does not replace: trust, parent proxy
  std::optional<net::Address> report_address_;
  Confinement confinement_;
  std::string started_at_;
  std::uint64_t ending_since_ms_ = 0;
};

}  // namespace bot_bottle::sidecar
