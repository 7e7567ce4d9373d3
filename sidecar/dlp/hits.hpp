// What a scan of one contiguous text finds, and how it is shown. Internal to sidecar/dlp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/dlp/known_secrets.hpp"
#include "sidecar/dlp/rules.hpp"

namespace bot_bottle::dlp {

/// Either a rule or a pattern of a known secret; both null: the engine failed, which counts as a find.
struct Hit {
  std::size_t begin = 0;  // in the text as it came, whatever the view
  std::size_t end = 0;
  const Rule* rule = nullptr;
  const KnownSecrets::State::Pattern* pattern = nullptr;
  std::string_view view;        // what was undone to see it; empty: nothing
  std::size_t match_begin = 0;  // of a rule: all that it matched
  std::size_t match_end = 0;
};

/// How a region stands in the whole: `open`: more text follows that is not here, so its last word may be half a secret.
enum class Edge : std::uint8_t { open, closed };

enum class Extent : std::uint8_t { first, all };

struct Engine {
  const Rules::State* rules;  // null: no rules are looked for
  const KnownSecrets::State& secrets;
  Detectors detectors;
  enum class Decode : std::uint8_t { escapes, all };
  Decode decode = Decode::all;
  /// Octets of the longest match of a rule, 0 when rules are not looked for.
  [[nodiscard]] std::size_t longest_rule() const {
    return detectors.token_patterns && rules != nullptr ? rules->longest : 0;
  }
  /// Characters of a skeleton.
  [[nodiscard]] std::size_t longest_folded() const {
    return detectors.known_secrets ? secrets.folded_index.longest() : 0;
  }
  [[nodiscard]] std::size_t longest_exact() const {
    return detectors.known_secrets ? secrets.exact_index.longest() : 0;
  }
};

/// Matches of rules in one view, which is `text` itself. False: stopped at the first one.
void find_rules(const Rules::State& rules, std::string_view text, Extent extent, std::vector<Hit>& hits);

/// Hits of all views of a text that is there as a whole. `Extent::first` stops at the first one.
std::vector<Hit> find_hits(const Engine& engine, std::string_view text, Extent extent);

/// Begin and end of every secret in `text` in any view, merged and in order. The end of a rule's hit goes on over the
/// characters tokens are made of, or to the rule's `through`.
std::vector<Located> find_secret_ranges(const Rules::State& rules, const KnownSecrets::State& secrets,
                                        std::string_view text);

/// ±24 characters around `hit` with every secret replaced.
std::string make_snippet(const Rules::State& rules, const KnownSecrets::State& secrets, std::string_view region,
                         Located hit, Edge right);

Finding make_finding(const KnownSecrets::State& secrets, const Hit& hit);

inline constexpr std::size_t snippet_margin = 24;
inline constexpr std::string_view mask = "********";

}  // namespace bot_bottle::dlp
