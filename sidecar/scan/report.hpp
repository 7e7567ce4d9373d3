// What `bot-bottle scan` prints, and its exit code. Called by bot-bottle-sidecar --scan.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sidecar/dlp/scanner.hpp"

namespace bot_bottle::scan {

enum class Form : std::uint8_t { text, json };

struct Request {
  std::filesystem::path share;           // holds rules/
  std::filesystem::path rules_database;  // empty: compile
  std::filesystem::path own_rules;       // a .gitleaks.toml; empty: none
  Form form = Form::text;
  std::string git_range;  // not empty: of the repository that `paths` names (one)
  std::vector<std::filesystem::path> paths;
};

/// A person's file for `scan` or `egress.dlp.rules`; empty when `file` is.
Result<dlp::OwnRules> read_own_rules(const std::filesystem::path& file, dlp::OwnRules::For used_for);

/// Findings to standard output, `path:line:column: rule: snippet`; what could not be read to standard error. 0: clean,
/// 1: findings, 2: something could not be read (what was found is printed nevertheless).
int run(const Request& request);

}  // namespace bot_bottle::scan
