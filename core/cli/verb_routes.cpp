// `routes show|edit|add|rm SLUG`: the routes of a bottle that runs. Every change names the hash of what it was made
// from, so that of two editors the second is told; the sidecar journals it, and the audit has it before we say it is
// done.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <iterator>
#include <memory>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/cli/running.hpp"
#include "core/cli/show.hpp"
#include "core/cli/url.hpp"
#include "core/cli/verbs.hpp"
#include "core/desk/answer.hpp"
#include "core/desk/proposal.hpp"
#include "core/launch/decisions.hpp"
#include "core/policy/asked_route.hpp"
#include "core/policy/credential_reach.hpp"
#include "core/policy/decide.hpp"
#include "core/screen/editor.hpp"
#include "core/state/directory.hpp"

namespace bot_bottle::cli {
namespace {

constexpr auto look_time = std::chrono::seconds(5);
constexpr auto change_time = std::chrono::seconds(30);
constexpr std::size_t max_file = std::size_t{4} << 20;

struct RoutesOptions {
  std::string slug;
  std::vector<std::string> hosts;
  std::vector<std::string> methods;
  std::vector<std::string> paths;
  bool git_fetch = false;
  std::string file;
  std::string hash;
  bool allow_credentials = false;
};

/// The live routes and what names them.
struct Live {
  policy::Egress egress;
  std::string text;
  std::string hash;
  json::object answer;
};

Live ask_live(Context& context, const std::string& slug) {
  Live live;
  live.answer = call_running(context, slug, {{"call", "routes"}}, look_time,
                             "bot-bottle resume " + slug + ", or edit the bottle's manifest: bot-bottle info AGENT");
  live.text = get_string(live.answer, "text");
  live.hash = get_string(live.answer, "hash");
  if (live.hash.empty() || get_string(live.answer, "format") != "toml")
    throw Failure(
        make_error(ErrorKind::unsupported, "the sidecar of '" + slug + "' cannot tell its routes",
                   "it was started by another version: bot-bottle stop " + slug + "; bot-bottle resume " + slug));
  live.egress =
      or_throw<policy::Egress>(policy::parse_routes_toml(live.text).map_error(in("the live routes of " + slug)));
  return live;
}

std::string describe_grant(const json::object& grant) {
  const json::object* narrow = find_object(grant, "narrow");
  std::string text;
  if (narrow != nullptr && narrow->contains("seconds"))
    text = desk::describe(
        {.seconds = static_cast<std::uint64_t>(std::max<std::int64_t>(0, get_int(*narrow, "seconds", 0)))});
  if (grant.contains("requests_left")) text = fmt::format("{} requests left", get_int(grant, "requests_left", 0));
  if (grant.contains("bytes_left")) text = fmt::format("{} bytes left", get_int(grant, "bytes_left", 0));
  return text;
}

std::string host_of_grant(const json::object& grant) {
  const json::object* route = find_object(grant, "route");
  return route == nullptr ? std::string() : get_string(*route, "host");
}

int show(Context& context, const RoutesOptions& options) {
  const Live live = ask_live(context, options.slug);
  if (context.output.json) {
    json::object out{{"schema", "bot-bottle.routes/1"}, {"slug", options.slug}};
    for (const char* key : {"hash", "generation", "routes", "hosts", "grants", "text"})
      if (const json::value* value = live.answer.if_contains(key)) out[key] = *value;
    context.print_json(out);
    return 0;
  }
  if (live.egress.routes.empty()) context.note("no routes: everything is blocked");
  Table table{.headers = {"HOST", "ALLOWS", "CREDENTIAL", "SCANS"}, .rows = {}};
  for (const policy::Route& route : live.egress.routes) {
    std::vector<std::string> allows = describe_matches(route);
    if (route.tls == policy::Tls::passthrough)
      allows = {"all, as a tunnel"};
    else if (route.refuse_all)
      allows = {"nothing"};
    else if (allows.empty())
      allows = {"all"};
    if (route.git_fetch) allows.emplace_back("git fetch");
    const std::string credential = route.auth ? describe_auth(route) + " " + route.auth->token_ref : "";
    for (std::size_t i = 0; i < allows.size(); ++i)
      table.rows.push_back(
          {i == 0 ? route.host : "", allows[i], i == 0 ? credential : "", i == 0 ? describe_dlp(route) : ""});
  }
  if (!table.rows.empty()) context.print_table(table);
  if (const json::array* grants = find_array(live.answer, "grants"))
    for (const json::value& grant : *grants)
      if (const json::object* one = grant.if_object())
        context.out(fmt::format("for a while: {} ({})", escape_untrusted(host_of_grant(*one), 256),
                                escape_untrusted(describe_grant(*one), 100)));
  return 0;
}

void show_change(const Context& context, const std::string& before, const std::string& after) {
  for (const desk::DiffLine& line : desk::diff_lines(before, after)) {
    const std::string text = escape_untrusted(line.text, 1000);
    if (line.kind == desk::DiffLine::Kind::added) context.note(context.paint("+ " + text, Tone::good));
    if (line.kind == desk::DiffLine::Kind::removed) context.note(context.paint("- " + text, Tone::bad));
    if (line.kind == desk::DiffLine::Kind::same && !text.empty()) context.note("  " + text);
  }
}

/// Throws refused unless the operator says that credentials may reach further.
bool may_widen(Context& context, const RoutesOptions& options, const std::vector<std::string>& lines) {
  if (lines.empty()) return false;
  if (options.allow_credentials) return true;
  for (const std::string& line : lines) context.warn("a credential would reach further: " + line);
  if (context.stdin_is_terminal() && context.confirm("Let it?")) return true;
  throw Failure(make_error(ErrorKind::refused, "nothing was changed: a credential would reach further",
                           "say that it may: --allow-credentials"));
}

int report(Context& context, const std::string& slug, const Live& live, const json::object& answer,
           const std::vector<std::string>& widened) {
  const bool changed = get_string(answer, "hash") != live.hash;
  if (context.output.json) {
    context.print_json({{"schema", "bot-bottle.routes-change/1"},
                        {"slug", slug},
                        {"changed", changed},
                        {"hash", get_string(answer, "hash")},
                        {"before", live.text},
                        {"after", get_string(answer, "text")},
                        {"credentials", to_array(widened)}});
    return 0;
  }
  if (!changed) {
    context.note("nothing was changed");
    return 0;
  }
  show_change(context, live.text, get_string(answer, "text"));
  context.note("in force in " + slug);
  return 0;
}

/// Sends, records and reports. `text` was parsed: `after` is it.
int send(Context& context, const RoutesOptions& options, const Live& live, const policy::Egress& after) {
  const std::string text = policy::to_routes_toml(after);
  const std::vector<std::string> widened = policy::credential_widening(live.egress, after);
  const bool credentials = may_widen(context, options, widened);
  const state::Directory directory = state::Directory::open(context.home(), options.slug);
  // What cannot be recorded is not done.
  [[maybe_unused]] const std::uint64_t recorded = launch::decisions_recorded(context.home(), directory);
  const json::object answer = call_running(context, options.slug,
                                           {{"call", "set-routes"},
                                            {"hash", live.hash},
                                            {"egress", text},
                                            {"credentials", credentials},
                                            {"by", desk::operator_name()}},
                                           change_time, "bot-bottle list active");
  try {
    launch::copy_decisions(context.home(), directory, look_time);
  } catch (const Failure& failure) {
    // It is in the bottle's journal, so the next look records it.
    context.warn("the change is not in the audit yet: " + failure.error().message);
  }
  // The change is the whole of what passes: nobody shall think that an approval for a while still holds.
  if (const json::array* grants = find_array(live.answer, "grants"))
    for (const json::value& grant : *grants)
      if (const json::object* one = grant.if_object())
        context.warn(escape_untrusted(host_of_grant(*one), 256) + " was approved for a while (" +
                     escape_untrusted(describe_grant(*one), 100) + "); that is over with this change");
  return report(context, options.slug, live, answer, widened);
}

/// Without the table the regexes of a text that parses are not known to compile.
Result<policy::Egress> read_routes(const std::string& text) {
  BB_TRY(policy::Egress egress, policy::parse_routes_toml(text));
  BB_CHECK(policy::RouteTable::create(egress));
  return egress;
}

std::string with_header(const std::string& slug, const std::string& text) {
  return "# The live routes of " + slug +
         ": what you save is checked, shown and then in force at once.\n"
         "# A route is [[routes]] with host, matches, auth (names of secrets only), dlp, git, ports, limits.\n\n" +
         text;
}

int edit_in_editor(Context& context, const RoutesOptions& options, const Live& live) {
  const bool has_editor = !environment("VISUAL").value_or("").empty() || !environment("EDITOR").value_or("").empty();
  if (!context.stdin_is_terminal() && !has_editor)
    throw Failure(make_error(ErrorKind::usage, "an editor needs a terminal",
                             "bot-bottle routes edit " + options.slug + " --file FILE"));
  std::string text = with_header(options.slug, live.text);
  while (true) {
    const screen::Edited edited = or_throw(screen::edit_text(text, ".toml"));
    auto after = read_routes(edited.text);
    if (!after) {
      Error error = after.error();
      error.hint =
          "your text is in " + edited.file + ": bot-bottle routes edit " + options.slug + " --file " + edited.file;
      if (!context.stdin_is_terminal()) throw Failure(std::move(error));
      context.warn(error.message + (error.details.empty() ? "" : "\n" + error.details));
      if (!context.confirm("Edit it again?")) throw Failure(std::move(error));
      text = edited.text;
      screen::remove_edited(edited);
      continue;
    }
    if (policy::to_routes_toml(*after) == policy::to_routes_toml(live.egress)) {
      screen::remove_edited(edited);
      return report(context, options.slug, live, live.answer, {});
    }
    try {
      const int code = send(context, options, live, *after);
      screen::remove_edited(edited);
      return code;
    } catch (const Failure& failure) {
      // An hour's work is not thrown away because somebody else was quicker.
      Error error = failure.error();
      error.details += (error.details.empty() ? "your text is in " : "\nyour text is in ") + edited.file;
      throw Failure(std::move(error));
    }
  }
}

int edit(Context& context, const RoutesOptions& options) {
  Live live = ask_live(context, options.slug);
  if (options.file.empty()) return edit_in_editor(context, options, live);
  std::string text;
  if (options.file == "-")
    text.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  else
    text = or_throw(read_file(options.file, max_file));
  const std::string name = options.file == "-" ? "standard input" : options.file;
  const policy::Egress after = or_throw<policy::Egress>(read_routes(text).map_error(in(name)));
  if (!options.hash.empty()) live.hash = options.hash;
  return send(context, options, live, after);
}

/// A host, or a URL whose path is meant too.
policy::Route asked_route(const RoutesOptions& options, const std::string& word) {
  json::object document;
  json::array paths;
  const auto add_path = [&paths](const std::string& path) {
    const bool is_prefix = path.ends_with('*');
    const std::string value = is_prefix ? path.substr(0, path.size() - 1) : path;
    paths.push_back({{"type", is_prefix || path.ends_with('/') ? "prefix" : "exact"}, {"value", value}});
  };
  if (word.find('/') == std::string::npos) {
    document["host"] = word;
  } else {
    const Url url = or_throw(parse_url(word));
    if (url.scheme != policy::Scheme::https || url.port != 443)
      throw Failure(make_error(ErrorKind::usage, "'" + word + "' needs a port or plain http, which 'add' cannot give",
                               "bot-bottle routes edit " + options.slug));
    document["host"] = url.host;
    if (url.target != "/") add_path(url.target);
  }
  for (const std::string& path : options.paths) add_path(path);
  json::array methods;
  for (const std::string& list : options.methods)
    for (const std::string_view method : split(list, ',')) methods.emplace_back(to_upper(trim(method)));
  json::object match;
  if (!methods.empty()) match["methods"] = std::move(methods);
  if (!paths.empty()) match["paths"] = std::move(paths);
  if (!match.empty()) document["matches"] = json::array{std::move(match)};
  if (options.git_fetch) document["git"] = {{"fetch", true}};
  return or_throw<policy::Route>(policy::parse_asked_route(document).map_error(in("'" + word + "'")));
}

int add(Context& context, const RoutesOptions& options) {
  const Live live = ask_live(context, options.slug);
  policy::Egress after = live.egress;
  for (const std::string& word : options.hosts)
    after = or_throw(policy::merge_route(after, asked_route(options, word)));
  if (policy::to_routes_toml(after) == policy::to_routes_toml(live.egress))
    return report(context, options.slug, live, live.answer, {});
  or_throw(policy::RouteTable::create(after));
  return send(context, options, live, after);
}

int remove(Context& context, const RoutesOptions& options) {
  const Live live = ask_live(context, options.slug);
  policy::Egress after = live.egress;
  for (const std::string& word : options.hosts) {
    const std::string host = or_throw(policy::normalise_host(word));
    const auto there = std::ranges::find(after.routes, host, &policy::Route::host);
    if (there == after.routes.end()) {
      std::vector<std::string> known;
      for (const policy::Route& route : after.routes) known.push_back(route.host);
      Error error = make_error(ErrorKind::not_found, "'" + options.slug + "' has no route for " + host,
                               "bot-bottle routes show " + options.slug);
      if (const auto near = nearest(host, known)) error.details = "did you mean: " + *near;
      throw Failure(std::move(error));
    }
    after.routes.erase(there);
  }
  return send(context, options, live, after);
}

}  // namespace

void add_routes(CLI::App& app, Context& context) {
  CLI::App* verb = add_verb(app, "routes", "Look at and change what a running bottle may reach", "Everyday",
                            "bot-bottle routes show fixer-x7k2p\n"
                            "bot-bottle routes add fixer-x7k2p api.example.com --method GET --path '/v1/*'\n"
                            "bot-bottle routes rm fixer-x7k2p api.example.com\n"
                            "bot-bottle routes edit fixer-x7k2p");
  auto options = std::make_shared<RoutesOptions>();
  verb->require_subcommand(1, 1);
  const auto add_one = [&](const char* name, const char* summary, const char* example,
                           int (*run)(Context&, const RoutesOptions&)) {
    CLI::App* one = verb->add_subcommand(name, summary);
    one->footer(example);
    one->add_option("SLUG", options->slug, "The running bottle")->required();
    add_json_option(*one, context);
    one->callback(
        [&context, options, run] { context.action = [&context, options, run] { return run(context, *options); }; });
    return one;
  };
  const auto add_credentials = [&](CLI::App* one) {
    one->add_flag("--allow-credentials", options->allow_credentials,
                  "A credential may reach further than before (else that is asked, or refused)");
  };
  add_one("show", "The live routes", "bot-bottle routes show fixer-x7k2p --json", show);
  CLI::App* edited =
      add_one("edit", "Change the live routes in $VISUAL or $EDITOR", "bot-bottle routes edit fixer-x7k2p", edit);
  edited->add_option("--file", options->file, "No editor: these routes ('-': standard input)")->type_name("FILE");
  edited->add_option("--hash", options->hash, "With --file: only if the live ones still have this hash (show --json)")
      ->type_name("HASH");
  add_credentials(edited);
  CLI::App* added = add_one("add", "Let more through at once, without a restart",
                            "bot-bottle routes add fixer-x7k2p https://api.example.com/v1/ --method GET,HEAD", add);
  added->add_option("HOST", options->hosts, "Hosts, or URLs whose path is meant too")->expected(1, -1)->required();
  added->add_option("--method", options->methods, "Only these methods (repeat or separate by commas)")
      ->type_name("METHOD")
      ->allow_extra_args(false);
  added->add_option("--path", options->paths, "Only this path; with a '*' or '/' at its end all below it (repeat)")
      ->type_name("URLPATH")
      ->allow_extra_args(false);
  added->add_flag("--git-fetch", options->git_fetch, "Git fetch and clone too");
  add_credentials(added);
  CLI::App* removed =
      add_one("rm", "Take the route of a host away", "bot-bottle routes rm fixer-x7k2p api.example.com", remove);
  removed->add_option("HOST", options->hosts, "The hosts")->expected(1, -1)->required();
}

}  // namespace bot_bottle::cli
