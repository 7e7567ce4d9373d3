// What is wrong with the operator's own files, and what of it can be put right. Called by doctor and init.
// Hostile input: modes, owners and links of a home that others could write in.
#pragma once

#include <vector>

#include "core/base/paths.hpp"
#include "core/base/result.hpp"
#include "core/cli/host_facts.hpp"

namespace bot_bottle::cli {

/// Directories and files of the home: there, ours, closed to others; sockets that nobody listens on.
std::vector<Fact> home_facts(const Home& home);

/// Does it, through no link and only to what belongs to this user when it is done.
Result<void> apply(const Repair& repair);

}  // namespace bot_bottle::cli
