// What a launch will do, as values. Called by core/launch; throws Failure on bad operator input or a bad provider
// document.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/manifest/manifest.hpp"
#include "core/policy/egress.hpp"

namespace bot_bottle::plan {

enum class Session : std::uint8_t { interactive, headless, detached };
enum class WorkspaceChoice : std::uint8_t { as_manifest, none };
enum class GuestHome : std::uint8_t { fresh, reused };  // reused: `resume` keeps the bottle's home and workspace

/// What the operator said on the command line.
struct Choices {
  std::string label;
  std::string color;
  std::filesystem::path cwd;  // absolute
  WorkspaceChoice workspace = WorkspaceChoice::as_manifest;
  std::string worktree_branch;  // of the git worktree that is made of cwd's repository; empty: none
  std::vector<std::string> arguments;
  std::string headless_prompt;
  Session session = Session::interactive;
  GuestHome home = GuestHome::fresh;
  json::object snapshot;  // bot-bottle.snapshot/1 that home and workspace come from (resume, fork); empty: none
  /// An agent was in this home before: it has a conversation to go on with, and post_init ran.
  [[nodiscard]] bool has_history() const { return home == GuestHome::reused || !snapshot.empty(); }
};

/// What the host says, read once, so that everything else here is pure.
struct HostFacts {
  std::filesystem::path operator_home;
  std::filesystem::path product_home;  // $BOT_BOTTLE_HOME
  std::string search_path = "/usr/local/bin:/usr/bin:/bin";
  std::string term;  // empty: no terminal
  std::string colorterm;
  static HostFacts read(const Home& home);
};

struct Guest {
  std::string user = "agent";
  std::uint32_t uid = 1000;
  std::uint32_t gid = 1000;
  std::string home = "/home/agent";
  std::string workspace = "/workspace";  // also the agent's working directory; the home when there is no workspace
};

/// Everything about one launch before anything exists.
struct Plan {
  manifest::Manifest manifest;
  Choices choices;
  HostFacts host;
  std::string slug;
  std::filesystem::path state_dir;
  std::string provider;
  std::string backend;
  Guest guest;
  json::object description;                    // bot-bottle.provider-description/1
  json::object provider_spec;                  // bot-bottle.provider-spec/1
  json::object provider_plan;                  // bot-bottle.provider-plan/1
  policy::Egress egress;                       // the bottle's and the provider's, one per host
  json::object backend_spec;                   // bot-bottle.spec/1
  json::object backend_plan;                   // bot-bottle.plan/1
  std::vector<std::string> secret_names;       // sorted; variables of the host
  std::vector<std::string> host_secret_names;  // the provider reads them out of the host's login; never variables
  std::vector<std::string> warnings;
  /// The agent, or the bottle where there is no agent.
  [[nodiscard]] const std::string& name() const { return manifest.agent.empty() ? manifest.bottle : manifest.agent; }
};

// In this order; each fills what the next one reads.

/// guest; refuses a workspace that would hand the operator's home or this product's own state to the agent.
void plan_guest(Plan& plan);
json::object make_provider_spec(const Plan& plan);
/// egress, secret_names and host_secret_names, from the manifest and the provider's plan: a provider's route wins over
/// the bottle's on the same host (spec 04), and a warning says so.
void plan_egress(Plan& plan);
json::object make_backend_spec(const Plan& plan);

/// The named endpoints that the bottle can reach.
std::vector<std::string> endpoints_of(const manifest::Manifest& manifest);

/// The guest's whole environment: nothing of the host's but TERM and COLORTERM. `values` are the manifest's
/// (resolve_env); `endpoints` are those of bot-bottle.bottle/1. Later wins: ours, the description's, the provider
/// plan's, the manifest's.
std::map<std::string, std::string> make_guest_environment(const Plan& plan,
                                                          const std::map<std::string, std::string>& values,
                                                          const json::object& endpoints);

/// bot-bottle.exec/1.
enum class Terminal : std::uint8_t { no, yes };
struct ExecRequest {
  std::vector<std::string> argv;
  std::map<std::string, std::string> env;
  std::string cwd;
  std::string user = "agent";
  Terminal terminal = Terminal::no;
  int rows = 0;
  int columns = 0;
  std::int64_t timeout_ms = 0;  // 0: none
  std::size_t max_output = std::size_t{1} << 20;
};
json::object to_json(const ExecRequest& request);

/// What the operator reads before saying yes; hostile text in it is escaped. Names of variables, never values. Lines
/// are at most `width` columns (0: as long as they are), wrapped and never cut.
struct PreflightLook {
  std::size_t width = 0;
  bool color = false;
};
std::string preflight_text(const Plan& plan, const PreflightLook& look);
json::object preflight_json(const Plan& plan);

}  // namespace bot_bottle::plan
