// Fake credentials for a bottle (spec 04, canaries): fresh for each launch, in the shapes that scanners, checkers and
// thieves take for real. Whoever sends one away has gone through files that its task did not need. Called by
// core/launch.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/plan/plan.hpp"

namespace bot_bottle::plan {

struct Canary {
  std::string name;   // "aws-access-key-id"; shown in events
  std::string value;  // not a secret: it is in the bottle on purpose. Never in a log all the same.
};

/// A file that holds canaries, as it is to stand in the guest.
struct CanaryFile {
  enum class Place : std::uint8_t { home, workspace } place = Place::home;
  std::string path;  // below the place
  std::string content;
  mode_t mode = 0600;
};

struct CanarySet {
  std::vector<Canary> canaries;
  std::vector<CanaryFile> files;
};

/// Nothing when the bottle says `canaries: false`. A workspace gets its file only when it is a copy: a mount is the
/// operator's own tree.
CanarySet make_canaries(const Plan& plan);

/// Where make_canaries will put them, for the preflight: "~/.netrc".
std::vector<std::string> canary_places(const Plan& plan);

/// The last six characters of GitHub's and npm's tokens: CRC-32 of the thirty before them, in base 62 (GitHub, "Behind
/// GitHub's new authentication token formats", 2021).
std::string base62_checksum(std::string_view text);

}  // namespace bot_bottle::plan
