// Starts a sidecar and waits until it serves; keeps the rules database fresh. Called by launch. Throws Failure.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/base/secret.hpp"
#include "core/launch/signals.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::launch {

inline constexpr std::chrono::seconds sidecar_deadline{10};

/// A person's own rule file besides the installed ones (`egress.dlp.rules`, `scan --rules`).
struct OwnRules {
  std::filesystem::path file;  // empty: none
  enum class For : std::uint8_t { streams, files } used_for = For::streams;
};

/// Where the compiled DLP rules of this installation are in the cache. The name holds a fingerprint of the rule files
/// and the sidecar's program, so that a new version never loads an old database.
std::filesystem::path rules_database_path(const Home& home, const Installation& installation, const OwnRules& own = {});
/// Compiles them when they are not there, with the installed sidecar program: done by the trusted side before a bottle
/// exists, so that no sidecar writes what another one loads.
void ensure_rules_database(const std::filesystem::path& database, const Installation& installation,
                           const Signals& signals, const OwnRules& own = {});
/// After the sidecar's `status`: a database that it could not use (torn, made on another machine) is removed, so that
/// the next launch makes it anew. Guarded by launch_test: a_database_that_the_sidecar_could_not_use_is_removed.
void remove_unused_database(const std::filesystem::path& database, const json::object& status);
/// Throws what is wrong with the file, with its line; returns what the operator should know about it.
std::vector<std::string> check_own_rules(const std::filesystem::path& file, const Installation& installation,
                                         const Signals& signals);

/// start_sidecar, then the configuration over the pipe, then `status` until it is ready. Gives the status. On failure
/// the Failure's details end with the tail of logs/sidecar.log; the caller undoes.
json::object start_sidecar(plugins::Backend& backend, const json::object& plan, const SecretBytes& config,
                           int lifeline_fd, const state::Directory& directory, const Signals& signals);

}  // namespace bot_bottle::launch
