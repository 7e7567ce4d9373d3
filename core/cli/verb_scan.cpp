// `scan PATH...`: the DLP engine over files, or over a range of commits. The engine is the sidecar's; core does not
// link it but becomes it: this process executes `bot-bottle-sidecar --scan`, whose exit code is the answer (0 clean, 1
// findings, 2 errors).
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <memory>

#include "core/base/error.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/sidecar_start.hpp"

namespace bot_bottle::cli {
namespace {

struct ScanOptions {
  std::vector<std::string> paths;
  std::string rules;
  std::string git_range;
};

constexpr int failed = 2;

int scan(Context& context, const ScanOptions& options) {
  const Installation& installation = context.installation();
  const launch::OwnRules own{options.rules, launch::OwnRules::For::files};
  const std::filesystem::path database = launch::rules_database_path(context.home(), installation, own);
  try {
    const launch::Signals signals;
    launch::ensure_rules_database(database, installation, signals, own);
  } catch (const Failure& failure) {
    // Findings are 1 here, so what is 1 elsewhere must not be.
    context.warn(failure.error().message + (failure.error().details.empty() ? "" : ": " + failure.error().details));
    return failed;
  }
  std::vector<std::string> argv{(installation.libexec / "bot-bottle-sidecar").string(),
                                "--scan",
                                "--share",
                                installation.share.string(),
                                "--rules-database",
                                database.string()};
  if (!options.rules.empty()) argv.insert(argv.end(), {"--rules", options.rules});
  if (!options.git_range.empty()) argv.insert(argv.end(), {"--git", options.git_range});
  if (context.output.json) argv.emplace_back("--json");
  argv.emplace_back("--");
  argv.insert(argv.end(), options.paths.begin(), options.paths.end());
  std::vector<char*> raw;
  for (std::string& word : argv) raw.push_back(word.data());
  raw.push_back(nullptr);
  ::execv(raw[0], raw.data());
  context.warn(error_from_errno("cannot run " + argv[0], errno).message);
  return failed;
}

}  // namespace

void add_scan(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "scan", "Search files for credentials with egress's rules", "Look",
                            "bot-bottle scan .\nbot-bottle scan --rules .gitleaks.toml --json src config.yaml\n"
                            "bot-bottle scan --git main..HEAD .");
  auto options = std::make_shared<ScanOptions>();
  verb->add_option("PATH", options->paths,
                   "Files and directories, links not followed; exit 0: clean, 1: findings, 2: errors")
      ->required();
  verb->add_option("--rules", options->rules, "More rules: a .gitleaks.toml")->type_name("FILE");
  verb->add_option("--git", options->git_range,
                   "What these commits brought into the repository PATH: contents, file names, messages")
      ->type_name("RANGE");
  add_json_option(*verb, context);
  verb->callback([&context, options] { context.action = [&context, options] { return scan(context, *options); }; });
}

}  // namespace bot_bottle::cli
