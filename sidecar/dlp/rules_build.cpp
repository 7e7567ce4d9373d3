// Rules → Hyperscan's databases.
#include <fmt/format.h>

#include <climits>
#include <cstdlib>

#include "sidecar/dlp/relaxed_regex.hpp"
#include "sidecar/dlp/rules.hpp"

namespace bot_bottle::dlp {
namespace {

/// What Hyperscan looks for in the rule's place.
const std::string& expression_of(const RuleText& rule) {
  return rule.prefilter.empty() ? rule.regex : rule.prefilter;
}

struct Expressions {
  std::vector<std::string> texts;
  std::vector<unsigned> ids;  // of the rules

  void add(std::size_t rule, std::string text) {
    texts.push_back(std::move(text));
    ids.push_back(static_cast<unsigned>(rule));
  }
};

Result<DatabasePtr> make_database(const std::vector<Rule>& rules, const Expressions& expressions, unsigned mode) {
  std::vector<const char*> texts;
  for (const std::string& text : expressions.texts) texts.push_back(text.c_str());
  // No HS_FLAG_SINGLEMATCH: a match that an allow list spares must not use up the one that follows it.
  const std::vector<unsigned> flags(texts.size(), 0);
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_compile_multi(texts.data(), flags.data(), expressions.ids.data(), static_cast<unsigned>(texts.size()), mode,
                       nullptr, &database, &error) != HS_SUCCESS) {
    const std::string id = error != nullptr && error->expression >= 0
                               ? rules[expressions.ids[static_cast<std::size_t>(error->expression)]].text.id
                               : "all";
    const std::string message = error != nullptr ? error->message : "unknown";
    hs_free_compile_error(error);
    return fail(ErrorKind::invalid_argument, fmt::format("rule '{}': {}", id, message));
  }
  return DatabasePtr(database);
}

/// The relaxed expression; nothing when there is none that is as long.
std::optional<std::string> relaxed(const std::string& expression) {
  std::optional<std::string> wide = relax_regex(expression);
  std::size_t shortest = 0;
  if (!wide) return std::nullopt;
  const auto before = regex_width(expression, shortest);
  const auto after = regex_width(*wide, shortest);
  if (!before || !after || !*after || *before != *after || shortest == 0) return std::nullopt;
  return wide;
}

}  // namespace

Result<std::optional<std::size_t>> regex_width(const std::string& regex, std::size_t& shortest) {
  hs_expr_info_t* info = nullptr;
  hs_compile_error_t* error = nullptr;
  if (hs_expression_info(regex.c_str(), 0, &info, &error) != HS_SUCCESS) {
    const std::string message = error != nullptr ? error->message : "unknown";
    hs_free_compile_error(error);
    return fail(ErrorKind::invalid_argument, message);
  }
  const unsigned width = info->max_width;
  shortest = info->min_width;
  std::free(info);  // NOLINT: the library allocates with malloc
  return width == UINT_MAX ? std::nullopt : std::optional<std::size_t>(width);
}

Result<void> Rules::State::build() {
  Expressions exact;
  Expressions wide;
  Expressions as_it_stands;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const std::string& expression = expression_of(rules[i].text);
    exact.add(i, expression);
    if (auto text = relaxed(expression)) {
      wide.add(i, std::move(*text));
    } else {
      wide.add(i, expression);
      as_it_stands.add(i, expression);
    }
  }
  BB_TRY(block, make_database(rules, exact, HS_MODE_BLOCK));
  BB_TRY(stream, make_database(rules, wide, HS_MODE_STREAM));
  if (!as_it_stands.ids.empty()) {
    BB_TRY(unrelaxed, make_database(rules, as_it_stands, HS_MODE_BLOCK));
  }
  return {};
}

}  // namespace bot_bottle::dlp
