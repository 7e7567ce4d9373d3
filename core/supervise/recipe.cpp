#include "core/supervise/recipe.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/file.hpp"
#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"

namespace bot_bottle::supervise {
namespace {

constexpr std::size_t max_dockerfile = std::size_t{16} << 10;
constexpr std::size_t max_packages = 64;
constexpr const char* recipe_file = "recipe.json";

tl::unexpected<Error> bad(std::string message, std::string hint = {}) {
  return fail(ErrorKind::invalid_argument, std::move(message), std::move(hint));
}

bool is_package(std::string_view name) {
  if (name.size() < 2 || name.size() > 64 || name.front() == '-' || name.front() == '.' || name.front() == '+')
    return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
}

Result<void> check_dockerfile(const std::string& text) {
  if (text.size() > max_dockerfile) return bad("the Dockerfile is larger than 16 KiB");
  // What would be shown otherwise than it is, an operator cannot approve.
  if (escape_untrusted_lines(text, 8 * max_dockerfile) != text)
    return bad("the Dockerfile has characters that cannot be shown as they are",
               "plain text, without control characters");
  bool has_from = false;
  for (const std::string_view raw : split(text, '\n')) {
    const std::string_view line = trim(raw);
    if (line.starts_with('#')) {
      const std::string directive = to_lower(trim(line.substr(1)));
      if (directive.starts_with("syntax") || directive.starts_with("escape") || directive.starts_with("check"))
        return bad("a Dockerfile with parser directives (# syntax=, # escape=) is not accepted", "take them out");
      continue;
    }
    const std::string word = to_upper(line.substr(0, line.find_first_of(" \t")));
    if (word == "FROM") has_from = true;
    if (word == "COPY" || word == "ADD")
      return bad(fmt::format("{}: there are no files to take from", word), "fetch what is needed with RUN");
  }
  if (!has_from) return bad("the Dockerfile has no FROM");
  return {};
}

}  // namespace

Result<json::object> parse_recipe(const json::object& document) {
  for (const auto& member : document)
    if (member.key() != "dockerfile" && member.key() != "packages")
      return bad(fmt::format("'{}' cannot be asked for", std::string_view(member.key()).substr(0, 64)),
                 "dockerfile, or packages");
  if (document.contains("dockerfile") == document.contains("packages"))
    return bad("exactly one of 'dockerfile' and 'packages' is needed");
  if (document.contains("dockerfile")) {
    BB_TRY(std::string text, need_string(document, "dockerfile"));
    if (!text.ends_with('\n')) text += '\n';
    BB_CHECK(check_dockerfile(text));
    return json::object{{"dockerfile", std::move(text)}};
  }
  const json::array* given = find_array(document, "packages");
  std::vector<std::string> names = get_strings(document, "packages");
  if (given == nullptr || given->empty() || given->size() > max_packages || names.size() != given->size())
    return bad(fmt::format("'packages' is a list of 1 to {} names", max_packages));
  for (const std::string& name : names)
    if (!is_package(name)) return bad(fmt::format("'{}' is no package's name", escape_untrusted(name, 80)));
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return json::object{{"packages", to_array(names)}};
}

json::value recorded_recipe(const std::filesystem::path& directory) {
  const auto text = read_file(directory / recipe_file, std::size_t{1} << 18);
  if (!text) return nullptr;
  const auto document = parse_json_object(*text);
  if (!document) return nullptr;
  auto recipe = parse_recipe(*document);
  return recipe ? json::value(std::move(*recipe)) : json::value();
}

Result<void> record_recipe(const std::filesystem::path& directory, const json::object& recipe) {
  return write_file_atomic(directory / recipe_file, to_text(recipe) + "\n", 0644);
}

std::string recipe_lines(const json::object& recipe) {
  std::string out;
  if (const std::string dockerfile = get_string(recipe, "dockerfile"); !dockerfile.empty()) {
    out = "dockerfile: |\n";
    for (const std::string_view line : split(std::string_view(dockerfile), '\n'))
      out += "  " + std::string(line) + "\n";
  }
  for (const std::string& package : get_strings(recipe, "packages")) out += "package: " + package + "\n";
  return out;
}

std::string recipe_hash(const json::object& recipe) {
  const auto parsed = parse_recipe(recipe);
  return parsed ? sha256_hex(json::serialize(*parsed)) : std::string();
}

std::string dockerfile_of(const json::object& recipe, std::string_view base) {
  if (recipe.contains("dockerfile")) return get_string(recipe, "dockerfile");
  const std::string names = join(get_strings(recipe, "packages"), " ");
  return fmt::format(
      "{}\nUSER root\nRUN apt-get update && apt-get install -y --no-install-recommends {} && rm -rf "
      "/var/lib/apt/lists/*\nUSER agent\n",
      trim(base), names);
}

}  // namespace bot_bottle::supervise
