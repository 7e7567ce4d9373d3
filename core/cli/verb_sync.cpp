// `diff SLUG` and `sync SLUG`: what the agent changed in its copy of the workspace, and the gated way back (attack
// group G: files that it wrote and that the host would run).
#include <fmt/format.h>
#include <fnmatch.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/backends.hpp"
#include "core/launch/test_hooks.hpp"
#include "core/launch/workspace.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"
#include "core/sync/apply.hpp"
#include "core/sync/git_refs.hpp"
#include "core/sync/worktree.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::size_t max_line = 2000;
constexpr int left_behind = 3;  // refused by policy or by the operator

std::string shown(const std::string& path) {
  return escape_untrusted(path);
}

void print_diff(const Context& context, const sync::Change& change, const launch::WorkspaceCopy& copy) {
  std::string text = sync::diff_of(change, copy.ours(), copy.theirs());
  if (text.ends_with('\n')) text.pop_back();
  for (const std::string_view line : split(text, '\n')) {
    const Tone tone = line.starts_with("+++") || line.starts_with("---") ? Tone::strong
                      : line.starts_with('+')                            ? Tone::good
                      : line.starts_with('-')                            ? Tone::bad
                      : line.starts_with("@@")                           ? Tone::dim
                                                                         : Tone::plain;
    context.out(context.paint(escape_untrusted_lines(line, max_line), tone));
  }
}

std::string summary_of(const sync::Change& change) {
  std::string text = fmt::format("{:<9}{}", sync::name_of(change.kind), shown(change.path));
  if (!change.autorun.empty()) text += "  [runs by itself: " + change.autorun + "]";
  if (!change.conflict.empty()) text += "  [conflict: " + change.conflict + "]";
  return text;
}

json::object to_json(const sync::Change& change) {
  return {{"path", is_valid_utf8(change.path) ? change.path : shown(change.path)},
          {"kind", sync::name_of(change.kind)},
          {"autorun", change.autorun},
          {"conflict", change.conflict}};
}

json::array to_json(const std::vector<const sync::Change*>& changes) {
  json::array all;
  for (const sync::Change* change : changes) all.push_back(to_json(*change));
  return all;
}

int diff(Context& context, const std::string& slug, bool names_only) {
  const launch::WorkspaceCopy copy(launch::Backends::of(context.registry()), context.home(), slug);
  const sync::Changes& changes = copy.changes();
  if (context.output.json) {
    json::array all;
    for (const sync::Change& change : changes.list) {
      json::object item = to_json(change);
      if (!names_only) item["diff"] = escape_untrusted_lines(sync::diff_of(change, copy.ours(), copy.theirs()));
      all.push_back(std::move(item));
    }
    json::array left_out;
    for (const std::string& path : changes.left_out) left_out.push_back(json::string(shown(path)));
    context.print_json(
        {{"schema", "bot-bottle.diff/1"}, {"changes", std::move(all)}, {"left_out", std::move(left_out)}});
    return 0;
  }
  for (const sync::Change& change : changes.list) {
    if (names_only || !change.autorun.empty() || !change.conflict.empty())
      context.out(context.paint(summary_of(change), change.autorun.empty() ? Tone::plain : Tone::warning));
    if (!names_only) print_diff(context, change, copy);
  }
  for (const std::string& path : changes.left_out)
    context.note("left out: " + shown(path) + " (a repository of its own)");
  if (changes.list.empty()) context.note("nothing has changed");
  return 0;
}

struct SyncOptions {
  std::string slug;
  bool yes = false;
  bool dry_run = false;
  std::vector<std::string> allow_autorun;
  std::vector<std::string> overwrite;
};

bool matches(const std::vector<std::string>& globs, const std::string& path) {
  return std::ranges::any_of(globs,
                             [&](const std::string& glob) { return ::fnmatch(glob.c_str(), path.c_str(), 0) == 0; });
}

class Sync {
 public:
  Sync(Context& context, const SyncOptions& options)
      : context_(context),
        options_(options),
        copy_(launch::Backends::of(context.registry()), context.home(), options.slug),
        can_ask_(context.stdin_is_terminal() && !options.dry_run) {}

  int run() {
    if (!context_.output.json) show();
    if (options_.dry_run) return report({});
    choose();
    copy_.note_uncommitted(chosen_);
    sync::Applied applied = sync::apply(chosen_, copy_.ours(), copy_.theirs(), options_.slug, [](const char* step) {
      launch::act_on_step_hooks(std::string("sync-") + step);
    });
    copy_.move_base(applied.done);
    fetch();
    commit(applied);
    return report(applied);
  }

