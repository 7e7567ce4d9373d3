// The part of a launch that gives a bottle its own git worktree.
#include "core/base/file.hpp"
#include "core/launch/session.hpp"
#include "core/launch/workspace.hpp"

namespace bot_bottle::launch {

void Session::make_worktree() {
  // From here on a branch and a directory may exist in the operator's repository: every way out that removes the bottle
  // takes them back, unless they hold work (worktree_test.py: a_launch_that_fails_leaves_no_branch).
  steps_.on_undo("the worktree", [this] {
    if (end_ == End::remove) remove_unused_worktree(parts_.home, plan_.slug);
  });
  WorktreeRecord record = *options_.worktree;
  // A fork has its workspace, with its repository, in the snapshot.
  const Seed seed = plan_.choices.snapshot.empty() ? Seed::yes : Seed::no;
  const std::filesystem::path source = launch::make_worktree(parts_.home, record, seed);
  if (!source.empty()) {
    plan_.backend_spec["workspace"].as_object()["source"] = source.string();
    plan_.backend_plan = parts_.backend->plan(plan_.backend_spec);
  }
  record_worktree_base(record, *directory_);
  directory_->write_document("plan.json", plan_.backend_plan);
  event("worktree of branch " + record.worktree.branch);
}

}  // namespace bot_bottle::launch
