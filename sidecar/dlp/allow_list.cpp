#include "sidecar/dlp/allow_list.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/text.hpp"

namespace bot_bottle::dlp {
namespace {

Result<void> compile_into(const std::vector<std::string>& patterns, std::vector<std::unique_ptr<RE2>>& out) {
  for (const std::string& pattern : patterns) {
    out.push_back(make_octet_regex(pattern));
    if (!out.back()->ok())
      return fail(ErrorKind::invalid_argument,
                  fmt::format("the allow regex '{}' is not usable: {}", pattern, out.back()->error()));
  }
  return {};
}

bool any_matches(const std::vector<std::unique_ptr<RE2>>& regexes, std::string_view text) {
  const re2::StringPiece piece(text.data(), text.size());
  return std::ranges::any_of(regexes, [&](const auto& regex) { return RE2::PartialMatch(piece, *regex); });
}

}  // namespace

std::unique_ptr<RE2> make_octet_regex(const std::string& pattern) {
  RE2::Options options(RE2::Quiet);
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_max_mem(std::int64_t{8} << 20);
  return std::make_unique<RE2>(pattern, options);
}

Result<CompiledAllowList> CompiledAllowList::create(const AllowList& list) {
  CompiledAllowList compiled;
  compiled.list_ = list;
  BB_CHECK(compile_into(list.regexes, compiled.regexes_));
  BB_CHECK(compile_into(list.paths, compiled.paths_));
  return compiled;
}

bool CompiledAllowList::spares(const MatchView& view) const {
  const std::string_view target = list_.target == AllowList::Target::secret  ? view.secret
                                  : list_.target == AllowList::Target::match ? view.match
                                                                             : view.line;
  const bool by_regex = !regexes_.empty() && any_matches(regexes_, target);
  const bool by_path = !paths_.empty() && !view.path.empty() && any_matches(paths_, view.path);
  bool by_word = false;
  if (!list_.stopwords.empty()) {
    const std::string lower = to_lower(view.secret);
    by_word =
        std::ranges::any_of(list_.stopwords, [&](const auto& word) { return lower.find(word) != std::string::npos; });
  }
  if (list_.condition == AllowList::Condition::any) return by_regex || by_path || by_word;
  // Every criterion that is named must hold; a commit never does, and an empty list spares nothing.
  return !list_.commits && (regexes_.empty() || by_regex) && (paths_.empty() || by_path) &&
         (list_.stopwords.empty() || by_word) && (by_regex || by_path || by_word);
}

json::array to_json(const std::vector<AllowList>& lists) {
  json::array out;
  for (const AllowList& list : lists) {
    out.push_back({{"all", list.condition == AllowList::Condition::all},
                   {"target", static_cast<std::int64_t>(list.target)},
                   {"regexes", to_array(list.regexes)},
                   {"stopwords", to_array(list.stopwords)},
                   {"paths", to_array(list.paths)},
                   {"commits", list.commits}});
  }
  return out;
}

std::vector<AllowList> allow_lists_of(const json::object& object, std::string_view key) {
  std::vector<AllowList> lists;
  const json::array* array = find_array(object, key);
  if (array == nullptr) return lists;
  for (const json::value& item : *array) {
    const json::object* entry = item.if_object();
    if (entry == nullptr) continue;
    AllowList& list = lists.emplace_back();
    list.condition = get_bool(*entry, "all", false) ? AllowList::Condition::all : AllowList::Condition::any;
    list.target = static_cast<AllowList::Target>(std::clamp<std::int64_t>(get_int(*entry, "target", 0), 0, 2));
    list.regexes = get_strings(*entry, "regexes");
    list.stopwords = get_strings(*entry, "stopwords");
    list.paths = get_strings(*entry, "paths");
    list.commits = get_bool(*entry, "commits", false);
  }
  return lists;
}

}  // namespace bot_bottle::dlp
