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
#include "core/cli/running.hpp"
#include "core/cli/show.hpp"
#include "core/cli/url.hpp"
#include "core/cli/verbs.hpp"
#include "core/manifest/manifest.hpp"
#include "core/policy/decide.hpp"

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
  std::string route;        // the host of the route that was looked at
  std::int64_t number = 0;  // of that route, from 1; 0: none
  std::string reason;
  std::string rule;                // policy::Reason's name; empty for what never came to a route
  std::vector<std::string> steps;  // what was compared
  std::string change;              // what would have to be otherwise
  std::string credential;          // put on the request; a name
  std::string hint;
  std::string next;  // what the operator would type
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

/// As a shell takes it for one word.
std::string shell_word(const std::string& text) {
  static constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:,=+%@";
  if (!text.empty() && text.find_first_not_of(plain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

/// What would let it through in the bottle that runs, where something would.
std::string next_for_bottle(const Answer& answer, const std::string& slug, const std::string& method,
                            const std::string& url) {
  if (answer.rule == "port_not_allowed" || answer.rule == "plain_http_not_allowed" || answer.rule == "passthrough_only")
    return "bot-bottle routes edit " + slug;
  const auto parts = parse_url(url);
  if (!parts) return {};
  if (answer.rule == "git_fetch_not_allowed")
    return "bot-bottle routes add " + slug + " " + shell_word(parts->host) + " --git-fetch";
  if (answer.rule != "host_not_allowed" && answer.rule != "no_match") return {};
  if (parts->scheme != policy::Scheme::https || parts->port != 443) return "bot-bottle routes edit " + slug;
  return "bot-bottle routes add " + slug + " " + shell_word(parts->host) + " --method " + shell_word(method) +
         " --path " + shell_word(parts->target.substr(0, parts->target.find('?')));
}

Answer ask_bottle(Context& context, const std::string& slug, const std::string& method, const std::string& url,
                  const std::vector<std::pair<std::string, std::string>>& headers) {
  json::object request{{"call", "check"}, {"method", method}, {"url", url}};
  if (!headers.empty()) {
    json::array list;
    for (const auto& [name, value] : headers) list.push_back({{"name", name}, {"value", value}});
    request["headers"] = std::move(list);
  }
  const json::object told = call_running(context, slug, request, std::chrono::seconds(5),
                                         "bot-bottle check --agent AGENT " + method + " " + url);
  Answer answer{.allowed = get_string(told, "verdict") == "allowed",
                .route = get_string(told, "host"),
                .number = get_int(told, "route", 0),
                .reason = get_string(told, "reason"),
                .rule = get_string(told, "rule"),
                .steps = get_strings(told, "steps"),
                .change = get_string(told, "change"),
                .credential = get_string(told, "credential"),
                .hint = get_string(told, "hint"),
                .next = {}};
  if (!answer.allowed) answer.next = next_for_bottle(answer, slug, method, url);
  return answer;
}

/// The file whose routes these are.
std::string bottle_file(Context& context, const manifest::Manifest& manifest) {
  const auto place = manifest.provenance.lower_bound("egress");
  if (place != manifest.provenance.end() && place->first.starts_with("egress")) return short_path(place->second.file);
  return short_path(context.home().bottles() / (manifest.bottle + ".md"));
}

Answer ask_manifest(Context& context, const CheckOptions& options, const std::string& method, const std::string& text,
                    const std::vector<std::pair<std::string, std::string>>& headers) {
  const manifest::Manifest manifest = manifest::load(
      context.sources(), options.agent, options.bottle.empty() ? std::nullopt : std::optional(options.bottle));
  const auto table = or_throw(policy::RouteTable::create(effective_egress(context, manifest)));
  const Url url = or_throw(parse_url(text));
  const auto blocked = [](const Error& error) {
    Answer answer;
    answer.reason = "blocked: " + error.message;
    answer.hint = error.hint;
    return answer;
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
  policy::Advice advice = table->advise(decision, request);
  const bool known = decision.route != nullptr;
  const bool helps = !decision.allowed() && decision.reason != policy::Reason::method_not_allowed;
  return {.allowed = decision.allowed(),
          .route = known ? decision.route->host : "",
          .number = known ? static_cast<std::int64_t>(decision.route_index) + 1 : 0,
          .reason = policy::explain(decision, request),
          .rule = std::string(policy::name_of(decision.reason)),
          .steps = std::move(advice.steps),
          .change = std::move(advice.change),
          .credential = known && decision.route->auth ? decision.route->auth->token_ref : "",
          .hint = {},
          .next = helps ? "edit " + bottle_file(context, manifest) : ""};
}

int check(Context& context, CheckOptions options) {
  const std::size_t wanted = options.agent.empty() ? 3 : 2;
  if (options.words.size() != wanted)
    throw Failure(make_error(ErrorKind::usage,
                             wanted == 3 ? "'check' needs SLUG METHOD URL" : "'check --agent' needs METHOD URL",
                             "bot-bottle check --help"));
  std::string url = options.words.back();
  static_cast<void>(or_throw(parse_url(url)));
  if (url.find("://") == std::string::npos) url.insert(0, "https://");
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
                        {"route_number", answer.number == 0 ? json::value(nullptr) : json::value(answer.number)},
                        {"rule", answer.rule},
                        {"reason", answer.reason},
                        {"steps", to_array(answer.steps)},
                        {"credential", answer.allowed ? answer.credential : ""},
                        {"change", answer.change},
                        {"hint", answer.hint},
                        {"next", answer.next}});
    return code;
  }
  std::string reason = escape_untrusted(answer.reason);
  const std::string_view word = answer.allowed ? "allowed" : "blocked";
  if (!reason.starts_with(word)) reason = std::string(word) + (reason.empty() ? "" : ": ") + reason;
  context.out(context.paint(reason.substr(0, word.size()), answer.allowed ? Tone::good : Tone::bad) +
              reason.substr(word.size()));
  for (const std::string& step : answer.steps) context.out("  " + escape_untrusted(step));
  if (answer.allowed && !answer.credential.empty())
    context.out("  it carries the credential " + escape_untrusted(answer.credential));
  if (answer.allowed) return code;
  if (!answer.change.empty())
    context.out("  it would need " + escape_untrusted(answer.change));
  else if (!answer.hint.empty())
    context.out("  " + escape_untrusted(answer.hint));
  if (!answer.next.empty()) context.out(context.paint("next:", Tone::strong) + " " + escape_untrusted(answer.next));
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
