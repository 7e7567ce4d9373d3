#include "sidecar/dlp/gitleaks.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <set>

#include "core/base/text.hpp"
#include "sidecar/dlp/bounded_regex.hpp"
#include "sidecar/dlp/rules.hpp"

namespace bot_bottle::dlp {
namespace {

/// A table with the words to complain about it.
class TableReader {
 public:
  TableReader(const toml::table& table, std::string_view file, std::string what)
      : table_(table), file_(file), what_(std::move(what)) {}

  [[nodiscard]] tl::unexpected<Error> fault(std::string_view key, std::string_view message, std::string hint = {},
                                            ErrorKind kind = ErrorKind::invalid_argument) const {
    const toml::node* node = table_.get(key);
    const auto line = (node != nullptr ? node->source() : table_.source()).begin.line;
    return fail(kind, fmt::format("{}:{}: {}{}", file_, line, what_, message), std::move(hint));
  }
  Result<void> check_keys(std::span<const std::string_view> known, std::span<const std::string_view> refused) const {
    for (const auto& [key, value] : table_) {
      const std::string_view name = key.str();
      if (std::ranges::find(known, name) != known.end()) continue;
      const bool is_known = std::ranges::find(refused, name) != refused.end();
      return fault(name, fmt::format("'{}' is not supported", name),
                   is_known ? "gitleaks has it, this engine does not: take it out"
                            : fmt::format("supported: {}", fmt::join(known, ", ")),
                   ErrorKind::unsupported);
    }
    return {};
  }
  Result<std::string> text(std::string_view key, std::string fallback = {}) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return fallback;
    if (const auto* value = node->as_string()) return value->get();
    return fault(key, fmt::format("'{}' is not a string", key));
  }
  Result<double> number(std::string_view key) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return 0.0;
    if (const auto value = node->value<double>(); value && node->is_number()) return *value;
    return fault(key, fmt::format("'{}' is not a number", key));
  }
  Result<std::vector<std::string>> strings(std::string_view key) const {
    std::vector<std::string> out;
    const toml::node* node = table_.get(key);
    if (node == nullptr) return out;
    const toml::array* array = node->as_array();
    if (array == nullptr) return fault(key, fmt::format("'{}' is not a list", key));
    for (const toml::node& item : *array) {
      const auto* value = item.as_string();
      if (value == nullptr) return fault(key, fmt::format("'{}' holds something that is not a string", key));
      out.push_back(value->get());
    }
    return out;
  }
  [[nodiscard]] const toml::table& table() const { return table_; }
  [[nodiscard]] const std::string& what() const { return what_; }

 private:
  const toml::table& table_;
  std::string_view file_;
  std::string what_;
};

constexpr std::array<std::string_view, 0> none{};

Result<std::string> fit_into_window(const std::string& regex) {
  for (const std::size_t more : {256U, 128U, 64U, 32U, 16U}) {
    BB_TRY(std::string bounded, bound_repeats(regex, more));
    std::size_t shortest = 0;
    const auto width = regex_width(bounded, shortest);
    if (!width) return fail(ErrorKind::unsupported, "regex: " + width.error().message);
    if (*width && **width <= max_match_octets) return bounded;
  }
  return fail(
      ErrorKind::unsupported,
      fmt::format("the regex's match is not bounded by {} octets, however its repeats are cut", max_match_octets),
      "write {20,100} instead of {20,}");
}

struct Parser {
  std::string_view file;
  GitleaksFile out;

  Result<AllowList> read_allow(const TableReader& reader) {
    static constexpr std::array<std::string_view, 8> known{"description", "condition", "commits",   "paths",
                                                           "regexTarget", "regexes",   "stopwords", "targetRules"};
    BB_CHECK(reader.check_keys(known, none));
    AllowList list;
    BB_TRY(list.regexes, reader.strings("regexes"));
    BB_TRY(list.paths, reader.strings("paths"));
    BB_TRY(list.stopwords, reader.strings("stopwords"));
    BB_TRY(list.target_rules, reader.strings("targetRules"));
    BB_TRY(const std::vector<std::string> commits, reader.strings("commits"));
    list.commits = !commits.empty();
    for (std::string& word : list.stopwords) {
      if (word.empty()) return reader.fault("stopwords", "an empty stopword would allow everything");
      word = to_lower(word);
    }
    BB_TRY(const std::string condition, reader.text("condition", "OR"));
    const std::string upper = to_upper(condition);
    if (upper != "OR" && upper != "||" && upper != "AND" && upper != "&&")
      return reader.fault("condition", fmt::format("condition '{}' is not supported", condition), "OR or AND");
    if (upper == "AND" || upper == "&&") list.condition = AllowList::Condition::all;
    BB_TRY(const std::string target, reader.text("regexTarget", "secret"));
    if (target == "match") {
      list.target = AllowList::Target::match;
    } else if (target == "line") {
      list.target = AllowList::Target::line;
      out.notes.push_back(reader.what() +
                          "regexTarget = \"line\" sees 256 octets of the line before the match, and nothing behind it");
    } else if (target != "secret") {
      return reader.fault("regexTarget", fmt::format("regexTarget '{}' is not supported", target),
                          "secret, match or line");
    }
    if (list.commits)
      out.notes.push_back(reader.what() + "an allow list's 'commits' never apply: bytes have no commit");
    for (const std::string& regex : list.regexes)
      if (has_unbalanced_anchor(regex))
        out.notes.push_back(
            fmt::format("{}the anchors of the allow regex '{}' bind to one alternative only: write "
                        "^(?:a|b)$",
                        reader.what(), regex));
    const auto compiled = CompiledAllowList::create(list);
    if (!compiled) return reader.fault(list.regexes.empty() ? "paths" : "regexes", compiled.error().message);
    return list;
  }

