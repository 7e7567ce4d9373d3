// What stands behind Rules: databases, compiled confirmations and pools. Internal to sidecar/dlp.
#pragma once

#include <hs/hs.h>
#include <re2/re2.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/dlp/rule_file.hpp"
#include "sidecar/dlp/scanner.hpp"

namespace bot_bottle::dlp {

class InjectionPhrases;

/// The longest match a rule may have: it is the hold-back window, and memory and latency of every stream.
inline constexpr std::size_t max_match_octets = 1024;

/// Where the secret of a match stands in the text it was located in.
struct Located {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t match_begin = 0;  // of the whole match
};

struct Rule {
  RuleText text;
  std::size_t width = 0;  // octets of the longest match

  [[nodiscard]] bool needs_confirmation() const {
    return text.entropy > 0 || !text.allow_regexes.empty() || !text.allow_stopwords.empty() ||
           !text.allow_lists.empty();
  }
  /// Hyperscan saw a match that ends where `window` ends. False: entropy or an allow list spares it. The window begins
  /// at least one octet before the longest match, or with the text. A match that RE2 cannot reproduce stays one (fail
  /// closed), but for rules with a prefilter, where RE2 alone decides.
  bool confirm(std::string_view window, Located& located) const;
  Result<void> compile() const;
  /// False: no match ends with `window`, in no reading of it. Asked of rules with a prefilter only, which stands in
  /// many texts; so cheap that a text full of it does not make RE2 run at each octet.
  [[nodiscard]] bool may_match(std::string_view window) const;
  /// Of a file: whether the rule is not for `path`, or an allow list that names paths spares the match.
  [[nodiscard]] bool spares_in_file(const MatchView& view) const;

  struct Compiled {
    std::unique_ptr<RE2> regex;  // (regex)\z: what ends with the window
    std::vector<std::unique_ptr<RE2>> allow;
    std::vector<CompiledAllowList> allow_lists;
    std::unique_ptr<RE2> path;  // null: every file
    int groups = 0;
  };
  mutable std::unique_ptr<std::once_flag> once = std::make_unique<std::once_flag>();
  mutable Compiled compiled;  // lazily: a sidecar that loads a cached database compiles only what it comes to need
};

struct FreeDatabase {
  void operator()(hs_database_t* database) const { hs_free_database(database); }
};
struct FreeScratch {
  void operator()(hs_scratch_t* scratch) const { hs_free_scratch(scratch); }
};
using DatabasePtr = std::unique_ptr<hs_database_t, FreeDatabase>;
using ScratchPtr = std::unique_ptr<hs_scratch_t, FreeScratch>;

struct Rules::State {
  std::vector<Rule> rules;  // the index is the id in the databases
  DatabasePtr block;
  /// Relaxed (relaxed_regex.hpp): it tells where `block` is to look, in the text as it stands and as JSON quotes it.
  DatabasePtr stream;
  /// Block mode, those of which `stream` sees only what stands in the text as it is; null: there is none.
  DatabasePtr unrelaxed;
  std::string source_hash;  // SHA-256 over the rule files
  Source source = Source::rule_files;
  std::size_t longest = 0;                            // octets of the longest match
  std::shared_ptr<const InjectionPhrases> injection;  // null: the installation has none

  State() = default;
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  /// rules_build.cpp: the databases of `rules`. Errors: Hyperscan does not take one of them.
  [[nodiscard]] Result<void> build();
  /// Scratch space and stream states are pooled: opening a body costs a reset, not an allocation. Thread-safe.
  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] ScratchPtr take_scratch() const;  // null: out of memory; the caller fails closed
  void give_back(ScratchPtr scratch) const;
  [[nodiscard]] hs_stream_t* take_stream() const;
  void give_back(hs_stream_t* stream) const;

 private:
  mutable std::mutex mutex_;
  mutable std::vector<ScratchPtr> scratches_;
  mutable std::vector<hs_stream_t*> streams_;
};

/// RAII over take_scratch.
class Scratch {
 public:
  explicit Scratch(const Rules::State& state) : state_(state), scratch_(state.take_scratch()) {}
  ~Scratch() { state_.give_back(std::move(scratch_)); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] hs_scratch_t* get() const { return scratch_.get(); }

 private:
  const Rules::State& state_;
  ScratchPtr scratch_;
};

/// Octets of the longest match of `regex`; nothing when it has no end. Errors: Hyperscan does not take it.
Result<std::optional<std::size_t>> regex_width(const std::string& regex, std::size_t& shortest);

/// Bits per octet.
double shannon_entropy(std::string_view text);

/// rules_cache.cpp: the serialised form. `unserialise` gives nothing when the bytes are not of `source_hash`, this
/// library, this CPU, or not whole.
Result<std::string> serialise(const Rules::State& state);
std::unique_ptr<Rules::State> unserialise(std::string_view bytes, const std::string& source_hash);

}  // namespace bot_bottle::dlp
