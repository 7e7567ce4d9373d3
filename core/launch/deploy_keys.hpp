// Keys of repositories that live as long as a bottle (spec 05, Keys). What exists at a forge is on record in
// $BOT_BOTTLE_HOME/deploy-keys/ from before it is made until after it is gone, so that `cleanup` finds it whatever
// dies. Called by launch, `stop` and `cleanup`. Throws Failure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/paths.hpp"
#include "core/plan/git_gate.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::launch {

/// The door to the plugins; borrowed.
struct DeployKeyPlugins {
  std::function<plugins::DeployKeyProvisioner&(const std::string& name)> get;
  /// Lets a plugin read one host variable through the secret service.
  std::function<void(const std::string& plugin, const std::string& variable)> grant = [](auto&, auto&) {};
  static DeployKeyPlugins of(plugins::Registry& registry);
};

/// One key that is, or may be, at a forge.
struct DeployKeyRecord {
  std::string slug;
  std::string repo;
  std::string url;
  std::string provider;
  std::string title;   // "bot-bottle <slug> <host>"
  std::string token;   // the host variable
  std::string key_id;  // empty: it may have been made, and is found by its title
  std::string api;     // where the forge's API is, or empty
  std::string ca;      // PEM file, or empty
  bool read_only = false;
};
std::vector<DeployKeyRecord> list_deploy_keys(const Home& home);

/// Makes the key of one repository. On failure none is left at the forge, or it is on record and the message says so.
plan::GitKey create_deploy_key(const DeployKeyPlugins& plugins, const Home& home, const std::string& slug,
                               const plan::GitKeySource& source);

/// Removes one, with three more tries, and then its record. Failure: what to delete by hand, and that cleanup retries.
void revoke_deploy_key(const DeployKeyPlugins& plugins, const Home& home, const DeployKeyRecord& record);
/// All of a bottle. One Failure tells of every key that is still there.
void revoke_deploy_keys(const DeployKeyPlugins& plugins, const Home& home, const std::string& slug);

}  // namespace bot_bottle::launch
