#include "core/launch/launch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>

#include "core/base/clock.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/launch/decisions.hpp"
#include "core/launch/host_login.hpp"
#include "core/launch/session.hpp"
#include "core/launch/sidecar_start.hpp"
#include "core/launch/test_hooks.hpp"
#include "core/launch/workspace.hpp"
#include "core/state/frozen.hpp"

namespace bot_bottle::launch {

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
  } catch (const state::SlugTaken&) {
    throw;  // nothing exists yet, and the caller may know another name
  } catch (const Failure& failure) {
    throw undone(failure.error());
  } catch (const std::exception& error) {
    throw undone(make_error(ErrorKind::internal, error.what()));
  }
  unwind();
  for (const auto& [name, milliseconds] : steps_.times())
    parts_.detail(fmt::format("{:<10} {:8.1f} ms", name, milliseconds));
  if (ended_by_ && !result_.kept.empty()) ended_by_->details = "kept as " + plan_.slug + ": " + describe(result_.kept);
  if (ended_by_) throw Failure(std::move(*ended_by_));
  return std::move(result_);
}

/// DESIGN 5, from "confirmed" to "the agent can start".
void Session::launch() {
  steps_.run("secrets", [this] { load_secrets(); });
  // Nothing exists so far. From here on the slug is ours: every way out removes the state directory, or keeps it on
  // purpose.
  steps_.run("state", [this] { reserve(); });
  if (options_.worktree) steps_.run("worktree", [this] { make_worktree(); });
  steps_.run("rules", [this] {
    const OwnRules own{plan_.egress.dlp_rules, OwnRules::For::streams};
    ensure_rules_database(rules_database_path(parts_.home, parts_.installation, own), parts_.installation,
                          *parts_.signals, own);
  });
  steps_.run(
      "image",
      [this] {
        try {
          parts_.backend->build(plan_.backend_plan);
        } catch (const Failure& failure) {
          if (failure.error().kind != ErrorKind::unsupported) throw;  // a backend without images
        }
      },
      tui::Shows::log);
  // From here on a deploy key may exist at a forge: every way out below revokes it, and it is on record for `cleanup`
  // where there is no way out. Guarded by deploy_key_test.py: a_launch_that_fails_takes_its_key_back.
  if (!plan_.manifest.git_gate_repos.empty()) steps_.run("git keys", [this] { make_git_keys(); });
  // From here on a process with the network and the secrets exists: every way out ends it. The lifeline ends it without
  // us.
  steps_.run("sidecar", [this] { start_sidecar(); });
  // From here on the agent's side exists, without an agent. It trusts the CA that the sidecar made; no key of it ever
  // left there.
  steps_.run("bottle", [this] { start_bottle(); });
  if (options_.worktree) remove_seed(parts_.home, plan_.slug);  // it is in the bottle now
  // Before the first program of the agent's domain runs in it: post_init and the provider's commands are such programs.
  steps_.run("self-test", [this] { run_selftest(*parts_.backend, *bottle_); });
  const ProvisionContext context{
      plan_, *parts_.backend, *parts_.provider, *bottle_, session_.env, directory_->path() / "provision", parts_.warn};
  steps_.run("provision", [&] { provision_bottle(context); });
  parts_.signals->throw_if_cancelled();
  // From here on the agent may run: what it did is kept unless it ends well.
  metadata_.status = state::Status::running;
  if (is_detached()) metadata_.cli = {};
  // Also when nobody is left to keep it: whoever kills us finds the agent's work again (kill_test.py:
  // …kill_9_while_the_agent_runs…). A crash of the machine may lose the marker, an fsync here would cost every start.
  directory_->preserve("bot-bottle ended before the agent did", state::Durable::no);
  directory_->write_metadata(metadata_);
  if (is_resume() && !plan_.choices.snapshot.empty()) {
    if (auto frozen = state::find_frozen(*directory_)) {
      frozen->next_resume = false;  // what the agent does from here on is newer than the snapshot
      state::write_frozen(*directory_, *frozen);
    }
  }
  event("launched");
}

