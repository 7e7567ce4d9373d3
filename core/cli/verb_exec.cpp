// `exec SLUG -- CMD`: one command in a bottle that runs.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "core/base/error.hpp"
#include "core/cli/verb_enter.hpp"
#include "core/cli/verbs.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::cli {
namespace {

struct ExecOptions {
  std::string slug;
  std::vector<std::string> words;
  std::string user = "agent";
  bool terminal = false;
};

int exec(Context& context, const ExecOptions& options) {
  std::vector<std::string> argv = options.words;  // `exec SLUG CMD` is clear enough without options in CMD
  argv.insert(argv.end(), context.rest.begin(), context.rest.end());
  if (argv.empty())
    throw Failure(make_error(ErrorKind::usage, "'bot-bottle exec' needs a command",
                             "bot-bottle exec " + options.slug + " -- ls -l"));
  if (options.user != "agent" && options.user != "root")
    throw Failure(
        make_error(ErrorKind::usage, "--user is agent or root, not '" + options.user + "'", "bot-bottle exec --help"));
  const bool has_terminal = tui::is_terminal(STDIN_FILENO) && tui::is_terminal(STDOUT_FILENO);
  if (options.terminal && !has_terminal)
    throw Failure(
        make_error(ErrorKind::usage, "--tty needs a terminal on standard input and output", "leave --tty out"));
  const Entered entered = enter(context, options.slug);
  plan::ExecRequest request;
  request.argv = std::move(argv);
  request.env = entered.session.env;
  request.cwd = entered.session.workspace;
  request.user = options.user;
  if (options.user == "root") {
    request.env["HOME"] = "/root";
    request.env["USER"] = request.env["LOGNAME"] = "root";
  }
  if (options.terminal) request.terminal = plan::Terminal::yes;
  return run_entered(entered, std::move(request), Tinted::no);
}

}  // namespace

void add_exec(CLI::App& app, Context& context) {
  CLI::App* verb =
      add_verb(app, "exec", "Run a command in a bottle that runs", "Everyday",
               "bot-bottle exec fixer-x7k2p -- git log --oneline\nbot-bottle exec fixer-x7k2p --tty -- bash");
  auto options = std::make_shared<ExecOptions>();
  verb->add_option("SLUG", options->slug, "The running bottle, then -- and the command")->required();
  verb->add_option("CMD", options->words, "The command, where it has no options of its own")->expected(0, -1);
  verb->add_option("--user", options->user, "agent (default) or root")->type_name("USER");
  verb->add_flag("-t,--tty", options->terminal, "With your terminal");
  verb->callback([&context, options] { context.action = [&context, options] { return exec(context, *options); }; });
}

}  // namespace bot_bottle::cli
