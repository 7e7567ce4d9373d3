// Declares the command line, runs one verb, and is the boundary where every exception ends.
#include "core/cli/command_line.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <typeinfo>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/completion.hpp"
#include "core/cli/context.hpp"
#include "core/cli/help.hpp"
#include "core/cli/man.hpp"
#include "core/cli/report.hpp"
#include "core/cli/settings.hpp"
#include "core/cli/verbs.hpp"
#include "core/manifest/manifest.hpp"

namespace bot_bottle::cli {
namespace {

/// What other tools call our verbs.
struct Synonym {
  std::string_view word;
  std::string_view verb;
};
constexpr std::array<Synonym, 17> synonyms{{{"ls", "list"},
                                            {"ps", "list"},
                                            {"status", "list"},
                                            {"show", "info"},
                                            {"inspect", "info"},
                                            {"up", "start"},
                                            {"launch", "start"},
                                            {"shell", "attach"},
                                            {"enter", "attach"},
                                            {"ssh", "attach"},
                                            {"kill", "stop"},
                                            {"down", "stop"},
                                            {"rm", "stop --rm"},
                                            {"prune", "cleanup"},
                                            {"approve", "supervise approve"},
                                            {"new", "init"},
                                            {"pull", "sync"}}};

template <typename List>
bool has(const List& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

constexpr std::array<std::string_view, 5> verbs_with_rest{"start", "run", "attach", "exec", "resume"};

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(verb->get_name());
  return names;
}

/// The first word that is not an option: the verb, if there is one.
std::string first_word(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--home") {
      ++i;
    } else if (arguments[i] == "--") {
      return i + 1 < arguments.size() ? arguments[i + 1] : std::string();
    } else if (!arguments[i].starts_with("-")) {
      return arguments[i];
    }
  }
  return {};
}

/// The innermost verb that parsing entered.
const CLI::App* chosen_verb(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  return at;
}

std::string path_of(const CLI::App& app) {
  return app.get_parent() == nullptr ? app.get_name() : path_of(*app.get_parent()) + " " + app.get_name();
}

/// The one word that a verb was given before `word`: the agent, or the slug.
std::string first_argument(const CLI::App& verb) {
  for (const CLI::Option* option : verb.get_options())
    if (option->get_positional() && option->count() > 0) return option->results().front();
  return {};
}

/// `run fixer fix the test`, `exec box ls -l`: what was meant is said with the words that were given.
std::string meant_command(const CLI::App& verb, const CLI::App& app) {
  const std::string name = verb.get_name();
  const std::string first = first_argument(verb);
  if (first.empty() || (name != "run" && !has(verbs_with_rest, name))) return {};
  std::vector<std::string> words;
  bool is_first = true;
  for (const CLI::Option* option : verb.get_options())
    if (option->get_positional())
      for (const std::string& one : option->results())
        if (!std::exchange(is_first, false)) words.push_back(one);
  for (const std::string& one : app.remaining(true))
    if (one != "--") words.push_back(one);
  if (name != "run") return fmt::format("{} {} -- {}", path_of(verb), first, fmt::join(words, " "));
  if (words.front().starts_with("-")) return {};
  return fmt::format("{} {} -p '{}'", path_of(verb), first, fmt::join(words, " "));
}

Error unexpected_word(const CLI::App& verb, const std::string& word, const CLI::App& app) {
  Error error = make_error(ErrorKind::usage, {}, path_of(verb) + " --help");
  if (!word.starts_with("-") || word == "-") {
    error.message = "unexpected argument '" + word + "'";
    if (const std::string meant = meant_command(verb, app); !meant.empty()) error.hint = meant;
    if (const auto inner = verb.get_subcommands([](const CLI::App*) { return true; }); !inner.empty()) {
      error.message = fmt::format("'{}' has no '{}'", path_of(verb), word);
      if (const auto near = nearest(word, verb_names(verb))) error.details = "did you mean: " + *near;
    }
    return error;
  }
  const std::string name = word.substr(0, word.find('='));
  error.message = fmt::format("'{}' has no option '{}'", path_of(verb), name);
  std::vector<std::string> known;
  for (const CLI::App* at = &verb; at != nullptr; at = at->get_parent())
    for (const CLI::Option* option : at->get_options())
      for (const std::string& one : option->get_lnames()) known.push_back("--" + one);
  if (const auto near = nearest(name, known))
    error.details = "did you mean: " + *near;
  else if (const std::string meant = meant_command(verb, app); !meant.empty())
    error.hint = meant;
  return error;
}

