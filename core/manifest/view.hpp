// A node with its key path, through which the schemas read: each accessor checks the type and reports what it finds.
// Used by the schema files only. Hostile input: trees of a repository's agent files.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/manifest/document.hpp"

namespace bot_bottle::manifest {

/// Whether quotes would make another scalar the text that is expected; they make no size of 1.5.
enum class Quoting : std::uint8_t { helps, useless };

class View {
 public:
  /// The root of a document. Borrows both.
  View(Faults& faults, const Node& node) : faults_(&faults), node_(&node), key_spot_(node.spot) {}

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] const Node& node() const { return *node_; }
  [[nodiscard]] Place place() const { return node_->spot.place(); }
  [[nodiscard]] Faults& faults() const { return *faults_; }

  /// True for a map whose keys are all among `accepted`; unknown ones are reported and the map is still read.
  [[nodiscard]] bool map_of(std::span<const std::string> accepted) const;
  /// True for a map with any keys.
  [[nodiscard]] bool map() const;
  [[nodiscard]] std::optional<View> child(std::string_view key) const;
  [[nodiscard]] std::vector<View> members() const;
  /// Entries of a list; a fault and nothing for everything else.
  [[nodiscard]] std::optional<std::vector<View>> list() const;

  // The value, or a fault and nothing. `expected` continues "expected …".
  [[nodiscard]] std::optional<std::string> text(std::string_view expected = "a string",
                                                Quoting quoting = Quoting::helps) const;
  /// Text that is not empty, without control characters.
  [[nodiscard]] std::optional<std::string> line(std::string_view expected = "a string",
                                                Quoting quoting = Quoting::helps) const;
  [[nodiscard]] std::optional<bool> boolean() const;
  [[nodiscard]] std::optional<std::uint64_t> positive(std::uint64_t most) const;
  [[nodiscard]] std::optional<std::string> choice(std::span<const std::string> accepted) const;
  /// [a-z][a-z0-9-]*
  [[nodiscard]] std::optional<std::string> name(std::string_view expected) const;
  /// The name of an environment variable of the host. Never shows the value: people put the token itself there.
  [[nodiscard]] std::optional<std::string> variable_name() const;
  /// A path of the host: `~` expanded, a relative one is relative to the file it stands in.
  [[nodiscard]] std::optional<std::string> host_path() const;
  [[nodiscard]] std::optional<std::vector<std::string>> lines(std::string_view expected = "a list of strings") const;

  void fault(std::string message, std::string hint = {}) const;
  void key_fault(std::string message, std::string hint = {}) const;
  /// A fault at the key, for something absent below it; silent where the parent that may hold it could not be read.
  void missing(std::string message, std::string hint = {}) const;
  void warning(std::string message, std::string hint = {}) const;

 private:
  View(Faults& faults, const Node& node, Spot key_spot, std::string path, std::string key)
      : faults_(&faults), node_(&node), key_spot_(std::move(key_spot)), path_(std::move(path)), key_(std::move(key)) {}
  void wrong_type(std::string_view expected, Quoting quoting = Quoting::useless) const;

  Faults* faults_;
  const Node* node_;
  Spot key_spot_;
  std::string path_;
  std::string key_;
};

}  // namespace bot_bottle::manifest