void Session::load_secrets() {
  env_values_ = manifest::resolve_env(plan_.manifest, options_.env_answers, options_.ask).values;
  secrets_ = plan::load_secrets(plan_.secret_names);
  if (!plan_.host_secret_names.empty())
    std::ranges::move(forward_host_login(plan_, *parts_.provider), std::back_inserter(secrets_));
  json::object values;
  for (const auto& [name, value] : env_values_) values[name] = value;
  plan::refuse_secrets(values, "the environment", secrets_);
  plan::refuse_secrets(plan_.provider_plan, "the plan of the provider " + plan_.provider, secrets_);
  plan::refuse_secrets(plan_.provider_spec, "the prompt or the arguments", secrets_);
  plan::refuse_secrets(plan_.backend_spec, "the bottle", secrets_);
  canaries_ = plan::make_canaries(plan_);
  watched_ = canaries_.canaries;
  if (plan_.choices.has_history() && plan_.egress.canaries) {
    // A fork has those of the bottle it came from: they are watched, and replaced by its own.
    const std::string before = is_resume() ? plan_.slug : state::slug_of_snapshot(plan_.choices.snapshot);
    planted_before_ = PlantedBefore::load(state::Directory::open(parts_.home, before));
    watched_.insert(watched_.end(), planted_before_.canaries.begin(), planted_before_.canaries.end());
  }
  public_config_ = plan::make_public_sidecar_config(plan_, disabled_sidecar_guards());
}

void Session::make_git_keys() {
  for (const plan::GitKeySource& source : plan::git_key_sources(plan_.manifest)) {
    if (source.provider == "static") {
      git_keys_.push_back(plan::load_static_key(source));
      continue;
    }
    if (git_keys_from_forge_ == 0)
      steps_.on_undo("the deploy keys", [this] { revoke_deploy_keys(parts_.deploy_keys, parts_.home, plan_.slug); });
    ++git_keys_from_forge_;
    git_keys_.push_back(create_deploy_key(parts_.deploy_keys, parts_.home, plan_.slug, source));
  }
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
  metadata_.settings = options_.settings;
  metadata_.worktree = options_.worktree || (is_resume() && find_worktree(parts_.home, plan_.slug));
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
      keep_decisions(parts_.home, *directory_);
      directory_->remove();
      return;
    }
    metadata_.status = has_snapshot() ? state::Status::frozen : state::Status::preserved;
    metadata_.cli = {};
    directory_->preserve(preserve_reason_);
    directory_->write_metadata(metadata_, state::Durable::yes);
  });
  if (!options_.worktree) record_base(plan_, *directory_, parts_.home, parts_.warn);
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
  sidecar_config_ = plan::make_sidecar_config(public_config_, secrets_, watched_, git_keys_);
  git_keys_.clear();
  const json::object status = launch::start_sidecar(*parts_.backend, plan_.backend_plan, sidecar_config_,
                                                    lifeline_read_.get(), *directory_, *parts_.signals);
  sidecar_config_ = SecretBytes();  // it is where it belongs
  secrets_.clear();
  remove_unused_database(get_string(plan_.backend_spec, "rules_database"), status);
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
  if (!plan_.choices.has_history()) run_post_init(context);
  // Last: what anybody else put there stands.
  const auto planted = plant_canaries(context, canaries_, planted_before_, *directory_);
  if (!planted.empty()) event("canaries planted: " + join(planted, ", "));
}

void Session::event(std::string name, std::string_view level) const {
  if (directory_) directory_->append_event({{"event", std::move(name)}, {"level", level}});
}

SessionResult run_session(const plan::Plan& plan, const Parts& parts, const SessionOptions& options) {
  return Session(plan, parts, options).run();
}

}  // namespace bot_bottle::launch
