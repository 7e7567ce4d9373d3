#include "core/cli/verb_lifecycle.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/choose.hpp"
#include "core/cli/settings.hpp"
#include "core/cli/show.hpp"
#include "core/cli/worktree_choice.hpp"
#include "core/launch/backends.hpp"
#include "core/launch/signals.hpp"
#include "core/plan/secrets.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"
#include "core/state/slug.hpp"
#include "core/tui/progress.hpp"
#include "core/tui/question.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::cli {
namespace {

/// What shells and our own bottle-init answer for a program that is not there (POSIX XCU 2.8.2).
constexpr int command_not_found = 127;
constexpr std::size_t max_prompt_bytes = std::size_t{1} << 20;

Failure usage(std::string message, std::string hint) {
  return Failure(make_error(ErrorKind::usage, std::move(message), std::move(hint)));
}

std::string read_prompt(const std::string& option) {
  if (option == "-")
    return or_throw<std::string>(read_all(STDIN_FILENO, max_prompt_bytes).map_error(in("reading the prompt")));
  if (!option.starts_with("@")) return option;
  auto text = read_file(or_throw(expand_tilde(option.substr(1))), max_prompt_bytes).map_error(in("reading the prompt"));
  if (!text)
    text.error().hint = text.error().kind == ErrorKind::not_found
                            ? "-p @FILE reads a file from where you stand; without @ the words are the prompt"
                            : "give it at most 1 MiB: the workspace is in the bottle, name a file of it in the prompt";
  return or_throw<std::string>(std::move(text));
}

std::map<std::string, std::string> parse_env(const std::vector<std::string>& items) {
  std::map<std::string, std::string> values;
  for (const std::string& item : items) {
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0)
      throw usage("--env needs NAME=VALUE, not '" + item.substr(0, equals) + "'", "--env EDITOR=vi");
    values[item.substr(0, equals)] = item.substr(equals + 1);
  }
  return values;
}

std::filesystem::path working_directory(const LaunchOptions& options) {
  std::error_code code;
  if (!options.directory.empty()) {
    const std::filesystem::path path = std::filesystem::canonical(or_throw(expand_tilde(options.directory)), code);
    if (code || !std::filesystem::is_directory(path, code))
      throw Failure(make_error(ErrorKind::not_found, "--cwd: no directory '" + options.directory + "'",
                               "name one that is there; without --cwd it is where you stand"));
    return path;
  }
  std::filesystem::path here = std::filesystem::current_path(code);
  if (code)
    throw Failure(make_error(ErrorKind::failed_precondition, "cannot tell the working directory: " + code.message(),
                             "use --cwd DIR"));
  return here;
}

/// One broken thing of the host at a time would be one run for each: all are told at once.
void check_host(Context& context, const manifest::Manifest& manifest, const manifest::Sources& sources) {
  std::vector<std::string> errors;
  std::vector<manifest::Fault> warnings;
  for (const manifest::Fault& fault : manifest::check_host(manifest, sources)) {
    if (fault.severity == manifest::Fault::Severity::error)
      errors.push_back(to_text(fault));
    else
      warnings.push_back(fault);
  }
  show_faults(context, warnings);
  if (errors.empty()) return;
  Error error = make_error(ErrorKind::invalid_argument, "the bottle cannot be made on this machine",
                           "put right what is named above; bot-bottle config check looks again");
  error.details = join(errors, "\n");
  throw Failure(std::move(error));
}

manifest::Manifest load_manifest(const manifest::Sources& sources, const LaunchOptions& options) {
  if (options.agent.empty()) return manifest::load_bottle(sources, options.bottle);
  return manifest::load(sources, options.agent, options.bottle.empty() ? std::nullopt : std::optional(options.bottle));
}

void print_lines(const Context& context, std::string_view text) {
  for (const std::string_view line : split(trim(text), '\n')) context.note(line);
}

json::object result_json(const launch::SessionResult& result) {
  return {
      {"schema", "bot-bottle.run-result/1"},
      {"slug", result.slug},
      {"code", result.code},
      {"stdout", is_valid_utf8(result.captured) ? result.captured
                                                : escape_untrusted_lines(result.captured, result.captured.size() * 4)},
      {"truncated", result.truncated},
      {"time_ms", result.time.count()},
      {"preserved", result.preserved},
      {"egress",
       {{"requests", get_int(result.counters, "requests", 0)},
        {"blocked", get_int(result.counters, "blocked", 0)},
        {"bytes", get_int(result.counters, "bytes_in", 0) + get_int(result.counters, "bytes_out", 0)},
        {"bytes_in", get_int(result.counters, "bytes_in", 0)},
        {"bytes_out", get_int(result.counters, "bytes_out", 0)}}}};
}

