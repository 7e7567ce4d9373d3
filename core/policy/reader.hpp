// Strict reading of one JSON object of a policy document: every key is known, every value has its type, every fault is
// kept. Internal to core/policy.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/policy/egress.hpp"

namespace bot_bottle::policy {

/// A key that is not taken, with the reason; `form` is the text that would be.
struct RefusedKey {
  std::string_view key;
  std::string_view message;
  std::string_view hint;
};

class ObjectReader {
 public:
  /// `value` may be of any type: not being an object is a problem, and then every key is absent.
  ObjectReader(const json::value& value, std::string path, Problems& problems);

  [[nodiscard]] bool is_object() const { return object_ != nullptr; }
  [[nodiscard]] bool has(std::string_view key) const { return object_ != nullptr && object_->contains(key); }
  [[nodiscard]] bool is_empty() const { return object_ != nullptr && object_->empty(); }
  [[nodiscard]] const json::value* find(std::string_view key) const {
    return object_ == nullptr ? nullptr : object_->if_contains(key);
  }
  [[nodiscard]] std::string path_of(std::string_view key) const;
  [[nodiscard]] const std::string& path() const { return path_; }

  /// A problem for each key that is not in `known`: what `refused` says, or "did you mean".
  void check_keys(std::span<const std::string_view> known, std::span<const RefusedKey> refused = {});
  /// The value under `key`; a problem when it has another type, nothing when it is absent.
  std::optional<std::string> string(std::string_view key);
  std::optional<bool> boolean(std::string_view key);
  std::optional<std::uint64_t> integer(std::string_view key, std::uint64_t minimum, std::uint64_t maximum);
  const json::array* list(std::string_view key);
  /// The index in `words` of the string under `key`.
  std::optional<std::size_t> word(std::string_view key, std::span<const std::string_view> words);
  /// The strings of a list; other entries are problems.
  std::optional<std::vector<std::string>> strings(std::string_view key);

  void problem(std::string_view key, std::string message, std::string hint = {});

 private:
  const json::object* object_;
  std::string path_;
  Problems& problems_;
};

/// "routes[2]"
std::string indexed(const std::string& path, std::size_t index);
/// "a boolean", "a string", …: what a person wrote.
std::string_view type_of(const json::value& value);
/// "'x'" with at most 64 octets of it.
std::string in_quotes(std::string_view text);
std::uint64_t to_unsigned_or(const json::value& value, std::uint64_t fallback);

/// Reads one route into `route`. Used by parse_egress and parse_route.
void read_route(const json::value& value, const std::string& path, Route& route, Problems& problems);

/// RE2 as policy uses it: bounded program, quiet. Nothing when `pattern` is good, else why not.
std::optional<std::string> find_regex_fault(const std::string& pattern);

/// The keys of the form before 0.1, each with the new form.
std::span<const RefusedKey> old_keys();

inline constexpr std::size_t max_list_entries = 1000;
inline constexpr std::size_t max_routes = 10'000;

}  // namespace bot_bottle::policy
