// The conformance suite's parts: one function a kind, run in the child that check_plugin starts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/plugins/child.hpp"
#include "core/plugins/registry.hpp"
#include "core/plugins/schema.hpp"

namespace bot_bottle::plugins {

struct CheckContext {
  Checker& checker;
  const Schemas& schemas;
  HostOptions& options;
  std::string planted;         // a secret's value: it may be nowhere
  std::string slug;            // of the bottle under test
  Freezer* freezer = nullptr;  // of the backend under test, if the plugin has one
};

/// "" or the schema's problems, one a line.
std::string schema_problems(const Schemas& schemas, const json::object& document, std::string_view tag);
/// "" or where the planted value, or a secret-looking variable of our environment, was found.
std::string leaked_secrets(const CheckContext& context, const json::object& document);

/// Schemas, no secret in any document, argv shapes, purity.
void check_provider(CheckContext& context, Provider& provider);
/// The probe; a pure plan; and, where the probe says it can, the whole life of a bottle.
void check_backend(CheckContext& context, Backend& backend);
/// What can be asked without a forge.
void check_deploy_key(CheckContext& context, DeployKeyProvisioner& provisioner);
/// Freezes the running bottle; the snapshot, when there is one.
std::optional<json::object> check_freeze(CheckContext& context, Freezer& freezer, const json::object& bottle);
/// Removes it again.
void check_thaw(CheckContext& context, Freezer& freezer, const json::object& snapshot);

/// One call on a sidecar's control channel; nothing while it does not answer yet.
std::optional<json::object> control_call(const std::string& path, const std::string& call);

}  // namespace bot_bottle::plugins
