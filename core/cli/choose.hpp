// What a launch still has to be told, asked of a person: the agent, the backend, label and color, yes or no. Errors
// name the option where there is nobody to ask. Called by launch_bottle alone.
#pragma once

#include <cstdint>
#include <string>

#include "core/cli/context.hpp"
#include "core/cli/verb_lifecycle.hpp"
#include "core/launch/backends.hpp"
#include "core/manifest/manifest.hpp"

namespace bot_bottle::cli {

/// Can somebody be asked?
bool is_interactive(const Context& context);

/// From a list with where each comes from; one that is broken shows why and cannot be taken.
std::string pick_agent(const Context& context, const manifest::Sources& sources);

std::string choose_backend(Context& context, const LaunchOptions& options, const manifest::Manifest& manifest,
                           const launch::Backends& backends, int cancel_fd);

/// Label and color with a preview, into `options`. `why`: what made it necessary, or empty. Throws when cancelled.
void ask_label(Context& context, LaunchOptions& options, const std::string& agent, const std::string& why,
               int cancel_fd);

/// The label is the slug. One that is in use is asked for again where somebody can answer; whoever takes it after this
/// look is met in Directory::reserve.
enum class Ask : std::uint8_t { no, yes };
std::string choose_slug(Context& context, LaunchOptions& options, const std::string& agent, Ask ask, int cancel_fd);

/// "Start it? [y/N]"; throws on everything but yes.
void confirm_start(int cancel_fd);

}  // namespace bot_bottle::cli
