// The decision itself (spec 04). Hostile input: everything in a RequestView.
#include "core/policy/decide.hpp"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

#include "core/base/text.hpp"
#include "core/policy/explain.hpp"

namespace bot_bottle::policy {
namespace {

struct CompiledMatch {
  std::vector<std::unique_ptr<RE2>> paths;  // null but for regexes; same order as in the route
  std::vector<std::unique_ptr<RE2>> headers;
};

struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

Result<std::unique_ptr<RE2>> compile(const std::string& pattern) {
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(std::int64_t{1} << 20);
  auto regex = std::make_unique<RE2>(pattern, options);
  if (!regex->ok())
    return fail(ErrorKind::invalid_argument, fmt::format("'{}' is not a usable regex: {}", pattern, regex->error()));
  return regex;
}

bool full_match(std::string_view text, const RE2& regex) {
  return RE2::FullMatch(re2::StringPiece(text.data(), text.size()), regex);
}

/// Gateway API: whole segments; a trailing slash of the value does not count.
bool has_prefix(std::string_view path, std::string_view prefix) {
  if (prefix.ends_with('/')) prefix.remove_suffix(1);
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

bool path_matches(const PathMatch& match, const RE2* regex, std::string_view path) {
  switch (match.type) {
    case PathMatch::Type::prefix:
      return has_prefix(path, match.value);
    case PathMatch::Type::exact:
      return path == match.value;
    case PathMatch::Type::regex:
      return regex != nullptr && full_match(path, *regex);
  }
  return false;
}

/// A field that comes twice has to match twice: the origin may take either.
bool header_matches(const HeaderMatch& match, const RE2* regex, std::span<const HeaderView> headers) {
  bool found = false;
  for (const auto& [name, value] : headers) {
    if (name != match.name) continue;
    if (match.type == HeaderMatch::Type::exact ? value != match.value : regex == nullptr || !full_match(value, *regex))
      return false;
    found = true;
  }
  return found;
}

bool method_matches(const Match& match, const RequestView& request) {
  return match.methods.empty() || std::ranges::any_of(match.methods, [&](const std::string& method) {
           return equals_ignoring_case(method, request.method);
         });
}

/// The first header that does not match; null when all do.
const HeaderMatch* missing_header(const Match& match, const CompiledMatch& compiled, const RequestView& request) {
  for (std::size_t i = 0; i < match.headers.size(); ++i)
    if (!header_matches(match.headers[i], compiled.headers[i].get(), request.headers)) return &match.headers[i];
  return nullptr;
}

bool any_path_matches(const Match& match, const CompiledMatch& compiled, const RequestView& request) {
  if (match.paths.empty()) return true;
  for (std::size_t i = 0; i < match.paths.size(); ++i)
    if (path_matches(match.paths[i], compiled.paths[i].get(), request.target->path)) return true;
  return false;
}

bool entry_matches(const Match& match, const CompiledMatch& compiled, const RequestView& request) {
  return method_matches(match, request) && missing_header(match, compiled, request) == nullptr &&
         any_path_matches(match, compiled, request);
}

/// Percent-decoded once and lower case, for the git checks alone: they must see through what an origin may see through.
std::string decoded(std::string_view text) {
  const auto value = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && value(text[i + 1]) >= 0 && value(text[i + 2]) >= 0) {
      out += static_cast<char>(value(text[i + 1]) * 16 + value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return to_lower(out);
}

enum class GitUse : std::uint8_t { none, fetch, push };

/// Smart HTTP (gitprotocol-http): `info/refs?service=…` and the two services; dumb pushes are WebDAV on the repository.
/// A5, A6: parameters after ';', encoded slashes, doubled and trailing slashes do not hide a service.
GitUse git_use_of(const RequestView& request) {
  const std::string path = decoded(request.target->path);
  std::vector<std::string_view> segments;
  for (std::string_view segment : split(path, '/')) {
    for (const std::string_view part : split(segment, '\\')) {
      const std::string_view bare = part.substr(0, part.find(';'));
      if (!bare.empty()) segments.push_back(bare);
    }
  }
  if (segments.empty()) return GitUse::none;
  if (segments.back() == "git-receive-pack") return GitUse::push;
  static constexpr std::array<std::string_view, 9> writing{"PUT",    "MKCOL",     "MOVE",   "COPY", "LOCK",
                                                           "UNLOCK", "PROPPATCH", "DELETE", "PATCH"};
  const bool writes = std::ranges::any_of(
      writing, [&](std::string_view method) { return equals_ignoring_case(method, request.method); });
  const bool in_repository = std::ranges::any_of(
      segments, [](std::string_view segment) { return segment.size() > 4 && segment.ends_with(".git"); });
  if (segments.size() >= 2 && segments.back() == "refs" && segments[segments.size() - 2] == "info") {
    if (writes || decoded(request.target->query).find("git-receive-pack") != std::string::npos) return GitUse::push;
    return GitUse::fetch;
  }
  if (segments.back() == "git-upload-pack" || segments.back() == "git-upload-archive") return GitUse::fetch;
  return writes && in_repository && segments.size() >= 2 && !segments.back().ends_with(".git") ? GitUse::push
                                                                                               : GitUse::none;
}

}  // namespace

struct RouteTable::State {
  Egress egress;
  std::vector<std::vector<CompiledMatch>> compiled;  // by route, by entry
  std::unordered_map<std::string, std::size_t, StringHash, std::equal_to<>> by_host;

  [[nodiscard]] bool any_entry_matches(std::size_t index, const RequestView& request) const {
    const Route& route = egress.routes[index];
    if (route.refuse_all) return false;  // I1_an_empty_list_allows_nothing
    if (route.matches.empty()) return true;
    for (std::size_t i = 0; i < route.matches.size(); ++i)
      if (entry_matches(route.matches[i], compiled[index][i], request)) return true;
    return false;
  }
};

RouteTable::RouteTable(std::unique_ptr<State> state) : state_(std::move(state)) {}
RouteTable::~RouteTable() = default;

Result<std::shared_ptr<const RouteTable>> RouteTable::create(Egress egress) {
  auto state = std::make_unique<State>();
  state->egress = std::move(egress);
  for (std::size_t i = 0; i < state->egress.routes.size(); ++i) {
    const Route& route = state->egress.routes[i];
    const auto where = [&] { return fmt::format("route {} ({})", i + 1, route.host); };
    if (!state->by_host.emplace(route.host, i).second)
      return fail(ErrorKind::invalid_argument, where() + ": the host already has a route",
                  "put both under 'matches' of one route");
    std::vector<CompiledMatch>& entries = state->compiled.emplace_back();
    for (const Match& match : route.matches) {
      CompiledMatch& compiled = entries.emplace_back();
      for (const PathMatch& path : match.paths) {
        std::unique_ptr<RE2>& regex = compiled.paths.emplace_back();
        if (path.type == PathMatch::Type::regex) {
          BB_TRY(regex, compile(path.value).map_error(in(where())));
        }
      }
      for (const HeaderMatch& header : match.headers) {
        std::unique_ptr<RE2>& regex = compiled.headers.emplace_back();
        if (header.type == HeaderMatch::Type::regex) {
          BB_TRY(regex, compile(header.value).map_error(in(where())));
        }
      }
    }
  }
  return std::shared_ptr<const RouteTable>(new RouteTable(std::move(state)));  // NOLINT: the constructor is private
}

const Egress& RouteTable::egress() const {
  return state_->egress;
}

const Route* RouteTable::find_host(std::string_view host) const {
  const auto found = state_->by_host.find(host);
  return found == state_->by_host.end() ? nullptr : &state_->egress.routes[found->second];
}

Decision RouteTable::decide_connect(std::string_view host, std::uint16_t port) const {
  Decision decision;
  const auto found = state_->by_host.find(host);
  if (found == state_->by_host.end()) return decision;
  decision.route_index = found->second;
  decision.route = &state_->egress.routes[found->second];
  decision.reason = std::ranges::find(decision.route->ports, port) == decision.route->ports.end()
                        ? Reason::port_not_allowed
                        : Reason::allowed;
  return decision;
}

Decision RouteTable::decide(const RequestView& request) const {
  Decision decision = decide_connect(request.host, request.port);
  if (decision.route == nullptr) return decision;
  const Route& route = *decision.route;
  const auto refused = [&decision](Reason reason) {
    decision.reason = reason;
    return decision;
  };
  if (request.scheme == Scheme::http && !route.plain) return refused(Reason::plain_http_not_allowed);
  if (!decision.allowed()) return decision;
  if (route.tls == Tls::passthrough) return refused(Reason::passthrough_only);
  // TRACE answers with the injected credential (A13); CONNECT and PRI would turn the connection into a tunnel (A7).
  for (const std::string_view method : {"TRACE", "TRACK", "CONNECT", "PRI"})
    if (equals_ignoring_case(method, request.method)) return refused(Reason::method_not_allowed);
  if (request.target == nullptr) return refused(Reason::no_match);
  const GitUse git = git_use_of(request);
  if (git == GitUse::push) return refused(Reason::git_push);
  if (git == GitUse::fetch && !route.git_fetch) return refused(Reason::git_fetch_not_allowed);
  if (!state_->any_entry_matches(decision.route_index, request)) return refused(Reason::no_match);
  return decision;
}

Advice RouteTable::advise(const Decision& decision, const RequestView& request) const {
  Advice advice{.steps = {}, .change = change_for(decision, request)};
  if (decision.route == nullptr) {
    advice.steps.push_back(fmt::format("no route of {} has this host", state_->egress.routes.size()));
    return advice;
  }
  const bool looked_at_entries = decision.allowed() || decision.reason == Reason::no_match;
  if (!looked_at_entries || decision.route->refuse_all || request.target == nullptr) return advice;
  if (decision.route->matches.empty()) advice.steps.emplace_back("the route has no matches: every request passes");
  for (std::size_t i = 0; i < decision.route->matches.size(); ++i) {
    const Match& match = decision.route->matches[i];
    const CompiledMatch& compiled = state_->compiled[decision.route_index][i];
    const HeaderMatch* header = missing_header(match, compiled, request);
    std::string what = "matches";
    if (!method_matches(match, request))
      what = "not this method";
    else if (!any_path_matches(match, compiled, request))
      what = "not this path";
    else if (header != nullptr)
      what = fmt::format("not without the header {}", header->name);
    advice.steps.push_back(fmt::format("entry {} ({}): {}", i + 1, to_text(match), what));
    if (what == "matches") break;
  }
  return advice;
}

}  // namespace bot_bottle::policy
