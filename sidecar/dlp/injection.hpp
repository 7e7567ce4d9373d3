// naive_injection_detection (spec 04): phrases that speak to a model, in what comes back. One warns; two of different
// families near each other are taken for an attack. Phrases are data: core/policy/injection.
// Hostile input: every octet of an answer. Never throws; memory does not grow with the input.
#pragma once

#include <hs/hs.h>
#include <re2/re2.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "sidecar/dlp/phrase_fold.hpp"

namespace bot_bottle::dlp {

struct Phrase {
  std::string id;
  std::string family;
  std::string regex;
  std::vector<std::string> catches;
  std::vector<std::string> spares;
};

/// Folded characters between two phrases that make them one attempt.
inline constexpr std::uint64_t injection_reach = 500;
/// Folded characters of the longest phrase.
inline constexpr std::size_t longest_phrase = 976;

/// Errors name file's phrase and key; a regex that folded text cannot match is one.
Result<std::vector<Phrase>> parse_phrases(std::string_view toml);

class InjectionPhrases {
 public:
  /// Every *.toml of `directory`.
  static Result<std::shared_ptr<const InjectionPhrases>> compile(const std::filesystem::path& directory);
  /// From what `serialise` gave on this machine; null when it does not fit.
  static std::shared_ptr<const InjectionPhrases> unserialise(std::string_view description, std::string_view database);
  [[nodiscard]] Result<std::pair<std::string, std::string>> serialise() const;
  [[nodiscard]] std::size_t count() const { return phrases_.size(); }
  [[nodiscard]] const std::vector<Phrase>& phrases() const { return phrases_; }
  InjectionPhrases(const InjectionPhrases&) = delete;
  InjectionPhrases& operator=(const InjectionPhrases&) = delete;
  ~InjectionPhrases();

 private:
  friend class InjectionStream;
  InjectionPhrases() = default;
  Result<void> compile_anchors();
  Result<void> prepare();
  /// Where the phrase that ends with `window` begins in it.
  [[nodiscard]] std::size_t begin_of(std::size_t phrase, std::string_view window) const;

  std::vector<Phrase> phrases_;
  std::vector<unsigned> families_;  // of each phrase
  hs_database_t* database_ = nullptr;
  /// Literals of which each phrase holds one (phrase_anchors.hpp): where none is near, no phrase is looked for. Null:
  /// phrases are looked for everywhere.
  hs_database_t* anchors_ = nullptr;
  std::size_t longest_anchor_ = 0;
  hs_scratch_t* scratch_ = nullptr;
  mutable std::mutex mutex_;  // of scratch_ and of the regexes below
  mutable std::map<std::size_t, std::unique_ptr<RE2>> regexes_;
};

struct InjectionSighting {
  std::string phrase;
  std::string family;
  std::string with;          // the other family, when it is an attempt
  std::uint64_t offset = 0;  // octets, near enough to find it
  std::string snippet;       // folded text around it
  bool is_mention = false;   // in quotation marks of its own: told of, not said
  bool is_attempt = false;
};

class InjectionStream {
 public:
  /// `everywhere`: without looking for anchors first; the oracle of tests.
  enum class Search : std::uint8_t { near_anchors, everywhere };
  InjectionStream(std::shared_ptr<const InjectionPhrases> phrases, Folder::Quotes quotes,
                  Search search = Search::near_anchors);
  InjectionStream(InjectionStream&&) = delete;
  InjectionStream& operator=(InjectionStream&&) = delete;
  InjectionStream(const InjectionStream&) = delete;
  InjectionStream& operator=(const InjectionStream&) = delete;
  ~InjectionStream();

  /// The first phrase of the text, and the attempt if there is one: at most two in all its life. An engine that fails
  /// counts as an attempt.
  std::vector<InjectionSighting> write(std::string_view bytes);
  std::vector<InjectionSighting> finish();
  /// Characters that were looked at, for anchors and for phrases: what an input costs. Linear in what was written.
  [[nodiscard]] std::uint64_t work() const { return work_; }

 private:
  struct Match {
    std::size_t phrase = 0;
    std::uint64_t end = 0;
  };
  struct Place {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::size_t phrase = 0;
  };
  struct Span {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  enum class End : std::uint8_t { no, yes };
  static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void* context);
  static int on_anchor(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void* context);
  void scan(End end);
  void look_for_anchors();
  void look_for_phrases(Span span);
  void judge(End end, std::vector<InjectionSighting>& sightings);
  [[nodiscard]] bool has_mark(std::uint64_t first, std::uint64_t last) const;
  [[nodiscard]] InjectionSighting describe(const Place& place) const;

  std::shared_ptr<const InjectionPhrases> phrases_;
  Folder folder_;
  Search search_;
  hs_stream_t* stream_ = nullptr;    // opened where the first anchor stands
  std::uint64_t stream_begin_ = 0;   // position of its first character
  std::uint64_t read_to_ = 0;        // and behind its last
  std::uint64_t wanted_to_ = 0;      // so far phrases are looked for, when there is so much
  std::vector<Span> wanted_;         // of the present text
  std::uint64_t anchors_begin_ = 0;  // position of the text that anchors are looked for in
  std::uint64_t work_ = 0;
  std::string text_;        // the last folded characters
  std::uint64_t base_ = 0;  // position of text_[0]
  std::size_t fresh_ = 0;   // of text_: not scanned yet
  std::vector<Match> matches_;
  std::vector<std::optional<Place>> last_;  // of each family, said and not only told of
  std::vector<std::uint64_t> seen_;         // of each phrase: where it ended last
  bool told_ = false;
  bool over_ = false;
  bool failed_ = false;
};

}  // namespace bot_bottle::dlp
