#include "core/policy/asked_route.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/policy/decide.hpp"

namespace bot_bottle::policy {
namespace {

constexpr std::size_t max_told_problems = 8;
constexpr std::array<std::string_view, 3> reading_methods{"GET", "HEAD", "OPTIONS"};

json::array matches_json(const Route& route) {
  const json::object document = to_json(route);
  const json::array* matches = find_array(document, "matches");
  return matches == nullptr ? json::array{} : *matches;
}

bool is_everything(const Route& route) {
  return route.matches.empty() && !route.refuse_all;
}

bool is_plainly_shown(const Route& route) {
  const auto is_shown = [](const std::string& text) { return escape_untrusted(text, 4 * text.size() + 16) == text; };
  return std::ranges::all_of(route.matches, [&](const Match& match) {
    return std::ranges::all_of(match.paths, [&](const PathMatch& path) { return is_shown(path.value); }) &&
           std::ranges::all_of(match.headers, [&](const HeaderMatch& header) { return is_shown(header.value); });
  });
}

bool is_reading(std::string_view method) {
  return std::ranges::find(reading_methods, method) != reading_methods.end();
}

/// Plain YAML scalars that no reader takes for anything else; all others in JSON's quotes, which YAML reads as well.
bool is_plain(std::string_view text) {
  static constexpr std::array<std::string_view, 10> words{"true", "false", "null", "yes", "no",
                                                          "on",   "off",   "y",    "n",   "~"};
  if (text.empty() || std::ranges::find(words, to_lower(text)) != words.end()) return false;
  if (!((text.front() >= 'a' && text.front() <= 'z') || (text.front() >= 'A' && text.front() <= 'Z') ||
        text.front() == '/'))
    return false;
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == '/';
  });
}

std::string scalar(const json::value& value) {
  if (value.is_string() && is_plain(value.as_string())) return std::string(value.as_string());
  return json::serialize(value);
}

bool is_flat(const json::array& list) {
  return std::ranges::all_of(list, [](const json::value& item) { return item.is_primitive() || item.is_string(); });
}

void write_yaml(std::string& out, const json::value& value, std::size_t depth);  // NOLINT(misc-no-recursion)

void write_member(std::string& out, std::string_view key, const json::value& value,
                  std::size_t depth) {  // NOLINT(misc-no-recursion): our own documents, 32 deep at most
  out.append(is_plain(key) ? std::string(key) : json::serialize(json::string(key))).append(":");
  if (const json::array* list = value.if_array(); list != nullptr && is_flat(*list)) {
    out += " [";
    for (std::size_t i = 0; i < list->size(); ++i) out.append(i == 0 ? "" : ", ").append(scalar((*list)[i]));
    out += "]\n";
  } else if (value.is_array() || (value.is_object() && !value.as_object().empty())) {
    out += '\n';
    write_yaml(out, value, depth + 1);
  } else {
    out.append(" ").append(scalar(value)).append("\n");
  }
}

void write_yaml(std::string& out, const json::value& value, std::size_t depth) {  // NOLINT(misc-no-recursion)
  const std::string indent(depth * 2, ' ');
  if (const json::object* object = value.if_object()) {
    for (const auto& member : *object) {
      out += indent;
      write_member(out, member.key(), member.value(), depth);
    }
  } else if (const json::array* list = value.if_array()) {
    for (const json::value& item : *list) {
      const json::object* entry = item.if_object();
      out.append(indent).append("- ");
      if (entry == nullptr || entry->empty()) {
        out.append(scalar(item)).append("\n");
        continue;
      }
      bool first = true;
      for (const auto& member : *entry) {
        if (!std::exchange(first, false)) out.append(indent).append("  ");
        write_member(out, member.key(), member.value(), depth + 1);
      }
    }
  } else if (!value.is_null()) {
    out.append(indent).append(scalar(value)).append("\n");
  }
}

bool same_path(const PathMatch& one, const PathMatch& other) {
  return one.type == other.type && one.value == other.value;
}

/// Whether every path that `asked` matches is one of `allowed`, as far as that can be seen.
bool path_covers(const Match& allowed, const PathMatch& asked) {
  if (allowed.paths.empty()) return true;
  for (const PathMatch& path : allowed.paths) {
    if (same_path(path, asked)) return true;
    std::string prefix = path.value;
    if (prefix.ends_with('/')) prefix.pop_back();
    const bool below =
        asked.value.starts_with(prefix) && (asked.value.size() == prefix.size() || asked.value[prefix.size()] == '/');
    if (path.type == PathMatch::Type::prefix && asked.type != PathMatch::Type::regex && below) return true;
  }
  if (asked.type != PathMatch::Type::exact) return false;
  // One path is one question: the decision itself answers it.
  Egress egress;
  Route& route = egress.routes.emplace_back();
  route.host = "x.example";
  route.git_fetch = true;
  route.matches.push_back({.paths = allowed.paths, .methods = {}, .headers = {}});
  const auto table = RouteTable::create(std::move(egress));
  const auto target = normalise_target(asked.value);
  if (!table || !target) return false;
  RequestView request;
  request.host = "x.example";
  request.method = "GET";
  request.target = &*target;
  return (*table)->decide(request).allowed();
}

bool entry_covers(const Match& allowed, const Match& asked) {
  if (!allowed.methods.empty()) {
    if (asked.methods.empty()) return false;
    for (const std::string& method : asked.methods)
      if (std::ranges::find(allowed.methods, method) == allowed.methods.end()) return false;
  }
  for (const HeaderMatch& header : allowed.headers)
    if (std::ranges::none_of(asked.headers, [&](const HeaderMatch& other) {
          return header.name == other.name && header.value == other.value && header.type == other.type;
        }))
      return false;
  if (allowed.paths.empty()) return true;
  return !asked.paths.empty() &&
         std::ranges::all_of(asked.paths, [&](const PathMatch& path) { return path_covers(allowed, path); });
}

