#include "core/launch/worktree.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/launch/test_hooks.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::launch {
namespace {

namespace fs = std::filesystem;
constexpr const char* schema = "bot-bottle.worktree-record/1";

fs::path record_file(const Home& home, const std::string& slug) {
  return home.worktrees() / (slug + ".json");
}
fs::path seed_of(const Home& home, const std::string& slug) {
  return home.worktrees() / (".seed-" + slug);
}

void write_record(const Home& home, const WorktreeRecord& record) {
  or_throw(make_directories(home.worktrees(), 0700));
  or_throw(write_file_atomic(record_file(home, record.slug),
                             to_pretty_text(json::object{{"schema", schema},
                                                         {"slug", record.slug},
                                                         {"repository", record.repository.string()},
                                                         {"onto", record.onto},
                                                         {"git_dir", record.worktree.git_dir.string()},
                                                         {"path", record.worktree.path.string()},
                                                         {"branch", record.worktree.branch},
                                                         {"base", record.worktree.base},
                                                         {"packs", to_array(record.packs)},
                                                         {"made_at_ms", record.made_at_ms}}),
                             0600));
}

}  // namespace

WorktreePlan plan_worktree(const Home& home, const fs::path& directory, const std::string& slug,
                           const std::string& base) {
  state::need_slug(slug);
  const sync::Repository repository = sync::find_repository(directory);
  WorktreePlan plan;
  plan.record = {.slug = slug,
                 .repository = repository.top,
                 .onto = repository.branch,
                 .worktree = {.git_dir = repository.git_dir,
                              .path = home.worktrees() / slug,
                              .branch = "agent/" + slug,
                              .base = base.empty() ? repository.head : base},
                 .packs = {},
                 .made_at_ms = now_ms()};
  const auto obstacle = sync::find_branch_obstacle(plan.record.worktree);
  if (obstacle || find_worktree(home, slug))
    throw Failure(make_error(ErrorKind::already_exists,
                             "the bottle '" + slug + "' cannot have the branch " + plan.record.worktree.branch + ": " +
                                 obstacle.value_or("there is a worktree of an earlier bottle of that name"),
                             "choose another --label; or look first: bot-bottle worktree list, git branch --list '" +
                                 plan.record.worktree.branch + "*'"));
  if (repository.uncommitted > 0)
    plan.warnings.push_back(std::to_string(repository.uncommitted) +
                            (repository.uncommitted == 1 ? " file has a change" : " files have changes") +
                            " that no commit has: the worktree begins at the commit, without them");
  if (repository.branch.empty() && !repository.is_bare)
    plan.warnings.push_back("no branch is checked out (detached HEAD): the worktree begins at " +
                            plan.record.worktree.base.substr(0, 12));
  if (repository.has_submodules)
    plan.warnings.emplace_back("submodules are empty directories in a worktree: their files are not in the bottle");
  if (repository.is_shallow) plan.warnings.emplace_back("the repository is shallow: the agent gets as little history");
  return plan;
}

fs::path make_worktree(const Home& home, WorktreeRecord& record, Seed seed) {
  // On record first: from here on a branch may exist, and whoever finds the record can take it back.
  write_record(home, record);
  act_on_step_hooks("worktree-record");
  sync::add_worktree(record.worktree);
  act_on_step_hooks("worktree-added");
  if (seed == Seed::no) return {};
  fs::path place = seed_of(home, record.slug);
  record.packs = sync::make_seed(record.worktree, place);
  write_record(home, record);
  return place;
}

void remove_seed(const Home& home, const std::string& slug) {
  or_throw(remove_tree(seed_of(home, slug)));
}

std::optional<WorktreeRecord> find_worktree(const Home& home, const std::string& slug) {
  if (!state::is_slug(slug)) return std::nullopt;
  const auto text = read_file(record_file(home, slug), std::size_t{1} << 20);
  if (!text) {
    if (text.error().kind == ErrorKind::not_found) return std::nullopt;
    throw Failure(text.error());
  }
  const json::object document =
      or_throw<json::object>(parse_json_object(*text).map_error(in("reading " + record_file(home, slug).string())));
  WorktreeRecord record{.slug = slug,
                        .repository = get_string(document, "repository"),
                        .onto = get_string(document, "onto"),
                        .worktree = {.git_dir = get_string(document, "git_dir"),
                                     .path = get_string(document, "path"),
                                     .branch = get_string(document, "branch"),
                                     .base = get_string(document, "base")},
                        .packs = get_strings(document, "packs"),
                        .made_at_ms = get_int(document, "made_at_ms", 0)};
  // What a mistake in the record would remove: only what a record of that name can be about.
  if (get_string(document, "schema") != schema || record.worktree.path != home.worktrees() / slug ||
      record.worktree.branch != "agent/" + slug || !record.worktree.git_dir.is_absolute())
    throw Failure(make_error(ErrorKind::invalid_argument,
                             record_file(home, slug).string() + " is not the record of a worktree of '" + slug + "'",
                             "look at it, and move it away"));
  return record;
}

std::vector<WorktreeRecord> list_worktrees(const Home& home) {
  std::vector<WorktreeRecord> records;
  std::error_code code;
  for (fs::directory_iterator it(home.worktrees(), code), end; !code && it != end; it.increment(code)) {
    if (it->path().extension() != ".json") continue;
    try {
      if (auto record = find_worktree(home, it->path().stem().string())) records.push_back(std::move(*record));
    } catch (const Failure& failure) {
      if (failure.error().kind == ErrorKind::cancelled) throw;
    }
  }
  std::ranges::sort(records, {}, &WorktreeRecord::slug);
  return records;
}

void remove_worktree(const Home& home, const WorktreeRecord& record) {
  remove_seed(home, record.slug);
  sync::remove_worktree(record.worktree, record.slug, sync::RemoveBranch::yes);
  // Last: what could not be removed is found again.
  if (::unlink(record_file(home, record.slug).c_str()) != 0 && errno != ENOENT)
    throw Failure(error_from_errno("cannot remove " + record_file(home, record.slug).string(), errno));
}

bool remove_unused_worktree(const Home& home, const std::string& slug) {
  const auto record = find_worktree(home, slug);
  if (!record) return true;
  if (sync::look_at_worktree(record->worktree).holds_work()) return false;
  remove_worktree(home, *record);
  return true;
}

}  // namespace bot_bottle::launch
