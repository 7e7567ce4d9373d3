// The gate as a whole: the listener, its repositories and pushes (spec 05).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/policy/git_gate.hpp"
#include "sidecar/git_gate/gate_house.hpp"
#include "sidecar/git_gate/push.hpp"
#include "sidecar/git_gate/repository.hpp"
#include "sidecar/net/stream.hpp"

namespace bot_bottle::git_gate {

class Connection;

/// What the gate is made of; secrets and keys are read from `secrets` and wiped from `private_keys` by the caller.
struct GateParts {
  net::Loop& loop;
  egress::EventLog& log;
  const egress::SecretStore& secrets;
  egress::House& egress;
  std::shared_ptr<const dlp::Rules> rules;
  std::shared_ptr<const dlp::KnownSecrets> known_secrets;
  supervise::Journal& journal;
  std::filesystem::path directory;  // absolute
  std::filesystem::path rules_directory;
  std::string upstream_ca;
  std::optional<policy::UpstreamProxy> upstream_proxy;
  AgentAsks agent_asks = AgentAsks::no;
};

class Gate {
 public:
  /// Makes every repository's directory and configuration. Needs no network.
  static Result<std::unique_ptr<Gate>> create(const GateParts& parts, const policy::GitGate& config,
                                              const std::map<std::string, SecretBytes>& private_keys);
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  Result<void> listen(const std::string& socket_path);
  Result<void> listen(const net::Address& address);
  /// No new connections; what waits for the operator is told.
  void stop_listening();
  [[nodiscard]] std::size_t open_pushes() const { return house_.pushes; }
  [[nodiscard]] std::size_t connections() const { return connections_.size(); }
  [[nodiscard]] std::vector<std::string> executables() const { return surroundings_.programs.executables(); }
  /// Puts an approved `git-allow` into force. Errors: not what this gate knows.
  Result<void> apply(const supervise::Proposal& proposal);
  /// After the answer is in the journal, applied or not.
  void on_answer(const supervise::Proposal& proposal);

  // For connections and exchanges.
  [[nodiscard]] GateHouse& house() { return house_; }
  Repository* find(std::string_view name);
  void start_push(std::shared_ptr<Push> push, Client* client);
  Push::Owner push_owner();
  void remove(Connection* connection);
  [[nodiscard]] std::filesystem::path make_quarantine(Repository& repository);

 private:
  Gate(const GateParts& parts, const policy::GitGate& config);
  void on_connection(net::Stream stream);

  GateHouse house_;
  Surroundings surroundings_;
  std::map<std::string, std::unique_ptr<Repository>, std::less<>> repositories_;
  std::map<std::string, Push::Allowed, std::less<>> allowed_;
  std::unordered_map<Push*, std::shared_ptr<Push>> pushes_;
  std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
  net::Listener listener_;
  std::uint64_t next_quarantine_ = 1;
};

}  // namespace bot_bottle::git_gate
