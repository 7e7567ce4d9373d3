#include "core/cli/words.hpp"

#include <algorithm>

#include "core/base/error.hpp"
#include "core/manifest/manifest.hpp"
#include "core/plugins/registry.hpp"
#include "core/state/directory.hpp"
#include "core/tui/terminal.hpp"

namespace bot_bottle::cli {
namespace {

constexpr std::size_t longest_word = 255;

std::vector<std::string> names_of(const manifest::Listing& listing) {
  std::vector<std::string> names;
  for (const manifest::NamedFile& file : listing.files) names.push_back(file.name);
  return names;
}

std::vector<std::string> backends(Context& context) {
  constexpr std::string_view prefix = "backend:";
  std::vector<std::string> names;
  for (const plugins::Description& plugin : context.registry().list())
    for (const std::string& offer : plugin.provides)
      if (offer.starts_with(prefix)) names.push_back(offer.substr(prefix.size()));
  return names;
}

std::vector<std::string> plugin_names(Context& context) {
  std::vector<std::string> names;
  for (const plugins::Description& plugin : context.registry().list()) names.push_back(plugin.name);
  return names;
}

WordList find_words(Context& context, std::string_view name) {
  if (name == "AGENT") return {.words = names_of(manifest::list_agents(context.sources()))};
  if (name == "BOTTLE") return {.words = names_of(manifest::list_bottles(context.sources()))};
  if (name == "BACKEND") return {.words = backends(context)};
  if (name == "PLUGIN") return {.words = plugin_names(context)};
  if (name == "NAME|PATH") return {.words = plugin_names(context), .files = FileWords::files};
  if (name == "SLUG") return {.words = state::list_slugs(context.home())};
  if (name == "SOURCE" || name == "DEST")  // SLUG:PATH or a file
    return {.words = state::list_slugs(context.home()), .files = FileWords::files, .ending = Ending::colon};
  if (name == "COLOR") return {.words = tui::tint_names()};
  if (name == "KIND") return {.words = event_kinds(), .ending = Ending::comma};
  if (name == "WHAT") return {.words = list_subjects()};
  if (name == "SHELL") return {.words = shell_names()};
  if (name == "USER") return {.words = {"agent", "root"}};
  if (name == "METHOD")
    return {.words = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, .ending = Ending::comma};
  if (name == "FILE" || name == "PATH") return {.files = FileWords::files};
  if (name == "DIR") return {.files = FileWords::directories};
  return {};
}

}  // namespace

const std::vector<std::string>& event_kinds() {
  static const std::vector<std::string> kinds{"egress", "dlp", "dns", "git", "supervise", "agent", "launch", "sidecar"};
  return kinds;
}

const std::vector<std::string>& list_subjects() {
  static const std::vector<std::string> subjects{"active", "agents", "bottles", "backends", "providers", "plugins"};
  return subjects;
}

const std::vector<std::string>& shell_names() {
  static const std::vector<std::string> shells{"bash", "zsh", "fish"};
  return shells;
}

bool is_offerable(std::string_view word) {
  return !word.empty() && word.size() <= longest_word && std::ranges::all_of(word, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._-:,=+").find(c) != std::string_view::npos;
  });
}

WordList words_for(Context& context, std::string_view value_name) {
  try {
    return find_words(context, value_name);
  } catch (const Failure&) {
    return {};
  }
}

}  // namespace bot_bottle::cli
