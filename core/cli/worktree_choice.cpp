#include "core/cli/worktree_choice.hpp"

#include "core/base/error.hpp"

namespace bot_bottle::cli {

std::optional<launch::WorktreeRecord> choose_worktree(Context& context, const manifest::SettingLayers& settings,
                                                      const manifest::Manifest& manifest,
                                                      const std::optional<Origin>& origin, const std::string& slug,
                                                      plan::Choices& choices) {
  if (!settings.find(&manifest::Settings::worktree).value_or(false)) return std::nullopt;
  if (origin && origin->into == Origin::Into::same_bottle) return std::nullopt;  // it has one
  const bool by_name = settings.flags.worktree.has_value();
  if (choices.workspace == plan::WorkspaceChoice::none || manifest.workspace.mode != manifest::Workspace::Mode::copy) {
    if (!by_name) return std::nullopt;
    throw Failure(make_error(ErrorKind::failed_precondition,
                             "a worktree needs a workspace that is a copy, and this bottle has another mode",
                             "--set workspace.mode=copy, or start without --worktree"));
  }
  std::string base;
  if (origin)
    if (const auto before = launch::find_worktree(context.home(), origin->slug)) base = before->worktree.base;
  launch::WorktreePlan plan;
  try {
    plan = launch::plan_worktree(context.home(), choices.cwd, slug, base);
  } catch (const Failure& failure) {
    if (by_name || failure.error().kind != ErrorKind::failed_precondition) throw;
    context.detail("no worktree: " + failure.error().message);
    return std::nullopt;
  }
  for (const std::string& warning : plan.warnings) context.warn(warning);
  choices.cwd = plan.record.repository;
  choices.worktree_branch = plan.record.worktree.branch;
  return std::move(plan.record);
}

}  // namespace bot_bottle::cli
