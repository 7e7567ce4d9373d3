// routes.toml ↔ Egress: TOML is only another spelling of the same document, so the one parser reads both.
// Hostile input: none directly; the operator edits the file.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "core/base/text.hpp"
#include "core/policy/egress.hpp"

namespace bot_bottle::policy {
namespace {

constexpr std::size_t max_toml_octets = std::size_t{4} << 20;  // 10,000 routes, written out
constexpr std::size_t max_told_problems = 50;

json::value to_value(const toml::node& node) {  // NOLINT(misc-no-recursion): toml++ bounds the depth
  if (const toml::table* table = node.as_table()) {
    json::object object;
    for (const auto& [key, member] : *table) object[std::string_view(key.str())] = to_value(member);
    return object;
  }
  if (const toml::array* array = node.as_array()) {
    json::array items;
    for (const toml::node& item : *array) items.push_back(to_value(item));
    return items;
  }
  if (const auto* text = node.as_string()) return json::value(std::string_view(text->get()));
  if (const auto* number = node.as_integer()) return json::value(number->get());
  if (const auto* truth = node.as_boolean()) return json::value(truth->get());
  if (const auto* fraction = node.as_floating_point()) return json::value(fraction->get());
  return nullptr;  // dates: no key takes one, so the reader refuses it
}

/// The line of the nearest thing that `path` names; 0 when nothing does.
std::size_t line_of(const toml::table& root, std::string path) {
  while (!path.empty()) {
    if (const auto node = root.at_path(path)) return node.node()->source().begin.line;
    const std::size_t cut = path.find_last_of(".[");
    path.resize(cut == std::string::npos ? 0 : cut);
  }
  return 0;
}

/// A TOML basic string: JSON's escapes are a subset of TOML's but for DEL.
std::string quote(std::string_view text) {
  std::string out;
  for (const char c : json::serialize(json::string(text))) {
    if (c == '\x7f')
      out += "\\u007f";
    else
      out += c;
  }
  return out;
}

std::string inline_value(const json::value& value) {  // NOLINT(misc-no-recursion): our own documents
  std::string out;
  const auto add = [&out](std::string_view text) {
    if (out.size() > 1) out += ", ";
    out += text;
  };
  if (const json::array* array = value.if_array()) {
    out = "[";
    for (const json::value& item : *array) add(inline_value(item));
    return out + "]";
  }
  if (const json::object* object = value.if_object()) {
    out = "{";
    for (const auto& member : *object)
      add(fmt::format("{} = {}", std::string_view(member.key()), inline_value(member.value())));
    return out + "}";
  }
  if (value.is_string()) return quote(value.as_string());
  return json::serialize(value);
}

}  // namespace

Result<Egress> parse_routes_toml(std::string_view text) {
  if (text.size() > max_toml_octets) return fail(ErrorKind::invalid_argument, "the file is larger than 4 MiB");
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {  // the library's only way to say it; it goes no further
    return fail(ErrorKind::invalid_argument, fmt::format("line {}, column {}: {}", error.source().begin.line,
                                                         error.source().begin.column, error.description()));
  }
  ParsedEgress parsed = parse_egress(to_value(table));
  if (parsed.problems.empty()) return std::move(parsed.egress);
  Error error = make_error(
      ErrorKind::invalid_argument,
      fmt::format("{} problem{} in the routes", parsed.problems.size(), parsed.problems.size() == 1 ? "" : "s"));
  for (std::size_t i = 0; i < std::min(parsed.problems.size(), max_told_problems); ++i) {
    const Problem& problem = parsed.problems[i];
    const std::size_t line = line_of(table, problem.path);
    if (!error.details.empty()) error.details += '\n';
    if (line > 0) error.details += fmt::format("line {}: ", line);
    error.details += fmt::format("{}: {}", problem.path, problem.message);
    if (!problem.hint.empty()) error.details += fmt::format(" ({})", problem.hint);
  }
  return fail(std::move(error));
}

std::string to_routes_toml(const Egress& egress) {
  const json::object document = to_json(egress);
  std::string out;
  for (const std::string_view key : {"log", "canaries", "on_canary", "mcp", "upstream_ca", "upstream_proxy", "dlp"})
    if (const json::value* value = document.if_contains(key))
      out += fmt::format("{} = {}\n", key, inline_value(*value));
  if (egress.routes.empty()) out += "routes = []\n";
  for (const json::value& route : document.at("routes").as_array()) {
    out += "\n[[routes]]\n";
    for (const auto& member : route.as_object())
      out += fmt::format("{} = {}\n", std::string_view(member.key()), inline_value(member.value()));
  }
  if (!egress.hosts.empty()) {
    out += "\n[hosts]\n";
    for (const auto& member : document.at("hosts").as_object())
      out += fmt::format("{} = {}\n", quote(member.key()), inline_value(member.value()));
  }
  return out;
}

}  // namespace bot_bottle::policy
