// A person's own rules: a `.gitleaks.toml` as it is (gitleaks 8), or ours with `catches` and `spares`.
// Hostile input: none (the operator's file), but it is checked to the letter; never throws.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "sidecar/dlp/rule_file.hpp"
#include "sidecar/dlp/scanner.hpp"

namespace bot_bottle::dlp {

struct GitleaksFile {
  std::vector<RuleText> rules;        // of one whose `regex` is empty the other fields are added to a shipped rule
  std::vector<AllowList> allow;       // global
  bool use_default = false;           // [extend]: `allow` and `disabled` reach the shipped rules too
  std::vector<std::string> disabled;  // rule ids
  std::vector<std::string> notes;     // what is accepted and means something else here
};

/// Errors: "FILE:LINE: rule 'x': 'y' is not supported" for what no engine of ours can do (`extend.path`, `extend.url`,
/// `rules.required`, regexes outside RE2), and for keys that nobody knows.
Result<GitleaksFile> parse_gitleaks(std::string_view toml, std::string_view file);

/// Everything that compiling would object to, without compiling; the notes.
Result<std::vector<std::string>> check_own_rules(const std::filesystem::path& directory, const OwnRules& own);

}  // namespace bot_bottle::dlp
