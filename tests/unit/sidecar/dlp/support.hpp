// The shipped rules, compiled once for all tests of this folder, and ways to stream a text.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>

#include "sidecar/dlp/hits.hpp"
#include "sidecar/dlp/rule_samples.hpp"
#include "sidecar/dlp/scanner.hpp"

namespace bot_bottle::dlp {

inline const std::filesystem::path rules_directory = std::filesystem::path(BB_SOURCE_DIR) / "core/policy/rules";

inline std::shared_ptr<const Rules> shipped_rules() {
  static const std::shared_ptr<const Rules> rules = or_throw(Rules::compile(rules_directory));
  return rules;
}
inline std::shared_ptr<const KnownSecrets> known(std::vector<std::pair<std::string, std::string>> secrets) {
  std::vector<KnownSecret> views;
  for (const auto& [name, value] : secrets) views.push_back({name, value});
  return or_throw(KnownSecrets::create(views));
}

struct Streamed {
  std::optional<Finding> finding;
  std::string released;
};

/// Writes text[0, cuts[0]), text[cuts[0], cuts[1]), …, the rest; then finishes.
inline Streamed stream_cut(const std::shared_ptr<const Rules>& rules,
                           const std::shared_ptr<const KnownSecrets>& secrets, std::string_view text,
                           std::vector<std::size_t> cuts, Detectors detectors = {}) {
  Streamed result;
  Stream stream(rules, secrets, detectors);
  cuts.push_back(text.size());
  std::size_t at = 0;
  for (const std::size_t cut : cuts) {
    if (auto finding = stream.write(text.substr(at, cut - at), result.released)) result.finding = finding;
    at = cut;
  }
  if (auto finding = stream.finish(result.released)) result.finding = finding;
  return result;
}
inline Streamed stream_octets(const std::shared_ptr<const Rules>& rules,
                              const std::shared_ptr<const KnownSecrets>& secrets, std::string_view text,
                              Detectors detectors = {}) {
  std::vector<std::size_t> cuts;
  for (std::size_t i = 1; i < text.size(); ++i) cuts.push_back(i);
  return stream_cut(rules, secrets, text, cuts, detectors);
}

}  // namespace bot_bottle::dlp
