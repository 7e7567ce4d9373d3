// JSON for the whole product: bounded parsing and short accessors over Boost.JSON.
// Hostile input reaches parse_json (control messages, plugin documents): depth and size are bounded.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"

namespace bot_bottle {

namespace json = boost::json;

/// Documents of the plugin ABI and the control channel: 4 MiB (spec 03).
inline constexpr std::size_t max_document_bytes = std::size_t{4} << 20;

/// Strict RFC 8259: no comments, no trailing commas, valid UTF-8, depth ≤ 32, duplicate keys refused
/// by keeping neither: a document that two readers may read in two ways is an error.
Result<json::value> parse_json(std::string_view text, std::size_t max_bytes = max_document_bytes);
/// The same, and it must be an object.
Result<json::object> parse_json_object(std::string_view text, std::size_t max_bytes = max_document_bytes);

/// One line, no newline at the end.
std::string to_text(const json::value& value);
/// Indented by two spaces, newline at the end: for files a person may open.
std::string to_pretty_text(const json::value& value);

// Accessors: the value, or the fallback when the key is absent or of another type.
std::string get_string(const json::object& object, std::string_view key, std::string_view fallback = {});
bool get_bool(const json::object& object, std::string_view key, bool fallback);
std::int64_t get_int(const json::object& object, std::string_view key, std::int64_t fallback);
/// Strings of an array; entries of other types are left out.
std::vector<std::string> get_strings(const json::object& object, std::string_view key);
/// Null when absent or not an object / array.
const json::object* find_object(const json::object& object, std::string_view key);
const json::array* find_array(const json::object& object, std::string_view key);
json::array to_array(const std::vector<std::string>& items);

/// The string under `key`, or an error that names the key.
Result<std::string> need_string(const json::object& object, std::string_view key);

}  // namespace bot_bottle
