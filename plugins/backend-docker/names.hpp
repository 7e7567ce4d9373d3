// What is ours at an engine, and what it is called. Everything is found by label and touched by id: a thing of our name
// without our label is somebody else's.
#pragma once

#include <string>
#include <vector>

#include "plugins/backend-docker/engine.hpp"

namespace bot_bottle::backend_docker {

inline constexpr const char* label_managed = "bot-bottle.managed";
inline constexpr const char* label_slug = "bot-bottle.slug";
inline constexpr const char* label_component = "bot-bottle.component";
inline constexpr const char* label_version = "bot-bottle.version";
inline constexpr const char* label_state = "bot-bottle.state";  // the state directory: slugs repeat between homes
inline constexpr const char* label_agent = "bot-bottle.agent";
inline constexpr const char* label_title = "bot-bottle.label";
inline constexpr const char* label_endpoints = "bot-bottle.endpoints";
inline constexpr const char* label_recipe = "bot-bottle.recipe";  // hash of what the container was made from

/// "bot-bottle-x-1-0a1b2c3d-agent": unique on the machine, as homes may share slugs.
std::string resource_name(const std::string& state_dir, const std::string& part);

struct Owned {
  std::string kind;  // "container", "volume", "network"
  std::string id;    // what the engine is told
  std::string name;
  std::string slug;
  std::string state_dir;
  std::string component;
  bool running = false;
  json::object labels;
  std::int64_t created = 0;  // Unix time, containers only
};

enum class Which : std::uint8_t { containers, volumes, networks };
/// Those with our label; of one bottle when `state_dir` is not empty.
std::vector<Owned> list_owned(Engine& engine, Which which, const std::string& state_dir = {});

json::object make_labels(const json::object& plan_data, const std::string& slug, const std::string& state_dir,
                         const std::string& component);

}  // namespace bot_bottle::backend_docker
