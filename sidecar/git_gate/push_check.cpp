#include "sidecar/git_gate/push_check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "sidecar/git_gate/gitleaks_run.hpp"
#include "sidecar/git_gate/pack_header.hpp"

namespace bot_bottle::git_gate {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::minutes unpack_time{10};
constexpr std::chrono::minutes walk_time{10};
constexpr std::chrono::seconds short_time{60};

class Check {
 public:
  Check(PushTask& task, Job::Worker& worker) : task_(task), worker_(worker) {}

  Result<void> run() {
    task_.refusals.assign(task_.request.updates.size(), std::nullopt);
    check_refs();
    if (task_.is_refused()) return {};
    PushScan scan(*task_.workshop, task_.rules);
    for (const RefUpdate& update : task_.request.updates)
      scan.text(update.name, update.deletes() ? update.before : update.after, "/ref-name");
    BB_CHECK(unpack());
    BB_CHECK(check_tips());
    if (task_.is_refused()) return {};
    const auto began = std::chrono::steady_clock::now();
    BB_CHECK(list_new_objects());
    BB_CHECK(check_fast_forwards());
    if (task_.is_refused()) return {};
    BB_CHECK(scan.run(task_.directory / "objects.list", environment(), worker_.cancel_fd()));
    if (task_.workshop->repo().scan.engine == policy::GitScan::Engine::gitleaks) {
      BB_TRY(std::vector<PushFinding> others,
             run_gitleaks(*task_.workshop, commits_, environment(), worker_.cancel_fd()));
      for (PushFinding& finding : others) scan.also(std::move(finding));
    }
    task_.findings = scan.findings();
    task_.totals = scan.totals();
    task_.totals.ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count());
    return {};
  }

 private:
  void check_refs() {
    for (std::size_t i = 0; i < task_.request.updates.size(); ++i)
      task_.refusals[i] = check_update(task_.workshop->repo(), *task_.refs, task_.request.updates[i]);
  }

  [[nodiscard]] Workshop::Environment environment() const {
    return task_.workshop->quarantined(task_.workshop->local_environment(), task_.objects());
  }

  Result<ProcessResult> git(std::vector<std::string> arguments, std::chrono::milliseconds limit, std::string input = {},
                            std::vector<PassedFd> fds = {}) {
    ProcessRequest request = task_.workshop->request(std::move(arguments), environment());
    request.timeout = limit;
    request.cancel_fd = worker_.cancel_fd();
    request.stdin_text = std::move(input);
    request.fds = std::move(fds);
    return run_process(request);
  }

