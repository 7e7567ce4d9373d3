// `attach SLUG`: an agent session in a bottle that runs.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>

#include "core/base/error.hpp"
#include "core/cli/verb_enter.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/attach.hpp"
#include "core/launch/backends.hpp"
#include "core/launch/kept.hpp"
#include "core/launch/signals.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::cli {

Entered enter(Context& context, const std::string& slug) {
  state::Directory directory = state::Directory::open(context.home(), slug);
  state::Metadata metadata = directory.metadata();
  const auto bottle = directory.find_document("bottle.json");
  if (metadata.backend.empty() || !bottle || metadata.status == state::Status::preserved ||
      metadata.status == state::Status::frozen)
    throw Failure(make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' does not run",
                             directory.is_preserved() ? "bot-bottle resume " + slug : "bot-bottle list active"));
  plugins::Backend& backend = context.registry().backend(metadata.backend);
  // The backend's own truth, not a file's.
  const launch::Running running = launch::list_running(
      {.names = {metadata.backend}, .get = [&backend](const std::string&) -> plugins::Backend& { return backend; }},
      context.home());
  if (!running.failed.empty()) throw Failure(running.failed.front().second);
  if (running.find(slug) == nullptr)
    throw Failure(make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' does not run",
                             directory.is_preserved() ? "bot-bottle resume " + slug : "bot-bottle cleanup"));
  launch::SessionFile session = launch::read_session_file(directory);
  return {std::move(directory), std::move(metadata), std::move(session), *bottle, &backend};
}

int run_entered(const Entered& entered, plan::ExecRequest request, Tinted tinted) {
  const bool terminal = request.terminal == plan::Terminal::yes;
  if (terminal) {
    const tui::WindowSize size = tui::window_size(STDOUT_FILENO);
    request.rows = size.rows;
    request.columns = size.columns;
    // The terminal is this one, not the one the bottle was started on.
    if (const auto term = environment("TERM"); term && !term->empty()) request.env["TERM"] = *term;
  }
  launch::AttachRequest attach;
  attach.document = entered.backend->attach_argv(entered.bottle, plan::to_json(request));
  attach.hidden_names = entered.session.secret_names;
  attach.standard = terminal ? launch::Standard::inherit : launch::Standard::relay;
  launch::Signals signals;
  signals.set_phase(terminal ? launch::Signals::Phase::attached : launch::Signals::Phase::launching);
  std::optional<tui::TerminalGuard> guard;
  if (terminal) {
    guard.emplace(STDIN_FILENO, STDOUT_FILENO, tui::Restores::everything);
    if (tinted == Tinted::yes) {
      guard->set_title(entered.session.title);
      if (const auto tint = tui::find_tint(entered.session.color)) guard->set_tint(*tint);
    }
  }
  const launch::AttachResult result = launch::attach(attach, signals);
  if (guard && (result.crashed || result.code >= 128)) guard->expect_crash();
  guard.reset();
  if (result.cancelled) signals.throw_if_cancelled();
  return result.code;
}

namespace {

int attach(Context& context, const std::string& slug) {
  const Entered entered = enter(context, slug);
  plan::ExecRequest request;
  request.argv = entered.session.argv;
  request.argv.insert(request.argv.end(), context.rest.begin(), context.rest.end());
  request.env = entered.session.env;
  request.cwd = entered.session.workspace;
  if (tui::is_terminal(STDIN_FILENO) && tui::is_terminal(STDOUT_FILENO)) request.terminal = plan::Terminal::yes;
  const std::vector<std::string>& resume_argv = entered.session.resume_argv;
  const bool resumes = entered.session.has_history && !resume_argv.empty() && resume_argv != entered.session.argv;
  if (resumes && !launch::may_have_transcript(*entered.backend, entered.bottle, entered.session)) {
    context.note("there is no conversation to go on with: a fresh session starts");
  } else if (resumes) {
    plan::ExecRequest again = request;
    again.argv = resume_argv;
    again.argv.insert(again.argv.end(), context.rest.begin(), context.rest.end());
    const auto began = std::chrono::steady_clock::now();
    const int code = run_entered(entered, std::move(again), Tinted::yes);
    const bool failed_early =
        code != 0 && code < 128 && std::chrono::steady_clock::now() - began < launch::resume_failure_time;
    if (!failed_early) return code;
    context.note("going on with the conversation failed (code " + std::to_string(code) + "): a fresh session starts");
  }
  return run_entered(entered, std::move(request), Tinted::yes);
}

}  // namespace

void add_attach(CLI::App& app, Context& context) {
  CLI::App* verb =
      add_verb(app, "attach", "An agent session in a bottle that runs", "Everyday", "bot-bottle attach fixer-x7k2p");
  auto slug = std::make_shared<std::string>();
  verb->add_option("SLUG", *slug, "The running bottle. What stands behind -- goes to the agent")->required();
  verb->callback([&context, slug] { context.action = [&context, slug] { return attach(context, *slug); }; });
}

}  // namespace bot_bottle::cli
