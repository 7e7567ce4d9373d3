// bot-bottle-sidecar: the one process of a bottle that holds secrets and touches the outside (docs/internals.md).
// Errors go to standard error, which the backend keeps in logs/sidecar.log.
#include <fcntl.h>
#include <fmt/format.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "sidecar/control/sidecar.hpp"

namespace {

using bot_bottle::Error;
using bot_bottle::Result;

constexpr const char* help =
    "bot-bottle-sidecar --state DIR --share DIR [--rules-database FILE] < sidecar-config.json\n"
    "bot-bottle-sidecar --compile-rules FILE --share DIR\n"
    "\n"
    "The process of a bottle that holds its secrets and touches the outside. bot-bottle starts it.\n"
    "  --state DIR            the bottle's state: egress/, wire/, control/, logs/\n"
    "  --share DIR            the installed data: rules/\n"
    "  --rules-database FILE  the compiled rules; without it they are compiled at the start\n"
    "  --compile-rules FILE   compile the rules into FILE and exit\n"
    "  --version, --help\n";

struct Arguments {
  bot_bottle::sidecar::Options options;
  std::string compile_rules;
  bool version = false;
  bool help = false;
  bool bad = false;
};

Arguments parse_arguments(int argc, char** argv) {
  Arguments arguments;
  const option known[] = {{"state", required_argument, nullptr, 's'},
                          {"share", required_argument, nullptr, 'd'},
                          {"rules-database", required_argument, nullptr, 'r'},
                          {"compile-rules", required_argument, nullptr, 'c'},
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
      case 'c':
        arguments.compile_rules = optarg;
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
  arguments.bad = arguments.bad || optind != argc;
  return arguments;
}

int report(const Error& error) {
  fmt::print(stderr, "bot-bottle-sidecar: {}\n", error.message);
  if (!error.details.empty()) fmt::print(stderr, "{}\n", error.details);
  if (!error.hint.empty()) fmt::print(stderr, "hint: {}\n", error.hint);
  return bot_bottle::exit_code_of(error.kind);
}

Result<void> compile_rules(const Arguments& arguments) {
  BB_TRY(const auto rules, bot_bottle::dlp::Rules::compile(arguments.options.share / "rules"));
  return rules->save(arguments.compile_rules);
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
  if (arguments.bad || arguments.options.share.empty() || (!compile && arguments.options.state.empty())) {
    std::fputs(help, stderr);
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  // 512 agents' connections with an upstream each do not fit into the usual 1024 descriptors.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 4096) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, 4096);
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  // Only getaddrinfo(3) runs on other threads: two of them, and one arena of memory for all.
  ::setenv("UV_THREADPOOL_SIZE", "2", 1);
  ::mallopt(M_ARENA_MAX, 1);
  const Result<void> result = compile ? compile_rules(arguments) : serve(arguments);
  return result ? 0 : report(result.error());
}
