// The compiled rules as a file: magic, sizes, SHA-256 of all that follows, then a JSON description and the two
// databases. Hostile input: the file may be torn, old or from another machine; whatever does not fit exactly is as if
// it were absent. (Who can write it is checked by Rules::load: Hyperscan's own format is not safe against a forger.)
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "sidecar/dlp/injection.hpp"
#include "sidecar/dlp/rules.hpp"

namespace bot_bottle::dlp {
namespace {

constexpr std::string_view magic = "bot-bottle dlp database 3\n";
constexpr std::size_t hash_octets = 64;

/// Two machines with the same text here may use each other's databases.
std::string platform() {
  hs_platform_info_t info{};
  hs_populate_platform(&info);
  return fmt::format("{} tune {} features {:x}", hs_version(), info.tune, info.cpu_features);
}

struct FreeBytes {
  void operator()(char* bytes) const { std::free(bytes); }  // NOLINT: the library allocates with malloc
};

Result<std::string> bytes_of(const hs_database_t* database) {
  char* bytes = nullptr;
  std::size_t size = 0;
  if (hs_serialize_database(database, &bytes, &size) != HS_SUCCESS)
    return fail(ErrorKind::internal, "the DLP database cannot be written");
  const std::unique_ptr<char, FreeBytes> owned(bytes);
  return std::string(bytes, size);
}

void put(std::string& out, std::string_view part) {
  out += fmt::format("{:016x}", part.size());
  out += part;
}

std::optional<std::string_view> take(std::string_view& bytes) {
  if (bytes.size() < 16) return std::nullopt;
  std::size_t size = 0;
  for (const char c : bytes.substr(0, 16)) {
    const std::size_t digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    size = size * 16 + digit;
  }
  bytes.remove_prefix(16);
  if (size > bytes.size()) return std::nullopt;
  const std::string_view part = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return part;
}

DatabasePtr database_of(std::string_view bytes) {
  hs_database_t* database = nullptr;
  // Refuses other versions and CPUs by itself, too.
  return hs_deserialize_database(bytes.data(), bytes.size(), &database) == HS_SUCCESS ? DatabasePtr(database) : nullptr;
}

json::object to_json(const Rule& rule) {
  json::object object;
  object["id"] = rule.text.id;
  object["description"] = rule.text.description;
  object["regex"] = rule.text.regex;
  object["prefilter"] = rule.text.prefilter;
  object["keywords"] = to_array(rule.text.keywords);
  object["group"] = rule.text.secret_group;
  object["entropy"] = rule.text.entropy;
  object["through"] = rule.text.through;
  object["allow"] = to_array(rule.text.allow_regexes);
  object["stop"] = to_array(rule.text.allow_stopwords);
  object["on_match"] = rule.text.allow_on_match;
  object["width"] = rule.width;
  if (!rule.text.allow_lists.empty()) object["allow_lists"] = to_json(rule.text.allow_lists);
  if (!rule.text.path.empty()) object["path"] = rule.text.path;
  return object;
}

Rule rule_of(const json::object& object) {
  Rule rule;
  rule.text.id = get_string(object, "id");
  rule.text.description = get_string(object, "description");
  rule.text.regex = get_string(object, "regex");
  rule.text.prefilter = get_string(object, "prefilter");
  rule.text.keywords = get_strings(object, "keywords");
  rule.text.secret_group = static_cast<std::size_t>(get_int(object, "group", 0));
  if (const json::value* entropy = object.if_contains("entropy"); entropy != nullptr && entropy->is_double())
    rule.text.entropy = entropy->as_double();
  rule.text.through = get_string(object, "through");
  rule.text.allow_regexes = get_strings(object, "allow");
  rule.text.allow_stopwords = get_strings(object, "stop");
  rule.text.allow_on_match = get_bool(object, "on_match", false);
  rule.text.allow_lists = allow_lists_of(object, "allow_lists");
  rule.text.path = get_string(object, "path");
  rule.width = static_cast<std::size_t>(std::max<std::int64_t>(1, get_int(object, "width", 0)));
  return rule;
}

}  // namespace

Result<std::string> serialise(const Rules::State& state) {
  json::object description;
  description["source"] = state.source_hash;
  description["platform"] = platform();
  json::array rules;
  for (const Rule& rule : state.rules) rules.emplace_back(to_json(rule));
  description["rules"] = std::move(rules);
  BB_TRY(const std::string block, bytes_of(state.block.get()));
  BB_TRY(const std::string stream, bytes_of(state.stream.get()));
  std::string unrelaxed;
  if (state.unrelaxed) {
    BB_TRY(unrelaxed, bytes_of(state.unrelaxed.get()));
  }
  std::string payload;
  put(payload, to_text(description));
  put(payload, block);
  put(payload, stream);
  put(payload, unrelaxed);
  std::pair<std::string, std::string> injection;
  if (state.injection) {
    BB_TRY(injection, state.injection->serialise());
  }
  put(payload, injection.first);
  put(payload, injection.second);
  return std::string(magic) + sha256_hex(payload) + payload;
}

std::unique_ptr<Rules::State> unserialise(std::string_view bytes, const std::string& source_hash) {
  if (!bytes.starts_with(magic) || bytes.size() < magic.size() + hash_octets) return nullptr;
  bytes.remove_prefix(magic.size());
  const std::string_view hash = bytes.substr(0, hash_octets);
  bytes.remove_prefix(hash_octets);
  if (sha256_hex(bytes) != hash) return nullptr;
  const auto text = take(bytes);
  const auto block = take(bytes);
  const auto stream = take(bytes);
  const auto unrelaxed = take(bytes);
  const auto phrases = take(bytes);
  const auto phrase_database = take(bytes);
  if (!text || !block || !stream || !unrelaxed || !phrases || !phrase_database || !bytes.empty()) return nullptr;
  const auto description = parse_json_object(*text, std::size_t{64} << 20);
  if (!description || get_string(*description, "source") != source_hash ||
      get_string(*description, "platform") != platform())
    return nullptr;
  const json::array* rules = find_array(*description, "rules");
  if (rules == nullptr || rules->empty()) return nullptr;
  auto state = std::make_unique<Rules::State>();
  for (const json::value& rule : *rules) {
    if (!rule.is_object()) return nullptr;
    state->rules.push_back(rule_of(rule.as_object()));
    state->longest = std::max(state->longest, state->rules.back().width);
  }
  if (state->longest > max_match_octets) return nullptr;
  state->block = database_of(*block);
  state->stream = database_of(*stream);
  if (!unrelaxed->empty() && !(state->unrelaxed = database_of(*unrelaxed))) return nullptr;
  state->source_hash = source_hash;
  if (!phrases->empty()) {
    state->injection = InjectionPhrases::unserialise(*phrases, *phrase_database);
    if (!state->injection) return nullptr;
  }
  return state->block && state->stream ? std::move(state) : nullptr;
}

}  // namespace bot_bottle::dlp
