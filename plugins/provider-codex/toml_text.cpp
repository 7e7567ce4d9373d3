#include "toml_text.hpp"

#include <toml++/toml.h>

#include <sstream>
#include <utility>

namespace bot_bottle::provider_codex {
namespace {

namespace json = sdk::json;

json::value to_json(const toml::node& node) {  // NOLINT(misc-no-recursion): toml++ bounds the depth
  if (const toml::table* table = node.as_table()) {
    json::object object;
    for (const auto& [key, member] : *table)
      if (json::value value = to_json(member); !value.is_null()) object[std::string_view(key.str())] = std::move(value);
    return object;
  }
  if (const toml::array* array = node.as_array()) {
    json::array items;
    for (const toml::node& item : *array)
      if (json::value value = to_json(item); !value.is_null()) items.push_back(std::move(value));
    return items;
  }
  if (const auto* text = node.as_string()) return json::value(std::string_view(text->get()));
  if (const auto* number = node.as_integer()) return json::value(number->get());
  if (const auto* truth = node.as_boolean()) return json::value(truth->get());
  if (const auto* fraction = node.as_floating_point()) return json::value(fraction->get());
  return nullptr;
}

toml::table to_table(const json::object& object);

/// `add(value)` for what TOML has a word for.
template <typename Add>
void with_toml(const json::value& value, const Add& add);

toml::array to_array(const json::array& items) {  // NOLINT(misc-no-recursion): likewise
  toml::array array;
  for (const json::value& item : items)
    with_toml(item, [&array](auto&& it) { array.push_back(std::forward<decltype(it)>(it)); });
  return array;
}

template <typename Add>
void with_toml(const json::value& value, const Add& add) {  // NOLINT(misc-no-recursion): likewise
  if (const json::object* object = value.if_object())
    add(to_table(*object));
  else if (const json::array* items = value.if_array())
    add(to_array(*items));
  else if (const json::string* text = value.if_string())
    add(std::string(*text));
  else if (value.is_bool())
    add(value.get_bool());
  else if (value.is_double())
    add(value.get_double());
  else if (value.is_int64())
    add(value.get_int64());
  else if (value.is_uint64())
    add(static_cast<std::int64_t>(value.get_uint64()));
}

toml::table to_table(const json::object& object) {  // NOLINT(misc-no-recursion): likewise
  toml::table table;
  for (const auto& member : object)
    with_toml(member.value(),
              [&](auto&& it) { table.insert_or_assign(std::string(member.key()), std::forward<decltype(it)>(it)); });
  return table;
}

}  // namespace

std::optional<json::object> parse_toml(std::string_view text, std::string& reason) {
  try {
    const toml::table table = toml::parse(text);
    return to_json(table).get_object();
  } catch (const toml::parse_error& error) {
    // Its own words may quote the text, and with it a token.
    reason = "line " + std::to_string(error.source().begin.line) + " is no TOML";
    return std::nullopt;
  }
}

std::string to_toml(const json::object& object) {
  std::ostringstream out;
  out << toml::toml_formatter(to_table(object)) << '\n';
  return out.str();
}

}  // namespace bot_bottle::provider_codex
