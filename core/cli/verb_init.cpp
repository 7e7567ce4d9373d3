// `init`: writes a first bottle and a first agent with comments, that work at once. Never overwrites.
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
#include "core/cli/show.hpp"
#include "core/cli/verbs.hpp"
#include "core/plugins/registry.hpp"
#include "core/policy/decide.hpp"
#include "core/state/slug.hpp"

namespace bot_bottle::cli {
namespace {

struct Answers {
  std::string agent = "hello";
  std::string bottle = "first";
  std::string provider = "command";
  std::string command = "bash";
  std::vector<std::string> hosts;
};

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

Answers ask_everything(Context& context) {
  Answers answers;
  context.note("A bottle grants powers (which hosts, which credentials); an agent runs in one.");
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
  if (answers.provider == "command") answers.command = context.ask("The program and its arguments", answers.command);
  answers.hosts = parse_hosts(context, context.ask("Hosts it may reach over HTTPS, separated by spaces", "none"));
  return answers;
}

std::string yaml_string(std::string_view text) {
  return to_text(json::value(text));
}  // a JSON string is a YAML string

std::string bottle_text(const Answers& answers) {
  std::string text =
      "---\n"
      "# A bottle: the powers of the agents that run in it. Only files in this directory grant powers;\n"
      "# nothing that a repository brings can. What is not granted here is refused.\n"
      "agent_provider:\n";
  text += "  template: " + answers.provider + "\n";
  if (answers.provider == "command") {
    std::vector<std::string> words;
    for (const std::string_view word : split(answers.command, ' '))
      if (!word.empty()) words.push_back(yaml_string(word));
    text += "  command: [" + join(words, ", ") + "]   # any program; it sees no network but egress\n";
  } else {
    text += "  # auth_token: NAME_OF_A_HOST_VARIABLE   # put on requests outside; the agent sees a placeholder\n";
  }
  text +=
      "backend: local                # bubblewrap on this machine; leave out to choose automatically\n"
      "# env:\n"
      "#   EDITOR: vi\n"
      "#   GREETING: \"${USER}\"         # from your environment, at start\n"
      "# workspace:\n"
      "#   mode: copy                # copy (default), mount (the agent writes your files), none\n"
      "# resources:\n"
      "#   memory: 4GiB\n"
      "egress:\n"
      "  log: 1                      # 0 off, 1 blocks and warnings, 2 every request\n";
  if (answers.hosts.empty()) {
    text +=
        "  routes: []                  # nothing may leave. To allow a host:\n"
        "  # routes:\n"
        "  #   - host: api.example.com\n"
        "  #     matches:\n"
        "  #       - paths: [{type: prefix, value: /v1/}]\n"
        "  #         methods: [GET, POST]\n"
        "  #     auth: {scheme: Bearer, token_ref: EXAMPLE_TOKEN}   # a variable of yours; never in the bottle\n";
  } else {
    text += "  routes:                     # everything else is refused\n";
    for (const std::string& host : answers.hosts) text += "    - host: " + host + "\n";
  }
  text += "---\nThis part is yours: notes about the bottle. It is not read.\n";
  return text;
}

std::string agent_text(const Answers& answers) {
  return "---\n"
         "# An agent: who works. Its powers come from its bottle.\n"
         "bottle: " +
         answers.bottle +
         "\n"
         "# git:\n"
         "#   user: {name: Example Agent, email: agent@example.com}\n"
         "---\n"
         "You work in a sandbox. What the network refuses is refused on purpose: say what you need instead of looking "
         "for a way around.\n";
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
};

int write_first(Context& context, const InitOptions& options) {
  if (!options.yes && !context.stdin_is_terminal())
    throw Failure(make_error(ErrorKind::usage, "init asks questions and standard input is not a terminal",
                             "bot-bottle init --yes"));
  for (const std::string& name : {options.agent, options.bottle})
    if (!name.empty() && !is_name(name))
      throw Failure(
          make_error(ErrorKind::usage, "'" + name + "' is not a name", "a-z, 0-9 and '-', starting with a letter"));
  Answers answers;
  if (!options.yes) answers = ask_everything(context);
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
  verb->callback(
      [&context, options] { context.action = [&context, options] { return write_first(context, *options); }; });
}

}  // namespace bot_bottle::cli
