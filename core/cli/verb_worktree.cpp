// `worktree list|show|path|merge|rm`: the git worktrees of bottles that were started with --worktree.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/show.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/worktree.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::size_t most_commits = 200;
constexpr std::size_t max_line = 2000;

launch::WorktreeRecord need_worktree(Context& context, const std::string& slug) {
  if (auto record = launch::find_worktree(context.home(), slug)) return std::move(*record);
  std::vector<std::string> known;
  for (const launch::WorktreeRecord& record : launch::list_worktrees(context.home())) known.push_back(record.slug);
  Error error = make_error(ErrorKind::not_found, "the bottle '" + escape_untrusted(slug) + "' has no worktree",
                           known.empty() ? "bot-bottle start AGENT --worktree" : "bot-bottle worktree list");
  if (const auto near = nearest(slug, known)) error.details = "did you mean: " + *near;
  throw Failure(std::move(error));
}

/// "running", "frozen", …: the bottle as core last saw it; "gone" without a state.
std::string bottle_status(Context& context, const std::string& slug) {
  std::error_code code;
  if (!std::filesystem::exists(context.home().state_of(slug), code)) return "gone";
  return std::string(state::name_of(state::Directory::open(context.home(), slug).metadata().status));
}

std::string describe(const sync::WorktreeState& state) {
  std::vector<std::string> parts;
  if (!state.has_branch) parts.emplace_back("the branch is gone");
  if (state.commits > 0) parts.push_back(fmt::format("{} commit{}", state.commits, state.commits == 1 ? "" : "s"));
  if (state.commits > 0 && state.is_merged) parts.emplace_back("merged");
  if (state.uncommitted > 0) parts.push_back(fmt::format("{} uncommitted", state.uncommitted));
  if (state.has_loose_commits) parts.emplace_back("commits on no branch");
  if (state.is_unknown)
    parts.emplace_back("files that its repository does not know");
  else if (!state.has_files)
    parts.emplace_back("no files");
  return parts.empty() ? "nothing yet" : join(parts, ", ");
}

json::object to_json(const launch::WorktreeRecord& record, const sync::WorktreeState& state,
                     const std::string& bottle) {
  return {{"slug", record.slug},
          {"branch", record.worktree.branch},
          {"directory", record.worktree.path.string()},
          {"repository", record.repository.string()},
          {"base", record.worktree.base},
          {"tip", state.tip},
          {"commits", state.commits},
          {"uncommitted", state.uncommitted},
          {"merged", state.commits > 0 && state.is_merged},
          {"bottle", bottle}};
}

int list(Context& context) {
  json::array items;
  Table table{.headers = {"SLUG", "BOTTLE", "WORK", "REPOSITORY"}, .rows = {}};
  for (const launch::WorktreeRecord& record : launch::list_worktrees(context.home())) {
    const std::string bottle = bottle_status(context, record.slug);
    try {
      const sync::WorktreeState state = sync::look_at_worktree(record.worktree);
      items.push_back(to_json(record, state, bottle));
      table.rows.push_back({record.slug, bottle, describe(state), short_path(record.repository)});
    } catch (const Failure& failure) {
      if (failure.error().kind == ErrorKind::cancelled) throw;
      items.push_back(to_json(record, {}, bottle));
      table.rows.push_back(
          {record.slug, bottle, Cell("? " + failure.error().message, Tone::warning), short_path(record.repository)});
    }
  }
  if (context.output.json)
    context.print_json({{"schema", "bot-bottle.worktrees/1"}, {"worktrees", std::move(items)}});
  else if (table.rows.empty())
    context.note("no bottle has a worktree; make one with: bot-bottle start AGENT --worktree");
  else
    context.print_table(table);
  return 0;
}

void print_lines(const Context& context, std::string_view text, const char* indent) {
  for (const std::string_view line : split(text, '\n')) {
    if (line.empty()) continue;
    const Tone tone = line.starts_with("+++") || line.starts_with("---") ? Tone::strong
                      : line.starts_with('+')                            ? Tone::good
                      : line.starts_with('-')                            ? Tone::bad
                                                                         : Tone::plain;
    context.out(indent + context.paint(escape_untrusted_lines(line, max_line), tone));
  }
}

