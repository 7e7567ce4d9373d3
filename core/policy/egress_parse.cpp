// The egress block: strict reading helpers, and what stands outside the routes.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "core/base/text.hpp"
#include "core/policy/decide.hpp"
#include "core/policy/packs.hpp"
#include "core/policy/reader.hpp"

namespace bot_bottle::policy {

std::string indexed(const std::string& path, std::size_t index) {
  return fmt::format("{}[{}]", path, index);
}

std::string in_quotes(std::string_view text) {
  return text.size() <= 64 ? fmt::format("'{}'", text) : fmt::format("'{}…'", text.substr(0, 64));
}

std::string_view type_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "nothing";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
      return "an integer";
    case json::kind::double_:
      return "a number with a fraction";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "a list";
    case json::kind::object:
      return "a map";
  }
  return "an unknown value";
}

std::uint64_t to_unsigned_or(const json::value& value, std::uint64_t fallback) {
  if (value.is_uint64()) return value.as_uint64();
  if (value.is_int64() && value.as_int64() >= 0) return static_cast<std::uint64_t>(value.as_int64());
  return fallback;
}

ObjectReader::ObjectReader(const json::value& value, std::string path, Problems& problems)
    : object_(value.if_object()), path_(std::move(path)), problems_(problems) {
  if (object_ == nullptr) problems_.push_back({path_, fmt::format("expected a map, found {}", type_of(value)), ""});
}

std::string ObjectReader::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void ObjectReader::problem(std::string_view key, std::string message, std::string hint) {
  problems_.push_back({path_of(key), std::move(message), std::move(hint)});
}

void ObjectReader::check_keys(std::span<const std::string_view> known, std::span<const RefusedKey> refused) {
  if (object_ == nullptr) return;
  for (const auto& member : *object_) {
    const std::string_view key = member.key();
    if (std::ranges::find(known, key) != known.end()) continue;
    const auto is_key = [key](const RefusedKey& entry) { return entry.key == key; };
    if (const auto entry = std::ranges::find_if(refused, is_key); entry != refused.end()) {
      problem(key, std::string(entry->message), std::string(entry->hint));
      continue;
    }
    if (const auto old = std::ranges::find_if(old_keys(), is_key); old != old_keys().end()) {
      problem(key, std::string(old->message), std::string(old->hint));
      continue;
    }
    const std::vector<std::string> candidates(known.begin(), known.end());
    const auto near = nearest(key, candidates);
    problem(key.substr(0, 64), "unknown key",
            near ? fmt::format("did you mean '{}'?", *near) : fmt::format("known keys: {}", join(candidates, ", ")));
  }
}

std::optional<std::string> ObjectReader::string(std::string_view key) {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return std::string(value->as_string());
  problem(key, fmt::format("expected a string, found {}", type_of(*value)));
  return std::nullopt;
}

std::optional<bool> ObjectReader::boolean(std::string_view key) {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_bool()) return value->as_bool();
  problem(key, fmt::format("expected true or false, found {}", type_of(*value)));
  return std::nullopt;
}

std::optional<std::uint64_t> ObjectReader::integer(std::string_view key, std::uint64_t minimum, std::uint64_t maximum) {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_int64() || value->is_uint64()) {
    const bool negative = value->is_int64() && value->as_int64() < 0;
    const std::uint64_t number = to_unsigned_or(*value, 0);
    if (!negative && number >= minimum && number <= maximum) return number;
    problem(key,
            fmt::format("{} is out of range", negative ? std::to_string(value->as_int64()) : std::to_string(number)),
            fmt::format("{} to {}", minimum, maximum));
    return std::nullopt;
  }
  problem(key, fmt::format("expected an integer, found {}", type_of(*value)));
  return std::nullopt;
}

const json::array* ObjectReader::list(std::string_view key) {
  const json::value* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    problem(key, fmt::format("expected a list, found {}", type_of(*value)));
    return nullptr;
  }
  if (value->as_array().size() > max_list_entries && key != "routes") {
    problem(key, fmt::format("has more than {} entries", max_list_entries));
    return nullptr;
  }
  return &value->as_array();
}

std::optional<std::size_t> ObjectReader::word(std::string_view key, std::span<const std::string_view> words) {
  const auto text = string(key);
  if (!text) return std::nullopt;
  const auto found = std::ranges::find(words, *text);
  if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
  const std::vector<std::string> candidates(words.begin(), words.end());
  problem(key, fmt::format("{} is not accepted", in_quotes(*text)), join(candidates, " or "));
  return std::nullopt;
}

std::optional<std::vector<std::string>> ObjectReader::strings(std::string_view key) {
  const json::array* array = list(key);
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> items;
  for (std::size_t i = 0; i < array->size(); ++i) {
    if ((*array)[i].is_string()) {
      items.emplace_back((*array)[i].as_string());
    } else {
      problems_.push_back(
          {indexed(path_of(key), i), fmt::format("expected a string, found {}", type_of((*array)[i])), ""});
    }
  }
  return items;
}

