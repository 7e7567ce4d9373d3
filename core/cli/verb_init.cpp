// `init`: writes a first bottle and a first agent with comments, and tries them. Never overwrites.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "core/cli/home_facts.hpp"
#include "core/cli/init_files.hpp"
#include "core/cli/show.hpp"
#include "core/cli/verb_lifecycle.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/backends.hpp"
#include "core/launch/removal.hpp"
#include "core/manifest/settings.hpp"
#include "core/plugins/registry.hpp"
#include "core/policy/decide.hpp"
#include "core/policy/packs.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::cli {
namespace {

/// spec 01: `[a-z][a-z0-9-]*`.
bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 50 && text.front() >= 'a' && text.front() <= 'z' && state::is_slug(text);
}

std::string ask_name(const Context& context, std::string_view question, const std::string& fallback) {
  while (true) {
    const std::string name = context.ask(question, fallback);
    if (is_name(name)) return name;
    context.note("  a name is a-z, 0-9 and '-', and starts with a letter");
  }
}

std::vector<std::string> parse_hosts(const Context& context, std::string text) {
  std::vector<std::string> hosts;
  std::ranges::replace(text, ',', ' ');
  for (const std::string_view word : split(text, ' ')) {
    if (word.empty() || word == "none") continue;
    const auto host = policy::normalise_host(word);
    if (!host)
      context.warn(std::string(word) + ": " + host.error().message + "; left out");
    else if (std::ranges::find(hosts, *host) == hosts.end())
      hosts.push_back(*host);
  }
  return hosts;
}

/// A variable's name, or nothing.
std::string ask_variable(const Context& context, std::string_view question) {
  while (true) {
    std::string name = context.ask(question, "none");
    if (name == "none") return {};
    const auto plain = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
    const bool is_name =
        plain(name.front()) && std::ranges::all_of(name, [&](char c) { return plain(c) || (c >= '0' && c <= '9'); });
    // The value is not shown again: people put the token itself here.
    if (is_name && name.size() <= 64) return name;
    context.note("  the *name* of a variable that holds it, never the token itself");
  }
}

std::vector<std::string> ask_packs(const Context& context) {
  std::vector<std::string> known;
  // Those that need no host of the operator's own.
  for (const policy::Pack& pack : policy::all_packs())
    if (pack.host.empty()) known.push_back(pack.name);
  std::vector<std::string> packs;
  std::string text = context.ask("Ready-made routes, separated by spaces (" + join(known, ", ") + ")", "none");
  std::ranges::replace(text, ',', ' ');
  for (const std::string_view word : split(text, ' ')) {
    if (word.empty() || word == "none") continue;
    if (std::ranges::find(known, word) == known.end())
      context.warn("there is no pack '" + std::string(word) + "'; left out");
    else if (std::ranges::find(packs, word) == packs.end())
      packs.emplace_back(word);
  }
  return packs;
}

void ask_git(const Context& context, InitAnswers& answers) {
  const std::string url = context.ask("A git repository that it may push to, scanned (its URL)", "none");
  if (url == "none") return;
  answers.git_url = url;
  if (url.starts_with("http")) {
    answers.git_token = ask_variable(context, "Variable that holds a token for it");
    return;
  }
  const std::string key = context.ask("File of a deploy key for it", "none");
  if (key != "none") answers.git_key = key;
  const std::string host = host_of_git_url(url);
  const std::string host_key =
      context.ask("Its host key (ssh-keyscan -t ed25519 " + escape_untrusted(host) + ")", "none");
  if (host_key != "none") answers.git_host_key = host_key;
  if (answers.git_key.empty() || answers.git_host_key.empty())
    context.note("  it is written as a comment until both are known");
}

/// Those that can run here, and the one that a bottle is given without being asked.
std::vector<std::string> available_backends(Context& context) {
  std::vector<std::string> names;
  plugins::Registry& registry = context.registry();
  for (const std::string& name : registry.names_of("backend")) {
    try {
      if (get_bool(registry.backend(name).probe(), "available", false)) names.push_back(name);
    } catch (const Failure&) {  // doctor says why
    }
  }
  return names;
}

