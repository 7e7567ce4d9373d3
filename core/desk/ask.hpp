// One question to every bottle that listens, for scripts. Throws Failure.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/paths.hpp"
#include "core/base/result.hpp"
#include "core/desk/proposal.hpp"

namespace bot_bottle::desk {

struct Answered {
  std::string slug;
  std::filesystem::path socket;
  Result<json::object> answer;
};
/// All at once: the slowest decides how long it takes, `timeout` at most. A bottle whose socket nobody listens on is
/// left out: it decides nothing now.
std::vector<Answered> ask_all(const Home& home, const json::object& request, std::chrono::milliseconds timeout);

struct Pending {
  std::filesystem::path socket;
  Proposal proposal;
};
struct AllPending {
  std::vector<Pending> pending;         // oldest first
  std::vector<std::string> complaints;  // bottles that answered badly or not at all; may be hostile
  std::vector<std::string> stop_due;    // run on, though a new image was approved: whoever did so did not end them
};
AllPending ask_pending(const Home& home, std::chrono::milliseconds timeout);

/// The pending proposal `id`; not_found, or usage when two bottles claim it (a sidecar that was taken over may borrow
/// another's id) and `slug` is empty.
Pending find_pending(const Home& home, const std::string& id, const std::string& slug,
                     std::chrono::milliseconds timeout);

}  // namespace bot_bottle::desk