  Result<void> unpack() {
    BB_CHECK(make_directories(task_.objects() / "pack"));
    BB_CHECK(make_directories(task_.objects() / "info"));
    if (!task_.request.has_pack()) return {};
    const UniqueFd pack(::open((task_.directory / "incoming.pack").c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!pack) return fail(error_from_errno("incoming.pack", errno));
    std::string head(pack_header_size, '\0');
    const ssize_t got = ::pread(pack.get(), head.data(), head.size(), 0);
    head.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    const auto header = parse_pack_header(head);
    if (!header) return fail(ErrorKind::invalid_argument, "the push has no pack");
    if (!is_plausible(*header, task_.pack_octets))
      return fail(ErrorKind::invalid_argument,
                  fmt::format("the pack promises {} objects, which it cannot hold", header->objects));
    if (header->objects == 0) return {};
    // --strict is fsck: malformed trees and commits, .gitmodules that name options or paths outside (CVE-2018-11235,
    // -17456), .git in every disguise.
    BB_TRY(const ProcessResult result, git({"index-pack", "--stdin", "--fix-thin", "--strict", "--threads=2",
                                            fmt::format("--max-input-size={}", task_.workshop->repo().max_push_bytes)},
                                           unpack_time, {}, {{pack.get(), 0}}));
    if (result.code != 0)
      return fail(ErrorKind::invalid_argument, "the pack is not accepted: " + last_words(result.err));
    return {};
  }

  /// A branch is a commit; a tag may be anything that is there.
  Result<void> check_tips() {
    std::string input;
    for (const RefUpdate& update : task_.request.updates) input += update.after + "\n";
    BB_TRY(const ProcessResult result, git({"cat-file", "--batch-check=%(objecttype)"}, short_time, input));
    const std::vector<std::string_view> types = split(result.out, '\n');
    for (std::size_t i = 0; i < task_.request.updates.size(); ++i) {
      const RefUpdate& update = task_.request.updates[i];
      if (update.deletes()) continue;
      const std::string_view type = i < types.size() ? types[i] : std::string_view();
      if (type.empty() || type.ends_with("missing"))
        return fail(ErrorKind::invalid_argument,
                    fmt::format("the push is not whole: object {} is missing", update.after));
      if (type == "commit" || type == "tag") commits_.push_back(update.after);
      if (is_branch(update.name) && type != "commit") task_.refusals[i] = RefRefusal{"a branch has to be a commit", {}};
    }
    return {};
  }

  /// Everything that the upstream does not have, oldest commit first; walking it proves that all of it is there.
  Result<void> list_new_objects() {
    const UniqueFd list(
        ::open((task_.directory / "objects.list").c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!list) return fail(error_from_errno("objects.list", errno));
    std::string input;
    for (const RefUpdate& update : task_.request.updates)
      if (!update.deletes()) input += update.after + "\n";
    if (input.empty()) return {};
    BB_TRY(const ProcessResult result,
           git({"rev-list", "--objects", "--in-commit-order", "--topo-order", "--reverse", "--stdin", "--not", "--all"},
               walk_time, input, {{list.get(), 1}}));
    if (result.code == 0) return {};
    return fail(ErrorKind::invalid_argument, "the push is not whole: " + last_words(result.err),
                "if your clone is shallow: git fetch --unshallow");
  }

  Result<void> check_fast_forwards() {
    for (std::size_t i = 0; i < task_.request.updates.size(); ++i) {
      const RefUpdate& update = task_.request.updates[i];
      if (update.creates() || update.deletes() || !is_branch(update.name)) continue;
      BB_TRY(const ProcessResult result, git({"merge-base", "--is-ancestor", update.before, update.after}, short_time));
      if (result.code == 0) continue;
      if (result.code != 1) return fail(ErrorKind::internal, "git merge-base: " + last_words(result.err));
      if (!task_.workshop->repo().allow_force_push)
        task_.refusals[i] = RefRefusal{"non-fast-forward: force pushes are not allowed", "git fetch and rebase"};
    }
    return {};
  }

  PushTask& task_;
  Job::Worker& worker_;
  std::vector<std::string> commits_;  // new tips that have a history
};

/// Out of the quarantine: the index last, because git looks for packs by it.
Result<void> migrate(const PushTask& task) {
  const fs::path from = task.objects() / "pack";
  const fs::path to = task.workshop->mirror() / "objects" / "pack";
  std::error_code code;
  std::vector<fs::path> files;
  for (fs::directory_iterator at(from, code), end; !code && at != end; at.increment(code)) files.push_back(at->path());
  std::ranges::sort(files, {}, [](const fs::path& path) { return path.extension() == ".idx" ? 1 : 0; });
  for (const fs::path& file : files) {
    const fs::path target = to / file.filename();
    fs::rename(file, target, code);
    if (!code) continue;
    // A sandbox without the right to move between directories.
    code.clear();
    fs::copy_file(file, target, fs::copy_options::overwrite_existing, code);
    if (code) return fail(ErrorKind::internal, target.string() + ": " + code.message());
  }
  return {};
}

Result<void> move_refs(const PushTask& task) {
  std::string input;
  for (std::size_t i = 0; i < task.request.updates.size(); ++i) {
    const RefUpdate& update = task.request.updates[i];
    if (task.forwarded.refs[i].outcome != ForwardedRef::Outcome::taken) continue;
    input += update.deletes() ? fmt::format("delete {}\n", update.name)
                              : fmt::format("update {} {}\n", update.name, update.after);
  }
  ProcessRequest request = task.workshop->request({"update-ref", "--stdin"}, task.workshop->local_environment());
  request.stdin_text = std::move(input);
  BB_TRY(const ProcessResult result, run_process(request));
  if (result.code != 0) return fail(ErrorKind::internal, last_words(result.err));
  return {};
}

}  // namespace

void check_push(PushTask& task, Job::Worker& worker) {
  Result<void> result = Check(task, worker).run();
  if (!result) task.fault = std::move(result.error());
}

void forward_push(PushTask& task, Job::Worker& worker) {
  task.forwarded = forward({*task.workshop, task.credentials, worker.cancel_fd()}, task.request.updates,
                           task.workshop->quarantined({}, task.objects()));
  // From here on the upstream has it: whatever fails below, the client hears the upstream's answer, and the next
  // refresh brings the mirror to it. Guarded by faults_test.py: the_gate_killed_after_the_upstream_took_it_agrees.
  if (!std::ranges::any_of(task.forwarded.refs,
                           [](const ForwardedRef& ref) { return ref.outcome == ForwardedRef::Outcome::taken; }))
    return;
  task.mirror_moved = migrate(task).has_value() && move_refs(task).has_value();
}

}  // namespace bot_bottle::git_gate