InitAnswers ask_everything(Context& context, const std::vector<std::string>& backends) {
  InitAnswers answers;
  context.note("A bottle grants powers (which hosts, which credentials); an agent runs in one.");
  context.note("Enter takes what stands in brackets; the files can be changed later.");
  answers.agent = ask_name(context, "Name of the agent", answers.agent);
  answers.bottle = ask_name(context, "Name of its bottle", answers.bottle);
  std::vector<std::string> providers = context.registry().names_of("provider");
  if (providers.empty()) providers.emplace_back("command");
  while (true) {
    answers.provider = context.ask(
        fmt::format("What runs in it ({})", escape_untrusted(fmt::format("{}", fmt::join(providers, ", ")))),
        std::ranges::find(providers, "command") != providers.end() ? "command" : providers.front());
    if (std::ranges::find(providers, answers.provider) != providers.end()) break;
    context.note("  there is no provider '" + escape_untrusted(answers.provider) + "'");
  }
  if (answers.provider == "command")
    answers.command = context.ask("The program and its arguments", answers.command);
  else
    answers.auth_token = ask_variable(context, "Variable of yours that holds its token");
  answers.packs = ask_packs(context);
  answers.hosts = parse_hosts(context, context.ask("Other hosts it may reach over HTTPS, separated by spaces", "none"));
  ask_git(context, answers);
  while (!backends.empty()) {
    answers.backend = context.ask("What isolates it (" + escape_untrusted(join(backends, ", ")) + ", auto)",
                                  backends.size() == 1 ? backends.front() : "auto");
    if (answers.backend == "auto") answers.backend.clear();
    if (answers.backend.empty() || std::ranges::find(backends, answers.backend) != backends.end()) break;
    context.note("  there is no backend '" + escape_untrusted(answers.backend) + "' here");
  }
  return answers;
}

/// O_EXCL: of two runs, or an editor and a run, nobody's file is lost.
void write_new(const std::filesystem::path& path, const std::string& text) {
  or_throw(make_directories(path.parent_path()));
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd && errno == EEXIST)
    throw Failure(
        make_error(ErrorKind::already_exists, short_path(path) + " is there already; init never overwrites",
                   "edit it, or run init again with other names: bot-bottle init --agent NAME --bottle NAME"));
  if (!fd) throw Failure(error_from_errno("making " + path.string(), errno));
  if (auto written = write_all(fd.get(), text); !written) {
    ::unlink(path.c_str());
    throw Failure(std::move(written).error().within("writing " + path.string()));
  }
}

struct InitOptions {
  std::string agent;
  std::string bottle;
  bool yes = false;
  bool no_try = false;
};

/// What would make `start` fail, of these two files and of the home.
std::vector<std::string> find_faults(Context& context, const InitAnswers& answers) {
  std::vector<std::string> faults;
  const manifest::Sources sources = context.sources();
  try {
    const manifest::Manifest manifest = manifest::load(sources, answers.agent, std::nullopt);
    for (const manifest::Fault& fault : manifest::check_host(manifest, sources))
      if (fault.severity == manifest::Fault::Severity::error)
        faults.push_back(fault.message + (fault.hint.empty() ? "" : "; " + fault.hint));
    if (manifest.agent_origin == manifest::Origin::repository)
      faults.push_back("this repository has an agent '" + answers.agent + "' of its own, which hides yours");
  } catch (const Failure& failure) {
    faults.push_back(failure.error().message + "\n" + failure.error().details);
  }
  for (const manifest::Fault& fault : manifest::check_settings(context.home())) faults.push_back(to_text(fault));
  for (const Fact& fact : home_facts(context.home()))
    if (fact.verdict == Verdict::missing) faults.push_back(fact.detail + "; " + fact.fix);
  return faults;
}

/// Everything of a launch but the agent: image, secrets, sidecar, walls. Throws what `start` would throw.
void try_bottle(Context& context, const InitAnswers& answers) {
  LaunchOptions options;
  options.agent = answers.agent;
  options.label = state::make_slug("init-check");
  options.detach = true;
  options.yes = true;
  options.no_workspace = true;
  options.worktree = false;
  std::string slug;
  options.on_result = [&slug](const launch::SessionResult& result) { slug = result.slug; };
  launch_bottle(context, options, plan::Session::detached, {});
  launch::stop_bottle(launch::Backends::of(context.registry()), context.home(), slug, launch::AfterStop::remove,
                      [&context](std::string_view text) { context.warn(text); });
}