/// CLI11's exceptions in our words.
Error usage_error(const CLI::App& app, const CLI::ParseError& fault) {
  const CLI::App* verb = chosen_verb(app);
  const bool wants_verb = !verb->get_subcommands([](const CLI::App*) { return true; }).empty();
  if (dynamic_cast<const CLI::ExtrasError*>(&fault) != nullptr || wants_verb) {
    for (const std::string& word : app.remaining(true))
      if (word != "--") return unexpected_word(*verb, word, app);
  }
  std::string message = fault.what();
  if (dynamic_cast<const CLI::RequiredError*>(&fault) != nullptr) {
    for (const CLI::Option* option : verb->get_options())
      if (option->get_required() && option->count() == 0) {
        message = fmt::format("'{}' needs {}", path_of(*verb),
                              option->get_positional() ? option->get_name(true) : option->get_name());
        return make_error(ErrorKind::usage, std::move(message), path_of(*verb) + " --help");
      }
    if (wants_verb) message = fmt::format("'{}' needs one of: {}", path_of(*verb), fmt::join(verb_names(*verb), ", "));
  }
  std::string text(trim(message));
  // "--prompt: 1 required PROMPT missing"
  if (const std::size_t colon = text.find(": 1 required "); colon != std::string::npos && text.ends_with(" missing"))
    text = "'" + text.substr(0, colon) + "' needs " + text.substr(colon + 13, text.size() - colon - 13 - 8);
  // "--keep excludes --rm"
  if (const std::size_t at = text.find(" excludes "); at != std::string::npos)
    text = "'" + text.substr(0, at) + "' and '" + text.substr(at + 10) + "' exclude each other: give one of the two";
  if (!text.empty() && text.back() == '.') text.pop_back();
  return make_error(ErrorKind::usage, std::move(text), path_of(*verb) + " --help");
}

/// What was written may still sit in a buffer: a full disk must not look like success.
int flush_output(int code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fprintf(stderr, "error: writing to standard output: %s\n", std::strerror(errno));
  return code == 0 ? 1 : code;
}

void decide_color(Context& context) {
  const auto set = [](const char* name) {
    const auto value = environment(name);
    return value && !value->empty();
  };
  context.output.color = !context.no_color && !set("NO_COLOR") && environment("TERM").value_or("dumb") != "dumb" &&
                         context.stdout_is_terminal();
  if (context.output.debug) context.output.verbose = true;
}

/// `bot-bottle fixer`: the agent instead of a verb. Only names are looked at, and --home is not read yet.
bool names_an_agent(Context& context, const std::string& word) {
  try {
    const auto files = manifest::list_agents(context.sources()).files;
    return std::ranges::find(files, word, &manifest::NamedFile::name) != files.end();
  } catch (const Failure&) {
    return false;
  }
}

/// Shows a failure and gives its exit code.
int report(Context& context, const std::string& verb, Error error, const std::string& exception) {
  const int code = exit_code_of(error.kind);
  if (error.kind == ErrorKind::internal) {
    const std::string log = write_bug_log(context, verb, exception, error);
    error.details +=
        std::string(error.details.empty() ? "" : "\n") + "this is a bug in bot-bottle or in one of its plugins";
    if (!log.empty()) error.details += "\nlog: " + log;
    if (error.hint.empty()) error.hint = "report it with the log; -D shows more";
  }
  // Nobody is left without a next step; what a person ended or said no to needs none.
  if (error.hint.empty() && error.kind != ErrorKind::cancelled && error.kind != ErrorKind::refused)
    error.hint = verb.empty() ? "bot-bottle --help" : "bot-bottle " + verb + " --help; -D says more";
  std::fputs(format_error(error, context).c_str(), stderr);
  if (context.output.debug) {
    std::fprintf(stderr, "kind: %s (%s)\n", std::string(name_of(error.kind)).c_str(),
                 escape_untrusted(exception).c_str());
    for (const std::string& line : last_throw_trace())
      std::fprintf(stderr, "  at %s\n", escape_untrusted(line).c_str());
  }
  return code;
}

