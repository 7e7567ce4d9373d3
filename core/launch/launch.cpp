#include "core/launch/launch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/launch/attach.hpp"
#include "core/launch/control_client.hpp"
#include "core/launch/provision.hpp"
#include "core/launch/session_file.hpp"
#include "core/launch/sidecar_start.hpp"
#include "core/launch/steps.hpp"
#include "core/launch/test_hooks.hpp"
#include "core/plan/secrets.hpp"
#include "core/state/directory.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::launch {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto control_timeout = std::chrono::seconds(2);
/// A resume that ends with a failure this early did not find anything to go on with.
constexpr auto resume_failure_time = std::chrono::seconds(5);

/// What the undos do: nothing is decided in them.
enum class End : std::uint8_t { remove, preserve, leave };

class Session {
 public:
  Session(const plan::Plan& plan, const Parts& parts, const SessionOptions& options)
      : plan_(plan), parts_(parts), options_(options), steps_(*parts.progress, *parts.signals) {
    end_ = is_resume() ? End::preserve : End::remove;  // a launch that fails takes nothing of an older one with it
  }

  SessionResult run();

 private:
  [[nodiscard]] bool is_resume() const { return plan_.choices.home == plan::GuestHome::reused; }
  [[nodiscard]] bool is_headless() const { return plan_.choices.session == plan::Session::headless; }
  [[nodiscard]] bool is_detached() const { return plan_.choices.session == plan::Session::detached; }

  void launch();
  void load_secrets();
  void reserve();
  void start_sidecar();
  void start_bottle();
  void provision_bottle(const ProvisionContext& context);
  void run_agent();
  AttachResult attach_once(const std::vector<std::string>& argv);
  void after_agent(const AttachResult& attached);
  void unwind();
  void end_bottle(const json::object& document);
  [[nodiscard]] Failure undone(Error error);
  void event(std::string name, std::string_view level = "info") const;

  const plan::Plan& plan_;
  const Parts& parts_;
  const SessionOptions& options_;
  Steps steps_;
  End end_;
  SessionResult result_;
  std::optional<Error> ended_by_;  // timeout or a signal, once the agent ran
  std::string preserve_reason_ = "the launch did not succeed";
  Clock::time_point began_ = Clock::now();

  std::map<std::string, std::string> env_values_;
  SecretBytes sidecar_config_;
  std::vector<plan::Secret> secrets_;
  std::optional<state::Directory> directory_;
  state::Metadata metadata_;
  UniqueFd lifeline_read_;
  UniqueFd lifeline_write_;  // held until the end: when this process dies, the bottle and its sidecar end
  std::string ca_pem_;
  std::optional<json::object> bottle_;
  bool bottle_ended_ = false;
  SessionFile session_;
};

SessionResult Session::run() {
  result_.slug = plan_.slug;
  // Every failure below, SIGINT included, reaches unwind(). Guarded by launch_test:
  // a_failure_in_any_step_undoes_all_before_it.
  try {
    parts_.set_cancel_fd(parts_.signals->cancel_fd());
    launch();
    if (is_detached()) {
      end_ = End::leave;
      parts_.set_cancel_fd(-1);
      return std::move(result_);
    }
    run_agent();
  } catch (const Failure& failure) {
    throw undone(failure.error());
  } catch (const std::exception& error) {
    throw undone(make_error(ErrorKind::internal, error.what()));
  }
  unwind();
  for (const auto& [name, milliseconds] : steps_.times())
    parts_.detail(fmt::format("{:<10} {:8.1f} ms", name, milliseconds));
  if (ended_by_) throw Failure(std::move(*ended_by_));
  return std::move(result_);
}

/// DESIGN 5, from "confirmed" to "the agent can start".
void Session::launch() {
  steps_.run("secrets", [this] { load_secrets(); });
  // Nothing exists so far. From here on the slug is ours: every way out removes the state directory, or keeps it on
  // purpose.
  steps_.run("state", [this] { reserve(); });
  steps_.run("rules", [this] {
    const OwnRules own{plan_.egress.dlp_rules, OwnRules::For::streams};
    ensure_rules_database(rules_database_path(parts_.home, parts_.installation, own), parts_.installation,
                          *parts_.signals, own);
  });
  steps_.run("image", [this] {
    try {
      parts_.backend->build(plan_.backend_plan);
    } catch (const Failure& failure) {
      if (failure.error().kind != ErrorKind::unsupported) throw;  // a backend without images
    }
  });
  // From here on a process with the network and the secrets exists: every way out ends it. The lifeline ends it without
  // us.
  steps_.run("sidecar", [this] { start_sidecar(); });
  // From here on the agent's side exists, without an agent. It trusts the CA that the sidecar made; no key of it ever
  // left there.
  steps_.run("bottle", [this] { start_bottle(); });
  // Before the first program of the agent's domain runs in it: post_init and the provider's commands are such programs.
  steps_.run("self-test", [this] { run_selftest(*parts_.backend, *bottle_); });
  const ProvisionContext context{
      plan_, *parts_.backend, *parts_.provider, *bottle_, session_.env, directory_->path() / "provision", parts_.warn};
  steps_.run("provision", [&] { provision_bottle(context); });
  parts_.signals->throw_if_cancelled();
  // From here on the agent may run: what it did is kept unless it ends well.
  metadata_.status = state::Status::running;
  if (is_detached()) metadata_.cli = {};
  directory_->write_metadata(metadata_);
  event("launched");
}

