// Reads below one directory of the operator's, through no link, within bounds. Used by providers.
// Hostile input: files that somebody else may have put there (a plugin, a skill that was downloaded).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace bot_bottle::provider_config {

/// An entry of a directory. Links, sockets, devices and pipes are `other`: they are reported and never opened.
struct HostEntry {
  enum class Kind : unsigned char { file, directory, other } kind = Kind::other;
  std::string name;
};

struct HostText {
  enum class Fault : unsigned char { none, absent, not_regular, too_large, not_text, unreadable } fault = Fault::none;
  std::string text;         // UTF-8 without NUL
  bool is_program = false;  // its owner may execute it
  /// It belongs to this user or to root, and nobody else may write it.
  bool is_own = false;
};
/// Continues "NAME: …".
std::string_view explain(HostText::Fault fault);

class HostTree {
 public:
  /// The root itself may be a link of the operator's (dotfiles kept elsewhere); nothing below it is followed.
  explicit HostTree(const std::string& root);
  HostTree(const HostTree&) = delete;
  HostTree& operator=(const HostTree&) = delete;
  ~HostTree();

  [[nodiscard]] bool is_there() const { return root_ >= 0; }
  /// By name; at most 2,000 entries, with UTF-8 names alone. Nothing when it is not a directory.
  [[nodiscard]] std::vector<HostEntry> list(const std::string& relative) const;
  [[nodiscard]] HostText read(const std::string& relative, std::size_t max_bytes) const;

 private:
  [[nodiscard]] int open_beneath(const std::string& relative, int flags) const;
  int root_ = -1;
};

bool is_text(std::string_view bytes);

}  // namespace bot_bottle::provider_config