 private:
  void show() {
    for (const sync::Change& change : copy_.changes().list) {
      context_.out(context_.paint(summary_of(change), change.autorun.empty() ? Tone::strong : Tone::warning));
      if (!context_.output.quiet) print_diff(context_, change, copy_);
    }
    for (const std::string& path : copy_.changes().left_out)
      context_.note("left out: " + shown(path) + " (a repository of its own)");
  }

  /// The plain ones with one question (or --yes); what runs by itself and what is in conflict one by one, and --yes is
  /// no answer to those (sync_test.py: yes_never_covers_what_runs_by_itself).
  void choose() {
    std::vector<const sync::Change*> plain;
    for (const sync::Change& change : copy_.changes().list)
      if (change.autorun.empty() && change.conflict.empty()) plain.push_back(&change);
    const bool all =
        !plain.empty() && (options_.yes || context_.confirm(fmt::format("Bring {} change{} into {}?", plain.size(),
                                                                        plain.size() == 1 ? "" : "s",
                                                                        escape_untrusted(copy_.ours().string()))));
    for (const sync::Change* change : plain) take(*change, all);
    for (const sync::Change& change : copy_.changes().list) {
      if (change.autorun.empty() && change.conflict.empty()) continue;
      bool wanted = (change.autorun.empty() || matches(options_.allow_autorun, change.path)) &&
                    (change.conflict.empty() || matches(options_.overwrite, change.path));
      if (!wanted && can_ask_) {
        context_.note(summary_of(change));
        wanted = context_.confirm(change.conflict.empty() ? "Bring it over?" : "Overwrite yours with the agent's?");
      }
      take(change, wanted);
    }
  }

  void take(const sync::Change& change, bool wanted) {
    if (wanted)
      chosen_.push_back(change);
    else
      refused_.push_back(&change);
  }

  void fetch() {
    try {
      fetched_ = sync::fetch_commits(copy_.our_git(), copy_.theirs(), copy_.scratch(), options_.slug,
                                     copy_.worktree() ? copy_.worktree()->packs : std::vector<std::string>{});
    } catch (const Failure& failure) {
      context_.warn("the agent's commits were not fetched: " + failure.error().message);
      failed_fetch_ = true;
    }
  }

  /// What passed the gate goes on the bottle's own branch; nothing else ever does (worktree_test.py:
  /// the_gate_holds_for_the_branch_too).
  void commit(const sync::Applied& applied) {
    const auto& record = copy_.worktree();
    if (!record) return;
    sync::Bring bring{
        .paths = copy_.uncommitted(),
        .head = failed_fetch_ ? std::string() : fetched_.head,
        .may_run_alone = [this](const std::string& path) { return matches(options_.allow_autorun, path); },
        .author = state::Directory::open(context_.home(), options_.slug).metadata().agent,
        .slug = options_.slug,
        .scratch = copy_.scratch()};
    std::erase_if(bring.paths, [&](const std::string& path) {
      return std::ranges::any_of(applied.failed, [&](const auto& failed) { return failed.first == path; });
    });
    launch::act_on_step_hooks("sync-commit");
    brought_ = sync::commit_to_branch(record->worktree, bring);
    copy_.forget_uncommitted();
  }

  [[nodiscard]] json::object branch_json() const {
    json::array left;
    for (const auto& [path, why] : brought_->left) left.push_back({{"path", shown(path)}, {"reason", why}});
    return {{"name", copy_.worktree()->worktree.branch},
            {"before", brought_->before},
            {"after", brought_->after},
            {"commits", brought_->commits},
            {"history", brought_->is_history},
            {"why_no_history", escape_untrusted(brought_->why_not)},
            {"left", std::move(left)}};
  }

  void report_branch() {
    for (const auto& [path, why] : brought_->left) context_.note("not committed: " + shown(path) + " (" + why + ")");
    const std::string& branch = copy_.worktree()->worktree.branch;
    if (brought_->commits == 0) {
      context_.note(branch + ": nothing new");
      return;
    }
    context_.note(fmt::format("{}: {} new commit{}{}", branch, brought_->commits, brought_->commits == 1 ? "" : "s",
                              brought_->is_history ? ", the agent's own" : ""));
    if (!brought_->why_not.empty())
      context_.note("  its own commits are beside it, in refs/bot-bottle/" + options_.slug + ": " +
                    escape_untrusted(brought_->why_not));
    context_.note("  look:  bot-bottle worktree show " + options_.slug + " --patch");
    context_.note("  merge: bot-bottle worktree merge " + options_.slug);
  }

