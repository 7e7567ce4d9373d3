// gitleaks' allow lists: what of a rule's matches is not a secret after all.
#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"

namespace bot_bottle::dlp {

struct AllowList {
  enum class Condition : std::uint8_t { any, all };
  enum class Target : std::uint8_t { secret, match, line };
  Condition condition = Condition::any;
  Target target = Target::secret;  // what `regexes` look at
  std::vector<std::string> regexes;
  std::vector<std::string> stopwords;     // lower case
  std::vector<std::string> paths;         // regexes over a file's path
  bool commits = false;                   // names commits: never true of bytes
  std::vector<std::string> target_rules;  // of a global list: only these; empty: all

  bool operator==(const AllowList&) const = default;
};

/// One match as an allow list sees it. `path` is empty where bytes have none (egress).
struct MatchView {
  std::string_view secret;
  std::string_view match;
  std::string_view line;
  std::string_view path;
};

class CompiledAllowList {
 public:
  /// Errors: a regex that RE2 does not take.
  static Result<CompiledAllowList> create(const AllowList& list);
  [[nodiscard]] bool spares(const MatchView& view) const;

 private:
  AllowList list_;
  std::vector<std::unique_ptr<RE2>> regexes_;
  std::vector<std::unique_ptr<RE2>> paths_;
};

/// Octets, not characters: as Hyperscan sees them.
std::unique_ptr<RE2> make_octet_regex(const std::string& pattern);

json::array to_json(const std::vector<AllowList>& lists);
std::vector<AllowList> allow_lists_of(const json::object& object, std::string_view key);

}  // namespace bot_bottle::dlp
