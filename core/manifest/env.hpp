// Environment values: "${HOST_VAR}" templates and dotenv files. Called by the bottle schema, check_host and
// resolve_env. No hostile input: bottles and their files are the operator's. Values may be secrets: no message shows
// one.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/manifest/faults.hpp"

namespace bot_bottle::manifest {

/// A piece of a template: text as it is, or the value of a host variable with an optional default.
struct TemplatePart {
  enum class Kind : std::uint8_t { text, variable };
  Kind kind = Kind::text;
  std::string text;  // the text, or the variable's name
  std::optional<std::string> fallback;
};
/// "a ${HOST} b ${X:-default}"; "$${" is a literal "${". A "$" without "{" is text. Nothing is nested.
Result<std::vector<TemplatePart>> parse_template(std::string_view text);
/// The host variables that must be set.
std::vector<std::string> missing_variables(const std::vector<TemplatePart>& parts);
/// A variable that is missing counts as empty.
std::string fill_template(const std::vector<TemplatePart>& parts);

/// *_KEY, *_TOKEN, *_SECRET, *PASSWORD*, in any case: names whose values belong in egress routes, not in a bottle.
bool looks_like_credential(std::string_view name);

struct Dotenv {
  std::map<std::string, std::string> values;
  std::vector<std::string> skipped;  // looks_like_credential
};
/// NAME=value, `export NAME=value`, '#' comments, single quotes as they are, double quotes with \n \t \r \" \\ \$; no
/// interpolation; the last of two equal names wins. At most 1 MiB.
Dotenv parse_dotenv(std::string_view text, const std::filesystem::path& file, Faults& faults);

}  // namespace bot_bottle::manifest
