// JSON Schema, the part of it that plugin-api/schemas uses; a keyword outside that part is a problem, never ignored.
// Hostile input: documents of plugins (depth is bounded by parse_json).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"

namespace bot_bottle::plugins {

/// Understands type, required, properties, additionalProperties, items, enum, const, minimum, maximum, minItems,
/// minLength and $ref to "#/$defs/…". Each problem begins with a JSON pointer: "/guest/uid: is text, not integer".
/// Empty: valid.
std::vector<std::string> validate(const json::value& document, const json::object& schema);

class Schemas {
 public:
  /// All `*.json` of a directory, by the tag in their "schema" property ("bot-bottle.plan/1").
  static Result<Schemas> load(const std::filesystem::path& directory);
  /// Problems of `document` as a `tag`; a tag that we do not have is a problem.
  [[nodiscard]] std::vector<std::string> problems(const json::value& document, std::string_view tag) const;
  [[nodiscard]] std::vector<std::string> tags() const;

 private:
  std::map<std::string, json::object, std::less<>> by_tag_;
};

}  // namespace bot_bottle::plugins
