// bottle-attack: a scripted hostile agent (suite) and its counterparts on the host (origin, canary). See README.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "core/base/json.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "sidecar/attack/host.hpp"
#include "sidecar/attack/http.hpp"
#include "sidecar/attack/suite.hpp"

namespace {

using namespace bot_bottle;
using namespace bot_bottle::attack;

enum class Format { lines, table };

int complain(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.message);
  return exit_code_of(error.kind);
}

std::string as_json(const Attempt& attempt, const Outcome& outcome) {
  // What a hostile origin said may be in the detail: JSON must stay valid.
  const std::string detail = is_valid_utf8(outcome.detail) ? outcome.detail : "hex " + hex_encode(outcome.detail);
  return to_text(json::object{{"id", attempt.id},
                              {"attempt", attempt.text},
                              {"guard", attempt.guard},
                              {"verdict", name_of(outcome.verdict)},
                              {"detail", detail}});
}

int run_suite(const SuiteOptions& options, Format format, bool list, bool force) {
  auto context = load_context();
  if (!context) return complain(context.error());
  const auto attempts = select_attempts(*context, options);
  if (list) {
    for (const Attempt& attempt : attempts)
      fmt::print("{}\n",
                 format == Format::lines
                     ? to_text(json::object{{"id", attempt.id}, {"attempt", attempt.text}, {"guard", attempt.guard}})
                     : fmt::format("{:<8} {:<10} {}", attempt.id, attempt.guard, attempt.text));
    return 0;
  }
  if (is_outside() && !force)
    return complain(
        make_error(ErrorKind::failed_precondition, "this is not a bottle: attempts on pid 1 would reach the host's"));
  std::map<Verdict, int> counts;
  std::string subject;
  Outcome egress = blocked("");
  for (const Attempt& attempt : attempts) {
    const std::string here = attempt.id.substr(0, attempt.id.rfind('.'));
    if (here != subject && attempt.needs == Needs::egress) {
      // Without a living proxy a refusal proves nothing.
      egress = run_attempt(
          {"", "", "", [](const Context& each) { return control(each); }, Needs::nothing, std::chrono::seconds(40)},
          *context);
    }
    subject = here;
    const bool without = attempt.needs == Needs::egress && egress.verdict != Verdict::blocked;
    const Outcome outcome = without ? failed(egress.detail) : run_attempt(attempt, *context);
    ++counts[outcome.verdict];
    if (format == Format::lines)
      fmt::print("{}\n", as_json(attempt, outcome));
    else
      fmt::print("{:<8} {:<8} {:<10} {}  [{}]\n", name_of(outcome.verdict), attempt.id, attempt.guard,
                 escape_untrusted(attempt.text), escape_untrusted(outcome.detail));
    std::fflush(stdout);
  }
  if (format == Format::table)
    fmt::print("{} attempts: {} blocked, {} escaped, {} without proof\n", attempts.size(), counts[Verdict::blocked],
               counts[Verdict::escaped], counts[Verdict::error]);
  return counts[Verdict::escaped] + counts[Verdict::error] == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("A scripted hostile agent, and what it is measured against");
  app.require_subcommand(1);
  SuiteOptions suite;
  bool json_lines = false;
  bool list = false;
  bool force = false;
  CLI::App* suite_command = app.add_subcommand("suite", "Try to break out of this bottle and to carry secrets away");
  suite_command->add_option("--only", suite.only, "Only these ids or their beginnings: 1,2.3")->delimiter(',');
  suite_command->add_option("--skip", suite.skip, "Not these")->delimiter(',');
  suite_command->add_flag("--json", json_lines, "One JSON object a line");
  suite_command->add_flag("--list", list, "Only say what would be tried");
  suite_command->add_flag("--resources", suite.resources, "Bombs and floods too (7)");
  suite_command->add_flag("--outside", force, "Run outside of a bottle: never where pid 1 matters");
  OriginOptions origin;
  CLI::App* origin_command = app.add_subcommand("origin", "An HTTPS server on the host that writes down what it gets");
  origin_command->add_option("--log", origin.log, "JSON lines of all requests")->required();
  origin_command->add_option("--port-file", origin.port_file, "Where to say port, plain_port and ca_file")->required();
  origin_command->add_option("--ca-file", origin.ca_file, "Where to write the CA (default: beside the port file)");
  origin_command->add_option("--name", origin.names, "Host names in the certificate")->delimiter(',');
  origin_command->add_option("--address", origin.address,
                             "Where to listen: a container reaches its bridge, no loopback");
  CanaryOptions canary;
  CLI::App* canary_command = app.add_subcommand("canary", "Listeners on the host that nobody in a bottle may reach");
  canary_command->add_option("--log", canary.log, "JSON lines of all contacts")->required();
  canary_command->add_option("--port-file", canary.port_file, "Where to say ports, udp_ports and abstract")->required();
  CLI11_PARSE(app, argc, argv);

  if (*suite_command) return run_suite(suite, json_lines ? Format::lines : Format::table, list, force);
  auto result = *origin_command ? run_origin(origin) : run_canary(canary);
  return result ? 0 : complain(result.error());
}
