// One route, strictly. Hostile input: routes that agents propose.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>

#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/policy/decide.hpp"
#include "core/policy/reader.hpp"

namespace bot_bottle::policy {
namespace {

constexpr std::size_t max_pattern_octets = 4096;

/// RFC 9110 §5.6.2.
bool is_http_token(std::string_view text) {
  static constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && text.size() <= 256 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           marks.find(c) != std::string_view::npos;
  });
}

bool is_secret_name(std::string_view text) {
  return !text.empty() && text.size() <= 128 && !(text.front() >= '0' && text.front() <= '9') &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
         });
}

void read_regex(ObjectReader& reader, const std::string& pattern) {
  if (const auto fault = find_regex_fault(pattern))
    reader.problem("value", fmt::format("{} is not a usable regex: {}", in_quotes(pattern), *fault),
                   "RE2 syntax, matched against the whole text");
}

void read_path(const json::value& value, const std::string& at, PathMatch& path, Problems& problems) {
  ObjectReader reader(value, at, problems);
  if (!reader.is_object()) return;
  static constexpr auto known = std::to_array<std::string_view>({"type", "value"});
  static constexpr auto types = std::to_array<std::string_view>({"prefix", "exact", "regex"});
  reader.check_keys(known);
  if (!reader.has("type")) reader.problem("type", "is missing", "prefix, exact or regex");
  if (!reader.has("value")) reader.problem("value", "is missing");
  if (const auto type = reader.word("type", types)) path.type = static_cast<PathMatch::Type>(*type);
  const auto text = reader.string("value");
  if (!text) return;
  path.value = *text;
  if (path.type == PathMatch::Type::regex) {
    read_regex(reader, *text);
    return;
  }
  // Compared with normalised paths, so it has to be one itself, or it would never match.
  const auto target = normalise_target(*text);
  if (!target) {
    reader.problem("value", fmt::format("{} is not a path", in_quotes(*text)), target.error().message);
  } else if (target->has_query) {
    reader.problem("value", fmt::format("{} has a query; only paths are matched", in_quotes(*text)));
  } else if (std::ranges::count(target->path, '/') != std::ranges::count(*text, '/') || text->ends_with("/.") ||
             text->ends_with("/..")) {
    reader.problem("value", fmt::format("{} has dot segments", in_quotes(*text)), target->path);
  } else {
    path.value = target->path;
  }
}

void read_header(const json::value& value, const std::string& at, HeaderMatch& header, Problems& problems) {
  ObjectReader reader(value, at, problems);
  if (!reader.is_object()) return;
  static constexpr auto known = std::to_array<std::string_view>({"name", "value", "type"});
  static constexpr auto types = std::to_array<std::string_view>({"exact", "regex"});
  reader.check_keys(known);
  if (!reader.has("name")) reader.problem("name", "is missing");
  if (!reader.has("value")) reader.problem("value", "is missing");
  if (const auto name = reader.string("name")) {
    if (!is_http_token(*name)) reader.problem("name", fmt::format("{} is not a header name", in_quotes(*name)));
    header.name = to_lower(*name);
  }
  if (const auto type = reader.word("type", types)) header.type = static_cast<HeaderMatch::Type>(*type);
  if (const auto text = reader.string("value")) {
    header.value = *text;
    if (header.type == HeaderMatch::Type::regex) read_regex(reader, *text);
  }
}

/// False: the entry has an empty list and can match nothing. "Empty" must never come to mean "all" (attack I1,
/// CVE-2025-66479; I1_an_empty_list_allows_nothing).
bool read_match(const json::value& value, const std::string& at, Match& match, Problems& problems) {
  ObjectReader reader(value, at, problems);
  if (!reader.is_object()) return true;
  static constexpr auto known = std::to_array<std::string_view>({"paths", "methods", "headers"});
  static constexpr auto refused = std::to_array<RefusedKey>({
      {"path", "unknown key", "write paths: [{type: prefix, value: /v1/}]"},
      {"method", "unknown key", "write methods: [GET]"},
  });
  reader.check_keys(known, refused);
  bool possible = true;
  if (const json::array* paths = reader.list("paths")) {
    possible = possible && !paths->empty();
    for (std::size_t i = 0; i < paths->size(); ++i)
      read_path((*paths)[i], indexed(reader.path_of("paths"), i), match.paths.emplace_back(), problems);
  }
  if (const auto methods = reader.strings("methods")) {
    possible = possible && !find_array(value.as_object(), "methods")->empty();
    for (const std::string& method : *methods) {
      if (!is_http_token(method))
        reader.problem("methods", fmt::format("{} is not a method", in_quotes(method)), "GET, POST, …");
      match.methods.push_back(to_upper(method));
    }
  }
  if (const json::array* headers = reader.list("headers")) {
    possible = possible && !headers->empty();
    for (std::size_t i = 0; i < headers->size(); ++i)
      read_header((*headers)[i], indexed(reader.path_of("headers"), i), match.headers.emplace_back(), problems);
  }
  return possible;
}

