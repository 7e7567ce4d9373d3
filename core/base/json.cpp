#include "core/base/json.hpp"

#include <set>

namespace bot_bottle {
namespace {

/// Boost.JSON keeps the last of two equal keys. A reader in another language may keep the first, so a
/// document with both could mean one thing where it is checked and another where it is applied.
class DuplicateKeyFinder {
 public:
  static bool found_in(std::string_view text) {
    DuplicateKeyFinder finder{text};
    return finder.value();
  }

 private:
  explicit DuplicateKeyFinder(std::string_view text) : text_(text) {}

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }
  // The text was parsed before: it is well formed, so these only walk.
  std::string_view raw_string() {
    const std::size_t begin = ++at_;
    while (text_[at_] != '"') at_ += text_[at_] == '\\' ? 2U : 1U;
    return text_.substr(begin, at_++ - begin);
  }
  bool value() {  // NOLINT(misc-no-recursion): depth was bounded by the parser
    skip_space();
    if (text_[at_] == '{') return object();
    if (text_[at_] == '[') return array();
    if (text_[at_] == '"') {
      raw_string();
      return false;
    }
    while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '}' && text_[at_] != ']') ++at_;
    return false;
  }
  bool object() {  // NOLINT(misc-no-recursion)
    std::set<std::string> keys;
    ++at_;
    for (skip_space(); text_[at_] != '}'; skip_space()) {
      if (text_[at_] == ',') {
        ++at_;
        skip_space();
      }
      // Unescape through the library, so that "a" and "\u0061" are the same key.
      const std::string_view raw = raw_string();
      std::string quoted = "\"";
      quoted.append(raw).append("\"");
      const json::value key = json::parse(quoted);
      if (!keys.insert(std::string(key.as_string())).second) return true;
      skip_space();
      ++at_;  // the colon
      if (value()) return true;
    }
    ++at_;
    return false;
  }
  bool array() {  // NOLINT(misc-no-recursion)
    ++at_;
    for (skip_space(); text_[at_] != ']'; skip_space()) {
      if (text_[at_] == ',') ++at_;
      if (value()) return true;
    }
    ++at_;
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

void pretty(const json::value& value, std::string& out, std::size_t depth) {  // NOLINT(misc-no-recursion)
  const std::string inner((depth + 1) * 2, ' ');
  const std::string outer(depth * 2, ' ');
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    out += "{\n";
    std::size_t left = object->size();
    for (const auto& [key, member] : *object) {
      out += inner + json::serialize(json::string(key)) + ": ";
      pretty(member, out, depth + 1);
      out += --left > 0 ? ",\n" : "\n";
    }
    out += outer + "}";
  } else if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
    out += "[\n";
    std::size_t left = array->size();
    for (const auto& member : *array) {
      out += inner;
      pretty(member, out, depth + 1);
      out += --left > 0 ? ",\n" : "\n";
    }
    out += outer + "]";
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

Result<json::value> parse_json(std::string_view text, std::size_t max_bytes) {
  if (text.size() > max_bytes)
    return fail(ErrorKind::invalid_argument, "the document has " + std::to_string(text.size()) +
                                                 " bytes, more than the " + std::to_string(max_bytes) + " allowed");
  json::parse_options options;
  options.max_depth = 32;
  json::error_code code;
  json::stream_parser parser({}, options);
  const std::size_t read = parser.write_some(text.data(), text.size(), code);
  if (!code) {
    // write_some stops at the end of the value; what follows may only be white space.
    if (text.find_first_not_of(" \t\r\n", read) != std::string_view::npos)
      code = json::make_error_code(json::error::extra_data);
    else
      parser.finish(code);
  }
  if (code)
    return fail(ErrorKind::invalid_argument, "not valid JSON at byte " + std::to_string(read) + ": " + code.message());
  json::value value = parser.release();
  if (DuplicateKeyFinder::found_in(text)) return fail(ErrorKind::invalid_argument, "a key appears twice in one object");
  return value;
}

Result<json::object> parse_json_object(std::string_view text, std::size_t max_bytes) {
  BB_TRY(json::value value, parse_json(text, max_bytes));
  if (!value.is_object()) return fail(ErrorKind::invalid_argument, "the document is not a JSON object");
  return std::move(value.as_object());
}

std::string to_text(const json::value& value) {
  return json::serialize(value);
}

std::string to_pretty_text(const json::value& value) {
  std::string out;
  pretty(value, out, 0);
  out += '\n';
  return out;
}

std::string get_string(const json::object& object, std::string_view key, std::string_view fallback) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) return std::string(fallback);
  return std::string(value->as_string());
}

bool get_bool(const json::object& object, std::string_view key, bool fallback) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_bool() ? value->as_bool() : fallback;
}

std::int64_t get_int(const json::object& object, std::string_view key, std::int64_t fallback) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) return fallback;
  json::error_code code;
  const auto number = value->to_number<std::int64_t>(code);
  return code ? fallback : number;
}

std::vector<std::string> get_strings(const json::object& object, std::string_view key) {
  std::vector<std::string> items;
  if (const json::array* array = find_array(object, key)) {
    for (const json::value& item : *array)
      if (item.is_string()) items.emplace_back(item.as_string());
  }
  return items;
}

const json::object* find_object(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

const json::array* find_array(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_array();
}

json::array to_array(const std::vector<std::string>& items) {
  json::array array;
  for (const std::string& item : items) array.emplace_back(item);
  return array;
}

Result<std::string> need_string(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return fail(ErrorKind::invalid_argument, "'" + std::string(key) + "' is missing");
  if (!value->is_string()) return fail(ErrorKind::invalid_argument, "'" + std::string(key) + "' is not a string");
  return std::string(value->as_string());
}

}  // namespace bot_bottle