/// 0: `start` works next. What is wrong is told with what next; the files stay.
int check_and_try(Context& context, const InitOptions& options, const InitAnswers& answers, bool any_backend) {
  const std::vector<std::string> faults = find_faults(context, answers);
  for (const std::string& fault : faults) context.warn(fault);
  if (!any_backend) context.warn("no backend can run a bottle here: bot-bottle doctor");
  if (!faults.empty() || !any_backend) {
    context.note("not ready yet: mend that, then: bot-bottle start " + answers.agent);
    return any_backend ? 1 : exit_code_of(ErrorKind::unavailable);
  }
  if (options.no_try) return 0;
  if (!options.yes && context.ask("Try it now: build it, check its walls, take it down (y, n)", "y") != "y") return 0;
  try {
    try_bottle(context, answers);
  } catch (const Failure& failure) {
    context.warn("a bottle could not be started: " + failure.error().message);
    throw;
  }
  context.note("a bottle was started, its walls were checked, and it is gone again: ready");
  return 0;
}

int write_first(Context& context, const InitOptions& options) {
  if (!options.yes && !context.stdin_is_terminal())
    throw Failure(make_error(ErrorKind::usage, "init asks questions and standard input is not a terminal",
                             "bot-bottle init --yes"));
  for (const std::string& name : {options.agent, options.bottle})
    if (!name.empty() && !is_name(name))
      throw Failure(make_error(ErrorKind::usage, "'" + name + "' is not a name",
                               "use a-z, 0-9 and '-', starting with a letter: --agent my-agent"));
  const std::vector<std::string> backends = available_backends(context);
  InitAnswers answers;
  if (options.yes)
    answers.backend = std::ranges::find(backends, "local") != backends.end() ? "local" : "";
  else
    answers = ask_everything(context, backends);
  if (!options.agent.empty()) answers.agent = options.agent;
  if (!options.bottle.empty()) answers.bottle = options.bottle;
  const std::filesystem::path bottle = context.home().bottles() / (answers.bottle + ".md");
  const std::filesystem::path agent = context.home().agents() / (answers.agent + ".md");
  std::error_code code;
  if (std::filesystem::exists(
          std::filesystem::symlink_status(agent, code)))  // before the bottle is written: all or nothing
    throw Failure(make_error(ErrorKind::already_exists, short_path(agent) + " is there already; init never overwrites",
                             "edit it, or run init again with another name: bot-bottle init --agent NAME"));
  write_new(bottle, bottle_text(answers));
  try {
    write_new(agent, agent_text(answers));
  } catch (const Failure&) {
    ::unlink(bottle.c_str());
    throw;
  }
  context.out("wrote " + short_path(bottle));
  context.out("wrote " + short_path(agent));
  const int result = check_and_try(context, options, answers, !backends.empty());
  if (result != 0) return result;
  context.note("");
  context.note("next: bot-bottle start " + answers.agent);
  context.note("      bot-bottle info " + answers.agent + "    what it may do, and why");
  context.note("      bot-bottle demo          what a hostile agent could do");
  return 0;
}

}  // namespace

void add_init(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "init", "Write a first bottle and agent by asking a few questions", "Configure",
                            "bot-bottle init\nbot-bottle init --yes && bot-bottle start hello");
  auto options = std::make_shared<InitOptions>();
  verb->add_flag("--yes,-y", options->yes, "Ask nothing, take the defaults: a shell without any network");
  verb->add_option("--agent", options->agent, "Name of the agent")->type_name("NAME");
  verb->add_option("--bottle", options->bottle, "Name of the bottle")->type_name("NAME");
  verb->add_flag("--no-try", options->no_try, "Write and check, but start no bottle");
  verb->callback(
      [&context, options] { context.action = [&context, options] { return write_first(context, *options); }; });
}

}  // namespace bot_bottle::cli