std::span<const RefusedKey> old_keys() {
  static constexpr auto keys = std::to_array<RefusedKey>({
      {"path_allowlist", "'path_allowlist' is the old form",
       "write in the route: matches: [{paths: [{type: prefix, value: /v1/}]}]"},
      {"allowlist", "'allowlist' is the old form", "write under egress: routes: [{host: api.example.com}]"},
      {"pipelock", "'pipelock' is the old form",
       "write in the route: dlp: {outbound_detectors: [token_patterns, known_secrets]}"},
  });
  return keys;
}

namespace {

bool is_address(const std::string& text) {
  std::array<unsigned char, 16> octets{};
  return ::inet_pton(AF_INET, text.c_str(), octets.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), octets.data()) == 1;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  // At least one and at most five digits, no sign, no leading zero: "65537" must never become port 1 (A11).
  if (text.empty() || text.size() > 5 || text.front() == '0' ||
      !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  unsigned port = 0;
  std::from_chars(text.data(), text.data() + text.size(), port);
  if (port > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(port);
}

/// "10.1.2.3", "10.1.2.3:8443", "2001:db8::1", "[2001:db8::1]:8443".
std::optional<Pin> parse_pin(const std::string& text) {
  if (is_address(text)) return Pin{text, std::nullopt};
  std::string address;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find("]:");
    if (end == std::string::npos) return std::nullopt;
    address = text.substr(1, end - 1);
    port = std::string_view(text).substr(end + 2);
    if (address.find(':') == std::string::npos) return std::nullopt;
  } else {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string::npos) return std::nullopt;
    address = text.substr(0, colon);
    port = std::string_view(text).substr(colon + 1);
    if (address.find(':') != std::string::npos) return std::nullopt;
  }
  const auto number = parse_port(port);
  if (!number || !is_address(address)) return std::nullopt;
  return Pin{address, number};
}

void read_hosts(const json::value& value, const std::string& path, Egress& egress, Problems& problems) {
  const ObjectReader reader(value, path, problems);
  if (!reader.is_object()) return;
  for (const auto& member : value.as_object()) {
    const std::string key(member.key());
    const auto name = normalise_host(key);
    if (!name) {
      problems.push_back({path, fmt::format("{}: {}", in_quotes(key), name.error().message), name.error().hint});
      continue;
    }
    if (!member.value().is_string()) {
      problems.push_back({reader.path_of(key), fmt::format("expected an address, found {}", type_of(member.value())),
                          "10.1.2.3 or 10.1.2.3:8443"});
      continue;
    }
    const std::string text(member.value().as_string());
    const auto pin = parse_pin(text);
    if (!pin) {
      problems.push_back({reader.path_of(key), fmt::format("{} is not an address", in_quotes(text)),
                          "10.1.2.3, 10.1.2.3:8443, 2001:db8::1 or [2001:db8::1]:8443"});
    } else if (!egress.hosts.emplace(*name, *pin).second) {
      problems.push_back({reader.path_of(key), fmt::format("{} is pinned twice", in_quotes(*name)), ""});
    }
  }
}

void read_proxy_url(const std::string& url, const std::string& path, UpstreamProxy& proxy, Problems& problems) {
  static constexpr std::string_view form = "http://proxy.example.com:3128";
  std::string_view rest = url;
  if (!starts_with_ignoring_case(rest, "http://")) {
    problems.push_back({path, "the parent proxy is named by an http:// URL", std::string(form)});
    return;
  }
  rest.remove_prefix(7);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find('@') != std::string_view::npos) {  // the value is not repeated: it holds a password
    problems.push_back({path, "the parent proxy's URL holds a user or password",
                        "name a secret instead: {url: http://proxy.example.com:3128, token_ref: PROXY_LOGIN}"});
    return;
  }
  const std::size_t colon = rest.rfind(':');
  const auto port = colon == std::string_view::npos ? std::nullopt : parse_port(rest.substr(colon + 1));
  if (!port) {
    problems.push_back({path, fmt::format("{} has no valid port", in_quotes(url)), std::string(form)});
    return;
  }
  std::string host(rest.substr(0, colon));
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  const std::string address = bracketed ? host.substr(1, host.size() - 2) : host;
  if (is_address(address) && bracketed == (address.find(':') != std::string::npos)) {
    proxy.host = address;
  } else if (auto name = normalise_host(host)) {
    proxy.host = *name;
  } else {
    problems.push_back({path, fmt::format("{}: {}", in_quotes(host), name.error().message), std::string(form)});
    return;
  }
  proxy.port = *port;
}

void read_upstream_proxy(const json::value& value, const std::string& path, Egress& egress, Problems& problems) {
  UpstreamProxy proxy;
  if (value.is_null()) return;
  if (value.is_string()) {
    read_proxy_url(std::string(value.as_string()), path, proxy, problems);
  } else {
    ObjectReader reader(value, path, problems);
    static constexpr auto known = std::to_array<std::string_view>({"url", "token_ref"});
    reader.check_keys(known);
    if (const auto url = reader.string("url"))
      read_proxy_url(*url, reader.path_of("url"), proxy, problems);
    else if (reader.is_object() && !reader.has("url"))
      reader.problem("url", "is missing", "http://proxy.example.com:3128");
    if (const auto token = reader.string("token_ref")) proxy.token_ref = *token;
  }
  egress.upstream_proxy = std::move(proxy);
}

