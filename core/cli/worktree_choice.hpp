// Whether a start gets a git worktree of its own. Called by start, run and fork.
#pragma once

#include <optional>
#include <string>

#include "core/cli/context.hpp"
#include "core/cli/verb_lifecycle.hpp"
#include "core/launch/worktree.hpp"
#include "core/manifest/settings.hpp"

namespace bot_bottle::cli {

/// Nothing when it gets none. Moves `choices.cwd` to the repository's top. Warns of what will not be in it. What was
/// asked for by name and cannot be is an error; what is only a default gives way.
std::optional<launch::WorktreeRecord> choose_worktree(Context& context, const manifest::SettingLayers& settings,
                                                      const manifest::Manifest& manifest,
                                                      const std::optional<Origin>& origin, const std::string& slug,
                                                      plan::Choices& choices);

}  // namespace bot_bottle::cli