int parse_and_run(std::vector<std::string> arguments, CLI::App& app, Context& context) {
  if (arguments.empty()) {
    std::fputs(format_overall_help(app).c_str(), stdout);
    return flush_output(2);
  }
  // Asked by the shells' scripts at each Tab, and by the build: no verbs of a person.
  if (arguments.front() == completion_verb) {
    std::fputs(complete_words(app, context, {arguments.begin() + 1, arguments.end()}).c_str(), stdout);
    return flush_output(0);
  }
  if (arguments.front() == man_verb && arguments.size() == 2) {
    write_manual(app, arguments[1]);
    return 0;
  }
  if (arguments.front() == "help") {  // `bot-bottle help logs` as in git
    arguments.erase(arguments.begin());
    arguments.emplace_back("--help");
  }
  const std::string word = first_word(arguments);
  if (!word.empty() && !has(verb_names(app), word)) {
    Error error = unknown_verb(app, word);
    if (names_an_agent(context, word)) error.hint = "bot-bottle start " + word;
    throw Failure(std::move(error));
  }
  // What follows "--" is the agent's or the command's own: CLI11 must not look for our options in it.
  if (has(verbs_with_rest, word)) {
    const auto separator = std::ranges::find(arguments, "--");
    if (separator != arguments.end()) {
      context.rest.assign(separator + 1, arguments.end());
      arguments.erase(separator, arguments.end());
    }
  }
  std::ranges::reverse(arguments);
  try {
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    std::fputs(chosen_verb(app)->help().c_str(), stdout);
    return flush_output(0);
  } catch (const CLI::CallForVersion&) {
    std::printf("bot-bottle %s\n", std::string(version()).c_str());
    return flush_output(0);
  } catch (const CLI::ParseError& fault) {
    throw Failure(usage_error(app, fault));
  }
  decide_color(context);
#ifdef BB_TEST_HOOKS
  // acceptance/docs_test.py: every command line of the documents is one.
  if (environment("BOT_BOTTLE_TEST_PARSE_ONLY")) return 0;
#endif
  use_output_settings(context);
  if (!context.action) throw Failure(make_error(ErrorKind::internal, "the verb '" + word + "' has no action"));
  return flush_output(context.action());
}

}  // namespace

CLI::App* add_verb(CLI::App& app, const std::string& name, const std::string& summary, const std::string& group,
                   const std::string& example) {
  CLI::App* verb = app.add_subcommand(name, summary);
  verb->group(group);
  verb->fallthrough();
  verb->footer(example);
  return verb;
}

void add_json_option(CLI::App& verb, Context& context) {
  verb.add_flag("--json", context.output.json, "Print JSON");
}

void declare_command_line(CLI::App& app, Context& context) {
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "Show this help");
  app.set_version_flag("--version", std::string(version()), "Show the version");
  app.add_flag("-q,--quiet", context.output.quiet, "Only what was asked for, warnings and errors");
  app.add_flag("-v,--verbose", context.output.verbose, "Say more about what is done");
  app.add_flag("-D,--debug", context.output.debug, "Say everything; traces of errors");
  app.add_flag("--no-color", context.no_color, "No colours (also NO_COLOR)");
  app.add_option("--home", context.home_option, "Instead of ~/.bot-bottle (also BOT_BOTTLE_HOME)")->type_name("DIR");
  app.add_flag("--trust-plugins", context.trust_plugins, "Run plugins that were not trusted yet (for CI)");
  // At most one verb: an agent that is called like a verb ("info list") is then an argument and not a second verb.
  app.require_subcommand(1, 1);

  add_start(app, context);
  add_run(app, context);
  add_attach(app, context);
  add_exec(app, context);
  add_resume(app, context);
  add_commit(app, context);
  add_fork(app, context);
  add_sync(app, context);
  add_worktree(app, context);
  add_cp(app, context);
  add_unfreeze(app, context);
  add_stop(app, context);
  add_cleanup(app, context);
  add_supervise(app, context);
  add_routes(app, context);
  add_list(app, context);
  add_info(app, context);
  add_logs(app, context);
  add_audit(app, context);
  add_diff(app, context);
  add_check(app, context);
  add_scan(app, context);
  add_doctor(app, context);
  add_demo(app, context);
  add_init(app, context);
  add_config(app, context);
  add_completion(app, context);
  add_plugin(app, context);
}

Error unknown_verb(const CLI::App& app, const std::string& word) {
  Error error = make_error(ErrorKind::usage, "no verb named '" + word + "'", "bot-bottle --help");
  const auto synonym = std::ranges::find(synonyms, std::string_view(word), &Synonym::word);
  if (synonym != synonyms.end())
    error.details = "did you mean: " + std::string(synonym->verb);
  else if (const auto near = nearest(word, verb_names(app)))
    error.details = "did you mean: " + *near;
  return error;
}

int run_command_line(const std::vector<std::string>& arguments) {
  Context context;
  const std::string verb = first_word(arguments);
  // Known before parsing, so that a usage error obeys them.
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (argument == "-D" || argument == "--debug") context.output.debug = true;
  }
  try {
    CLI::App app("Runs coding agents as if they were already compromised", "bot-bottle");
    declare_command_line(app, context);
    return parse_and_run(arguments, app, context);
  } catch (const Failure& failure) {
    return report(context, verb, failure.error(), "Failure");
  } catch (const std::exception& exception) {
    return report(context, verb, make_error(ErrorKind::internal, exception.what()), typeid(exception).name());
  } catch (...) {
    return report(context, verb, make_error(ErrorKind::internal, "an unknown exception"), "unknown");
  }
}

}  // namespace bot_bottle::cli
