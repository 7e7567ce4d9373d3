// Finds, trusts and loads plugins, and gives them a C++ face (spec 03). The core's only door to plugins: it names none.
// Hostile input: plugin directories under contrib/ until they are trusted; a plugin's documents always (they are
// checked for size, UTF-8 and JSON). Throws Failure.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::plugins {

/// What plugin.toml says; reading it opens no library.
struct Description {
  std::string name;
  std::string version;
  std::string abi;                    // "1.0"
  std::vector<std::string> provides;  // "backend:local", "provider:claude", "freezer:docker", "deploy-key:gitea"
  std::string description;
  std::string library;
  std::filesystem::path directory;
  enum class Location : std::uint8_t { contrib, installed };
  Location location = Location::installed;
  enum class State : std::uint8_t { ready, not_described, refused, untrusted, shadowed };
  State state = State::ready;
  std::string reason;  // for every state but ready
  std::string fix;     // the command that mends it, if there is one
};

/// How a question is put to the operator; empty: never ask (refuse).
using AskTrust = std::function<bool(const Description& plugin, const std::string& sha256)>;

/// What the host gives to plugins while a command runs.
struct HostOptions {
  Home home;
  Installation installation;
  bool trust_all = false;  // --trust-plugins, $BOT_BOTTLE_TRUST_PLUGINS=1
  AskTrust ask_trust;
  std::function<void(std::uint32_t permille, const std::string& what)> on_progress;
  std::function<void(std::uint32_t level, const std::string& plugin, const std::string& text)> on_log;
  int cancel_fd = -1;
  /// Grants for the secret service: value by name, or nothing.
  std::function<std::optional<std::string>(const std::string& plugin, const std::string& name)> find_secret;
};

/// A loaded backend (bot-bottle.backend/1). Documents are those of docs/internals.md. Every failed call is a Failure
/// with the plugin's message and hint, within "backend local: launch". An absent optional slot is
/// ErrorKind::unsupported.
class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  virtual json::object probe() = 0;
  virtual json::object plan(const json::object& spec) = 0;
  virtual void build(const json::object& plan) = 0;
  virtual json::object start_sidecar(const json::object& plan, int config_fd, int lifeline_fd) = 0;
  virtual json::object launch(const json::object& plan, const json::object& inputs, int lifeline_fd) = 0;
  virtual json::object exec(const json::object& bottle, const json::object& request, int stdin_fd) = 0;
  virtual json::object attach_argv(const json::object& bottle, const json::object& request) = 0;
  virtual void copy_in(const json::object& bottle, const json::object& request) = 0;
  virtual void copy_out(const json::object& bottle, const json::object& request) = 0;
  virtual void stop(const json::object& bottle) = 0;
  virtual void remove(const json::object& bottle) = 0;
  virtual json::object enumerate() = 0;
  virtual json::object orphans(const std::vector<std::string>& known) = 0;
  virtual void cleanup(const json::object& orphans) = 0;
};

/// A loaded provider (bot-bottle.provider/1).
class Provider {
 public:
  virtual ~Provider() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  virtual json::object describe() = 0;
  virtual json::object plan(const json::object& spec) = 0;
  /// False when the plugin has nothing to do here.
  virtual bool provision(const json::object& spec, Backend& backend, const json::object& bottle) = 0;
  /// The octets of the host's login are written to `secret_fd` (borrowed). Gives bot-bottle.host-credentials/1.
  virtual json::object host_credentials(const json::object& spec, int secret_fd) = 0;
};

/// A loaded deploy-key provisioner (bot-bottle.deploy-key/1).
class DeployKeyProvisioner {
 public:
  virtual ~DeployKeyProvisioner() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  /// The private key is written to `private_key_fd` (borrowed). Gives bot-bottle.deploy-key/1.
  virtual json::object create_key(const json::object& request, int private_key_fd) = 0;
  /// A key that is already gone is success. An empty `key_id`: every key with the request's title.
  virtual void remove_key(const json::object& request) = 0;
};

/// A loaded freezer (bot-bottle.freezer/1) of the backend of the same name.
class Freezer {
 public:
  virtual ~Freezer() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  /// `bottle` is a running one, with the new snapshot's name as "snapshot". Gives bot-bottle.snapshot/1.
  virtual json::object freeze(const json::object& bottle) = 0;
  virtual bool exists(const std::string& ref) = 0;
  virtual void remove(const std::string& ref) = 0;
  virtual void export_to(const std::string& ref, const std::string& path) = 0;
};

class Registry {
 public:
  explicit Registry(HostOptions options);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Every plugin directory, in order of discovery, shadowed ones included. Reads plugin.toml only.
  [[nodiscard]] const std::vector<Description>& list() const;
  /// The names offered for a kind ("backend", "provider", "deploy-key"), ready ones only.
  [[nodiscard]] std::vector<std::string> names_of(const std::string& kind) const;

  /// Loads at the first use. not_found names what there is ("did you mean"); an untrusted one asks or says how to trust
  /// it; a faulty one says all its faults.
  Backend& backend(const std::string& name);
  Provider& provider(const std::string& name);
  DeployKeyProvisioner& deploy_key(const std::string& name);
  /// Lets `plugin` (its own name) read the host variable through the secret service, for as long as this lives.
  void grant_secret(const std::string& plugin, const std::string& variable);
  Freezer& freezer(const std::string& name);
  [[nodiscard]] const Description& description_of(const std::string& kind, const std::string& name) const;

  /// Records the SHA-256 of the plugin's library (or of the library at a path) in trust.toml.
  void trust(const std::string& name_or_path);

  HostOptions& options();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// `plugin check PATH`: loads the library in a child process and runs the conformance suite of its kinds.
enum class CheckOutcome : std::uint8_t {
  failed,
  passed,
  not_run,  // it could not be asked here, and proves nothing
};
struct CheckLine {
  std::string check;
  CheckOutcome outcome = CheckOutcome::failed;
  std::string detail;  // what is wrong, or why it was not run
};
std::vector<CheckLine> check_plugin(const std::filesystem::path& directory, const HostOptions& options);

}  // namespace bot_bottle::plugins
