#include "core/manifest/merge.hpp"

#include <unordered_map>
#include <utility>

namespace bot_bottle::manifest {
namespace {

/// What happens to two maps that meet at a place of the document.
enum class Rule : std::uint8_t { root, git_gate, repos, repo, deep, replace };

Rule rule_below(Rule rule, std::string_view key) {
  switch (rule) {
    case Rule::root:
      return key == "git-gate" ? Rule::git_gate : Rule::deep;
    case Rule::git_gate:
      return key == "repos" ? Rule::repos : Rule::deep;
    case Rule::repos:
      return Rule::repo;
    case Rule::repo:
      return Rule::replace;
    default:
      return Rule::deep;
  }
}

Node merge_maps(Node parent, Node child, Rule rule) {  // NOLINT(misc-no-recursion): depth bounded by the readers
  if (rule == Rule::replace || !parent.is_map() || !child.is_map()) return child;
  if (rule == Rule::repos && child.items.empty()) return child;
  std::unordered_map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < parent.keys.size(); ++i) places.emplace(parent.keys[i].name, i);
  for (std::size_t i = 0; i < child.keys.size(); ++i) {
    const auto found = places.find(child.keys[i].name);
    if (found == places.end()) {
      parent.keys.push_back(std::move(child.keys[i]));
      parent.items.push_back(std::move(child.items[i]));
      continue;
    }
    Node& below = parent.items[found->second];
    const Rule next = rule_below(rule, child.keys[i].name);
    below = merge_maps(std::move(below), std::move(child.items[i]), next);
    parent.keys[found->second] = std::move(child.keys[i]);
  }
  parent.spot = child.spot;
  return parent;
}

}  // namespace

Node merge(Node parent, Node child) {
  for (std::size_t i = 0; i < parent.keys.size(); ++i) {
    if (parent.keys[i].name != "extends") continue;
    parent.keys.erase(parent.keys.begin() + static_cast<std::ptrdiff_t>(i));
    parent.items.erase(parent.items.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  return merge_maps(std::move(parent), std::move(child), Rule::root);
}

}  // namespace bot_bottle::manifest
