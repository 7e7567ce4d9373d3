#include "core/desk/proposal.hpp"

#include <algorithm>

#include "core/base/text.hpp"
#include "core/supervise/recipe.hpp"
#include "core/sync/text_diff.hpp"

namespace bot_bottle::desk {
namespace {

constexpr std::size_t max_id = 32;
/// More than a sidecar of ours ever has: one for each finding of a push, and a few.
constexpr std::size_t max_facts = 1024;

bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= max_id &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string(value.as_string()) : to_text(value);
}

/// `[{"label", "text"}]`, or an object of any shape (git-allow): each member is a fact, each finding one of its own.
std::vector<Fact> parse_facts(const json::object& document) {
  std::vector<Fact> facts;
  if (const json::array* list = find_array(document, "facts")) {
    for (const json::value& value : *list)
      if (value.is_object() && facts.size() < max_facts)
        facts.push_back({get_string(value.as_object(), "label"), get_string(value.as_object(), "text")});
  }
  if (const json::object* object = find_object(document, "facts")) {
    for (const auto& member : *object) {
      if (const json::array* list = member.value().if_array(); list != nullptr && member.key() == "findings") {
        for (const json::value& value : *list) {
          if (!value.is_object() || facts.size() >= max_facts) continue;
          const json::object& finding = value.as_object();
          facts.push_back({"finding", get_string(finding, "rule") + " in " + get_string(finding, "where") + " of " +
                                          get_string(finding, "commit").substr(0, 12) + ": " +
                                          get_string(finding, "snippet")});
        }
        continue;
      }
      if (facts.size() < max_facts) facts.push_back({std::string(member.key()), text_of(member.value())});
    }
  }
  return facts;
}

}  // namespace

std::string Proposal::host() const {
  if (std::string host = get_string(change, "host"); !host.empty()) return host;
  const json::object* route = find_object(change, "route");
  return route == nullptr ? std::string() : get_string(*route, "host");
}

std::string Proposal::summary() const {
  if (std::string host = this->host(); !host.empty()) return host;
  for (const std::string_view key : {"question", "repo", "summary"})
    if (std::string text = get_string(change, key); !text.empty()) return text;
  return justification;
}

std::optional<Proposal> parse_proposal(const json::object& document, std::string_view slug) {
  Proposal proposal;
  proposal.id = get_string(document, "id");
  if (!is_id(proposal.id)) return std::nullopt;
  proposal.slug = slug;
  proposal.kind = get_string(document, "kind");
  proposal.state = get_string(document, "state");
  proposal.hash = get_string(document, "hash");
  proposal.justification = get_string(document, "justification");
  proposal.reason = get_string(document, "reason");
  proposal.by = get_string(document, "by");
  proposal.proposed_at = get_string(document, "proposed_at");
  if (const json::object* diff = find_object(document, "diff")) {
    proposal.before = get_string(*diff, "before");
    proposal.after = get_string(*diff, "after");
  }
  proposal.facts = parse_facts(document);
  proposal.choices = get_strings(document, "choices");
  if (const json::object* change = find_object(document, "change")) proposal.change = *change;
  proposal.document = document;
  proposal.document["slug"] = slug;
  // What runs on the host is read from what is approved, not from what the sidecar says of it.
  if (proposal.kind == "capability-block") proposal.after = supervise::recipe_lines(proposal.change);
  // What would be let through must be seen even where no texts were computed.
  if (proposal.before.empty() && proposal.after.empty() && !proposal.change.empty() && !proposal.is_question())
    proposal.after = to_pretty_text(proposal.change);
  return proposal;
}

std::vector<Proposal> parse_proposals(const json::object& answer, std::string_view slug) {
  std::vector<Proposal> all;
  const json::array* list = find_array(answer, "proposals");
  if (list == nullptr) return all;
  for (const json::value& value : *list) {
    if (!value.is_object() || all.size() >= max_proposals_of_a_bottle) continue;
    if (auto proposal = parse_proposal(value.as_object(), slug)) all.push_back(std::move(*proposal));
  }
  return all;
}

std::vector<DiffLine> diff_lines(std::string_view before, std::string_view after) {
  std::vector<DiffLine> lines;
  const auto ended = [](std::string_view text) {
    return text.empty() || text.ends_with('\n') ? std::string(text) : std::string(text) + "\n";
  };
  const std::string hunks = sync::unified_hunks(ended(before), ended(after));
  for (const std::string_view line : split(hunks, '\n')) {
    if (line.empty()) continue;
    const std::string text(line.substr(1));
    switch (line.front()) {
      case '+':
        lines.push_back({DiffLine::Kind::added, text});
        break;
      case '-':
        lines.push_back({DiffLine::Kind::removed, text});
        break;
      case '@':
        lines.push_back({DiffLine::Kind::hunk, std::string(line)});
        break;
      default:
        lines.push_back({DiffLine::Kind::same, text});
    }
  }
  return lines;
}

}  // namespace bot_bottle::desk
