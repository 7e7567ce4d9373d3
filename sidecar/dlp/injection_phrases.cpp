// Phrases from their files to what looks for them, and to the cache and back.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <set>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "sidecar/dlp/injection.hpp"
#include "sidecar/dlp/phrase_anchors.hpp"
#include "sidecar/dlp/rules.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t max_file_octets = std::size_t{1} << 20;

bool is_folded_regex(std::string_view regex) {
  return !regex.empty() && std::ranges::all_of(regex, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           std::string_view(" (?:|){},[-]").find(c) != std::string_view::npos;
  });
}

Result<std::vector<std::string>> strings(const toml::table& table, std::string_view key, const std::string& where) {
  std::vector<std::string> out;
  const toml::array* array = table[key].as_array();
  if (array == nullptr) return fail(ErrorKind::invalid_argument, fmt::format("{}: '{}' is missing", where, key));
  for (const toml::node& item : *array) {
    if (item.as_string() == nullptr)
      return fail(ErrorKind::invalid_argument,
                  fmt::format("{}: '{}' holds something that is not a string", where, key));
    out.push_back(item.as_string()->get());
  }
  if (out.size() < 2) return fail(ErrorKind::invalid_argument, fmt::format("{}: needs two '{}' at least", where, key));
  return out;
}

std::string whole_words(const std::string& regex) {
  return "\\b(?:" + regex + ")\\b";
}

std::vector<unsigned> number_families(const std::vector<Phrase>& phrases) {
  std::vector<std::string> names;
  std::vector<unsigned> numbers;
  for (const Phrase& phrase : phrases) {
    const auto found = std::ranges::find(names, phrase.family);
    numbers.push_back(static_cast<unsigned>(found - names.begin()));
    if (found == names.end()) names.push_back(phrase.family);
  }
  return numbers;
}

}  // namespace

Result<std::vector<Phrase>> parse_phrases(std::string_view text) {
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {  // the library's only way to say it; it goes no further
    return fail(ErrorKind::invalid_argument,
                fmt::format("line {}: {}", error.source().begin.line, error.description()));
  }
  const std::string family = table["family"].value_or(std::string());
  const toml::array* array = table["phrases"].as_array();
  if (family.empty() || array == nullptr)
    return fail(ErrorKind::invalid_argument, "the file needs a 'family' and [[phrases]]");
  std::vector<Phrase> phrases;
  for (const toml::node& item : *array) {
    const toml::table* entry = item.as_table();
    if (entry == nullptr) return fail(ErrorKind::invalid_argument, "'phrases' holds something that is not a table");
    Phrase phrase;
    phrase.family = family;
    phrase.id = (*entry)["id"].value_or(std::string());
    const std::string where = fmt::format("phrase '{}'", phrase.id);
    phrase.regex = (*entry)["regex"].value_or(std::string());
    if (phrase.id.empty() || !is_folded_regex(phrase.regex))
      return fail(ErrorKind::invalid_argument, where + ": needs an 'id' and a 'regex' over folded text",
                  "lower-case letters, spaces, (?:a|b), x?, {m,n}, [a-z]");
    BB_TRY(phrase.catches, strings(*entry, "catches", where));
    BB_TRY(phrase.spares, strings(*entry, "spares", where));
    phrases.push_back(std::move(phrase));
  }
  return phrases;
}

InjectionPhrases::~InjectionPhrases() {
  hs_free_scratch(scratch_);
  hs_free_database(anchors_);
  hs_free_database(database_);
}

Result<void> InjectionPhrases::prepare() {
  families_ = number_families(phrases_);
  if (hs_alloc_scratch(database_, &scratch_) != HS_SUCCESS ||
      (anchors_ != nullptr && hs_alloc_scratch(anchors_, &scratch_) != HS_SUCCESS))
    return fail(ErrorKind::internal, "no memory for the injection detector");
  return {};
}

Result<std::shared_ptr<const InjectionPhrases>> InjectionPhrases::compile(const std::filesystem::path& directory) {
  std::error_code code;
  std::vector<std::filesystem::path> paths;
  for (std::filesystem::directory_iterator at(directory, code), end; !code && at != end; at.increment(code))
    if (at->path().extension() == ".toml") paths.push_back(at->path());
  if (code) return fail(error_from_errno("reading the injection phrases in " + directory.string(), code.value()));
  std::ranges::sort(paths);
  std::shared_ptr<InjectionPhrases> made(new InjectionPhrases);  // the constructor is private
  std::set<std::string> ids;
  for (const auto& path : paths) {
    BB_TRY(const std::string text, read_file(path, max_file_octets));
    BB_TRY(std::vector<Phrase> phrases, parse_phrases(text).map_error(in(path.filename().string())));
    for (Phrase& phrase : phrases) {
      if (!ids.insert(phrase.id).second)
        return fail(ErrorKind::invalid_argument, fmt::format("phrase '{}' is there twice", phrase.id));
      made->phrases_.push_back(std::move(phrase));
    }
  }
  if (made->phrases_.empty())
    return fail(ErrorKind::failed_precondition, "there are no injection phrases in " + directory.string());
  std::vector<std::string> regexes;
  std::vector<const char*> expressions;
  std::vector<unsigned> ids_of;
  for (const Phrase& phrase : made->phrases_) regexes.push_back(whole_words(phrase.regex));
  for (const std::string& regex : regexes) {
    ids_of.push_back(static_cast<unsigned>(expressions.size()));
    expressions.push_back(regex.c_str());
    std::size_t shortest = 0;
    BB_TRY(const auto width, regex_width(regex, shortest));
    if (!width || *width > longest_phrase)
      return fail(ErrorKind::invalid_argument, fmt::format("phrase '{}': its match is not bounded by {} characters",
                                                           made->phrases_[ids_of.back()].id, longest_phrase));
  }
  const std::vector<unsigned> flags(expressions.size(), 0);
  hs_compile_error_t* error = nullptr;
  if (hs_compile_multi(expressions.data(), flags.data(), ids_of.data(), static_cast<unsigned>(expressions.size()),
                       HS_MODE_STREAM, nullptr, &made->database_, &error) != HS_SUCCESS) {
    const std::string id = error != nullptr && error->expression >= 0
                               ? made->phrases_[static_cast<std::size_t>(error->expression)].id
                               : "all";
    const std::string message = error != nullptr ? error->message : "unknown";
    hs_free_compile_error(error);
    return fail(ErrorKind::invalid_argument, fmt::format("phrase '{}': {}", id, message));
  }
  BB_CHECK(made->compile_anchors());
  BB_CHECK(made->prepare());
  return std::shared_ptr<const InjectionPhrases>(std::move(made));
}