/// `dlp` of the whole block: what every route shares.
void read_dlp_block(const json::value& value, Egress& egress, Problems& problems) {
  ObjectReader reader(value, "dlp", problems);
  if (!reader.is_object()) return;
  static constexpr auto known = std::to_array<std::string_view>({"rules"});
  static constexpr auto refused = std::to_array<RefusedKey>({
      {"outbound_detectors", "belongs to a route", "routes: [{host: api.example.com, dlp: {outbound_detectors: …}}]"},
      {"inbound_detectors", "belongs to a route", "routes: [{host: api.example.com, dlp: {inbound_detectors: false}}]"},
  });
  reader.check_keys(known, refused);
  if (const auto rules = reader.string("rules")) {
    if (rules->find('\0') != std::string::npos)
      reader.problem("rules", "holds a NUL character");
    else
      egress.dlp_rules = *rules;
  }
}

void read_canaries(ObjectReader& reader, Egress& egress) {
  if (const auto on = reader.boolean("canaries")) egress.canaries = *on;
  static constexpr auto words = std::to_array<std::string_view>({"freeze"});
  if (reader.word("on_canary", words)) egress.on_canary = OnCanary::freeze;
  if (egress.on_canary == OnCanary::freeze && !egress.canaries)
    reader.problem("on_canary", "there are no canaries to see", "take `canaries: false` out");
}

void read_mcp(const json::value& value, Egress& egress, Problems& problems) {
  ObjectReader reader(value, "mcp", problems);
  if (!reader.is_object()) return;
  static constexpr auto known = std::to_array<std::string_view>({"pin"});
  reader.check_keys(known);
  if (const auto pin = reader.boolean("pin")) egress.mcp_pin = *pin;
}

}  // namespace

ParsedEgress parse_egress(const json::value& document) {
  ParsedEgress result;
  Egress& egress = result.egress;
  ObjectReader reader(document, "", result.problems);
  if (!reader.is_object()) return result;
  static constexpr auto known =
      std::to_array<std::string_view>({"log", "routes", "packs", "hosts", "upstream_ca", "upstream_proxy", "canaries",
                                       "on_canary", "metrics", "mcp", "dlp"});
  static constexpr auto refused = std::to_array<RefusedKey>({
      {"role", "'role' is reserved", "remove the key"},
  });
  reader.check_keys(known, refused);
  if (const json::value* mcp = reader.find("mcp")) read_mcp(*mcp, egress, result.problems);
  read_canaries(reader, egress);
  if (const auto metrics = reader.boolean("metrics")) egress.metrics = *metrics;
  if (const auto log = reader.integer("log", 0, 2)) egress.log = static_cast<std::uint8_t>(*log);
  if (const json::array* routes = reader.list("routes")) {
    if (routes->size() > max_routes) reader.problem("routes", fmt::format("more than {} routes", max_routes));
    std::map<std::string, std::size_t> seen;
    for (std::size_t i = 0; i < routes->size() && i < max_routes; ++i) {
      Route route;
      const std::string path = indexed("routes", i);
      read_route((*routes)[i], path, route, result.problems);
      if (!route.host.empty()) {
        const auto [first, fresh] = seen.emplace(route.host, i);
        if (!fresh)
          result.problems.push_back(
              {path + ".host", fmt::format("{} already has a route: routes[{}]", in_quotes(route.host), first->second),
               "put both under 'matches' of one route"});
      }
      egress.routes.push_back(std::move(route));
    }
  }
  if (const json::value* packs = reader.find("packs")) read_packs(*packs, "packs", egress, result.problems);
  if (const json::value* hosts = reader.find("hosts")) read_hosts(*hosts, "hosts", egress, result.problems);
  if (const json::value* ca = reader.find("upstream_ca"); ca != nullptr && !ca->is_null()) {
    if (const auto text = reader.string("upstream_ca")) {
      // An empty text is what the sidecar's configuration says for "none".
      if (text->find('\0') != std::string::npos)
        reader.problem("upstream_ca", "holds a NUL character");
      else
        egress.upstream_ca = *text;
    }
  }
  if (const json::value* proxy = reader.find("upstream_proxy"))
    read_upstream_proxy(*proxy, "upstream_proxy", egress, result.problems);
  if (const json::value* dlp = reader.find("dlp")) read_dlp_block(*dlp, egress, result.problems);
  return result;
}

ParsedEgress parse_route(const json::value& document, const std::string& path) {
  ParsedEgress result;
  Route route;
  read_route(document, path, route, result.problems);
  result.egress.routes.push_back(std::move(route));
  return result;
}

}  // namespace bot_bottle::policy