void Session::load_secrets() {
  env_values_ = manifest::resolve_env(plan_.manifest, options_.env_answers, options_.ask).values;
  secrets_ = plan::load_secrets(plan_.secret_names);
  json::object values;
  for (const auto& [name, value] : env_values_) values[name] = value;
  plan::refuse_secrets(values, "the environment", secrets_);
  plan::refuse_secrets(plan_.provider_plan, "the plan of the provider " + plan_.provider, secrets_);
  plan::refuse_secrets(plan_.provider_spec, "the prompt or the arguments", secrets_);
  plan::refuse_secrets(plan_.backend_spec, "the bottle", secrets_);
  sidecar_config_ =
      plan::make_sidecar_config(plan::make_public_sidecar_config(plan_, disabled_sidecar_guards()), secrets_);
}

void Session::reserve() {
  metadata_.slug = plan_.slug;
  metadata_.agent = plan_.manifest.agent;
  metadata_.bottle = plan_.manifest.bottle;
  metadata_.backend = plan_.backend;
  metadata_.provider = plan_.provider;
  metadata_.label = plan_.choices.label;
  metadata_.color = plan_.choices.color;
  metadata_.cwd = plan_.choices.cwd.string();
  metadata_.started_at_ms = now_ms();
  metadata_.status = state::Status::launching;
  metadata_.detached = is_detached();
  metadata_.headless = is_headless();
  metadata_.cli = state::ProcessIdentity::of_this_process();
  metadata_.bottle_override = options_.bottle_override;
  metadata_.no_workspace = plan_.choices.workspace == plan::WorkspaceChoice::none;
  metadata_.arguments = plan_.choices.arguments;
  if (is_resume()) {
    directory_ = state::Directory::open(parts_.home, plan_.slug);
    if (!directory_->try_lock())
      throw Failure(make_error(ErrorKind::already_exists,
                               "the bottle '" + plan_.slug + "' is in use by another bot-bottle",
                               "bot-bottle attach " + plan_.slug));
    directory_->remove_document("bottle.json");
    directory_->remove_sockets();
    directory_->write_metadata(metadata_);
  } else {
    directory_ = state::Directory::reserve(parts_.home, metadata_);
  }
  steps_.on_undo("the state", [this] {
    if (end_ == End::remove) {
      directory_->remove();
      return;
    }
    metadata_.status = state::Status::preserved;
    metadata_.cli = {};
    directory_->preserve(preserve_reason_);
    directory_->write_metadata(metadata_, state::Durable::yes);
  });
  directory_->write_document("plan.json", plan_.backend_plan);
  or_throw(write_file_fast(directory_->path() / "egress" / "routes.toml", policy::to_routes_toml(plan_.egress), 0644));
  event("reserved");
}

