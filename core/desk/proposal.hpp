// What an agent asks for, as its sidecar describes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"

namespace bot_bottle::desk {

struct Fact {
  std::string label;
  std::string text;
};

/// Every text may be hostile.
struct Proposal {
  std::string slug;
  std::string id;  // [a-z0-9], at most 32
  std::string kind;
  std::string state;
  std::string hash;           // of the exact change against the exact live state: what an answer names
  std::string justification;  // the agent's words
  std::string reason;         // why applying it failed, or of the answer
  std::string by;
  std::string proposed_at;
  std::string before;  // live text
  std::string after;   // what it becomes
  std::vector<Fact> facts;
  std::vector<std::string> choices;  // of ask-operator
  json::object change;
  json::object document;  // as it came, for --json

  [[nodiscard]] bool is_pending() const { return state == "pending"; }
  [[nodiscard]] bool is_question() const { return kind == "ask-operator"; }
  /// The host that it is about; empty when it is about none.
  [[nodiscard]] std::string host() const;
  /// What is asked in a few words: host, repository, question.
  [[nodiscard]] std::string summary() const;
};

/// Those that were settled lately among them. A sidecar of ours has 20 that wait (spec 06).
inline constexpr std::size_t max_proposals_of_a_bottle = 256;
inline constexpr std::size_t max_pending_of_a_bottle = 64;

/// Nothing when it has no usable id: it cannot be answered, and an id is typed and shown as it is.
std::optional<Proposal> parse_proposal(const json::object& document, std::string_view slug);
/// The `proposals` of an answer; those without an id are left out.
std::vector<Proposal> parse_proposals(const json::object& answer, std::string_view slug);

struct DiffLine {
  enum class Kind : std::uint8_t { same, removed, added, hunk } kind = Kind::same;
  std::string text;  // without its mark
};
/// `before` → `after` by lines, three around each change; empty when they are equal.
std::vector<DiffLine> diff_lines(std::string_view before, std::string_view after);

}  // namespace bot_bottle::desk
