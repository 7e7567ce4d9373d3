// The DLP engine (spec 04 §DLP): finds credentials in bytes that stream by. Used by egress, git-gate and `scan`.
// Hostile input: every byte it is given. Never throws; memory does not grow with the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle::dlp {

/// Where it was found. `offset` counts octets of the scanned view from its start.
struct Finding {
  std::string rule;      // rule id ("github-pat"), "known-secret:<NAME>" or "canary:<name>"
  std::string encoding;  // "plain", "base64", "hex", "percent", …
  std::uint64_t offset = 0;
  std::string snippet;  // ±24 characters around, every secret replaced by "********"; may hold hostile text

  /// A fake credential of the bottle's own (rule "canary:<name>"): whoever sends it has gone looking for credentials.
  [[nodiscard]] bool is_canary() const { return rule.starts_with("canary:"); }
};

class InjectionPhrases;

/// A person's own rules beside the shipped ones: the text of a `.gitleaks.toml` (gitleaks.hpp).
struct OwnRules {
  std::string text;                                                          // empty: none
  std::string file;                                                          // for messages
  enum class For : std::uint8_t { streams, files } used_for = For::streams;  // files: rules that ask for a path, too
};

/// Rules compiled once per sidecar: a Hyperscan database and what it takes to confirm a match (entropy, allow lists).
class Rules {
 public:
  /// Reads every *.toml of `directory` (gitleaks' rule format plus `catches`, `spares`) and compiles.
  static Result<std::shared_ptr<const Rules>> compile(const std::filesystem::path& directory, const OwnRules& own = {});
  /// The same, from `database` when it was made from the same rules, library and CPU; compiles when it was not.
  static Result<std::shared_ptr<const Rules>> load(const std::filesystem::path& directory,
                                                   const std::filesystem::path& database, const OwnRules& own = {});
  /// Writes what `load` reads; atomically.
  [[nodiscard]] Result<void> save(const std::filesystem::path& database) const;
  [[nodiscard]] std::size_t count() const;
  /// Where they came from: a database that did not fit is as good as none, and somebody should replace it.
  enum class Source : std::uint8_t { rule_files, database };
  [[nodiscard]] Source source() const;
  /// What speaks to a model (injection.hpp), from `injection/` beside the directory of the rules; null: there is none.
  [[nodiscard]] std::shared_ptr<const InjectionPhrases> injection() const;
  Rules(const Rules&) = delete;
  Rules& operator=(const Rules&) = delete;
  ~Rules();

  struct State;  // in scanner.cpp
  explicit Rules(std::unique_ptr<State> state);
  [[nodiscard]] const State& state() const { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

struct KnownSecret {
  std::string_view name;
  std::string_view value;  // ≥ 8 octets; copied into locked memory
  enum class Kind : std::uint8_t { secret, canary } kind = Kind::secret;
};

/// The secrets of one bottle as patterns: plain, base64 (three alignments, standard and url-safe), base32, hex,
/// reversed, rot13, and each of these encoded again.
class KnownSecrets {
 public:
  /// Errors: a secret shorter than 8 octets (its name is in the message, its value never is).
  static Result<std::shared_ptr<const KnownSecrets>> create(std::span<const KnownSecret> secrets);
  KnownSecrets(const KnownSecrets&) = delete;
  KnownSecrets& operator=(const KnownSecrets&) = delete;
  ~KnownSecrets();

  struct State;
  explicit KnownSecrets(std::unique_ptr<State> state);
  [[nodiscard]] const State& state() const { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

class Fragments;

struct Detectors {
  bool token_patterns = true;
  bool known_secrets = true;
  /// Where pieces of known secrets are summed up over many texts; null: nowhere. Outlives the scan.
  Fragments* fragments = nullptr;
  bool financial = false;  // financial.hpp: a scanner of its own, run by who has the bytes

  [[nodiscard]] bool any() const { return token_patterns || known_secrets || financial; }
};

/// What left a bottle in pieces (spec 04: 60 % of a secret's six-character grams within an hour). One per bottle, used
/// by one thread. Memory: four octets per gram.
class Fragments {
 public:
  /// `now_ms` may be any clock that does not go back.
  Fragments(std::shared_ptr<const KnownSecrets> secrets, std::function<std::uint64_t()> now_ms);
  Fragments(const Fragments&) = delete;
  Fragments& operator=(const Fragments&) = delete;
  ~Fragments();

  /// Notes the pieces in `text`. A finding when with them too much of a secret is out.
  std::optional<Finding> note(std::string_view text);

  struct State;
  [[nodiscard]] State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// One value that is there at once (a path, a query, a header). The first finding, or nothing.
std::optional<Finding> scan(const Rules& rules, const KnownSecrets& secrets, Detectors detectors,
                            std::string_view bytes);

/// The longest text a finding can have, in the view as it came: what a caller that joins texts has to carry over.
std::size_t longest_finding(const Rules& rules, const KnownSecrets& secrets, Detectors detectors);

/// A body as it streams. Holds back the last octets that could begin a match, so no octet of a secret is released
/// before the match is seen, however the body is cut. Memory: the hold-back window (`hold_back_bytes`) and Hyperscan's
/// stream states.
class Stream {
 public:
  /// `depth`: how many compressed layers it lies inside of; the innermost that are read are at two.
  Stream(std::shared_ptr<const Rules> rules, std::shared_ptr<const KnownSecrets> secrets, Detectors detectors,
         unsigned depth = 0);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  /// Scans `bytes` and appends what is safe to forward to `released`. A finding is final: nothing more is released.
  [[nodiscard]] std::optional<Finding> write(std::string_view bytes, std::string& released);
  /// The end: scans what is held, then releases it.
  [[nodiscard]] std::optional<Finding> finish(std::string& released);
  /// Octets that were looked at, over all views: what an input costs. Linear in what was written.
  [[nodiscard]] std::uint64_t work() const;
  /// Octets that are kept until more have come.
  [[nodiscard]] std::size_t held() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Replaces known secrets (all their encodings) in a response as it streams by "********" (spec 04 step 7). Keeps the
/// window as Stream does. The length of the text changes: the caller re-frames.
class Scrubber {
 public:
  explicit Scrubber(std::shared_ptr<const KnownSecrets> secrets);
  Scrubber(Scrubber&&) noexcept;
  Scrubber& operator=(Scrubber&&) noexcept;
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;
  ~Scrubber();

  /// Appends scrubbed text; returns how many secrets were replaced. `Flush::now` releases the window too unless it
  /// could begin a secret (SSE must not wait for more bytes).
  enum class Flush : std::uint8_t { no, now };
  std::size_t write(std::string_view bytes, std::string& released, Flush flush = Flush::no);
  std::size_t finish(std::string& released);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The text with every known secret and every rule match replaced by "********": for logs and error bodies.
std::string redact(const Rules& rules, const KnownSecrets& secrets, std::string_view text);

}  // namespace bot_bottle::dlp
