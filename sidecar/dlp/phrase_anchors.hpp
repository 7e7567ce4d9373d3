// What every match of a phrase holds: literals to look for before the phrase itself. Internal to sidecar/dlp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::dlp {

/// Literals of which each match of `regex` (the grammar of phrases: letters, spaces, (?:a|b), ?, {m,n}, [a-z]) holds at
/// least one, chosen to be rare in ordinary text. Empty: none were found, or it is not of that grammar.
std::vector<std::string> anchors_of(std::string_view regex);

/// The same for all of `regexes`, without those that hold another one; empty when one of them has none.
std::vector<std::string> anchors_of_all(const std::vector<std::string>& regexes);

}  // namespace bot_bottle::dlp
