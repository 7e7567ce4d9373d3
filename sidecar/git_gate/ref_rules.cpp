#include "sidecar/git_gate/ref_rules.hpp"

#include <algorithm>

#include "core/base/text.hpp"

namespace bot_bottle::git_gate {
namespace {

constexpr std::string_view heads = "refs/heads/";
constexpr std::string_view tags = "refs/tags/";
constexpr std::size_t max_name = 250;

std::string_view short_name(std::string_view name) {
  name.remove_prefix(std::min(name.size(), is_branch(name) ? heads.size() : tags.size()));
  return name;
}

/// Case is folded: an upstream on a file system that folds it would take "Main" for "main".
bool is_protected(const policy::GitRepo& repo, std::string_view branch) {
  return std::ranges::any_of(repo.protected_branches, [&](const std::string& pattern) {
    return policy::matches_branch(pattern, branch, policy::GlobCase::fold);
  });
}

std::string listed(const std::vector<std::string>& patterns) {
  return patterns.empty() ? "none" : join(patterns, ", ");
}

std::optional<RefRefusal> check_branch(const policy::GitRepo& repo, const RefUpdate& update) {
  const std::string_view branch = short_name(update.name);
  if (is_protected(repo, branch)) return RefRefusal{"protected branch", "push to a branch of your own"};
  if (repo.allowed_branches && std::ranges::none_of(*repo.allowed_branches, [&](const std::string& pattern) {
        return policy::matches_branch(pattern, branch, policy::GlobCase::exact);
      }))
    return RefRefusal{"branch is not allowed", "allowed: " + listed(*repo.allowed_branches)};
  if (update.deletes() && !repo.allow_delete) return RefRefusal{"deleting branches is not allowed", {}};
  return std::nullopt;
}

std::optional<RefRefusal> check_tag(const policy::GitRepo& repo, const RefUpdate& update) {
  if (!repo.allow_tags) return RefRefusal{"tags are not allowed", {}};
  if (update.deletes() && !repo.allow_delete) return RefRefusal{"deleting tags is not allowed", {}};
  if (!update.creates() && !update.deletes() && !repo.allow_force_push)
    return RefRefusal{"moving a tag is not allowed", "choose a new name"};
  // A tag `main` makes `main` mean the tag in many commands of people and CI: the protected branch is shadowed.
  if (is_protected(repo, short_name(update.name)))
    return RefRefusal{"a tag may not have the name of a protected branch", "choose another name"};
  return std::nullopt;
}

}  // namespace

bool is_branch(std::string_view name) {
  return name.starts_with(heads);
}

bool is_tag(std::string_view name) {
  return name.starts_with(tags);
}

std::optional<RefRefusal> check_ref_name(std::string_view name) {
  if (!is_branch(name) && !is_tag(name))
    return RefRefusal{"only branches and tags can be pushed", "refs/heads/... or refs/tags/..."};
  const std::string_view rest = short_name(name);
  const RefRefusal bad{"the name of the ref is not accepted", "letters, digits, '/', '-', '_' and '.'"};
  if (name.size() > max_name || rest.empty() || !is_valid_utf8(name)) return bad;
  if (std::ranges::any_of(name, [](char c) {
        const auto octet = static_cast<unsigned char>(c);
        return octet <= 0x20 || octet == 0x7f || std::string_view("~^:?*[\\").find(c) != std::string_view::npos;
      }))
    return bad;
  if (name.find("..") != std::string_view::npos || name.find("@{") != std::string_view::npos || name.ends_with('.'))
    return bad;
  for (const std::string_view part : split(rest, '/')) {
    if (part.empty() || part == "@" || part.front() == '.' || part.front() == '-' || part.ends_with(".lock"))
      return bad;
  }
  const std::string first = to_lower(split(rest, '/').front());
  if (first == "refs" || to_upper(rest) == "HEAD")
    return RefRefusal{"the name of the ref can be read in two ways", "choose another name"};
  return std::nullopt;
}

std::optional<RefRefusal> check_update(const policy::GitRepo& repo, const Refs& refs, const RefUpdate& update) {
  if (auto refusal = check_ref_name(update.name)) return refusal;
  const auto found = refs.find(update.name);
  const std::string_view now = found == refs.end() ? zero_oid : std::string_view(found->second);
  if (auto refusal = is_branch(update.name) ? check_branch(repo, update) : check_tag(repo, update)) return refusal;
  if (now != update.before) return RefRefusal{"fetch first", "the upstream has something else there by now"};
  return std::nullopt;
}

}  // namespace bot_bottle::git_gate