void print_commits(const Context& context, const launch::WorktreeRecord& record) {
  for (const std::string& line : sync::log_of(record.worktree, most_commits))
    context.out("  " + escape_untrusted(line, 200));
}

int show(Context& context, const std::string& slug, sync::DiffForm form) {
  const launch::WorktreeRecord record = need_worktree(context, slug);
  const sync::WorktreeState state = sync::look_at_worktree(record.worktree);
  const std::string bottle = bottle_status(context, slug);
  if (context.output.json) {
    json::object document = to_json(record, state, bottle);
    document["schema"] = "bot-bottle.worktree/1";
    json::array commits;
    if (state.has_branch)
      for (const std::string& line : sync::log_of(record.worktree, most_commits))
        commits.push_back(json::string(escape_untrusted(line, 400)));
    document["log"] = std::move(commits);
    context.print_json(document);
    return 0;
  }
  context.out(context.paint(record.worktree.branch, Tone::strong) + "  " + describe(state) + "; bottle: " + bottle);
  context.out("files       " + escape_untrusted(short_path(record.worktree.path)));
  context.out("repository  " + escape_untrusted(short_path(record.repository)) +
              (record.onto.empty() ? "" : " (began at " + escape_untrusted(record.onto) + ")"));
  if (!state.has_branch) return 0;
  print_commits(context, record);
  print_lines(context, sync::diff_of_branch(record.worktree, form), form == sync::DiffForm::names ? "  " : "");
  if (state.commits == 0 && bottle != "gone") context.note("bring the agent's work here: bot-bottle sync " + slug);
  return 0;
}

struct MergeOptions {
  std::string slug;
  bool yes = false;
  bool remove = false;
};

int merge(Context& context, const MergeOptions& options) {
  const launch::WorktreeRecord record = need_worktree(context, options.slug);
  const sync::WorktreeState state = sync::look_at_worktree(record.worktree);
  if (state.commits == 0)
    throw Failure(make_error(ErrorKind::failed_precondition,
                             record.worktree.branch + " has no commit of its own: there is nothing to merge",
                             "bot-bottle sync " + options.slug));
  if (!context.output.json) {
    print_commits(context, record);
    print_lines(context, sync::diff_of_branch(record.worktree, sync::DiffForm::names), "  ");
  }
  if (!options.yes && !context.confirm("Merge " + record.worktree.branch + " into " +
                                       escape_untrusted(short_path(record.repository)) + "?"))
    throw Failure(
        make_error(ErrorKind::refused, "nothing was merged", "bot-bottle worktree merge " + options.slug + " --yes"));
  const sync::Merged merged = sync::merge_branch(record.worktree, record.repository);
  if (context.output.json) {
    json::array conflicts;
    for (const std::string& path : merged.conflicts) conflicts.push_back(json::string(escape_untrusted(path)));
    context.print_json({{"schema", "bot-bottle.worktree-merge/1"},
                        {"slug", record.slug},
                        {"into", merged.into},
                        {"before", merged.before},
                        {"after", merged.after},
                        {"conflicts", std::move(conflicts)}});
  }
  if (!merged.conflicts.empty()) {
    Error error =
        make_error(ErrorKind::failed_precondition,
                   record.worktree.branch + " and " + merged.into + " changed the same places; nothing was merged",
                   "git -C " + record.repository.string() + " merge " + record.worktree.branch + ", and resolve them");
    error.details = join(merged.conflicts, "\n");
    throw Failure(std::move(error));
  }
  context.note(merged.after == merged.before ? merged.into + " had all of it already"
                                             : "merged into " + merged.into + ": " + merged.after.substr(0, 12));
  if (!options.remove) {
    context.note("  done with it: bot-bottle worktree rm " + options.slug);
    return 0;
  }
  if (bottle_status(context, options.slug) != "gone") {
    context.warn("the worktree stays as long as its bottle: bot-bottle stop --rm " + options.slug);
    return 0;
  }
  // Uncommitted files, a commit that came meanwhile: not merged, and nowhere else.
  if (const sync::WorktreeState left = sync::look_at_worktree(record.worktree); left.holds_work()) {
    context.warn("the worktree stays, it still holds work: " + describe(left));
    return 0;
  }
  launch::remove_worktree(context.home(), record);
  return 0;
}

