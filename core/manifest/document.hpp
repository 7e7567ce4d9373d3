// The tree that YAML and TOML become: values that know where they stand, before any schema. Both languages give the
// same tree, so one schema serves both, and `extends` merges here, where no field is known and none can be lost.
// Hostile input: agent files of a repository; depth, nodes and bytes are bounded below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/manifest/faults.hpp"
#include "core/manifest/manifest.hpp"

namespace bot_bottle::manifest {

inline constexpr std::size_t max_file_bytes = std::size_t{1} << 20;
/// yaml-cpp needs up to 240 bytes of memory a byte ("[[[["), before the depth is known.
inline constexpr std::size_t max_front_matter_bytes = std::size_t{256} << 10;
inline constexpr std::size_t max_depth = 24;

/// A Place that shares its file name: a tree has thousands of them.
struct Spot {
  std::shared_ptr<const std::filesystem::path> file;
  std::size_t line = 0;
  std::size_t column = 0;
  [[nodiscard]] Place place() const { return {file ? *file : std::filesystem::path(), line, column}; }
};

struct Key {
  std::string name;
  Spot spot;
};

struct Node {
  enum class Kind : std::uint8_t {
    invalid,  // a fault was reported already: whoever reads it stays silent
    null,
    boolean,
    integer,
    floating,
    text,
    ambiguous,  // a plain scalar that readers take for different things; `look` says which
    sequence,
    map,
  };
  Kind kind = Kind::null;
  Spot spot;
  std::string text;       // of scalars: the text, or the number as written
  std::string_view look;  // of ambiguous ones: "a date"; static storage
  bool boolean = false;
  std::int64_t integer = 0;
  double floating = 0;
  std::vector<Key> keys;  // of a map: keys[i] names items[i]; unique
  std::vector<Node> items;

  [[nodiscard]] bool is_map() const { return kind == Kind::map; }
  [[nodiscard]] const Node* find(std::string_view key) const;
  [[nodiscard]] const Key* find_key(std::string_view key) const;
};

/// "a list", "a date", "a number": how a fault calls it.
std::string_view kind_name(const Node& node);

enum class Language : std::uint8_t { yaml, toml };

/// A file's front matter and body. `usable` is false when the tree cannot be trusted (syntax); its faults were
/// reported.
struct Document {
  bool usable = false;
  Language language = Language::yaml;
  Node root;  // a map
  std::string body;
  Spot begin;       // of the file
  Spot body_begin;  // the body's first line
};

/// Reads a whole file's text (spec 01, Files). Never throws on content.
Document read_document(std::string_view text, const std::filesystem::path& file, Faults& faults);

}  // namespace bot_bottle::manifest
