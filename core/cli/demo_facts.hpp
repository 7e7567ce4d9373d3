// What surrounds the demo's bottle: an origin and canaries on the host's loopback, planted secrets, and what the host
// saw in the end. Called by `demo`. Hostile input: the origin's log (requests that an attacker wrote) and the suite's
// lines.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::cli {

/// One attempt, or one question to the host's side.
struct AttackLine {
  std::string id;
  std::string attempt;
  std::string guard;
  std::string verdict;  // "blocked", "escaped", "error": no proof either way
  std::string detail;
};
/// Nothing when it is no line of the suite's.
std::optional<AttackLine> parse_attack_line(std::string_view text);

/// `bottle-attack origin` or `canary`: ends when this goes, or with this process (its standard input ends).
class AttackHelper {
 public:
  /// Waits until it says its ports. Failure when it does not within 10 s.
  AttackHelper(const std::vector<std::string>& argv, std::filesystem::path port_file);
  ~AttackHelper();
  AttackHelper(const AttackHelper&) = delete;
  AttackHelper& operator=(const AttackHelper&) = delete;
  [[nodiscard]] const json::object& facts() const { return facts_; }

 private:
  pid_t pid_ = -1;
  UniqueFd input_;
  json::object facts_;
};

struct DemoSecrets {
  std::string injected;  // put on requests to the origin; the agent must never see it
  std::string stolen;    // a secret of the bottle that the agent got hold of; it must never leave
};

struct DemoWorld {
  std::filesystem::path root;     // 0700: home, logs
  std::filesystem::path attack;   // the program
  std::filesystem::path planted;  // a readable file of the host
  std::string backend;
  json::object origin;  // facts of the two helpers
  json::object canary;
  std::vector<std::string> only;  // --only
  std::vector<std::string> skip;  // what this version is known not to stop (share/bot-bottle/attack/known_gaps.txt)
};

inline constexpr const char* demo_origin = "origin.example.com";
inline constexpr const char* demo_denied = "denied.example.com";
inline constexpr const char* demo_plain = "plain.example.com";
inline constexpr const char* demo_guarded = "guarded.example.com";
inline constexpr const char* demo_vault = "vault.example.com";

/// The bottle file and the agent file of the demo.
std::string demo_bottle_text(const DemoWorld& world, const DemoSecrets& secrets);
std::string demo_agent_text();

/// What the host's side says afterwards: the origin's log, the canaries' log, the bottle's event log.
std::vector<AttackLine> ask_host(const std::filesystem::path& origin_log, const std::filesystem::path& canary_log,
                                 const std::filesystem::path& events, const DemoSecrets& secrets);

}  // namespace bot_bottle::cli
