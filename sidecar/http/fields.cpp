#include "sidecar/http/fields.hpp"

#include <array>

#include "core/base/text.hpp"

namespace bot_bottle::http {
namespace {

constexpr std::array<bool, 256> make_tchars() {
  std::array<bool, 256> table{};
  for (unsigned c = '0'; c <= '9'; ++c) table[c] = true;
  for (unsigned c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (unsigned c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'})
    table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr auto tchars = make_tchars();

}  // namespace

void Fields::clear() {
  bytes_.clear();
  entries_.clear();
  live_ = 0;
}

void Fields::add(std::string_view name, std::string_view value) {
  Entry entry;
  entry.begin = static_cast<std::uint32_t>(bytes_.size());
  entry.name_size = static_cast<std::uint32_t>(name.size());
  entry.value_size = static_cast<std::uint32_t>(value.size());
  for (const char c : name) bytes_.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c);
  bytes_.append(value);
  entries_.push_back(entry);
  ++live_;
}

std::size_t Fields::remove(std::string_view name) {
  return remove_if([name](const Field& field) { return field.name == name; });
}

std::optional<std::string_view> Fields::find(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (entry.removed || entry.name_size != name.size()) continue;
    const Field field = field_of(entry);
    if (field.name == name) return field.value;
  }
  return std::nullopt;
}

bool has_member(std::string_view list, std::string_view token) {
  bool found = false;
  each_member(list, [&](std::string_view member) { found = found || equals_ignoring_case(member, token); });
  return found;
}

bool is_token(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!tchars[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

bool is_field_value(std::string_view text) {
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if ((octet < 0x20 && c != '\t') || octet == 0x7f) return false;
  }
  return true;
}

bool is_hop_by_hop(std::string_view name) {
  switch (name.size()) {
    case 2:
      return name == "te";
    case 7:
      return name == "trailer" || name == "upgrade";
    case 10:
      return name == "connection" || name == "keep-alive";
    case 14:
      return name == "http2-settings";
    case 16:
      return name == "proxy-connection";
    case 17:
      return name == "transfer-encoding";
    default:
      return name.starts_with("proxy-");
  }
}

}  // namespace bot_bottle::http
