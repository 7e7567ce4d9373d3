#include "sidecar/dlp/injection.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <set>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "sidecar/dlp/rules.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::size_t max_file_octets = std::size_t{1} << 20;
constexpr std::size_t piece_octets = std::size_t{64} << 10;
constexpr std::size_t kept_octets = 1024;  // of folded text: the longest phrase, and what a snippet shows
constexpr std::size_t closing_reach = 12;  // a mention's closing mark stands that near
constexpr std::size_t snippet_octets = 24;
constexpr std::uint64_t repeat_octets = 64;  // the same phrase within is the same sighting (a grown repeat, a flood)

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
  hs_free_database(database_);
}

Result<void> InjectionPhrases::prepare() {
  families_ = number_families(phrases_);
  if (hs_alloc_scratch(database_, &scratch_) != HS_SUCCESS)
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
    if (!width || *width > kept_octets - 2 * snippet_octets)
      return fail(ErrorKind::invalid_argument,
                  fmt::format("phrase '{}': its match is not bounded by {} characters",
                              made->phrases_[ids_of.back()].id, kept_octets - 2 * snippet_octets));
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
  BB_CHECK(made->prepare());
  return std::shared_ptr<const InjectionPhrases>(std::move(made));
}

Result<std::pair<std::string, std::string>> InjectionPhrases::serialise() const {
  json::array list;
  for (const Phrase& phrase : phrases_)
    list.push_back({{"id", phrase.id}, {"family", phrase.family}, {"regex", phrase.regex}});
  char* bytes = nullptr;
  std::size_t size = 0;
  if (hs_serialize_database(database_, &bytes, &size) != HS_SUCCESS)
    return fail(ErrorKind::internal, "the injection database cannot be written");
  std::string database(bytes, size);
  std::free(bytes);  // NOLINT: the library allocates with malloc
  return std::pair(to_text(json::object{{"phrases", std::move(list)}}), std::move(database));
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
  if (hs_deserialize_database(database.data(), database.size(), &made->database_) != HS_SUCCESS || !made->prepare())
    return nullptr;
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

InjectionStream::InjectionStream(std::shared_ptr<const InjectionPhrases> phrases, Folder::Quotes quotes)
    : phrases_(std::move(phrases)),
      folder_(quotes),
      last_(phrases_->phrases_.size()),
      seen_(phrases_->phrases_.size(), 0) {
  failed_ = hs_open_stream(phrases_->database_, 0, &stream_) != HS_SUCCESS;
}

InjectionStream::~InjectionStream() {
  if (stream_ != nullptr) hs_close_stream(stream_, nullptr, nullptr, nullptr);
}

int InjectionStream::on_match(unsigned id, unsigned long long /*from*/, unsigned long long to, unsigned /*flags*/,
                              void* context) {
  auto& self = *static_cast<InjectionStream*>(context);
  std::uint64_t& seen = self.seen_[id];
  if (seen != 0 && to - seen < repeat_octets) return 0;
  seen = to;
  self.matches_.push_back({id, to});
  return 0;
}

void InjectionStream::scan(End end) {
  const std::lock_guard lock(phrases_->mutex_);
  const std::string_view fresh = std::string_view(text_).substr(fresh_);
  if (!fresh.empty())
    failed_ = failed_ || hs_scan_stream(stream_, fresh.data(), static_cast<unsigned>(fresh.size()), 0,
                                        phrases_->scratch_, &InjectionStream::on_match, this) != HS_SUCCESS;
  fresh_ = text_.size();
  if (end == End::yes && !failed_)
    failed_ = hs_reset_stream(stream_, 0, phrases_->scratch_, &InjectionStream::on_match, this) != HS_SUCCESS;
}

bool InjectionStream::has_mark(std::uint64_t first, std::uint64_t last) const {
  const auto& marks = const_cast<Folder&>(folder_).marks();
  const auto found = std::ranges::lower_bound(marks, first);
  return found != marks.end() && *found <= last;
}

InjectionSighting InjectionStream::describe(const Place& place) const {
  InjectionSighting sighting;
  sighting.phrase = phrases_->phrases_[place.phrase].id;
  sighting.family = phrases_->phrases_[place.phrase].family;
  // Folding drops and adds little: the share of what was read is where to look.
  const std::uint64_t folded = std::max<std::uint64_t>(1, base_ + text_.size());
  sighting.offset = static_cast<std::uint64_t>(static_cast<double>(folder_.raw()) * static_cast<double>(place.begin) /
                                               static_cast<double>(folded));
  const std::size_t begin = place.begin <= base_ + snippet_octets ? 0 : place.begin - base_ - snippet_octets;
  const std::size_t end = std::min<std::size_t>(text_.size(), place.end - base_ + snippet_octets);
  sighting.snippet = text_.substr(begin, end - begin);
  return sighting;
}

void InjectionStream::judge(End end, std::vector<InjectionSighting>& sightings) {
  const std::uint64_t total = base_ + text_.size();
  std::vector<Match> later;
  for (const Match& match : matches_) {
    if (over_) break;
    const std::string_view window(text_.data(), static_cast<std::size_t>(match.end - base_));
    const Place place{base_ + phrases_->begin_of(match.phrase, window), match.end, match.phrase};
    const bool opened = place.begin < place.end && has_mark(place.begin, place.begin);
    if (opened && end == End::no && match.end + closing_reach > total) {
      later.push_back(match);  // whether the mark is closed is still to come
      continue;
    }
    const bool mention = opened && has_mark(place.end, place.end + closing_reach);
    if (!told_) {
      told_ = true;
      sightings.push_back(describe(place));
      sightings.back().is_mention = mention;
    }
    if (mention) continue;
    const unsigned family = phrases_->families_[match.phrase];
    for (unsigned other = 0; other < last_.size(); ++other) {
      if (other == family || !last_[other]) continue;
      const Place& first = *last_[other];
      if (first.end > place.begin || place.begin - first.end > injection_reach) continue;
      sightings.push_back(describe(place));
      sightings.back().with = phrases_->phrases_[first.phrase].family;
      sightings.back().is_attempt = over_ = true;
      break;
    }
    last_[family] = place;
  }
  matches_ = std::move(later);
}

std::vector<InjectionSighting> InjectionStream::write(std::string_view bytes) {
  std::vector<InjectionSighting> sightings;
  while (!bytes.empty() && !over_ && !failed_) {
    folder_.write(bytes.substr(0, piece_octets), text_);
    bytes.remove_prefix(std::min(bytes.size(), piece_octets));
    scan(End::no);
    if (!matches_.empty()) judge(End::no, sightings);
    if (text_.size() > kept_octets) {
      base_ += text_.size() - kept_octets;
      text_.erase(0, text_.size() - kept_octets);
      fresh_ = text_.size();
      auto& marks = folder_.marks();
      marks.erase(marks.begin(), std::ranges::lower_bound(marks, base_));
    }
  }
  if (failed_ && !over_) {
    over_ = true;
    sightings.push_back({"detector-failure", "detector-failure", "", 0, "", false, true});
  }
  return sightings;
}

std::vector<InjectionSighting> InjectionStream::finish() {
  std::vector<InjectionSighting> sightings;
  if (over_ || failed_) return sightings;
  folder_.finish(text_);
  scan(End::yes);
  judge(End::yes, sightings);
  return sightings;
}

}  // namespace bot_bottle::dlp
