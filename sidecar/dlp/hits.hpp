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
  /// Of the rules, which are still to be looked for in what JSON quotes.
  enum class Quoted : std::uint8_t { all, unrelaxed };
  Quoted quoted = Quoted::all;
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

/// Matches of rules in one view, which is `text` itself. `database`: of the rules, in block mode. What ends behind
/// `limit` is passed over.
void find_rules(const Rules::State& rules, const hs_database_t* database, std::string_view text, std::size_t limit,
                Extent extent, std::vector<Hit>& hits);
inline void find_rules(const Rules::State& rules, std::string_view text, Extent extent, std::vector<Hit>& hits) {
  find_rules(rules, rules.block.get(), text, text.size(), extent, hits);
}

/// Hits of all views of a text that is there as a whole. `Extent::first` stops at the first one. `blobs`: whether
/// runs of digits begin with compressed data, which only a Stream reads.
std::vector<Hit> find_hits(const Engine& engine, std::string_view text, Extent extent, bool* blobs = nullptr);

/// Begin and end of every secret in `text` in any view, merged and in order. The end of a rule's hit goes on over the
/// characters tokens are made of, or to the rule's `through`.
std::vector<Located> find_secret_ranges(const Rules::State& rules, const KnownSecrets::State& secrets,
                                        std::string_view text);

/// The rule of a canary in `region` ("canary:<name>"), or empty: what another detector saw first may be one.
std::string canary_in(const KnownSecrets::State& secrets, std::string_view region);

/// ±24 characters around `hit` with every secret replaced.
std::string make_snippet(const Rules::State& rules, const KnownSecrets::State& secrets, std::string_view region,
                         Located hit, Edge right);

Finding make_finding(const KnownSecrets::State& secrets, const Hit& hit);

inline constexpr std::size_t snippet_margin = 24;
inline constexpr std::string_view mask = "********";

}  // namespace bot_bottle::dlp
