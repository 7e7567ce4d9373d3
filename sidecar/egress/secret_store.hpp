// The bottle's secrets while the sidecar lives: in locked memory, by name.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/secret.hpp"
#include "sidecar/dlp/scanner.hpp"

namespace bot_bottle::egress {

/// What an agent holds instead of a secret; worthless outside, and good for that one secret's routes only (attack F1).
struct Placeholder {
  std::string value;
  std::string token_ref;
};

class SecretStore {
 public:
  void add(std::string name, SecretBytes value) { secrets_[std::move(name)] = std::move(value); }
  void add_placeholder(Placeholder placeholder) { placeholders_.push_back(std::move(placeholder)); }
  /// Fake credentials that are in the bottle on purpose. Nothing here takes them for secrets but the scanner.
  void add_canary(std::string name, SecretBytes value) { canaries_.emplace_back(std::move(name), std::move(value)); }
  [[nodiscard]] bool has_canaries() const { return !canaries_.empty(); }
  /// Null when there is none of that name.
  [[nodiscard]] const SecretBytes* find(std::string_view name) const {
    const auto found = secrets_.find(name);
    return found == secrets_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const std::vector<Placeholder>& placeholders() const { return placeholders_; }
  [[nodiscard]] bool empty() const { return secrets_.empty(); }
  /// Borrowed views, for the scanner.
  [[nodiscard]] std::vector<dlp::KnownSecret> known() const {
    std::vector<dlp::KnownSecret> all;
    for (const auto& [name, value] : secrets_) all.push_back({name, value.view()});
    return all;
  }
  [[nodiscard]] std::vector<dlp::KnownSecret> known_canaries() const {
    std::vector<dlp::KnownSecret> all;
    for (const auto& [name, value] : canaries_) all.push_back({name, value.view(), dlp::KnownSecret::Kind::canary});
    return all;
  }
  [[nodiscard]] bool all_locked() const {
    for (const auto& [name, value] : secrets_) {
      if (!value.empty() && !value.is_locked()) return false;
    }
    return true;
  }

 private:
  std::map<std::string, SecretBytes, std::less<>> secrets_;
  std::vector<std::pair<std::string, SecretBytes>> canaries_;
  std::vector<Placeholder> placeholders_;
};

}  // namespace bot_bottle::egress
