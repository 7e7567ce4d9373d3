// Rules as text: gitleaks' format in TOML, strictly. What a rule means is decided in rules.hpp.
// Hostile input: none (shipped files); never throws.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "sidecar/dlp/allow_list.hpp"

namespace bot_bottle::dlp {

struct RuleText {
  std::string id;
  std::string description;
  std::string regex;
  std::string prefilter;  // what the engine looks for in place of `regex`, ending where it ends; RE2 then decides
  std::size_t secret_group = 0;  // 0: the first group, or the whole match when there is none
  double entropy = 0;            // bits per octet the secret must exceed; 0: not asked
  std::string through;           // redaction goes on to the end of the line that holds this
  std::vector<std::string> keywords;
  std::vector<std::string> allow_regexes;
  std::vector<std::string> allow_stopwords;  // lower case
  bool allow_on_match = false;               // regexTarget = "match": allow regexes see the whole match
  std::vector<std::string> catches;          // sample templates (rule_samples.hpp)
  std::vector<std::string> spares;
  // Of a person's own file only (gitleaks.hpp).
  std::vector<AllowList> allow_lists;
  std::string path;      // a regex over a file's path: the rule is for files, not for streams
  std::size_t line = 0;  // where the rule stands in its file
};

/// Errors name the rule and the key: unknown keys, fewer than two `catches` or `spares`, an allow regex whose anchors
/// bind only one side of a top-level alternation (gitleaks' `^true|false|null$` allows everything that contains
/// "false"), a rule regex with `^` (a stream has no such place).
Result<std::vector<RuleText>> parse_rules(std::string_view toml);

}  // namespace bot_bottle::dlp
