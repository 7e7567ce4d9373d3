#include "core/launch/approved_recipes.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/supervise/recipe.hpp"

namespace bot_bottle::launch {
namespace {

constexpr const char* file_name = "approved-recipes";
constexpr std::size_t max_octets = std::size_t{1} << 20;

/// One hash a line; empty when there is no file yet.
std::string read_hashes(const std::filesystem::path& state_dir) {
  auto text = read_file(state_dir / file_name, max_octets);
  if (text) return std::move(*text);
  if (text.error().kind == ErrorKind::not_found) return {};
  throw Failure(std::move(text.error()));
}

}  // namespace

void record_approved_recipe(const std::filesystem::path& state_dir, const json::object& recipe) {
  const std::string hash = supervise::recipe_hash(recipe);
  if (hash.empty()) return;  // the sidecar refuses it, too
  or_throw(write_file_atomic(state_dir / file_name, read_hashes(state_dir) + hash + "\n", 0600));
}

bool is_approved_recipe(const std::filesystem::path& state_dir, const json::object& recipe) {
  const std::string hash = supervise::recipe_hash(recipe);
  const std::string hashes = read_hashes(state_dir);
  const std::vector<std::string_view> lines = split(std::string_view(hashes), '\n');
  return !hash.empty() && std::ranges::find(lines, hash) != lines.end();
}

}  // namespace bot_bottle::launch
