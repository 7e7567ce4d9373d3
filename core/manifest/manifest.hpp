// Bottles and agents as the operator wrote them (spec 01): files → typed values with the place each came from.
// Called by the CLI and launch. Hostile input: agent files of a repository (never bottles). Throws Failure where a
// person asked for one agent; `check_all` collects instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/policy/egress.hpp"

namespace bot_bottle::manifest {

/// Where a value stands. `line` and `column` count from 1; 0: unknown.
struct Place {
  std::filesystem::path file;
  std::size_t line = 0;
  std::size_t column = 0;
};

/// One fault; printed as "file:line:column: key.path: message" with the hint below.
struct Fault {
  Place place;
  std::string key_path;
  std::string message;
  std::string hint;
  enum class Severity : std::uint8_t { error, warning };
  Severity severity = Severity::error;
};
std::string to_text(const Fault& fault);
json::object to_json(const Fault& fault);

/// Where names are looked up. `repository` is the directory that holds `.bot-bottle/`, if any (searched upwards from
/// cwd).
struct Sources {
  Home home;
  std::optional<std::filesystem::path> repository;
  static Sources find(const Home& home, const std::filesystem::path& cwd);
};

enum class Origin : std::uint8_t { home, repository };

/// A name found by scanning directories; the file was not opened.
struct NamedFile {
  std::string name;
  std::filesystem::path file;
  Origin origin = Origin::home;
};
struct Listing {
  std::vector<NamedFile> files;  // by name; a repository's agent hides the home's of the same name
  std::vector<Fault> warnings;   // skipped files, a repository's bottles/ or contrib/
};
Listing list_agents(const Sources& sources);
Listing list_bottles(const Sources& sources);

struct GitIdentity {
  std::string name;
  std::string email;
};

struct EnvEntry {
  enum class Kind : std::uint8_t { literal, interpolated, prompt };
  Kind kind = Kind::literal;
  std::string text;  // the literal, the template, or the question
  Place place;
};

struct AgentProvider {
  std::string plugin = "claude";  // `template`
  std::string dockerfile;         // absolute, or empty
  std::vector<std::string> command;
  std::string auth_token;  // name of an environment variable of the host
  bool forward_host_credentials = false;
  /// `config`: the program's own configuration is made anew, or comes from the operator's, without its credentials.
  enum class Config : std::uint8_t { fresh, copy } config = Config::fresh;
};

/// `supervise: false`, or what the agent may learn and what needs no operator (spec 06).
struct Supervise {
  bool enabled = true;
  bool discloses = true;  // `disclose`: list-capabilities answers
  json::array automatic;  // `auto`, checked, kept raw until the sidecar reads it
};

struct Resources {
  std::optional<double> cpus;
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint64_t> pids;
  std::optional<std::uint64_t> disk_bytes;
  std::optional<std::int64_t> timeout_ms;
};

struct Workspace {
  enum class Mode : std::uint8_t { copy, mount, none };
  Mode mode = Mode::copy;
  std::string path = "/workspace";
};

/// local.* (spec 08).
struct LocalOptions {
  std::vector<std::string> bind_ro;
  std::string rootfs;
};

/// docker.* (spec 08). Empty: the backend decides.
struct DockerOptions {
  std::string wire;     // "socket", "address"
  std::string runtime;  // a name that the engine knows
};

/// An agent on its bottle, merged along `extends`: what `info` shows and launch uses.
struct Manifest {
  std::string agent;
  std::string bottle;
  std::vector<std::string> bottle_chain;  // the bottle, its parent, …
  std::filesystem::path agent_file;
  Origin agent_origin = Origin::home;
  std::string prompt;  // the agent file's body
  std::string model;   // a subagent file's, may be empty

  std::string backend;  // empty: automatic
  AgentProvider provider;
  std::map<std::string, EnvEntry> env;
  std::filesystem::path env_file;
  std::vector<std::string> skills;
  GitIdentity git_user;
  json::object git_gate_repos;  // checked, kept raw until the gate reads it
  policy::Egress egress;
  Supervise supervise;
  Resources resources;
  Workspace workspace;
  LocalOptions local;
  DockerOptions docker;
  std::vector<std::vector<std::string>> post_init;

  std::map<std::string, Place> provenance;  // key path → where its value stands
  std::vector<Fault> warnings;
};

/// Reads and checks one agent with its bottle chain (`bottle_override` is --bottle). All faults at once: a Failure
/// whose `details` lists them, kind invalid_argument; not_found with "did you mean" for an unknown name.
Manifest load(const Sources& sources, const std::string& agent, const std::optional<std::string>& bottle_override);

/// A manifest without an agent file: `demo` and `run --bottle B` use the bottle alone.
Manifest load_bottle(const Sources& sources, const std::string& bottle);

/// `config check`: every file, every fault. Looks at host variables, skills, key files and Dockerfiles too.
std::vector<Fault> check_all(const Sources& sources);

/// The faults that only the host can tell: unset variables, absent skills, files and keys (spec 01, Checks).
std::vector<Fault> check_host(const Manifest& manifest, const Sources& sources);

struct ResolvedEnv {
  std::map<std::string, std::string> values;
  std::vector<std::string> skipped;  // env_file names that look like credentials
};
/// Values for the guest: literals, interpolations, env_file, `answers` (--env and prompts). Throws on what is still
/// unanswered when `ask` is empty; else calls it (no echo) with the question.
ResolvedEnv resolve_env(const Manifest& manifest, const std::map<std::string, std::string>& answers,
                        const std::function<std::string(const std::string& name, const std::string& question)>& ask);

/// The resolved manifest for `info --json`; names of secrets only.
json::object to_json(const Manifest& manifest);

}  // namespace bot_bottle::manifest