std::string methods_text(const Route& asked) {
  std::set<std::string> methods;
  bool every = is_everything(asked);
  for (const Match& match : asked.matches) {
    every = every || match.methods.empty();
    methods.insert(match.methods.begin(), match.methods.end());
  }
  if (every) return "every method";
  return join(std::vector<std::string>(methods.begin(), methods.end()), ", ");
}

bool writes(const Route& asked) {
  if (is_everything(asked)) return true;
  return std::ranges::any_of(asked.matches, [](const Match& match) {
    return match.methods.empty() || !std::ranges::all_of(match.methods, is_reading);
  });
}

}  // namespace

Result<Route> parse_asked_route(const json::object& document) {
  static constexpr std::array<std::string_view, 3> known{"host", "matches", "git"};
  for (const auto& member : document)
    if (std::ranges::find(known, std::string_view(member.key())) == known.end())
      return fail(ErrorKind::invalid_argument,
                  fmt::format("'{}' cannot be asked for", std::string_view(member.key()).substr(0, 64)),
                  "host, matches and git: {fetch: true}");
  ParsedEgress parsed = parse_route(document, "route");
  if (parsed.problems.empty() && parsed.egress.routes.size() == 1) {
    Route route = std::move(parsed.egress.routes.front());
    // What would be shown otherwise than it is, an operator cannot approve.
    if (!is_plainly_shown(route))
      return fail(ErrorKind::invalid_argument, "the route has characters that cannot be shown as they are",
                  "plain text, without control characters");
    if (route.refuse_all)
      return fail(ErrorKind::invalid_argument, "'matches' is empty, which allows nothing",
                  "leave 'matches' out for everything on this host");
    return route;
  }
  std::string text;
  for (std::size_t i = 0; i < std::min(parsed.problems.size(), max_told_problems); ++i) {
    const Problem& problem = parsed.problems[i];
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", problem.path, problem.message);
    if (!problem.hint.empty()) text += fmt::format(" ({})", problem.hint);
  }
  return fail(ErrorKind::invalid_argument, text.empty() ? "it is not a route" : text);
}

json::object asked_json(const Route& route) {
  json::object document{{"host", route.host}};
  if (!route.matches.empty()) document["matches"] = matches_json(route);
  if (route.git_fetch) document["git"] = {{"fetch", true}};
  return document;
}

Result<Egress> merge_route(Egress live, const Route& asked) {
  const auto there = std::ranges::find(live.routes, asked.host, &Route::host);
  if (there == live.routes.end()) {
    Route route = asked;
    route.auth.reset();
    route.origin = "supervise";
    live.routes.push_back(std::move(route));
    return live;
  }
  if (there->tls == Tls::passthrough)
    return fail(ErrorKind::failed_precondition,
                fmt::format("{} is a tunnel: everything in it passes already", asked.host));
  there->git_fetch = there->git_fetch || asked.git_fetch;
  if (is_everything(*there)) return live;
  if (is_everything(asked)) {
    there->matches.clear();
    there->refuse_all = false;
    return live;
  }
  const json::array known = matches_json(*there);
  const json::array wanted = matches_json(asked);
  for (std::size_t i = 0; i < asked.matches.size(); ++i)
    if (std::ranges::find(known, wanted[i]) == known.end()) there->matches.push_back(asked.matches[i]);
  there->refuse_all = false;
  return live;
}

json::value live_route(const Egress& egress, std::string_view host) {
  const auto there = std::ranges::find(egress.routes, host, &Route::host);
  if (there == egress.routes.end()) return nullptr;
  return to_json(*there);
}

std::string to_yaml_lines(const json::value& document) {
  std::string out;
  write_yaml(out, document, 0);
  return out;
}

std::vector<std::pair<std::string, std::string>> widening_of(const Egress& live, const Route& asked) {
  std::vector<std::pair<std::string, std::string>> facts;
  const auto there = std::ranges::find(live.routes, asked.host, &Route::host);
  const Route* route = there == live.routes.end() ? nullptr : &*there;
  if (route == nullptr) facts.emplace_back("new host", asked.host + " has no route now");
  if (is_everything(asked)) facts.emplace_back("everything", "every path of " + asked.host);
  facts.emplace_back("methods", methods_text(asked));
  if (writes(asked))
    facts.emplace_back("write reach", "data can be sent to " + asked.host + " (" + methods_text(asked) + ")");
  if (asked.git_fetch) facts.emplace_back("git", "git fetch and clone from " + asked.host);
  if (route != nullptr && route->auth)
    facts.emplace_back("credential reach", "what this lets through carries the credential " + route->auth->token_ref);
  else
    facts.emplace_back("credential reach", "none: no credential is sent to " + asked.host);
  return facts;
}

bool covers(const Route& allowed, const Route& asked) {
  if (allowed.host != asked.host || allowed.refuse_all || allowed.tls == Tls::passthrough) return false;
  if (asked.git_fetch && !allowed.git_fetch) return false;
  if (std::ranges::find(allowed.ports, std::uint16_t{443}) == allowed.ports.end()) return false;
  if (is_everything(allowed)) return true;
  if (asked.matches.empty()) return false;
  return std::ranges::all_of(asked.matches, [&](const Match& entry) {
    return std::ranges::any_of(allowed.matches, [&](const Match& other) { return entry_covers(other, entry); });
  });
}

}  // namespace bot_bottle::policy
