// Reads every object that is new to the gate and looks for secrets in it (spec 05): blobs, file names, commit messages,
// author fields, tags, archives. Blocks: for a Job's thread. Hostile input: every object.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/base/result.hpp"
#include "sidecar/dlp/scanner.hpp"
#include "sidecar/git_gate/workshop.hpp"

namespace bot_bottle::scan {
struct ContentFinding;
}

namespace bot_bottle::git_gate {

/// A secret, or what may hide one. `file` is a path of the tree, or what it is instead: "/commit-message",
/// "/commit-header", "/tag-message", "/file-name", "/ref-name" (no path of a tree begins with '/').
struct PushFinding {
  std::string rule;
  std::string commit;
  std::string file;  // without secrets, valid UTF-8
  std::uint64_t line = 1;
  std::string encoding;
  std::string snippet;     // redacted; may hold hostile text
  std::uint64_t more = 0;  // findings of the same fingerprint, whose snippets are not kept
  /// "commit:file:rule:line", as gitleaks writes it.
  [[nodiscard]] std::string fingerprint() const;
};

struct ScanRules {
  std::shared_ptr<const dlp::Rules> rules;
  std::shared_ptr<const dlp::KnownSecrets> secrets;
  std::set<std::string, std::less<>> allowed;   // whole fingerprints, approved
  std::set<std::string, std::less<>> baseline;  // whole ones, and "file:rule:line" for every commit
  bool honour_inline_allow = false;
  bool require_signed_off = false;
  std::uint64_t max_octets = 0;  // over all objects as they unpack
};

struct ScanTotals {
  std::uint64_t objects = 0;
  std::uint64_t octets = 0;
  std::uint64_t suppressed = 0;  // findings that are allowed
  std::uint64_t left_out = 0;    // findings beyond max_findings: nobody can approve them
  std::uint64_t ms = 0;          // walking and scanning
};

class PushScan {
 public:
  PushScan(const Workshop& workshop, const ScanRules& rules) : workshop_(workshop), rules_(rules) {}

  /// `list`: `git rev-list --objects --in-commit-order` oldest first, one object a line. Errors: an object is not there
  /// (the push is not connected), too much of it, cancelled, a commit without Signed-off-by.
  Result<void> run(const std::filesystem::path& list, Workshop::Environment environment, int cancel_fd);
  /// Somebody else's finding; what is allowed is left out like our own.
  void also(PushFinding finding);
  /// One text that is no object: the name of a ref.
  void text(std::string_view bytes, const std::string& commit, const std::string& file);

  [[nodiscard]] const std::vector<PushFinding>& findings() const { return findings_; }
  [[nodiscard]] const ScanTotals& totals() const { return totals_; }

 private:
  class Reader;
  enum class Kind : std::uint8_t { commit, tree, blob, tag };
  struct Object {
    std::string oid;
    Kind kind = Kind::blob;
    std::uint64_t size = 0;
    std::string path;
  };
  Result<void> object(const Object& object, Reader& reader);
  Result<void> large_blob(const Object& object, Reader& reader);
  Result<void> commit(const Object& object, std::string_view bytes);
  void tree(const Object& object, std::string_view bytes);
  void tag(const Object& object, std::string_view bytes);
  void blob(const Object& object, std::string_view bytes);
  void found(const scan::ContentFinding& finding, const std::string& file);
  void add(PushFinding finding);
  [[nodiscard]] bool is_allowed(const PushFinding& finding) const;
  std::string shown_path(std::string_view path) const;

  const Workshop& workshop_;
  const ScanRules& rules_;
  std::string commit_;  // the one that the present object came with
  std::vector<PushFinding> findings_;
  ScanTotals totals_;
  std::unordered_set<std::string> seen_names_;  // 16 octets of a digest each
};

/// So many can be shown and approved; of canaries, so many more are kept, for they raise an alarm.
inline constexpr std::size_t max_findings = 200;
inline constexpr std::size_t max_canaries = 32;
inline bool is_canary(const PushFinding& finding) {
  return finding.rule.starts_with("canary:");
}

}  // namespace bot_bottle::git_gate
