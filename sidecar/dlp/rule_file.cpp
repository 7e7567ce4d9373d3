#include "sidecar/dlp/rule_file.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <optional>

#include "core/base/text.hpp"
#include "sidecar/dlp/bounded_regex.hpp"

namespace bot_bottle::dlp {
namespace {

/// Calls `visit` with each octet of a regex that is neither escaped nor in a class, and the depth of groups around it.
template <typename Visit>
void walk_regex(std::string_view regex, Visit visit) {
  int depth = 0;
  bool in_class = false;
  for (std::size_t i = 0; i < regex.size(); ++i) {
    const char c = regex[i];
    if (c == '\\') {
      ++i;
    } else if (in_class) {
      in_class = c != ']' || regex[i - 1] == '[' || (regex[i - 1] == '^' && i >= 2 && regex[i - 2] == '[');
    } else if (c == '[') {
      in_class = true;
    } else {
      if (c == ')') --depth;
      visit(c, depth);
      if (c == '(') ++depth;
    }
  }
}

bool has_begin_anchor(std::string_view regex) {
  bool found = regex.find("\\A") != std::string_view::npos;
  walk_regex(regex, [&](char c, int) { found = found || c == '^'; });
  return found;
}

Result<std::vector<std::string>> strings(const toml::table& table, std::string_view key, const std::string& where) {
  std::vector<std::string> out;
  const toml::node* node = table.get(key);
  if (node == nullptr) return out;
  const toml::array* array = node->as_array();
  if (array == nullptr) return fail(ErrorKind::invalid_argument, fmt::format("{}: '{}' is not a list", where, key));
  for (const toml::node& item : *array) {
    const auto* text = item.as_string();
    if (text == nullptr)
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{}: '{}' holds something that is not a string", where, key));
    out.push_back(text->get());
  }
  return out;
}

Result<void> check_keys(const toml::table& table, std::span<const std::string_view> known, const std::string& where) {
  for (const auto& [key, value] : table) {
    if (std::ranges::find(known, std::string_view(key.str())) == known.end())
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{}: '{}' is not supported", where, std::string_view(key.str())),
                  fmt::format("supported: {}", fmt::join(known, ", ")));
  }
  return {};
}

Result<void> read_allowlist(const toml::table& table, RuleText& rule, const std::string& where) {
  static constexpr std::array<std::string_view, 4> known{"description", "regexes", "stopwords", "regexTarget"};
  BB_CHECK(check_keys(table, known, where + " allowlist"));
  BB_TRY(rule.allow_regexes, strings(table, "regexes", where));
  BB_TRY(rule.allow_stopwords, strings(table, "stopwords", where));
  for (std::string& word : rule.allow_stopwords) {
    if (word.empty()) return fail(ErrorKind::invalid_argument, where + ": an empty stopword would allow everything");
    word = to_lower(word);
  }
  for (const std::string& regex : rule.allow_regexes) {
    if (has_unbalanced_anchor(regex))
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{}: the anchors of the allow regex '{}' bind to one alternative only", where, regex),
                  "write ^(?:a|b)$");
  }
  const std::string target = table["regexTarget"].value_or(std::string("secret"));
  if (target != "secret" && target != "match")
    return fail(ErrorKind::invalid_argument, fmt::format("{}: regexTarget '{}' is not supported", where, target),
                "secret or match");
  rule.allow_on_match = target == "match";
  return {};
}

Result<RuleText> read_rule(const toml::table& table, std::size_t index) {
  RuleText rule;
  rule.id = table["id"].value_or(std::string());
  const std::string where = rule.id.empty() ? fmt::format("rule {}", index + 1) : fmt::format("rule '{}'", rule.id);
  static constexpr std::array<std::string_view, 11> known{"id",          "description", "regex",    "prefilter",
                                                          "secretGroup", "entropy",     "keywords", "allowlist",
                                                          "catches",     "spares",      "through"};
  BB_CHECK(check_keys(table, known, where));
  if (rule.id.empty()) return fail(ErrorKind::invalid_argument, where + ": 'id' is missing");
  rule.description = table["description"].value_or(std::string());
  rule.regex = table["regex"].value_or(std::string());
  if (rule.regex.empty()) return fail(ErrorKind::invalid_argument, where + ": 'regex' is missing");
  rule.prefilter = table["prefilter"].value_or(std::string());
  if (has_begin_anchor(rule.regex) || has_begin_anchor(rule.prefilter))
    return fail(ErrorKind::invalid_argument, where + ": a rule cannot be anchored at the start of its text",
                "use \\b, or name the characters before it");
  const std::int64_t group = table["secretGroup"].value_or(std::int64_t{0});
  if (group < 0 || group > 9) return fail(ErrorKind::invalid_argument, where + ": 'secretGroup' is not 0 to 9");
  rule.secret_group = static_cast<std::size_t>(group);
  rule.entropy = table["entropy"].value_or(0.0);
  if (!(rule.entropy >= 0.0 && rule.entropy < 8.0))
    return fail(ErrorKind::invalid_argument, where + ": 'entropy' is not 0 to 8 bits");
  rule.through = table["through"].value_or(std::string());
  BB_TRY(rule.keywords, strings(table, "keywords", where));
  BB_TRY(rule.catches, strings(table, "catches", where));
  BB_TRY(rule.spares, strings(table, "spares", where));
  if (rule.catches.size() < 2 || rule.spares.size() < 2)
    return fail(ErrorKind::invalid_argument, where + ": needs two 'catches' and two 'spares' at least");
  if (const toml::node* node = table.get("allowlist")) {
    const toml::table* allowlist = node->as_table();
    if (allowlist == nullptr) return fail(ErrorKind::invalid_argument, where + ": 'allowlist' is not a table");
    BB_CHECK(read_allowlist(*allowlist, rule, where));
  }
  return rule;
}

}  // namespace

Result<std::vector<RuleText>> parse_rules(std::string_view text) {
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {  // the library's only way to say it; it goes no further
    return fail(ErrorKind::invalid_argument, fmt::format("line {}, column {}: {}", error.source().begin.line,
                                                         error.source().begin.column, error.description()));
  }
  static constexpr std::array<std::string_view, 3> known{"title", "minVersion", "rules"};
  BB_CHECK(check_keys(table, known, "the file"));
  std::vector<RuleText> rules;
  const toml::array* array = table["rules"].as_array();
  if (array == nullptr) return fail(ErrorKind::invalid_argument, "the file has no [[rules]]");
  for (std::size_t i = 0; i < array->size(); ++i) {
    const toml::table* entry = array->get(i)->as_table();
    if (entry == nullptr) return fail(ErrorKind::invalid_argument, "'rules' holds something that is not a table");
    BB_TRY(RuleText rule, read_rule(*entry, i));
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace bot_bottle::dlp