/// A credential in one of these would be dropped, or would break the framing of the message.
constexpr auto framing_headers = std::to_array<std::string_view>(
    {"connection", "content-length", "host", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade", "expect", "content-encoding"});

void read_injected_header(ObjectReader& reader, const std::string& key, const std::string& name,
                          std::string_view hint) {
  if (!is_http_token(name))
    reader.problem(key, fmt::format("{} names no valid header", in_quotes(name)), std::string(hint));
  else if (std::ranges::find(framing_headers, name) != framing_headers.end())
    reader.problem(key, fmt::format("the header '{}' cannot carry a credential", name), std::string(hint));
}

void read_token_ref(ObjectReader& reader, const std::string& reference) {
  if (!is_secret_name(reference))  // not repeated: it may be the credential itself
    reader.problem("token_ref", "is not the name of a variable",
                   "letters, digits and '_'; the value itself never stands here");
}

void read_account(const json::value& value, const std::string& at, Auth& auth, Problems& problems) {
  static constexpr std::string_view form = "account: {header: X-Account-Id, token_ref: EXAMPLE_ACCOUNT}";
  ObjectReader reader(value, at, problems);
  if (!reader.is_object()) return;
  static constexpr auto known = std::to_array<std::string_view>({"header", "token_ref"});
  reader.check_keys(known, {});
  for (const std::string_view key : known)
    if (!reader.has(key)) reader.problem(key, "is missing", std::string(form));
  if (const auto header = reader.string("header")) {
    auth.account_header = to_lower(*header);
    read_injected_header(reader, "header", auth.account_header, form);
    if (auth.account_header == auth.header)
      reader.problem("header", "is the one that carries the credential itself", std::string(form));
  }
  if (const auto reference = reader.string("token_ref")) {
    auth.account_ref = *reference;
    read_token_ref(reader, *reference);
  }
}

void read_auth(const json::value& value, const std::string& at, Auth& auth, Problems& problems) {
  static constexpr std::string_view form =
      "auth: {scheme: Bearer, token_ref: EXAMPLE_TOKEN}; leave 'auth' out for none";
  ObjectReader reader(value, at, problems);
  if (!reader.is_object()) return;
  if (reader.is_empty()) {
    problems.push_back({at, "'auth: {}' says nothing", std::string(form)});
    return;
  }
  static constexpr auto known = std::to_array<std::string_view>({"scheme", "token_ref", "account"});
  static constexpr auto refused = std::to_array<RefusedKey>({
      {"token", "a credential's value has no place in a manifest", "token_ref names the variable that holds it"},
      {"role", "'role' is reserved", "remove the key"},
  });
  reader.check_keys(known, refused);
  if (!reader.has("scheme")) reader.problem("scheme", "is missing", std::string(form));
  if (!reader.has("token_ref")) reader.problem("token_ref", "is missing", std::string(form));
  auth.header = "authorization";
  if (const auto scheme = reader.string("scheme")) {
    if (*scheme == "Bearer") {
      auth.scheme = Auth::Scheme::bearer;
    } else if (*scheme == "token") {
      auth.scheme = Auth::Scheme::token;
    } else if (*scheme == "Basic") {
      auth.scheme = Auth::Scheme::basic;
    } else if (scheme->starts_with("header:")) {
      auth.scheme = Auth::Scheme::header;
      auth.header = to_lower(scheme->substr(7));
      read_injected_header(reader, "scheme", auth.header, "header:x-api-key");
    } else {
      reader.problem("scheme", fmt::format("{} is not accepted", in_quotes(*scheme)),
                     "Bearer, token, Basic or header:<Name>");
    }
  }
  if (const auto reference = reader.string("token_ref")) {
    auth.token_ref = *reference;
    read_token_ref(reader, *reference);
  }
  if (const json::value* account = reader.find("account"))
    read_account(*account, reader.path_of("account"), auth, problems);
}

void read_dlp(const json::value& value, const std::string& at, Dlp& dlp, Problems& problems) {
  ObjectReader reader(value, at, problems);
  if (!reader.is_object()) return;
  static constexpr auto known = std::to_array<std::string_view>({"outbound_detectors", "inbound_detectors"});
  static constexpr auto refused =
      std::to_array<RefusedKey>({{"rules", "belongs to the whole block", "egress: {dlp: {rules: ~/.gitleaks.toml}}"},
                                 {"on_canary", "belongs to the whole block", "egress: {on_canary: freeze}"}});
  reader.check_keys(known, refused);
  if (const json::value* outbound = reader.find("outbound_detectors")) {
    if (outbound->is_bool()) {
      dlp.token_patterns = dlp.known_secrets = dlp.financial = outbound->as_bool();
    } else if (const auto names = reader.strings("outbound_detectors")) {
      dlp.token_patterns = dlp.known_secrets = dlp.financial = false;
      for (const std::string& name : *names) {
        if (name == "token_patterns") {
          dlp.token_patterns = true;
        } else if (name == "known_secrets") {
          dlp.known_secrets = true;
        } else if (name == "financial") {
          dlp.financial = true;
        } else if (name == "canaries") {
          reader.problem("outbound_detectors", "'canaries' is not a detector of a route", "egress: {canaries: true}");
        } else {
          reader.problem("outbound_detectors", fmt::format("{} is not a detector", in_quotes(name)),
                         "token_patterns, known_secrets, financial");
        }
      }
    }
  }
  if (const json::value* inbound = reader.find("inbound_detectors")) {
    if (inbound->is_bool()) {
      dlp.injection = dlp.recognised_injection = inbound->as_bool();
    } else if (const auto names = reader.strings("inbound_detectors")) {
      dlp.injection = dlp.recognised_injection = false;
      for (const std::string& name : *names) {
        if (name == "naive_injection_detection")
          dlp.injection = dlp.recognised_injection = true;
        else if (name == "mcp")
          dlp.recognised_injection = true;
        else
          reader.problem("inbound_detectors", fmt::format("{} is not a detector", in_quotes(name)),
                         "naive_injection_detection, mcp");
      }
    }
  }
}

void read_limits(const json::value& value, const std::string& at, RouteLimits& limits, Problems& problems) {
  ObjectReader reader(value, at, problems);
  if (!reader.is_object()) return;
  static constexpr auto known = std::to_array<std::string_view>({"requests_per_minute", "bytes_out_per_hour"});
  reader.check_keys(known);
  constexpr std::uint64_t most = std::uint64_t{1} << 62U;
  limits.requests_per_minute = reader.integer("requests_per_minute", 1, most);
  if (const json::value* bytes = reader.find("bytes_out_per_hour"); bytes != nullptr && bytes->is_string()) {
    limits.bytes_out_per_hour = parse_size_bytes(std::string_view(bytes->as_string()));
    if (!limits.bytes_out_per_hour || *limits.bytes_out_per_hour == 0 || *limits.bytes_out_per_hour > most) {
      limits.bytes_out_per_hour.reset();
      reader.problem("bytes_out_per_hour",
                     fmt::format("{} is not a size", in_quotes(std::string_view(bytes->as_string()))),
                     "200MiB, 4GiB, or a count of bytes");
    }
  } else {
    limits.bytes_out_per_hour = reader.integer("bytes_out_per_hour", 1, most);
  }
}

void read_ports(ObjectReader& reader, Route& route) {
  const json::array* ports = reader.list("ports");
  if (ports == nullptr) {
    if (route.plain) route.ports.push_back(80);
    return;
  }
  route.ports.clear();
  for (const json::value& port : *ports) {
    const std::uint64_t number = to_unsigned_or(port, 0);
    if (number < 1 || number > 65535) {  // never truncated: 65537 is not 1 (A11)
      reader.problem("ports", "a port is an integer from 1 to 65535", "ports: [443]");
    } else if (std::ranges::find(route.ports, static_cast<std::uint16_t>(number)) == route.ports.end()) {
      route.ports.push_back(static_cast<std::uint16_t>(number));
    }
  }
}

/// A passthrough route is a tunnel that is only gated by its host: what cannot be honoured there is refused, not
/// ignored.
void check_passthrough(ObjectReader& reader) {
  for (const std::string_view key :
       {"auth", "matches", "dlp", "git", "plain", "on_unscannable", "foreign_credentials"}) {
    const json::value* value = reader.find(key);
    if (value == nullptr || (key == "plain" && value->is_bool() && !value->as_bool())) continue;
    reader.problem(key, "has no effect with tls: passthrough, where nothing inside the tunnel is seen",
                   "remove the key, or use tls: intercept");
  }
}

}  // namespace

std::optional<std::string> find_regex_fault(const std::string& pattern) {
  if (pattern.size() > max_pattern_octets) return "longer than 4096 octets";
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(std::int64_t{1} << 20);
  const RE2 regex(pattern, options);
  if (!regex.ok()) return regex.error();
  return std::nullopt;
}

void read_route(const json::value& value, const std::string& path, Route& route, Problems& problems) {
  ObjectReader reader(value, path, problems);
  if (!reader.is_object()) return;
  static constexpr auto known =
      std::to_array<std::string_view>({"host", "ports", "plain", "auth", "matches", "dlp", "git", "on_unscannable",
                                       "tls", "foreign_credentials", "limits"});
  static constexpr std::string_view later = "not supported in this version";
  static constexpr std::string_view whole = "belongs to the whole block";
  static constexpr auto refused = std::to_array<RefusedKey>({
      {"role", "'role' is reserved", "remove the key"},
      {"packs", later, "write the routes out"},
      {"mcp", whole, "egress: {mcp: {pin: true}}"},
      {"canaries", whole, "egress: {canaries: false}"},
      {"on_canary", whole, "egress: {on_canary: freeze}"},
  });
  reader.check_keys(known, refused);
  if (!reader.has("host")) reader.problem("host", "is missing", "host: api.example.com");
  if (const auto text = reader.string("host")) {
    const bool has_port = text->find('/') == std::string::npos && std::ranges::count(*text, ':') == 1 &&
                          !is_address_literal(text->substr(0, text->find(':')));
    const auto name = normalise_host(*text);
    if (has_port)
      reader.problem(
          "host", fmt::format("{} has a port", in_quotes(*text)),
          fmt::format("host: {}, ports: [{}]", text->substr(0, text->find(':')), text->substr(text->find(':') + 1, 8)));
    else if (text->find("://") != std::string::npos)
      reader.problem("host", fmt::format("{} is a URL, not a host name", in_quotes(*text)), "host: api.example.com");
    else if (!name)
      reader.problem("host", fmt::format("{}: {}", in_quotes(*text), name.error().message), name.error().hint);
    else
      route.host = *name;
  }
  if (const auto plain = reader.boolean("plain")) route.plain = *plain;
  read_ports(reader, route);
  if (const json::value* auth = reader.find("auth"))
    read_auth(*auth, reader.path_of("auth"), route.auth.emplace(), problems);
  if (const json::array* matches = reader.list("matches")) {
    for (std::size_t i = 0; i < matches->size(); ++i) {
      Match match;
      if (read_match((*matches)[i], indexed(reader.path_of("matches"), i), match, problems))
        route.matches.push_back(std::move(match));
    }
    route.refuse_all = route.matches.empty();
  }
  if (const json::value* dlp = reader.find("dlp")) read_dlp(*dlp, reader.path_of("dlp"), route.dlp, problems);
  if (const json::value* git = reader.find("git")) {
    ObjectReader inner(*git, reader.path_of("git"), problems);
    static constexpr auto git_known = std::to_array<std::string_view>({"fetch"});
    static constexpr auto git_refused =
        std::to_array<RefusedKey>({{"push", "a push over HTTPS is blocked on every route", "push through git-gate"}});
    inner.check_keys(git_known, git_refused);
    if (const auto fetch = inner.boolean("fetch")) route.git_fetch = *fetch;
  }
  static constexpr auto unscannable = std::to_array<std::string_view>({"block", "pass"});
  static constexpr auto tls = std::to_array<std::string_view>({"intercept", "passthrough"});
  static constexpr auto foreign = std::to_array<std::string_view>({"strip", "refuse"});
  if (const auto word = reader.word("on_unscannable", unscannable))
    route.on_unscannable = static_cast<OnUnscannable>(*word);
  if (const auto word = reader.word("tls", tls)) route.tls = static_cast<Tls>(*word);
  if (const auto word = reader.word("foreign_credentials", foreign))
    route.foreign_credentials = static_cast<ForeignCredentials>(*word);
  if (const json::value* limits = reader.find("limits"))
    read_limits(*limits, reader.path_of("limits"), route.limits, problems);
  if (route.tls == Tls::passthrough) check_passthrough(reader);
}

}  // namespace bot_bottle::policy