int remove(Context& context, const std::vector<std::string>& slugs, bool force) {
  for (const std::string& slug : slugs) {
    const launch::WorktreeRecord record = need_worktree(context, slug);
    if (const std::string bottle = bottle_status(context, slug); bottle != "gone")
      throw Failure(make_error(ErrorKind::failed_precondition,
                               "the bottle '" + slug + "' is there (" + bottle + ") and its work goes to this worktree",
                               "bot-bottle stop --rm " + slug));
    const sync::WorktreeState state = sync::look_at_worktree(record.worktree);
    if (state.holds_work() && !force)
      throw Failure(make_error(
          ErrorKind::refused, record.worktree.branch + " holds work that is nowhere else: " + describe(state),
          "bot-bottle worktree merge " + slug + "; or, to lose it: bot-bottle worktree rm --force " + slug));
    launch::remove_worktree(context.home(), record);
    context.note("removed " + short_path(record.worktree.path) + " and " + record.worktree.branch);
  }
  return 0;
}

}  // namespace

void add_worktree(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "worktree", "Bottles' own git worktrees: look, merge, remove", "Everyday",
                            "bot-bottle start fixer --worktree --label issue-42\nbot-bottle sync issue-42\n"
                            "bot-bottle worktree show issue-42 --patch\nbot-bottle worktree merge issue-42");
  verb->require_subcommand(1, 1);
  CLI::App* all = add_verb(*verb, "list", "Which there are, and what they hold", "Verbs", "bot-bottle worktree list");
  add_json_option(*all, context);
  all->callback([&context] { context.action = [&context] { return list(context); }; });

  CLI::App* one =
      add_verb(*verb, "show", "One, with its commits and files", "Verbs", "bot-bottle worktree show issue-42 --patch");
  auto slug = std::make_shared<std::string>();
  auto form = std::make_shared<sync::DiffForm>(sync::DiffForm::names);
  one->add_option("SLUG", *slug, "The bottle")->required();
  one->add_flag_callback(
      "-p,--patch", [form] { *form = sync::DiffForm::patch; }, "The change since it began");
  add_json_option(*one, context);
  one->callback(
      [&context, slug, form] { context.action = [&context, slug, form] { return show(context, *slug, *form); }; });

  CLI::App* path = add_verb(*verb, "path", "Its directory", "Verbs", "cd \"$(bot-bottle worktree path issue-42)\"");
  path->add_option("SLUG", *slug, "The bottle")->required();
  path->callback([&context, slug] {
    context.action = [&context, slug] {
      context.out(escape_untrusted(need_worktree(context, *slug).worktree.path.string()));
      return 0;
    };
  });

  CLI::App* into = add_verb(*verb, "merge", "Into the branch that is checked out in its repository", "Verbs",
                            "bot-bottle worktree merge issue-42");
  auto options = std::make_shared<MergeOptions>();
  into->add_option("SLUG", options->slug, "The bottle")->required();
  into->add_flag("-y,--yes", options->yes, "Do not ask");
  into->add_flag("--rm", options->remove, "Remove the worktree afterwards, when its bottle is gone");
  add_json_option(*into, context);
  into->callback([&context, options] { context.action = [&context, options] { return merge(context, *options); }; });

  CLI::App* gone =
      add_verb(*verb, "rm", "Directory, branch and git's record of it", "Verbs", "bot-bottle worktree rm issue-42");
  auto slugs = std::make_shared<std::vector<std::string>>();
  auto force = std::make_shared<bool>(false);
  gone->add_option("SLUG", *slugs, "The bottles (repeat)")->required();
  gone->add_flag("-f,--force", *force, "Also what holds work that is nowhere else");
  gone->callback([&context, slugs, force] {
    context.action = [&context, slugs, force] { return remove(context, *slugs, *force); };
  });
}

}  // namespace bot_bottle::cli
