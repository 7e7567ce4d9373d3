// The agent's keys, and those it shares with the bottle (skills, git.user).
#include <algorithm>
#include <array>
#include <set>

#include "core/base/text.hpp"
#include "core/manifest/scalars.hpp"
#include "core/manifest/schema.hpp"

namespace bot_bottle::manifest {
namespace {

const std::vector<std::string>& agent_keys() {
  static const std::vector<std::string> keys{"bottle", "skills", "git",    "name", "description",
                                             "model",  "color",  "memory", "tools"};
  return keys;
}

/// Keys that people try on an agent. A repository ships agents, so none of them may have a meaning there.
constexpr std::array<std::string_view, 12> bottle_only{"extends",   "backend",   "agent_provider", "env",
                                                       "env_file",  "egress",    "supervise",      "resources",
                                                       "workspace", "post_init", "local",          "git_gate"};

/// A skill is a directory name below the skills home: "../../.ssh" must not be one.
bool is_skill_name(std::string_view name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 128 && plain(name[0]) &&
         std::ranges::all_of(name, [plain](char c) { return plain(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

std::vector<std::pair<std::string, Place>> read_skills(const View& view) {
  std::vector<std::pair<std::string, Place>> skills;
  std::set<std::string> seen;
  for (const View& item : view.list().value_or(std::vector<View>{})) {
    const auto name = item.line("a skill's name");
    if (!name) continue;
    if (!is_skill_name(*name))
      item.fault(in_quotes(*name) + " is not a skill's name",
                 "a skill is named by its directory: letters, digits, '-', '_', '.'");
    else if (!seen.insert(*name).second)
      item.fault(in_quotes(*name) + " stands in the list twice");
    else
      skills.emplace_back(*name, item.place());
  }
  return skills;
}

GitUser read_git(const View& git) {
  static const std::vector<std::string> git_keys{"user"};
  static const std::vector<std::string> user_keys{"name", "email"};
  GitUser user;
  if (!git.map_of(git_keys)) return user;
  const auto block = git.child("user");
  if (!block || !block->map_of(user_keys)) return user;
  if (const auto name = block->child("name")) {
    user.name = name->line("a name");
    user.name_place = name->place();
  }
  if (const auto email = block->child("email")) {
    user.email = email->line("an e-mail address");
    user.email_place = email->place();
    if (user.email &&
        (user.email->find_first_of("<> ") != std::string::npos || user.email->find('@') == std::string::npos)) {
      email->fault(in_quotes(*user.email) + " is not an e-mail address");
      user.email.reset();
    }
  }
  return user;
}

AgentFile read_agent(const Document& document, Faults& faults) {
  AgentFile agent;
  // The body is the prompt; empty lines between it and the delimiter are not.
  const std::size_t begin = document.body.find_first_not_of('\n');
  agent.prompt = begin == std::string::npos ? std::string() : document.body.substr(begin);
  if (!document.usable) return agent;
  const View root(faults, document.root);
  for (const View& member : root.members()) {
    if (std::ranges::find(agent_keys(), member.key()) != agent_keys().end()) continue;
    if (member.key() == "git-gate")
      member.key_fault("is not an agent's key: credentials are bottle-only",
                       "move it to the bottle in ~/.bot-bottle/bottles");
    else if (std::ranges::find(bottle_only, std::string_view(member.key())) != bottle_only.end())
      member.key_fault("is not an agent's key: powers are bottle-only",
                       "move it to the bottle in ~/.bot-bottle/bottles");
    else if (member.key().starts_with("git."))
      member.key_fault("unknown key", "write it nested: git: {user: {name: …, email: …}}");
    else
      member.key_fault("unknown key", suggestion(member.key(), agent_keys(), "known keys"));
  }
  if (const auto bottle = root.child("bottle")) {
    agent.bottle = bottle->name("a bottle's name");
    agent.bottle_place = bottle->place();
    // A broken value is a fault already; without this the missing one would be reported too.
    if (!agent.bottle) agent.bottle = std::string();
  }
  if (const auto skills = root.child("skills")) agent.skills = read_skills(*skills);
  if (const auto git = root.child("git")) {
    GitUser user = read_git(*git);
    agent.git_name = std::move(user.name);
    agent.git_email = std::move(user.email);
    agent.git_name_place = std::move(user.name_place);
    agent.git_email_place = std::move(user.email_place);
  }
  if (const auto model = root.child("model")) agent.model = model->line("a model's name").value_or("");
  return agent;
}

}  // namespace bot_bottle::manifest