  /// `[x.allowlist]` and `[[x.allowlists]]`.
  Result<void> read_allows(const TableReader& owner, std::vector<AllowList>& lists) {
    if (const toml::node* node = owner.table().get("allowlist")) {
      const toml::table* table = node->as_table();
      if (table == nullptr) return owner.fault("allowlist", "'allowlist' is not a table");
      BB_TRY(AllowList list, read_allow(TableReader(*table, file, owner.what() + "allowlist: ")));
      lists.push_back(std::move(list));
    }
    if (const toml::node* node = owner.table().get("allowlists")) {
      const toml::array* array = node->as_array();
      if (array == nullptr) return owner.fault("allowlists", "'allowlists' is not a list of tables");
      for (const toml::node& item : *array) {
        const toml::table* table = item.as_table();
        if (table == nullptr) return owner.fault("allowlists", "'allowlists' is not a list of tables");
        BB_TRY(AllowList list, read_allow(TableReader(*table, file, owner.what() + "allowlists: ")));
        lists.push_back(std::move(list));
      }
    }
    return {};
  }

  Result<void> read_rule(const toml::table& table) {
    const std::string id = table["id"].value_or(std::string());
    if (id.empty()) return TableReader(table, file, "").fault("id", "a rule has no 'id'");
    const TableReader reader(table, file, fmt::format("rule '{}': ", id));
    static constexpr std::array<std::string_view, 14> known{
        "id",        "description", "regex",   "path",   "secretGroup", "entropy",    "keywords",
        "allowlist", "allowlists",  "catches", "spares", "through",     "skipReport", "tags"};
    static constexpr std::array<std::string_view, 4> refused{"required", "prefilter", "verify", "tokenEfficiency"};
    BB_CHECK(reader.check_keys(known, refused));
    RuleText rule;
    rule.id = id;
    rule.line = static_cast<std::size_t>(table.source().begin.line);
    BB_TRY(rule.description, reader.text("description"));
    BB_TRY(rule.regex, reader.text("regex"));
    BB_TRY(rule.path, reader.text("path"));
    BB_TRY(rule.through, reader.text("through"));
    BB_TRY(rule.keywords, reader.strings("keywords"));
    BB_TRY(rule.catches, reader.strings("catches"));
    BB_TRY(rule.spares, reader.strings("spares"));
    BB_TRY(rule.entropy, reader.number("entropy"));
    BB_TRY(const double group, reader.number("secretGroup"));
    if (!(rule.entropy >= 0.0 && rule.entropy < 8.0)) return reader.fault("entropy", "'entropy' is not 0 to 8 bits");
    if (!(group >= 0 && group <= 9)) return reader.fault("secretGroup", "'secretGroup' is not 0 to 9");
    rule.secret_group = static_cast<std::size_t>(group);
    if (!rule.path.empty() && !make_octet_regex(rule.path)->ok())
      return reader.fault("path",
                          fmt::format("'path' is not a usable regex: {}", make_octet_regex(rule.path)->error()));
    if (!rule.path.empty()) out.notes.push_back(reader.what() + "asks for a file's path: used by scan, not by egress");
    if (!rule.regex.empty()) {
      // Every repeat gets an end; a shorter one where the whole would not fit into the window of a stream.
      if (auto bounded = fit_into_window(rule.regex)) {
        rule.regex = std::move(*bounded);
      } else {
        return reader.fault("regex", bounded.error().message, bounded.error().hint, bounded.error().kind);
      }
    }
    BB_CHECK(read_allows(reader, rule.allow_lists));
    out.rules.push_back(std::move(rule));
    return {};
  }

  Result<void> read_extend(const toml::table& table) {
    const TableReader reader(table, file, "extend: ");
    static constexpr std::array<std::string_view, 2> known{"useDefault", "disabledRules"};
    static constexpr std::array<std::string_view, 2> refused{"path", "url"};
    BB_CHECK(reader.check_keys(known, refused));
    out.use_default = table["useDefault"].value_or(false);
    BB_TRY(out.disabled, reader.strings("disabledRules"));
    return {};
  }
};

}  // namespace

Result<GitleaksFile> parse_gitleaks(std::string_view text, std::string_view file) {
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {  // the library's only way to say it; it goes no further
    return fail(ErrorKind::invalid_argument, fmt::format("{}:{}:{}: {}", file, error.source().begin.line,
                                                         error.source().begin.column, error.description()));
  }
  Parser parser{file, {}};
  const TableReader reader(table, file, "");
  static constexpr std::array<std::string_view, 7> known{"title", "description", "minVersion", "extend",
                                                         "rules", "allowlist",   "allowlists"};
  BB_CHECK(reader.check_keys(known, none));
  if (const toml::node* extend = table.get("extend")) {
    if (extend->as_table() == nullptr) return reader.fault("extend", "'extend' is not a table");
    BB_CHECK(parser.read_extend(*extend->as_table()));
  }
  BB_CHECK(parser.read_allows(reader, parser.out.allow));
  if (const toml::node* rules = table.get("rules")) {
    const toml::array* array = rules->as_array();
    if (array == nullptr) return reader.fault("rules", "'rules' is not a list of tables");
    std::set<std::string> ids;
    for (const toml::node& item : *array) {
      if (item.as_table() == nullptr) return reader.fault("rules", "'rules' is not a list of tables");
      BB_CHECK(parser.read_rule(*item.as_table()));
      if (!ids.insert(parser.out.rules.back().id).second)
        return TableReader(*item.as_table(), file, "")
            .fault("id", fmt::format("rule '{}' is there twice", parser.out.rules.back().id));
    }
  }
  return std::move(parser.out);
}

}  // namespace bot_bottle::dlp
