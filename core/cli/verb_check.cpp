// `check SLUG METHOD URL`: what egress would decide and why. A running bottle is asked over its control channel; with
// --agent the manifest is asked, through the same decision function (core/policy). Nothing is resolved or dialled.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/effective_egress.hpp"
#include "core/cli/show.hpp"
#include "core/cli/url.hpp"
#include "core/cli/verbs.hpp"
#include "core/launch/control_client.hpp"
#include "core/manifest/manifest.hpp"
#include "core/policy/decide.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {
namespace {

struct CheckOptions {
  std::vector<std::string> words;
  std::string agent;
  std::string bottle;
  std::vector<std::string> headers;
};

struct Answer {
  bool allowed = false;
  std::string route;
  std::string reason;
  std::string hint;
};

std::vector<std::pair<std::string, std::string>> parse_headers(const std::vector<std::string>& lines) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (const std::string& line : lines) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || colon == 0)
      throw Failure(make_error(ErrorKind::usage, "'" + line + "' is not a header", "-H 'name: value'"));
    headers.emplace_back(to_lower(trim(line.substr(0, colon))), std::string(trim(line.substr(colon + 1))));
  }
  return headers;
}

Answer ask_bottle(Context& context, const std::string& slug, const std::string& method, const std::string& url,
                  const std::vector<std::pair<std::string, std::string>>& headers) {
  const std::filesystem::path socket = state::Directory::open(context.home(), slug).control_socket();
  json::object request{{"call", "check"}, {"method", method}, {"url", url}};
  if (!headers.empty()) {
    json::array list;
    for (const auto& [name, value] : headers) list.push_back({{"name", name}, {"value", value}});
    request["headers"] = std::move(list);
  }
  json::object answer;
  try {
    answer = launch::control_call(socket, request, std::chrono::seconds(5));
  } catch (const Failure& failure) {
    if (failure.error().kind != ErrorKind::unavailable) throw;
    Error error = make_error(ErrorKind::failed_precondition, "the bottle '" + slug + "' does not run",
                             "bot-bottle check --agent AGENT " + method + " " + url);
    error.details = failure.error().message;
    throw Failure(std::move(error));
  }
  return {.allowed = get_string(answer, "verdict") == "allowed",
          .route = answer.contains("route")
                       ? (answer.at("route").is_string() ? get_string(answer, "route") : to_text(answer.at("route")))
                       : "",
          .reason = get_string(answer, "reason"),
          .hint = get_string(answer, "hint")};
}

Answer ask_manifest(Context& context, const CheckOptions& options, const std::string& method, const std::string& text,
                    const std::vector<std::pair<std::string, std::string>>& headers) {
  const manifest::Manifest manifest = manifest::load(
      context.sources(), options.agent, options.bottle.empty() ? std::nullopt : std::optional(options.bottle));
  const auto table = or_throw(policy::RouteTable::create(effective_egress(context, manifest)));
  const Url url = or_throw(parse_url(text));
  const auto blocked = [](const Error& error) {
    return Answer{.allowed = false, .route = {}, .reason = "blocked: " + error.message, .hint = error.hint};
  };
  const auto host = policy::normalise_host(url.host);
  if (!host) return blocked(host.error());
  const auto target = policy::normalise_target(url.target);
  if (!target) return blocked(target.error());
  std::vector<policy::HeaderView> views;
  for (const auto& [name, value] : headers) views.emplace_back(name, value);
  const policy::RequestView request{
      .scheme = url.scheme, .host = *host, .port = url.port, .method = method, .target = &*target, .headers = views};
  const policy::Decision decision = table->decide(request);
  return {.allowed = decision.allowed(),
          .route = decision.route == nullptr ? "" : decision.route->host,
          .reason = policy::explain(decision, request),
          .hint = {}};
}

int check(Context& context, CheckOptions options) {
  const std::size_t wanted = options.agent.empty() ? 3 : 2;
  if (options.words.size() != wanted)
    throw Failure(make_error(ErrorKind::usage,
                             wanted == 3 ? "'check' needs SLUG METHOD URL" : "'check --agent' needs METHOD URL",
                             "bot-bottle check --help"));
  const std::string url = options.words.back();
  // Methods are case-sensitive on the wire (RFC 9110 section 9.1); what a person types is meant in capitals.
  const std::string method = to_upper(options.words[wanted - 2]);
  const auto headers = parse_headers(options.headers);
  const Answer answer = options.agent.empty() ? ask_bottle(context, options.words[0], method, url, headers)
                                              : ask_manifest(context, options, method, url, headers);
  const int code = answer.allowed ? 0 : exit_code_of(ErrorKind::refused);
  if (context.output.json) {
    context.print_json({{"schema", "bot-bottle.check/1"},
                        {"verdict", answer.allowed ? "allowed" : "blocked"},
                        {"method", method},
                        {"url", url},
                        {"route", answer.route.empty() ? json::value(nullptr) : json::value(answer.route)},
                        {"reason", answer.reason},
                        {"hint", answer.hint}});
    return code;
  }
  std::string reason = escape_untrusted(answer.reason);
  const std::string_view word = answer.allowed ? "allowed" : "blocked";
  if (!reason.starts_with(word)) reason = std::string(word) + (reason.empty() ? "" : ": ") + reason;
  context.out(context.paint(reason.substr(0, word.size()), answer.allowed ? Tone::good : Tone::bad) +
              reason.substr(word.size()));
  if (!answer.allowed && !answer.hint.empty()) context.out("  " + escape_untrusted(answer.hint));
  return code;
}

}  // namespace

void add_check(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "check", "What egress would decide about a request, and why", "Look",
                            "bot-bottle check fixer-x7k2p GET https://api.example.com/v1/models\n"
                            "bot-bottle check --agent fixer POST https://example.com/upload");
  auto options = std::make_shared<CheckOptions>();
  verb->add_option("SLUG METHOD URL", options->words,
                   "The running bottle, and the request; exit 0: allowed, 3: blocked")
      ->expected(2, 3)
      ->required();
  verb->add_option("--agent", options->agent, "Ask this agent's manifest; then no SLUG")->type_name("AGENT");
  verb->add_option("--bottle", options->bottle, "With --agent: instead of the bottle it names")->type_name("NAME");
  verb->add_option("-H,--header", options->headers, "A header of the request, 'name: value' (repeat)")
      ->type_name("HEADER")
      ->allow_extra_args(false);
  add_json_option(*verb, context);
  verb->callback([&context, options] { context.action = [&context, options] { return check(context, *options); }; });
}

}  // namespace bot_bottle::cli
