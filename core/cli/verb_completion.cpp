// `completion bash|zsh|fish`: prints the shell's script.
#include <CLI/CLI.hpp>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/cli/completion.hpp"
#include "core/cli/verbs.hpp"
#include "core/cli/words.hpp"

namespace bot_bottle::cli {
namespace {

int print_script(const Context& context, const std::string& shell) {
  const std::string script = completion_script(shell);
  if (script.empty()) {
    Error error =
        make_error(ErrorKind::usage, "there is no completion for '" + shell + "'", "bot-bottle completion --help");
    error.details = "there is: " + join(shell_names(), ", ");
    throw Failure(std::move(error));
  }
  context.out(trim(script));
  return 0;
}

}  // namespace

void add_completion(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "completion", "Completion of verbs, agents and bottles for your shell", "Configure",
                            "bot-bottle completion bash > ~/.local/share/bash-completion/completions/bot-bottle\n"
                            "bot-bottle completion zsh > DIR_OF_FPATH/_bot-bottle\n"
                            "bot-bottle completion fish > ~/.config/fish/completions/bot-bottle.fish");
  auto shell = std::make_shared<std::string>();
  verb->add_option("SHELL", *shell, join(shell_names(), ", "))->required();
  verb->callback([&context, shell] { context.action = [&context, shell] { return print_script(context, *shell); }; });
}

}  // namespace bot_bottle::cli
