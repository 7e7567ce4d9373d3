// Looking at audits: the chain from its first line to what the head says. Changes nothing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/paths.hpp"

namespace bot_bottle::audit {

struct Verdict {
  std::uint64_t lines = 0;
  std::vector<std::string> faults;  // "line 3 was changed"; at most max_faults
  std::string note;                 // what is no fault, but worth a word: lines that a crash left behind the head
  [[nodiscard]] bool is_whole() const { return faults.empty(); }
};
inline constexpr std::size_t max_faults = 20;

/// Finds a line that was changed, removed, put elsewhere or cut off at the end. not_found when the bottle has no audit.
/// It cannot know of someone who rewrote every line from there on *and* the head (docs/security-model.md).
Verdict verify(const Home& home, const std::string& slug);

/// Each line that can be read, in order; memory of one line. Nothing happens when there is no file.
void for_each_line(const Home& home, const std::string& slug, const std::function<void(const json::object&)>& visit);

/// Bottles with an audit, sorted; also those of which only one of the two files is left.
std::vector<std::string> list_audits(const Home& home);

}  // namespace bot_bottle::audit