  int report(const sync::Applied& applied) {
    const bool incomplete = !applied.failed.empty() || failed_fetch_;
    const int code = incomplete ? 1 : !refused_.empty() ? left_behind : 0;
    if (context_.output.json) {
      json::array failed;
      for (const auto& [path, why] : applied.failed) failed.push_back({{"path", shown(path)}, {"reason", why}});
      json::array done;
      for (const std::string& path : applied.done) done.push_back(json::string(shown(path)));
      json::array refs;
      for (const sync::FetchedRef& ref : fetched_.refs) refs.push_back({{"name", ref.name}, {"oid", ref.oid}});
      json::array all;
      for (const sync::Change& change : copy_.changes().list) all.push_back(to_json(change));
      json::object document{
          {"schema", "bot-bottle.sync-result/1"}, {"changes", std::move(all)},   {"done", std::move(done)},
          {"refused", to_json(refused_)},         {"failed", std::move(failed)}, {"refs", std::move(refs)}};
      if (brought_) document["branch"] = branch_json();
      context_.print_json(document);
      return code;
    }
    for (const auto& [path, why] : applied.failed) context_.warn(shown(path) + " is as it was: " + why);
    for (const sync::FetchedRef& ref : fetched_.refs)
      context_.note("fetched " + ref.name + " (git log " + ref.name.substr(sizeof "refs/" - 1) + ")");
    for (const std::string& name : fetched_.skipped)
      context_.warn("the branch '" + shown(name) + "' was left out: its name");
    if (!options_.dry_run)
      context_.note(fmt::format("brought over: {} of {}", applied.done.size(), copy_.changes().list.size()));
    if (brought_) report_branch();
    for (const sync::Change* change : refused_) context_.note("not brought over: " + summary_of(*change));
    if (std::ranges::any_of(refused_, [](const sync::Change* change) { return !change->autorun.empty(); }) && !can_ask_)
      context_.note("  look at them, then: bot-bottle sync " + options_.slug + " --allow-autorun GLOB");
    return code;
  }

  Context& context_;
  const SyncOptions& options_;
  launch::WorkspaceCopy copy_;
  bool can_ask_;
  std::vector<sync::Change> chosen_;
  std::vector<const sync::Change*> refused_;
  sync::Fetched fetched_;
  std::optional<sync::Brought> brought_;
  bool failed_fetch_ = false;
};

}  // namespace

void add_diff(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "diff", "What the agent changed in its copy of the workspace", "Look",
                            "bot-bottle diff fixer-x7k2p\nbot-bottle diff fixer-x7k2p --name-only");
  auto slug = std::make_shared<std::string>();
  auto names_only = std::make_shared<bool>(false);
  verb->add_option("SLUG", *slug, "The bottle, running or kept")->required();
  verb->add_flag("--name-only", *names_only, "Only which files, and what about them");
  add_json_option(*verb, context);
  verb->callback([&context, slug, names_only] {
    context.action = [&context, slug, names_only] { return diff(context, *slug, *names_only); };
  });
}

void add_sync(CLI::App& app, Context& context) {
  CLI::App* verb =
      add_verb(app, "sync", "Bring the workspace back: shows it, and asks for each file that would run by itself",
               "Everyday", "bot-bottle sync fixer-x7k2p\nbot-bottle sync fixer-x7k2p --yes --allow-autorun 'Makefile'");
  auto options = std::make_shared<SyncOptions>();
  verb->add_option("SLUG", options->slug, "The bottle, running or kept")->required();
  verb->add_flag("-y,--yes", options->yes, "Do not ask; never covers what runs by itself, nor conflicts");
  verb->add_option("--allow-autorun", options->allow_autorun, "Bring these too, though they run by themselves (repeat)")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  verb->add_option("--overwrite", options->overwrite, "Bring these too, though you changed them since (repeat)")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  verb->add_flag("--dry-run", options->dry_run, "Only show it");
  add_json_option(*verb, context);
  verb->callback(
      [&context, options] { context.action = [&context, options] { return Sync(context, *options).run(); }; });
}

}  // namespace bot_bottle::cli
