// From what was brought into the worktree's files to commits on its branch.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <set>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/safe_path.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/sync/autorun.hpp"
#include "core/sync/git.hpp"
#include "core/sync/git_config.hpp"
#include "core/sync/worktree.hpp"
#include "core/sync/worktree_files.hpp"

namespace bot_bottle::sync {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t max_history = 10'000;
constexpr std::size_t max_subjects = 50;
constexpr std::size_t max_target = 4096;

/// One entry of `git diff-tree --raw -z`.
struct Touched {
  std::string mode_before;
  std::string mode_after;
  std::string oid_after;
  std::string path;  // hostile bytes
};

std::vector<Touched> parse_raw(std::string_view text) {
  std::vector<Touched> all;
  const auto tokens = split(text, '\0');
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    // ":100644 100755 <oid> <oid> M", then the path; between commits their ids.
    if (!tokens[i].starts_with(':')) continue;
    const auto fields = split(tokens[i].substr(1), ' ');
    if (fields.size() < 5) throw Failure(make_error(ErrorKind::internal, "git diff-tree wrote an entry that is none"));
    all.push_back({std::string(fields[0]), std::string(fields[1]), std::string(fields[3]), std::string(tokens[++i])});
  }
  return all;
}

class Committer {
 public:
  Committer(const Worktree& worktree, const Bring& bring)
      : worktree_(worktree),
        bring_(bring),
        git_(Git::need(worktree.git_dir)),
        admin_(find_admin(worktree)),
        files_(::open(worktree.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
        configured_(ConfiguredPaths::load(worktree.path, worktree.git_dir)) {
    if (admin_.empty())
      throw Failure(make_error(ErrorKind::failed_precondition,
                               "git does not know the worktree " + worktree.path.string(), "bot-bottle worktree list"));
    if (!files_) throw Failure(error_from_errno("cannot read " + worktree.path.string(), errno));
    const auto head = read_file(admin_ / "HEAD", 4096);
    if (!head || trim(*head) != "ref: " + ref())
      throw Failure(make_error(ErrorKind::failed_precondition,
                               worktree.path.string() + " has something else than " + worktree.branch + " checked out",
                               "git -C " + worktree.path.string() + " switch " + worktree.branch));
    or_throw(remove_tree(bring.scratch));
    or_throw(make_directories(bring.scratch, 0700));
  }

  Brought run() {
    brought_.before = run_git({"rev-parse", "--verify", ref() + "^{commit}"});
    sort_out();
    std::string parent = brought_.before;
    std::string tree;
    if (auto with_history = try_history()) {
      parent = bring_.head;
      tree = std::move(*with_history);
      brought_.is_history = true;
    } else {
      tree = tree_of(parent, wanted_);
    }
    brought_.after = parent;
    if (tree != run_git({"rev-parse", parent + "^{tree}"})) brought_.after = commit(tree, parent);
    if (brought_.after == brought_.before) {
      // A sync that was killed behind its commit: the worktree's index still says what was before it, and the
      // operator's next commit would take it back.
      if (!wanted_.empty()) settle_paths();
      return std::move(brought_);
    }
    brought_.commits = number(run_git({"rev-list", "--count", brought_.before + ".." + brought_.after}));
    // Compare and swap: of two syncs, or a sync and the operator's own commit, nobody's is lost.
    static_cast<void>(run_git({"update-ref", "-m", "bot-bottle sync", ref(), brought_.after, brought_.before}));
    settle_index();
    return std::move(brought_);
  }

 private:
  [[nodiscard]] std::string ref() const { return "refs/heads/" + worktree_.branch; }

  static std::size_t number(std::string_view text) {
    std::size_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  }

  [[nodiscard]] std::string run_git(std::vector<std::string> arguments, const GitInput& input = {}) const {
    return std::string(trim(raw_git(std::move(arguments), input)));
  }
  [[nodiscard]] std::string raw_git(std::vector<std::string> arguments, const GitInput& input = {}) const {
    arguments.insert(arguments.begin(), git_dir_option(worktree_.git_dir));
    return git_.run(arguments, input);
  }
  /// With our own index, in the worktree's files.
  [[nodiscard]] std::string run_index(std::vector<std::string> arguments, std::string text = {}) const {
    arguments.insert(arguments.begin(), {git_dir_option(worktree_.git_dir), "--work-tree=" + worktree_.path.string()});
    return git_.run(arguments, {.cwd = worktree_.path.string(),
                                .env = {{"GIT_INDEX_FILE", (bring_.scratch / "index").string()}},
                                .text = std::move(text)});
  }

  enum class There : unsigned char { nothing, file, directory };
  /// What is at `path`, looked at through no link: behind one it is another file.
  [[nodiscard]] There look(const std::string& path) const {
    const std::size_t slash = path.rfind('/');
    const auto parent =
        open_beneath(files_.get(), slash == std::string::npos ? "" : path.substr(0, slash), O_RDONLY | O_DIRECTORY);
    struct stat status {};
    if (!parent || ::fstatat(parent->get(), path.c_str() + (slash == std::string::npos ? 0 : slash + 1), &status,
                             AT_SYMLINK_NOFOLLOW) != 0) {
      // What cannot be looked at is not gone.
      if (::lstat((worktree_.path / path).c_str(), &status) != 0 && errno == EACCES)
        throw Failure(error_from_errno("cannot look at " + path, errno));
      return There::nothing;
    }
    return S_ISDIR(status.st_mode) ? There::directory : There::file;
  }

  static std::string joined(const std::vector<std::string>& paths) {
    std::string text;
    for (const std::string& path : paths) text += path + '\0';
    return text;
  }

  /// What is not committed: what is ignored, and what lies in a submodule.
  void sort_out() {
    std::vector<std::string> links;
    const std::string listed = raw_git({"ls-tree", "-r", "-z", brought_.before});
    for (const std::string_view entry : split(std::string_view(listed), '\0'))
      if (entry.starts_with("160000 ")) links.push_back(std::string(entry.substr(entry.find('\t') + 1)) + "/");
    static_cast<void>(run_index({"read-tree", brought_.before}));
    std::set<std::string> ignored;
    // "./": a name may begin with ':', which would be a pathspec's magic. What is gone cannot be ignored, and git
    // refuses to look behind a link.
    const auto in_submodule = [&links](const std::string& path) {
      return std::ranges::any_of(links, [&](const std::string& link) { return (path + "/").starts_with(link); });
    };
    std::string asked;
    for (const std::string& path : bring_.paths)
      if (!in_submodule(path) && look(path) != There::nothing) asked += "./" + path + '\0';
    if (!asked.empty()) {
      const ProcessResult checked =
          git_.attempt({git_dir_option(worktree_.git_dir), "--work-tree=" + worktree_.path.string(), "check-ignore",
                        "-z", "--stdin"},
                       {.cwd = worktree_.path.string(),
                        .env = {{"GIT_INDEX_FILE", (bring_.scratch / "index").string()}},
                        .text = asked});
      // 1: none is.
      if (checked.code > 1)
        throw Failure(make_error(ErrorKind::failed_precondition,
                                 "git cannot tell what is ignored: " + std::string(trim(checked.err))));
      for (const std::string_view path : split(std::string_view(checked.out), '\0'))
        if (path.starts_with("./")) ignored.emplace(path.substr(2));
    }
    for (const std::string& path : bring_.paths) {
      if (in_submodule(path))
        brought_.left.emplace_back(path, "it lies in a submodule");
      else if (ignored.contains(path))
        brought_.left.emplace_back(path, "it is ignored (.gitignore)");
      else if (look(path) != There::directory)
        wanted_.push_back(path);
    }
  }

  /// The tree of `commit` with `paths` as they are in the worktree.
  std::string tree_of(const std::string& commit, const std::vector<std::string>& paths) const {
    static_cast<void>(run_index({"read-tree", commit}));
    // Where a link stands in a directory's place, git would not even take out what was in it (worktree_test.py:
    // a_directory_that_becomes_a_link).
    std::vector<std::string> gone;
    std::vector<std::string> there;
    for (const std::string& path : paths) (look(path) == There::nothing ? gone : there).push_back(path);
    if (!gone.empty()) static_cast<void>(run_index({"update-index", "--force-remove", "-z", "--stdin"}, joined(gone)));
    if (!there.empty())
      static_cast<void>(run_index({"update-index", "--add", "--remove", "--replace", "-z", "--stdin"}, joined(there)));
    return std::string(trim(run_index({"write-tree"})));
  }

  std::string reason_for(const Touched& touched) const {
    if (std::string reason = autorun_reason(touched.path); !reason.empty()) return reason;
    if (std::string reason = configured_.reason_for(touched.path); !reason.empty()) return reason;
    if (touched.path == "HEAD" || touched.path.ends_with("/HEAD")) return "may be part of a git repository";
    if (touched.mode_after == "100755" && touched.mode_before != "100755") return "newly executable";
    if (touched.mode_after == "160000" || touched.mode_before == "160000") return "a submodule";
    if (touched.mode_after != "120000") return {};
    const std::string target = raw_git({"cat-file", "blob", touched.oid_after});
    if (!link_stays_inside(target, static_cast<std::size_t>(std::ranges::count(touched.path, '/'))))
      return "a link that leads out";
    const std::string where = target.size() > max_target ? "somewhere" : autorun_reason(target);
    return where.empty() ? std::string() : "a link to: " + where;
  }

  /// A branch is merged, bisected and checked out at any of its commits: each one must be as harmless as its end
  /// (worktree_test.py: G1_a_gated_file_in_the_middle_of_the_history_keeps_the_history_out).
  bool history_passes() {
    const std::string& from = brought_.before;
    const std::string& to = bring_.head;
    const auto refuse = [this](std::string why) {
      brought_.why_not = std::move(why);
      return false;
    };
    if (number(run_git({"rev-list", "--count", from + ".." + to})) > max_history)
      return refuse("there are more than " + std::to_string(max_history) + " of them");
    const std::string commits = raw_git({"rev-list", from + ".." + to});
    const std::string raw = raw_git({"diff-tree", "--stdin", "-r", "-m", "--root", "--raw", "-z", "--no-renames",
                                     "--no-abbrev", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none"},
                                    {.cwd = "/", .env = {}, .text = commits});
    for (const Touched& touched : parse_raw(raw)) {
      const std::string reason = reason_for(touched);
      if (!reason.empty() && !(bring_.may_run_alone && bring_.may_run_alone(touched.path)))
        return refuse("one of them touches " + touched.path + " (" + reason + ")");
    }
    return true;
  }

  /// The tree that comes on top of the agent's own commits; nothing: they stay out.
  std::optional<std::string> try_history() {
    const std::string& head = bring_.head;
    if (head.empty() || head == brought_.before) return std::nullopt;
    const std::string ours = git_dir_option(worktree_.git_dir);
    if (!git_.ask({ours, "cat-file", "-e", head + "^{commit}"})) {
      brought_.why_not = "they were not fetched";
      return std::nullopt;
    }
    if (git_.attempt({ours, "merge-base", "--is-ancestor", brought_.before, head}).code != 0) {
      if (git_.attempt({ours, "merge-base", "--is-ancestor", head, brought_.before}).code != 0)
        brought_.why_not = "they do not begin at the branch's end";
      return std::nullopt;
    }
    if (!history_passes()) return std::nullopt;
    std::vector<std::string> paths = wanted_;
    const auto changed = [this](const std::string& a, const std::string& b) {
      std::vector<std::string> names;
      for (Touched& touched : parse_raw(raw_git({"diff-tree", "-r", "--raw", "-z", "--no-renames", "--no-abbrev",
                                                 "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", a, b})))
        names.push_back(std::move(touched.path));
      return names;
    };
    for (std::string& path : changed(brought_.before, head)) {
      if (look(path) != There::directory) paths.push_back(std::move(path));
    }
    std::ranges::sort(paths);
    paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
    std::string tree = tree_of(head, paths);
    // What a commit says and the files do not was refused, is in conflict, or was taken back.
    for (const std::string& path : changed(head, tree))
      if (std::ranges::find(wanted_, path) == wanted_.end()) {
        brought_.why_not = "they hold a " + path + " that was not brought over";
        return std::nullopt;
      }
    return tree;
  }

  std::string message() const {
    std::string text = "Work of " + clean(bring_.author) + " in bottle " + bring_.slug + "\n";
    if (brought_.is_history || bring_.head.empty()) return text;
    const ProcessResult log =
        git_.attempt({git_dir_option(worktree_.git_dir), "log", "-z", "--reverse", "--no-color", "--no-decorate",
                      "--no-show-signature", "--no-notes", "--format=%s", "--max-count=" + std::to_string(max_subjects),
                      brought_.before + ".." + bring_.head});
    if (log.code != 0 || log.out.empty()) return text;
    text += "\nIts own commits, refs/bot-bottle/" + bring_.slug + ":\n";
    for (const std::string_view subject : split(std::string_view(log.out), '\0'))
      if (!subject.empty()) text += "- " + clean(subject) + "\n";
    return text;
  }

  /// Text of the agent's that will be shown by programs that escape nothing.
  static std::string clean(std::string_view text) {
    std::string out = escape_untrusted(text, 200);
    std::erase_if(out, [](char c) { return c == '<' || c == '>' || c == '\n'; });
    return out;
  }

  std::string commit(const std::string& tree, const std::string& parent) const {
    std::string name = clean(bring_.author);
    if (name.empty()) name = "agent";
    std::map<std::string, std::string> env{{"GIT_AUTHOR_NAME", name},
                                           {"GIT_AUTHOR_EMAIL", bring_.slug + "@bot-bottle.invalid"}};
    // The operator brings it; who has told git no name is not made one up.
    if (!git_.ask({git_dir_option(worktree_.git_dir), "var", "GIT_COMMITTER_IDENT"})) {
      env["GIT_COMMITTER_NAME"] = "bot-bottle";
      env["GIT_COMMITTER_EMAIL"] = "sync@bot-bottle.invalid";
    }
    return run_git({"commit-tree", tree, "-p", parent}, {.cwd = "/", .env = std::move(env), .text = message()});
  }

  /// The worktree's own index follows; what the operator has staged in there stays where it can.
  void settle_index() const {
    const std::vector<std::string> where{git_dir_option(admin_), "--work-tree=" + worktree_.path.string()};
    const GitInput here{.cwd = worktree_.path.string(), .env = {}, .text = {}};
    const auto with = [&where](std::vector<std::string> arguments) {
      arguments.insert(arguments.begin(), where.begin(), where.end());
      return arguments;
    };
    if (git_.attempt(with({"read-tree", "-m", brought_.before, brought_.after}), here).code != 0)
      git_.call(with({"read-tree", brought_.after}), here);
    settle_paths();
    static_cast<void>(git_.attempt(with({"update-index", "-q", "--refresh"}), here));
  }

  /// What was brought is in the worktree's index as it is in the commit.
  void settle_paths() const {
    const std::string listed = raw_git({"ls-tree", "-r", "-z", "--full-tree", brought_.after});
    std::set<std::string_view> missing(wanted_.begin(), wanted_.end());
    std::string orders;
    for (const std::string_view entry : split(std::string_view(listed), '\0')) {
      const std::size_t tab = entry.find('\t');
      if (tab == std::string_view::npos || missing.erase(entry.substr(tab + 1)) == 0) continue;
      orders += std::string(entry) + '\0';
    }
    std::string removals;
    for (const std::string_view path : missing)
      removals += "0 " + std::string(brought_.after.size(), '0') + "\t" + std::string(path) + '\0';
    git_.call({git_dir_option(admin_), "--work-tree=" + worktree_.path.string(), "update-index", "-z", "--index-info"},
              {.cwd = worktree_.path.string(), .env = {}, .text = removals + orders});
  }

  const Worktree& worktree_;
  const Bring& bring_;
  Git git_;
  fs::path admin_;
  UniqueFd files_;
  ConfiguredPaths configured_;
  Brought brought_;
  std::vector<std::string> wanted_;
};

}  // namespace

Brought commit_to_branch(const Worktree& worktree, const Bring& bring) {
  return Committer(worktree, bring).run();
}

}  // namespace bot_bottle::sync
