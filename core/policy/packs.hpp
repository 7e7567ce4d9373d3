// Route packs (spec 04): reviewed routes under a name. Data: packs/*.toml, compiled into the program, so that policy
// reads no file. Never throws.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/policy/egress.hpp"

namespace bot_bottle::policy {

/// What a bottle says of a pack: `github:read`, or `{name: github:read, token_ref: GITHUB_TOKEN, …}`.
struct PackUse {
  std::string name;
  std::string token_ref;                  // empty: without a credential
  std::vector<std::string> repositories;  // "owner/name"; empty: every one
  std::string host;                       // of forges that people host themselves; empty: the pack's own
};

struct PackSample {
  std::string method;
  std::string url;
};

struct Pack {
  std::string name;
  std::string description;
  std::string host;  // the one that PackUse::host replaces; empty: it cannot be replaced
  std::vector<PackSample> allows;
  std::vector<PackSample> refuses;
};

/// In the order of their names.
const std::vector<Pack>& all_packs();
/// "github:issues, github:read, …"
std::string pack_names();

/// The pack's routes, with the use's options put in; `origin` is "pack:<name>". Problems are below `path`.
std::vector<Route> expand_pack(const PackUse& use, const std::string& path, Problems& problems);

/// Reads `supervise.auto`: `[{pack: "github:read"}]`, each with the options of a pack but `token_ref`: what nobody is
/// asked about never brings a credential.
std::vector<PackUse> read_automatic(const json::value& value, const std::string& path, Problems& problems);

/// Reads the value of `packs` and adds their routes to `egress`: a host that the bottle's own routes name keeps the
/// bottle's route; packs on one host with the same credential are joined.
void read_packs(const json::value& value, const std::string& path, Egress& egress, Problems& problems);

}  // namespace bot_bottle::policy
