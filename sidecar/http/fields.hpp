// Header and trailer fields of one message, whatever the version of HTTP. Filled by the parsers, read by egress.
// Hostile input: values, already free of CR, LF and NUL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bot_bottle::http {

struct Field {
  std::string_view name;  // lower case
  std::string_view value;
};

/// An ordered list that owns its bytes in one block: clear() keeps the memory, so a connection's next request allocates
/// nothing. Views given out are valid until the next add or clear.
class Fields {
 public:
  void clear();
  /// Copies; the name becomes lower case.
  void add(std::string_view name, std::string_view value);
  /// How many were removed. `name` in lower case here and below.
  std::size_t remove(std::string_view name);
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return find(name).has_value(); }
  [[nodiscard]] std::size_t size() const { return live_; }
  [[nodiscard]] bool empty() const { return live_ == 0; }

  template <typename Visit>
  void each(Visit&& visit) const {
    for (const Entry& entry : entries_) {
      if (!entry.removed) visit(field_of(entry));
    }
  }
  template <typename Predicate>
  std::size_t remove_if(Predicate&& predicate) {
    std::size_t count = 0;
    for (Entry& entry : entries_) {
      if (entry.removed || !predicate(field_of(entry))) continue;
      entry.removed = true;
      ++count;
    }
    live_ -= count;
    return count;
  }

 private:
  struct Entry {
    std::uint32_t begin = 0;  // of the name in bytes_; the value follows it
    std::uint32_t name_size = 0;
    std::uint32_t value_size = 0;
    bool removed = false;
  };
  [[nodiscard]] Field field_of(const Entry& entry) const {
    const std::string_view all = bytes_;
    return {all.substr(entry.begin, entry.name_size), all.substr(entry.begin + entry.name_size, entry.value_size)};
  }
  std::string bytes_;
  std::vector<Entry> entries_;
  std::size_t live_ = 0;
};

/// Visits the members of a comma-separated list (RFC 9110 §5.6.1), trimmed, empty ones left out.
template <typename Visit>
void each_member(std::string_view list, Visit&& visit) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    std::string_view member = list.substr(0, comma);
    while (!member.empty() && (member.front() == ' ' || member.front() == '\t')) member.remove_prefix(1);
    while (!member.empty() && (member.back() == ' ' || member.back() == '\t')) member.remove_suffix(1);
    if (!member.empty()) visit(member);
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  }
}

/// True when a member of the list is `token`, ASCII case ignored. Whole members only: "notupgrade" is not "upgrade"
/// (A8).
bool has_member(std::string_view list, std::string_view token);

/// tchar of RFC 9110 §5.6.2, at least one.
bool is_token(std::string_view text);

/// Octets a field value may hold: HTAB, SP, VCHAR, obs-text (RFC 9110 §5.5); none of CR, LF and NUL.
bool is_field_value(std::string_view text);

/// True for fields that belong to one connection and are never passed on (RFC 9110 §7.6.1), whatever `Connection` says.
bool is_hop_by_hop(std::string_view name);

}  // namespace bot_bottle::http