Result<void> InjectionPhrases::compile_anchors() {
  std::vector<std::string> regexes;
  for (const Phrase& phrase : phrases_) regexes.push_back(phrase.regex);
  const std::vector<std::string> anchors = anchors_of_all(regexes);
  if (anchors.empty()) return {};
  std::vector<const char*> expressions;
  std::vector<std::size_t> sizes;
  for (const std::string& anchor : anchors) {
    expressions.push_back(anchor.c_str());
    sizes.push_back(anchor.size());
    longest_anchor_ = std::max(longest_anchor_, anchor.size());
  }
  const std::vector<unsigned> numbers(anchors.size(), 0);
  hs_compile_error_t* error = nullptr;
  if (hs_compile_lit_multi(expressions.data(), numbers.data(), numbers.data(), sizes.data(),
                           static_cast<unsigned>(anchors.size()), HS_MODE_BLOCK, nullptr, &anchors_,
                           &error) == HS_SUCCESS)
    return {};
  const std::string message = error != nullptr ? error->message : "unknown";
  hs_free_compile_error(error);
  return fail(ErrorKind::internal, "the anchors of the injection phrases: " + message);
}

namespace {
Result<std::string> serialise_database(const hs_database_t* database) {
  char* bytes = nullptr;
  std::size_t size = 0;
  if (hs_serialize_database(database, &bytes, &size) != HS_SUCCESS)
    return fail(ErrorKind::internal, "the injection database cannot be written");
  std::string text(bytes, size);
  std::free(bytes);  // NOLINT: the library allocates with malloc
  return text;
}
/// 0: it is not there.
std::size_t number_in(const json::object& document, std::string_view key) {
  const json::value* value = document.if_contains(key);
  return value != nullptr && value->is_int64() && value->get_int64() > 0 ? static_cast<std::size_t>(value->get_int64())
                                                                         : 0;
}
}  // namespace

Result<std::pair<std::string, std::string>> InjectionPhrases::serialise() const {
  json::array list;
  for (const Phrase& phrase : phrases_)
    list.push_back({{"id", phrase.id}, {"family", phrase.family}, {"regex", phrase.regex}});
  BB_TRY(std::string database, serialise_database(database_));
  const std::size_t split = database.size();
  if (anchors_ != nullptr) {
    BB_TRY(const std::string anchors, serialise_database(anchors_));
    database += anchors;
  }
  return std::pair(to_text(json::object{{"phrases", std::move(list)},
                                        {"split", static_cast<std::int64_t>(split)},
                                        {"longest_anchor", static_cast<std::int64_t>(longest_anchor_)}}),
                   std::move(database));
}

std::shared_ptr<const InjectionPhrases> InjectionPhrases::unserialise(std::string_view description,
                                                                      std::string_view database) {
  const auto document = parse_json_object(description, std::size_t{16} << 20);
  const json::array* list = document ? find_array(*document, "phrases") : nullptr;
  if (list == nullptr || list->empty()) return nullptr;
  std::shared_ptr<InjectionPhrases> made(new InjectionPhrases);  // the constructor is private
  for (const json::value& item : *list) {
    if (!item.is_object()) return nullptr;
    const json::object& object = item.as_object();
    made->phrases_.push_back(
        {get_string(object, "id"), get_string(object, "family"), get_string(object, "regex"), {}, {}});
  }
  const std::size_t split = number_in(*document, "split");
  if (split > database.size()) return nullptr;
  made->longest_anchor_ = number_in(*document, "longest_anchor");
  const std::string_view anchors = database.substr(split);
  if (anchors.empty() != (made->longest_anchor_ == 0)) return nullptr;
  if (hs_deserialize_database(database.data(), split, &made->database_) != HS_SUCCESS) return nullptr;
  if (!anchors.empty() && hs_deserialize_database(anchors.data(), anchors.size(), &made->anchors_) != HS_SUCCESS)
    return nullptr;
  if (!made->prepare()) return nullptr;
  return made;
}

std::size_t InjectionPhrases::begin_of(std::size_t phrase, std::string_view window) const {
  const std::lock_guard lock(mutex_);
  auto& regex = regexes_[phrase];
  if (!regex) regex = make_octet_regex("(" + whole_words(phrases_[phrase].regex) + ")\\z");
  re2::StringPiece match;
  if (!regex->ok() || !RE2::PartialMatch(re2::StringPiece(window.data(), window.size()), *regex, &match))
    return window.size();
  return static_cast<std::size_t>(match.data() - window.data());
}

}  // namespace bot_bottle::dlp
