// The secrets of a bottle on their way from the host's environment to the sidecar's pipe, and the search that keeps
// them out of everything else. Called by core/launch. Throws Failure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/secret.hpp"
#include "core/plan/canaries.hpp"
#include "core/plan/git_gate.hpp"
#include "core/plan/plan.hpp"

namespace bot_bottle::plan {

/// Shorter ones would turn up in innocent bytes (spec 04).
inline constexpr std::size_t min_secret_bytes = 8;

struct Secret {
  std::string name;
  SecretBytes value;
};

/// Reads each name from the host's environment. One Failure names all that are unset, too short or not UTF-8.
std::vector<Secret> load_secrets(const std::vector<std::string>& names);

/// The secret whose value is part of a string (key or value) of `document`, and where: "env.API_KEY".
struct SecretSighting {
  std::string secret;
  std::string where;
};
std::optional<SecretSighting> find_secret(const json::value& document, std::span<const Secret> secrets);
/// Throws refused when there is one: attack F1, a real credential inside the bottle through the operator's own mistake.
void refuse_secrets(const json::value& document, std::string_view what, std::span<const Secret> secrets);

/// bot-bottle.sidecar-config/1 without its secrets.
json::object make_public_sidecar_config(const Plan& plan, const std::vector<std::string>& disabled_guards);
/// The same with them the canaries and the private keys of repositories: for the pipe, and nothing else. Wiped when it
/// goes; no copy of a secret's value is left behind.
SecretBytes make_sidecar_config(const json::object& public_config, std::span<const Secret> secrets,
                                std::span<const Canary> canaries = {}, std::span<const GitKey> git_keys = {});

}  // namespace bot_bottle::plan