int report(Context& context, const launch::SessionResult& result, plan::Session session) {
  if (session == plan::Session::detached) {
    if (context.output.json)
      context.print_json({{"schema", "bot-bottle.start-result/1"}, {"slug", result.slug}, {"detached", true}});
    else
      context.out(result.slug);
    context.note("enter it: bot-bottle attach " + result.slug + "; end it: bot-bottle stop " + result.slug);
    return 0;
  }
  if (context.output.json) context.print_json(result_json(result));
  if (const std::int64_t blocked = get_int(result.counters, "blocked", 0); blocked > 0)
    context.note(fmt::format("egress blocked {} of {} requests", blocked, get_int(result.counters, "requests", 0)));
  if (result.preserved) {
    context.note(fmt::format("the agent ended with code {}; kept as {}", result.code, result.slug));
    if (!result.kept.empty()) context.note("  " + launch::describe(result.kept));
    if (result.code == command_not_found)
      context.note(
          "  127:     a program was not found in the bottle: install it there (post_init, agent_provider.dockerfile),\n"
          "           or name it in agent_provider.command as it is called there");
    context.note("  go on:  bot-bottle resume " + result.slug);
    context.note("  look:   bot-bottle diff " + result.slug + ", bot-bottle logs " + result.slug);
    context.note("  remove: bot-bottle stop --rm " + result.slug);
  }
  return result.code == 0 && !result.clean ? 1 : result.code;
}

}  // namespace

void add_launch_options(CLI::App& verb, LaunchOptions& options) {
  verb.add_option("--bottle", options.bottle, "Instead of the bottle the agent names")->type_name("NAME");
  verb.add_option("--backend", options.backend, "What isolates (also BOT_BOTTLE_BACKEND)")->type_name("NAME");
  verb.add_option("--label", options.label, "The bottle's name: lower-case letters, digits, '-'")->type_name("LABEL");
  verb.add_option("--color", options.color, "Tint of terminal and agent: " + join(tui::tint_names(), " "))
      ->type_name("COLOR");
  auto* directory =
      verb.add_option("--cwd", options.directory, "The workspace, instead of the working directory")->type_name("DIR");
  verb.add_flag("--no-workspace", options.no_workspace, "Give it no files")->excludes(directory);
  verb.add_flag("--worktree,!--no-worktree", options.worktree,
                "A git worktree and a branch agent/SLUG of its own; sync brings its work there");
  verb.add_option("-e,--env", options.env,
                  "A variable for the agent, also the answer to a question of the bottle (repeat)")
      ->type_name("N=V")
      ->allow_extra_args(false);  // `-e A=B AGENT`: AGENT is not a second variable
  add_setting_options(verb, options.settings);
  verb.add_flag("-y,--yes", options.yes, "Do not ask");
  verb.add_flag("--dry-run", options.dry_run, "Print what would be done and make nothing");
  auto* keep = verb.add_flag("--keep", options.keep, "Keep the bottle's state whatever the exit code");
  verb.add_flag("--rm", options.remove, "Remove the bottle's state whatever the exit code")->excludes(keep);
}

void repeat_options(const state::Metadata& metadata, LaunchOptions& options) {
  options.agent = metadata.agent;
  options.bottle = metadata.agent.empty() ? metadata.bottle : metadata.bottle_override.value_or("");
  if (options.color.empty()) options.color = metadata.color;
  options.directory = metadata.cwd;
  options.no_workspace = metadata.no_workspace;
  options.worktree = metadata.worktree;
  options.settings = metadata.settings;
}

