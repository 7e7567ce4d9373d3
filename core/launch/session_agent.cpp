#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "core/launch/control_client.hpp"
#include "core/launch/session.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::launch {
namespace {

constexpr auto control_timeout = std::chrono::seconds(2);
constexpr auto measure_patience = std::chrono::milliseconds(500);

}  // namespace

void Session::run_agent() {
  const std::vector<std::string> resume_argv =
      plan_.choices.has_history() && !is_headless() ? session_.resume_argv : std::vector<std::string>{};
  std::vector<std::string> argv = is_headless() ? get_strings(plan_.provider_plan, "headless_argv") : session_.argv;
  if (argv.empty())
    throw Failure(make_error(ErrorKind::unsupported, "the provider " + plan_.provider + " cannot run " +
                                                         (is_headless() ? "headless" : "with a terminal")));
  std::optional<AttachResult> attached;
  steps_.run("attach", [&] {
    parts_.progress->end(tui::Progress::Outcome::done);  // the display ends before the agent has the terminal
    end_ = End::preserve;
    preserve_reason_ = "the agent did not end";
    const bool resumes = !resume_argv.empty() && resume_argv != argv;
    if (resumes && !may_have_transcript(*parts_.backend, *bottle_, session_)) {
      parts_.note("there is no conversation to go on with: a fresh session starts");
    } else if (resumes) {
      const auto began = Clock::now();
      attached = attach_once(resume_argv);
      const bool failed_early =
          attached->code != 0 && attached->code < 128 && Clock::now() - began < resume_failure_time;
      if (!failed_early || attached->cancelled || attached->timed_out) return;
      parts_.note(
          fmt::format("going on with the conversation failed (code {}): a fresh session starts", attached->code));
    }
    attached = attach_once(argv);
  });
  after_agent(*attached);
}

AttachResult Session::attach_once(const std::vector<std::string>& argv) {
  plan::ExecRequest request;
  request.argv = argv;
  request.env = session_.env;
  request.cwd = session_.workspace;
  const bool terminal = !is_headless() && tui::is_terminal(STDIN_FILENO) && tui::is_terminal(STDOUT_FILENO);
  if (terminal) {
    const tui::WindowSize size = tui::window_size(STDOUT_FILENO);
    request.terminal = plan::Terminal::yes;
    request.rows = size.rows;
    request.columns = size.columns;
  }
  AttachRequest attach_request;
  attach_request.document = parts_.backend->attach_argv(*bottle_, plan::to_json(request));
  attach_request.hidden_names = session_.secret_names;
  if (options_.timeout) attach_request.timeout = *options_.timeout;
  if (const auto limit = plan_.manifest.resources.timeout_ms)
    attach_request.timeout =
        std::min(attach_request.timeout.value_or(std::chrono::milliseconds(*limit)), std::chrono::milliseconds(*limit));
  UniqueFd log;
  if (is_headless()) {
    log.reset(::open((directory_->path() / "logs" / "agent.log").c_str(),
                     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    attach_request.log_fd = log.get();
    attach_request.standard = options_.capture == Capture::yes ? Standard::capture : Standard::relay;
    attach_request.input = AttachRequest::Input::none;
    if (get_string(plan_.provider_plan, "headless_stdin", "none") == "prompt" &&
        !plan_.choices.headless_prompt.empty()) {
      attach_request.input = AttachRequest::Input::text;
      attach_request.input_text = plan_.choices.headless_prompt;
    }
  }
  std::optional<tui::TerminalGuard> guard;
  if (terminal) {
    guard.emplace(STDIN_FILENO, STDOUT_FILENO, tui::Restores::everything);
    guard->set_title(session_.title);
    if (const auto tint = tui::find_tint(session_.color)) guard->set_tint(*tint);
  }
  // With a terminal Ctrl-C is the agent's; headless it ends the run.
  parts_.signals->set_phase(is_headless() ? Signals::Phase::launching : Signals::Phase::attached);
  AttachResult attached = launch::attach(attach_request, *parts_.signals);
  if (guard && (attached.crashed || attached.code >= 128)) guard->expect_crash();
  return attached;
}

void Session::after_agent(const AttachResult& attached) {
  parts_.signals->set_phase(Signals::Phase::undoing);
  parts_.set_cancel_fd(-1);
  result_.code = attached.code;
  result_.captured = attached.captured;
  result_.truncated = attached.truncated;
  result_.time = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_);
  metadata_.exit_code = attached.code;
  if (attached.timed_out)
    ended_by_ = make_error(ErrorKind::timeout, "the agent did not end in time and was stopped");
  else if (attached.cancelled)
    ended_by_ = make_error(ErrorKind::cancelled, "the agent was stopped by a signal");
  // Work that is to come to a branch is kept until it is there: only `stop --rm` and --rm throw it away.
  const bool well = attached.code == 0 && !ended_by_ && !metadata_.worktree;
  end_ = options_.keep == Keep::always || (options_.keep == Keep::automatic && !well) ? End::preserve : End::remove;
  preserve_reason_ = ended_by_ ? ended_by_->message : fmt::format("the agent ended with code {}", attached.code);
  result_.preserved = end_ == End::preserve;
  if (ended_by_ && result_.preserved) ended_by_->hint = "bot-bottle resume " + plan_.slug;
  try {
    const json::object status = control_call(directory_->control_socket(), {{"call", "status"}}, control_timeout);
    if (const json::object* counters = find_object(status, "counters")) result_.counters = *counters;
    // What the sidecar still holds is worth a call only where somebody can read it.
    if (result_.preserved) control_call(directory_->control_socket(), {{"call", "flush"}}, control_timeout);
  } catch (const Failure&
               failure) {  // the bottle may have been stopped from elsewhere: what it counted is lost, nothing else
    event("sidecar did not answer: " + failure.error().message, "warn");
  }
  event(fmt::format("agent ended with code {}", attached.code));
  steps_.on_undo("the transcript", [this] {
    // A state directory that is removed takes its transcript with it.
    if (end_ != End::preserve) return;
    collect_transcripts(*parts_.backend, *bottle_, session_, *directory_, parts_.warn, {parts_.set_cancel_fd, -1});
    result_.kept = measure_bottle(*parts_.backend, *bottle_, session_);
    const TreeSize transcript = measure_tree(directory_->path() / "transcript", measure_patience);
    if (transcript.files > 0) result_.kept.push_back({"transcript", transcript.bytes, !transcript.complete});
  });
}

}  // namespace bot_bottle::launch
