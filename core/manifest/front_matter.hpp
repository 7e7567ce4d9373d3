// Splits a file into front matter and body: YAML between `---` lines, TOML between `+++` lines (spec 01, Files).
// Hostile input: every byte of a repository's agent file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/manifest/document.hpp"

namespace bot_bottle::manifest {

/// The text between the delimiter lines, or all of a file that is nothing else. Lines end with '\n' only.
struct FrontMatter {
  Language language = Language::yaml;
  std::string text;
  std::string body;
  std::size_t first_line = 2;  // of `text` in the file
  std::size_t body_line = 0;
  std::shared_ptr<const std::filesystem::path> file;
  std::vector<std::string_view> lines;  // of `text`

  /// Line and column (code points) in the file, from a line of `text` (0-based) and a byte in it; clamped into the
  /// text.
  [[nodiscard]] Spot spot(std::size_t line, std::size_t byte) const;
};

/// Nothing when the file is refused as a whole; the faults say why.
std::unique_ptr<FrontMatter> split_front_matter(std::string_view text, const std::filesystem::path& file,
                                                Faults& faults);

/// A file that is TOML from its first line to its last, under the same rules.
std::unique_ptr<FrontMatter> whole_file(std::string_view text, const std::filesystem::path& file, Faults& faults);

/// YAML and TOML → tree. False after a fault that leaves no tree.
bool read_yaml(const FrontMatter& front_matter, Node& root, Faults& faults);
bool read_toml(const FrontMatter& front_matter, Node& root, Faults& faults);

}  // namespace bot_bottle::manifest