int launch_bottle(Context& context, const LaunchOptions& given, plan::Session session,
                  const std::vector<std::string>& arguments, const std::optional<Origin>& origin) {
  LaunchOptions options = given;
  if (!options.color.empty() && !tui::find_tint(options.color))
    throw usage("no color '" + options.color + "'", "--color with one of: " + join(tui::tint_names(), " "));
  plan::Choices choices;
  choices.cwd = working_directory(options);
  const manifest::Sources sources = manifest::Sources::find(context.home(), choices.cwd);
  const bool picks = options.agent.empty() && options.bottle.empty();
  if (picks) options.agent = pick_agent(context, sources);

  manifest::Manifest manifest = load_manifest(sources, options);
  const manifest::SettingLayers settings = load_settings(context, options);
  manifest::apply_settings(settings, manifest);
  check_host(context, manifest, sources);

  launch::Signals signals;
  const tui::Look look = tui::Look::find(STDERR_FILENO, context.no_color);
  tui::Progress progress(tui::Progress::style_for(STDERR_FILENO, context.output.quiet), STDERR_FILENO, look);
  plugins::Registry& registry = context.registry();
  registry.options().on_progress = [&progress](std::uint32_t permille, const std::string& what) {
    progress.update(permille, what);
  };
  registry.options().cancel_fd = signals.cancel_fd();

  launch::Parts parts;
  parts.home = context.home();
  parts.installation = context.installation();
  parts.backend = &registry.backend(
      origin ? origin->backend
             : choose_backend(context, options, manifest, launch::Backends::of(registry), signals.cancel_fd()));
  parts.provider = &registry.provider(manifest.provider.plugin);
  parts.provider_directory = registry.description_of("provider", manifest.provider.plugin).directory;
  parts.deploy_keys = launch::DeployKeyPlugins::of(registry);
  parts.progress = &progress;
  parts.signals = &signals;
  parts.note = [&context](std::string_view text) { context.note(escape_untrusted_lines(text)); };
  parts.warn = [&context](std::string_view text) { context.warn(text); };
  parts.detail = [&context](std::string_view text) { context.detail(escape_untrusted_lines(text)); };
  parts.set_cancel_fd = [&registry](int fd) { registry.options().cancel_fd = fd; };

  choices.workspace = options.no_workspace ? plan::WorkspaceChoice::none : plan::WorkspaceChoice::as_manifest;
  choices.color = settings.find(&manifest::Settings::tint).value_or("");
  choices.arguments = arguments;
  choices.session = session;
  const bool is_resume = origin && origin->into == Origin::Into::same_bottle;
  choices.home = is_resume ? plan::GuestHome::reused : plan::GuestHome::fresh;
  if (origin) choices.snapshot = origin->snapshot;
  if (session == plan::Session::headless && !options.prompt.empty())
    choices.headless_prompt = read_prompt(options.prompt);
  const std::string& agent_name = options.agent.empty() ? manifest.bottle : options.agent;
  const bool has_operator = session != plan::Session::headless && is_interactive(context) && !options.yes;
  const Ask ask = has_operator && !options.dry_run ? Ask::yes : Ask::no;
  if (picks && ask == Ask::yes && options.label.empty() && options.color.empty()) {
    options.color = choices.color;
    ask_label(context, options, agent_name, "", signals.cancel_fd());
    choices.color = options.color;
  }
  const std::string slug =
      is_resume ? origin->slug
                : choose_slug(context, options, origin ? origin->slug : agent_name, ask, signals.cancel_fd());
  std::optional<launch::WorktreeRecord> worktree;
  const auto make_plan = [&](const std::string& name) {
    plan::Choices chosen = choices;
    chosen.label = options.label;
    if (!options.color.empty()) chosen.color = options.color;
    worktree = choose_worktree(context, settings, manifest, origin, name, chosen);
    return launch::make_plan(parts, manifest, chosen, name);
  };
  plan::Plan plan = make_plan(slug);

  if (options.dry_run) {
    plan::load_secrets(plan.secret_names);  // what would fail first; read and forgotten
    if (context.output.json)
      context.print_json(plan::preflight_json(plan));
    else
      context.out(trim(plan::preflight_text(
          plan, {.width = context.stdout_is_terminal() ? terminal_width() : 0, .color = context.output.color})));
    return 0;
  }
  const bool wraps = tui::is_terminal(STDERR_FILENO);
  const plan::PreflightLook preflight_look{
      .width = wraps ? static_cast<std::size_t>(tui::window_size(STDERR_FILENO).columns) : 0, .color = look.color};
  if (has_operator) {
    print_lines(context, plan::preflight_text(plan, preflight_look));
    confirm_start(signals.cancel_fd());
  } else if (context.output.verbose) {
    print_lines(context, plan::preflight_text(plan, preflight_look));
  } else if (!context.output.quiet) {
    for (const std::string& warning : plan.warnings) context.warn(warning);
  }
  signals.throw_if_cancelled();

  launch::SessionOptions session_options;
  session_options.env_answers = parse_env(options.env);
  if (is_interactive(context))
    session_options.ask = [answers = &session_options.env_answers](const std::string& name,
                                                                   const std::string& question) {
      const auto answer = tui::ask_hidden(name + ": " + question);
      if (!answer) throw Failure(make_error(ErrorKind::refused, "no answer for " + name, "--env " + name + "=..."));
      (*answers)[name] = *answer;  // asked once, also when the launch begins anew with another label
      return *answer;
    };
  if (!options.timeout.empty()) {
    const auto timeout = parse_duration_ms(options.timeout);
    if (!timeout || *timeout <= 0)
      throw usage("--timeout: '" + options.timeout + "' is not a time", "--timeout 90s, 5m or 2h");
    session_options.timeout = std::chrono::milliseconds(*timeout);
  }
  session_options.keep = options.keep     ? launch::Keep::always
                         : options.remove ? launch::Keep::never
                                          : launch::Keep::automatic;
  session_options.settings = options.settings;
  session_options.worktree = worktree;
  session_options.capture = context.output.json ? launch::Capture::yes : launch::Capture::no;
  if (!options.bottle.empty()) session_options.bottle_override = options.bottle;
  while (true) {
    try {
      const launch::SessionResult result = launch::run_session(plan, parts, session_options);
      if (options.on_result) {
        options.on_result(result);
        return result.code;
      }
      return report(context, result, session);
    } catch (const state::SlugTaken&) {
      // Somebody reserved it after we looked: the same question as for one that was in use from the start. Guarded by
      // terminal_test.py: a_label_that_is_lost_in_a_race_is_asked_for_again.
      if (ask == Ask::no || is_resume) throw;
      if (!options.label.empty())
        ask_label(context, options, agent_name, "somebody else took '" + options.label + "' meanwhile",
                  signals.cancel_fd());
      plan = make_plan(choose_slug(context, options, agent_name, ask, signals.cancel_fd()));
      session_options.worktree = worktree;
    }
  }
}

}  // namespace bot_bottle::cli
