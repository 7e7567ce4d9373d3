// A Dockerfile as backends with a builder take it, and what goes on top of the image that it makes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::driven {

struct Recipe {
  std::string dockerfile;  // absolute
  std::string text;
  std::filesystem::path context;  // empty: the Dockerfile takes nothing from it
};

/// `plain`: the engine's own builder, which knows neither RUN --mount nor here-documents.
enum class Builder : std::uint8_t { plain, buildkit };

inline constexpr std::uint64_t max_build_context = std::uint64_t{256} << 20;

/// Reads it and says what goes with it. The directory it stands in is sent only if it copies from there; a file
/// .dockerignore and what the builder does not know are refused by name. `kept`: directories that must not be sent
/// whole (homes).
Result<Recipe> read_recipe(const std::string& dockerfile, const std::vector<std::filesystem::path>& kept,
                           Builder builder);
/// Of its text and all that it may copy.
Result<std::string> recipe_digest(const Recipe& recipe);

/// bottle-init's. Who runs a program that he cannot read is never dumpable (execve(2)), not even before its first
/// instruction: the agent cannot open /proc/PID/mem of a relay that runs as him.
inline constexpr mode_t unreadable_init = 0711;
/// gVisor reads as the user what it executes. There every process of a container has the container's filter.
inline constexpr mode_t readable_init = 0755;

/// bottle-init, the home and the workspace, the agent's.
struct AgentLayer {
  std::filesystem::path init;  // bottle-init on this machine
  std::string home;
  std::string workspace;
  std::uint32_t uid = 1000;
  std::uint32_t gid = 1000;
  mode_t init_mode = unreadable_init;
};
Result<std::string> layer_digest(const AgentLayer& layer);
/// An archive of its own, for `/`. Throws Failure.
std::string make_layer_tar(const AgentLayer& layer);

}  // namespace bot_bottle::driven