void Session::start_sidecar() {
  if (!is_detached()) {
    std::array<int, 2> fds{};
    if (::pipe2(fds.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
    lifeline_read_.reset(fds[0]);
    lifeline_write_.reset(fds[1]);
  }
  // Before the call: a backend that fails half-way is asked to remove what the plan names, which may be nothing.
  steps_.on_undo("the sidecar", [this] {
    if (!bottle_ended_) end_bottle(bottle_ ? *bottle_ : plan_.backend_plan);
  });
  const json::object status = launch::start_sidecar(*parts_.backend, plan_.backend_plan, sidecar_config_,
                                                    lifeline_read_.get(), *directory_, *parts_.signals);
  sidecar_config_ = SecretBytes();  // it is where it belongs
  secrets_.clear();
  ca_pem_ = get_string(status, "ca_pem");
  if (ca_pem_.find("-----BEGIN CERTIFICATE-----") == std::string::npos ||
      ca_pem_.find("PRIVATE KEY") != std::string::npos)
    throw Failure(make_error(ErrorKind::internal, "the sidecar's status has no certificate"));
  event("sidecar ready");
}

void Session::start_bottle() {
  bottle_ = parts_.backend->launch(plan_.backend_plan, {{"schema", "bot-bottle.launch/1"}, {"ca_pem", ca_pem_}},
                                   lifeline_read_.get());
  steps_.on_undo("the bottle", [this] {
    end_bottle(*bottle_);
    bottle_ended_ = true;  // with its sidecar
  });
  lifeline_read_.reset();  // the keepers have it; ours would keep nothing alive but costs a descriptor
  directory_->write_document("bottle.json", *bottle_);
  const json::object* endpoints = find_object(*bottle_, "endpoints");
  session_ = make_session_file(
      plan_, plan::make_guest_environment(plan_, env_values_, endpoints == nullptr ? json::object{} : *endpoints));
  write_session_file(*directory_, session_);
  event("bottle started");
}

void Session::provision_bottle(const ProvisionContext& context) {
  provision(context);
  if (!is_resume()) run_post_init(context);
}

void Session::run_agent() {
  const std::vector<std::string> resume_argv =
      is_resume() && !is_headless() ? session_.resume_argv : std::vector<std::string>{};
  std::vector<std::string> argv = is_headless() ? get_strings(plan_.provider_plan, "headless_argv") : session_.argv;
  if (argv.empty())
    throw Failure(make_error(ErrorKind::unsupported, "the provider " + plan_.provider + " cannot run " +
                                                         (is_headless() ? "headless" : "with a terminal")));
  std::optional<AttachResult> attached;
  steps_.run("attach", [&] {
    parts_.progress->end(tui::Progress::Outcome::done);  // the display ends before the agent has the terminal
    end_ = End::preserve;
    preserve_reason_ = "the agent did not end";
    if (!resume_argv.empty() && resume_argv != argv) {
      const auto began = Clock::now();
      attached = attach_once(resume_argv);
      const bool failed_early =
          attached->code != 0 && attached->code < 128 && Clock::now() - began < resume_failure_time;
      if (!failed_early || attached->cancelled || attached->timed_out) return;
      parts_.note("there was nothing to resume: a fresh session starts");
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
  const bool well = attached.code == 0 && !ended_by_;
  end_ = options_.keep == Keep::always || (options_.keep == Keep::automatic && !well) ? End::preserve : End::remove;
  preserve_reason_ = ended_by_ ? ended_by_->message : fmt::format("exit code {}", attached.code);
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
    if (end_ == End::preserve) collect_transcripts(*parts_.backend, *bottle_, session_, *directory_, parts_.warn);
  });
}

void Session::end_bottle(const json::object& document) {
  if (end_ == End::remove)
    parts_.backend->remove(document);
  else
    parts_.backend->stop(document);
}

void Session::unwind() {
  parts_.signals->set_phase(Signals::Phase::undoing);
  parts_.set_cancel_fd(-1);
  const Steps::Undone undone = steps_.unwind();
  for (const auto& [what, error] : undone.failed) {
    result_.clean = false;
    parts_.warn("could not undo " + what + ": " + error.message + (error.hint.empty() ? "" : " (" + error.hint + ")"));
  }
  if (!result_.clean) parts_.warn("something may be left: bot-bottle cleanup");
}

/// Takes everything back and says so; the error goes on to the operator.
Failure Session::undone(Error error) {
  if (error.kind != ErrorKind::cancelled && parts_.signals->received() != 0) {
    // A plugin's own words for being cancelled are not better than ours.
    error.details += (error.details.empty() ? "" : "\n") + error.message;
    error.kind = ErrorKind::cancelled;
    error.message = "ended by a signal";
  }
  if (directory_) event("launch failed: " + error.message, "warn");
  parts_.signals->set_phase(Signals::Phase::undoing);
  parts_.set_cancel_fd(-1);
  const Steps::Undone undone = steps_.unwind();
  if (!undone.done.empty()) parts_.note("undone: " + join(undone.done, ", "));
  for (const auto& [what, fault] : undone.failed)
    parts_.warn("could not undo " + what + ": " + fault.message + (fault.hint.empty() ? "" : " (" + fault.hint + ")"));
  if (!undone.failed.empty()) parts_.warn("something may be left: bot-bottle cleanup");
  if (end_ == End::preserve && directory_ && error.hint.empty()) error.hint = "bot-bottle resume " + plan_.slug;
  return Failure(std::move(error));
}

void Session::event(std::string name, std::string_view level) const {
  if (directory_) directory_->append_event({{"event", std::move(name)}, {"level", level}});
}

}  // namespace

SessionResult run_session(const plan::Plan& plan, const Parts& parts, const SessionOptions& options) {
  return Session(plan, parts, options).run();
}

}  // namespace bot_bottle::launch
