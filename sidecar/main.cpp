// bot-bottle-sidecar: the one process of a bottle that holds secrets and touches the outside (docs/internals.md).
// Errors go to standard error, which the backend keeps in logs/sidecar.log.
#include <fcntl.h>
#include <fmt/format.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "sidecar/control/memory.hpp"
#include "sidecar/control/sidecar.hpp"
#include "sidecar/dlp/gitleaks.hpp"
#include "sidecar/scan/report.hpp"

namespace {

using bot_bottle::Error;
using bot_bottle::Result;

constexpr const char* help =
    "bot-bottle-sidecar --state DIR --share DIR [--rules-database FILE] [--egress-address ADDRESS:PORT]\n"
    "    [--report-address ADDRESS:PORT] [--git-gate-address ADDRESS:PORT] [--supervise-address ADDRESS:PORT]\n"
    "    < sidecar-config.json\n"
    "bot-bottle-sidecar --compile-rules FILE --share DIR [--rules FILE [--for-files]]\n"
    "bot-bottle-sidecar --check-rules FILE --share DIR\n"
    "bot-bottle-sidecar --scan --share DIR [--rules-database FILE] [--rules FILE] [--git RANGE] [--json] PATH...\n"
    "\n"
    "The process of a bottle that holds its secrets and touches the outside. bot-bottle starts it.\n"
    "  --state DIR            the bottle's state: egress/, wire/, control/, logs/\n"
    "  --share DIR            the installed data: rules/\n"
    "  --rules-database FILE  the compiled rules; without it they are compiled at the start\n"
    "  --egress-address A:P   the address wire: the proxy listens there and not on wire/egress.sock\n"
    "  --report-address A:P   and so for bottle-init's reports (UDP), --git-gate-address and --supervise-address\n"
    "  --compile-rules FILE   compile the rules into FILE and exit\n"
    "  --rules FILE           a person's own rules besides, a .gitleaks.toml; --for-files: as scan uses them\n"
    "  --check-rules FILE     say what is wrong or worth knowing about such a file and exit\n"
    "  --scan                 search files and directories; exit 0: clean, 1: findings, 2: errors\n"
    "  --git RANGE            what these commits brought into the one repository PATH, not the files that are there\n"
    "  --version, --help\n";

constexpr rlim_t wanted_descriptors = 32768;

struct Arguments {
  bot_bottle::sidecar::Options options;
  std::string compile_rules;
  std::string check_rules;
  std::string own_rules;
  bot_bottle::dlp::OwnRules::For used_for = bot_bottle::dlp::OwnRules::For::streams;
  bool scan = false;
  bot_bottle::scan::Form form = bot_bottle::scan::Form::text;
  std::string git_range;
  std::vector<std::filesystem::path> paths;
  bool version = false;
  bool help = false;
  bool bad = false;
};

Arguments parse_arguments(int argc, char** argv) {
  Arguments arguments;
  const option known[] = {{"state", required_argument, nullptr, 's'},
                          {"share", required_argument, nullptr, 'd'},
                          {"rules-database", required_argument, nullptr, 'r'},
                          {"egress-address", required_argument, nullptr, 'e'},
                          {"report-address", required_argument, nullptr, 'p'},
                          {"git-gate-address", required_argument, nullptr, 'G'},
                          {"supervise-address", required_argument, nullptr, 'S'},
                          {"compile-rules", required_argument, nullptr, 'c'},
                          {"rules", required_argument, nullptr, 'o'},
                          {"for-files", no_argument, nullptr, 'f'},
                          {"check-rules", required_argument, nullptr, 'k'},
                          {"scan", no_argument, nullptr, 'n'},
                          {"git", required_argument, nullptr, 'g'},
                          {"json", no_argument, nullptr, 'j'},
                          {"version", no_argument, nullptr, 'v'},
                          {"help", no_argument, nullptr, 'h'},
                          {nullptr, 0, nullptr, 0}};
  for (int found = 0; (found = ::getopt_long(argc, argv, "", known, nullptr)) != -1;) {
    switch (found) {
      case 's':
        arguments.options.state = std::filesystem::absolute(optarg);
        break;
      case 'd':
        arguments.options.share = std::filesystem::absolute(optarg);
        break;
      case 'r':
        arguments.options.rules_database = std::filesystem::absolute(optarg);
        break;
      case 'e':
      case 'p':
      case 'G':
      case 'S': {
        const auto address = bot_bottle::sidecar::read_address(optarg);
        bot_bottle::sidecar::Options& options = arguments.options;
        if (!address)
          arguments.bad = true;
        else
          (found == 'e'   ? options.egress_address
           : found == 'p' ? options.report_address
           : found == 'G' ? options.git_gate_address
                          : options.supervise_address) = *address;
        break;
      }
      case 'c':
        arguments.compile_rules = optarg;
        break;
      case 'o':
        arguments.own_rules = optarg;
        break;
      case 'f':
        arguments.used_for = bot_bottle::dlp::OwnRules::For::files;
        break;
      case 'k':
        arguments.check_rules = optarg;
        break;
      case 'n':
        arguments.scan = true;
        break;
      case 'g':
        arguments.git_range = optarg;
        break;
      case 'j':
        arguments.form = bot_bottle::scan::Form::json;
        break;
      case 'v':
        arguments.version = true;
        break;
      case 'h':
        arguments.help = true;
        break;
      default:
        arguments.bad = true;
        break;
    }
  }
  for (int i = optind; i < argc; ++i) arguments.paths.emplace_back(argv[i]);
  arguments.bad = arguments.bad || arguments.scan == arguments.paths.empty() ||
                  (!arguments.git_range.empty() && arguments.paths.size() != 1);
  return arguments;
}

int report(const Error& error) {
  fmt::print(stderr, "bot-bottle-sidecar: {}\n", error.message);
  if (!error.details.empty()) fmt::print(stderr, "{}\n", error.details);
  if (!error.hint.empty()) fmt::print(stderr, "hint: {}\n", error.hint);
  return bot_bottle::exit_code_of(error.kind);
}

Result<void> compile_rules(const Arguments& arguments) {
  BB_TRY(const auto own, bot_bottle::scan::read_own_rules(arguments.own_rules, arguments.used_for));
  BB_TRY(const auto rules, bot_bottle::dlp::Rules::compile(arguments.options.share / "rules", own));
  return rules->save(arguments.compile_rules);
}

Result<void> check_rules(const Arguments& arguments) {
  BB_TRY(const auto own, bot_bottle::scan::read_own_rules(arguments.check_rules, arguments.used_for));
  BB_TRY(const auto notes, bot_bottle::dlp::check_own_rules(arguments.options.share / "rules", own));
  for (const std::string& note : notes) fmt::print("{}\n", note);
  return {};
}

Result<void> serve(const Arguments& arguments) {
  BB_TRY(auto config, bot_bottle::sidecar::read_config(STDIN_FILENO));
  // The number of standard input must not become a socket's.
  if (const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC); null >= 0) {
    ::dup2(null, STDIN_FILENO);
    ::close(null);
  }
  BB_TRY(const auto sidecar, bot_bottle::sidecar::Sidecar::create(arguments.options, std::move(config)));
  sidecar->run();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse_arguments(argc, argv);
  if (arguments.help) {
    std::fputs(help, stdout);
    return 0;
  }
  if (arguments.version) {
    fmt::print("bot-bottle-sidecar {}\n", BB_VERSION);
    return 0;
  }
  const bool compile = !arguments.compile_rules.empty();
  const bool check = !arguments.check_rules.empty();
  const bool serves = !compile && !check && !arguments.scan;
  if (arguments.bad || arguments.options.share.empty() || (serves && arguments.options.state.empty())) {
    std::fputs(help, stderr);
    return 2;
  }
  if (arguments.scan)
    return bot_bottle::scan::run({arguments.options.share, arguments.options.rules_database, arguments.own_rules,
                                  arguments.form, arguments.git_range, arguments.paths});
  ::signal(SIGPIPE, SIG_IGN);
  // Agents' connections with an upstream each do not fit into the usual 1024 descriptors; what we get, Bounds::fit_into
  // makes do with.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < wanted_descriptors) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, wanted_descriptors);
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  ::setenv("UV_THREADPOOL_SIZE", "2", 1);  // for getaddrinfo(3)
  bot_bottle::sidecar::prepare_memory();
  const Result<void> result = compile ? compile_rules(arguments) : check ? check_rules(arguments) : serve(arguments);
  return result ? 0 : report(result.error());
}
