#include "plugins/backend-driven/recipe.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "core/base/unique_fd.hpp"
#include "plugins/backend-driven/tar_text.hpp"
#include "sidecar/guest/tree.hpp"

namespace bot_bottle::driven {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t max_dockerfile = std::size_t{1} << 20;

/// An instruction of a Dockerfile with its continuation lines, comments left out.
std::vector<std::string> instructions_of(std::string_view text) {
  std::vector<std::string> out;
  std::string current;
  for (const std::string_view line : split(text, '\n')) {
    std::string_view part = trim(line);
    if (part.starts_with('#') || (part.empty() && current.empty())) continue;
    const bool continues = part.ends_with('\\');
    if (continues) part.remove_suffix(1);
    current += (current.empty() ? "" : " ") + std::string(part);
    if (continues) continue;
    out.push_back(std::move(current));
    current.clear();
  }
  if (!current.empty()) out.push_back(std::move(current));
  return out;
}

bool copies_from_context(const std::string& instruction) {
  const bool copy = starts_with_ignoring_case(instruction, "COPY ") || starts_with_ignoring_case(instruction, "ADD ");
  return copy && instruction.find("--from=") == std::string::npos;
}

Result<std::string> context_digest(const fs::path& context) {
  std::string all;
  const UniqueFd root(::open(context.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail(error_from_errno("cannot read the build context " + context.string(), errno));
  guest::PackOptions options;
  options.owner = {0, 0};
  std::uint64_t size = 0;
  std::string digest;
  std::string chunk;
  std::string problem;
  const bool packed = guest::pack_tree(
      root.get(), ".", "", options,
      [&](std::string_view bytes) {
        size += bytes.size();
        chunk += bytes;
        if (chunk.size() > (std::size_t{4} << 20)) {
          digest = sha256_hex(digest + chunk);
          chunk.clear();
        }
        return size <= max_build_context;
      },
      problem);
  if (!packed)
    return fail(ErrorKind::invalid_argument,
                "the build context " + context.string() + ": " + (problem.empty() ? "more than 256 MiB" : problem),
                "put the Dockerfile into a directory with nothing else than what it copies");
  return sha256_hex(digest + chunk);
}

}  // namespace

Result<Recipe> read_recipe(const std::string& dockerfile, const std::vector<fs::path>& kept, Builder builder) {
  Recipe recipe;
  recipe.dockerfile = dockerfile;
  auto text = read_file(dockerfile, max_dockerfile);
  if (!text) return fail(std::move(text.error()).within("the image's Dockerfile"));
  recipe.text = std::move(*text);
  bool needs_context = false;
  for (const std::string& instruction : instructions_of(recipe.text)) {
    needs_context = needs_context || copies_from_context(instruction);
    if (builder == Builder::plain && starts_with_ignoring_case(instruction, "RUN ") &&
        (instruction.find("--mount=") != std::string::npos || instruction.find("<<") != std::string::npos))
      return fail(ErrorKind::unsupported,
                  dockerfile + ": RUN --mount and here-documents need BuildKit, which is not used",
                  "write it without, or build it yourself and begin the Dockerfile with FROM that image");
  }
  if (!needs_context) return recipe;
  std::error_code code;
  recipe.context = fs::canonical(fs::path(dockerfile).parent_path(), code);
  for (const fs::path& path : kept)
    if (std::mismatch(recipe.context.begin(), recipe.context.end(), path.begin(), path.end()).first ==
        recipe.context.end())
      return fail(ErrorKind::invalid_argument, dockerfile + " copies from its directory, which holds " + path.string(),
                  "put the Dockerfile into a directory with nothing else than what it copies");
  if (fs::exists(recipe.context / ".dockerignore", code))
    return fail(ErrorKind::unsupported, (recipe.context / ".dockerignore").string() + " is not read by bot-bottle",
                "put the Dockerfile into a directory with nothing else than what it copies");
  return recipe;
}

Result<std::string> recipe_digest(const Recipe& recipe) {
  std::string all = sha256_hex(recipe.text) + "\n";
  if (!recipe.context.empty()) {
    BB_TRY(const std::string digest, context_digest(recipe.context));
    all += digest + "\n";
  }
  return sha256_hex(all);
}

Result<std::string> layer_digest(const AgentLayer& layer) {
  BB_TRY(const std::string init, read_file(layer.init, std::size_t{64} << 20));
  return sha256_hex(fmt::format("{} {:o}\n{}\n{}\n{}:{}\n", sha256_hex(init), layer.init_mode, layer.home,
                                layer.workspace, layer.uid, layer.gid));
}

std::string make_layer_tar(const AgentLayer& layer) {
  TarText tar;
  tar.directory("run/bottle", 0755);
  tar.directory("run/bottle/bin", 0755);
  tar.directory("run/bottle/wire", 0755);
  tar.file("run/bottle/bin/bottle-init", layer.init_mode, or_throw(read_file(layer.init, std::size_t{64} << 20)));
  tar.directory("etc/bot-bottle", 0755);
  for (const std::string* path : {&layer.home, &layer.workspace}) {
    // What lies above is root's, as everywhere.
    for (std::size_t at = path->find('/', 1); at != std::string::npos; at = path->find('/', at + 1))
      tar.directory(path->substr(1, at - 1), 0755);
    tar.directory(path->substr(1), 0755, layer.uid, layer.gid);
  }
  return tar.finish();
}

}  // namespace bot_bottle::driven
