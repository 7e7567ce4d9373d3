// Typed documents: a struct lists its fields once, and from_json / to_json follow that list.
//
//   struct Guest {
//     std::string user = "agent";
//     json::object extra;  // optional: what this struct does not know is kept and written again
//     static constexpr std::string_view schema = "com.example.guest/1";  // optional
//     template <typename Self, typename Visit>
//     static void fields(Self& self, Visit& visit) { visit("user", self.user); }
//   };
//
// Reading: an absent or null field keeps its default, an unknown one is ignored, one of another type is an Error that
// names it. Documents come from the host, which has checked size, UTF-8 and depth.
#pragma once

#include <boost/json.hpp>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "bot_bottle/sdk/error.hpp"

namespace bot_bottle::sdk {

namespace json = boost::json;
using StringMap = std::map<std::string, std::string>;

namespace detail {

struct AnyVisitor {
  template <typename T>
  void operator()(std::string_view, T&) {}
};
template <typename T>
concept Document = requires(T& value, AnyVisitor& visit) {
  T::fields(value, visit);
};
template <typename T>
concept HasSchema = requires {
  std::string_view{T::schema};
};
template <typename T>
concept HasExtra = requires(T& value) {
  { value.extra } -> std::same_as<json::object&>;
};

template <typename T>
struct is_optional : std::false_type {};
template <typename T>
struct is_optional<std::optional<T>> : std::true_type {};
template <typename T>
struct is_vector : std::false_type {};
template <typename T>
struct is_vector<std::vector<T>> : std::true_type {};

[[noreturn]] inline void wrong_type(std::string_view key, std::string_view expected) {
  throw Error(Status::invalid_argument, "document: \"" + std::string(key) + "\" is not " + std::string(expected));
}

template <typename T>
void read_fields(const json::object& object, T& out);

template <typename T>
void read_value(std::string_view key, const json::value& value, T& out) {
  if constexpr (std::same_as<T, std::string>) {
    const json::string* text = value.if_string();
    if (text == nullptr) wrong_type(key, "text");
    out.assign(text->data(), text->size());
  } else if constexpr (std::same_as<T, bool>) {
    if (!value.is_bool()) wrong_type(key, "true or false");
    out = value.get_bool();
  } else if constexpr (std::is_arithmetic_v<T>) {
    boost::system::error_code error;
    out = value.to_number<T>(error);
    if (error) wrong_type(key, "a number in range");
  } else if constexpr (std::same_as<T, json::value>) {
    out = value;
  } else if constexpr (std::same_as<T, json::object>) {
    if (!value.is_object()) wrong_type(key, "an object");
    out = value.get_object();
  } else if constexpr (std::same_as<T, StringMap>) {
    if (!value.is_object()) wrong_type(key, "an object");
    out.clear();
    for (const auto& member : value.get_object()) read_value(key, member.value(), out[std::string(member.key())]);
  } else if constexpr (is_optional<T>::value) {
    read_value(key, value, out.emplace());
  } else if constexpr (is_vector<T>::value) {
    if (!value.is_array()) wrong_type(key, "an array");
    out.clear();
    for (const json::value& item : value.get_array()) read_value(key, item, out.emplace_back());
  } else {
    static_assert(Document<T>,
                  "a document's field is text, a number, a bool, JSON, a document, or a vector/map/optional of them");
    if (!value.is_object()) wrong_type(key, "an object");
    read_fields(value.get_object(), out);
  }
}

struct FieldReader {
  const json::object& object;
  json::object* rest;  // null: nobody wants what is not known

  template <typename T>
  void operator()(std::string_view key, T& out) {
    if (const json::value* value = object.if_contains(key); value != nullptr && !value->is_null())
      read_value(key, *value, out);
    if (rest != nullptr) rest->erase(key);
  }
};

template <typename T>
void read_fields(const json::object& object, T& out) {
  if constexpr (HasExtra<T>) {
    json::object rest = object;
    rest.erase("schema");
    FieldReader reader{object, &rest};
    T::fields(out, reader);
    out.extra = std::move(rest);
  } else {
    FieldReader reader{object, nullptr};
    T::fields(out, reader);
  }
}

template <typename T>
json::object write_fields(const T& value);

template <typename T>
json::value write_value(const T& value) {
  if constexpr (std::same_as<T, std::string>) {
    return json::value(std::string_view(value));
  } else if constexpr (std::same_as<T, json::object> || std::same_as<T, json::value> || std::is_arithmetic_v<T>) {
    return json::value(value);
  } else if constexpr (std::same_as<T, StringMap>) {
    json::object object;
    for (const auto& [key, text] : value) object[key] = std::string_view(text);
    return json::value(std::move(object));
  } else if constexpr (is_vector<T>::value) {
    json::array array;
    for (const auto& item : value) array.push_back(write_value(item));
    return json::value(std::move(array));
  } else {
    static_assert(Document<T>,
                  "a document's field is text, a number, a bool, JSON, a document, or a vector/map/optional of them");
    return json::value(write_fields(value));
  }
}

struct FieldWriter {
  json::object& object;

  template <typename T>
  void operator()(std::string_view key, const T& value) {
    if constexpr (is_optional<T>::value) {
      if (value) object[key] = write_value(*value);
    } else {
      object[key] = write_value(value);
    }
  }
};

template <typename T>
json::object write_fields(const T& value) {
  json::object object;
  if constexpr (HasSchema<T>) object["schema"] = std::string_view{T::schema};
  if constexpr (HasExtra<T>) {
    for (const auto& member : value.extra) object[member.key()] = member.value();
  }
  FieldWriter writer{object};
  T::fields(value, writer);
  return object;
}

}  // namespace detail

/// Throws Error(invalid_argument) for a field of the wrong type or a document of another revision.
template <typename T>
T from_json(const json::object& object) {
  if constexpr (detail::HasSchema<T>) {
    constexpr bool names_other = requires {
      T::accepts(std::string_view{});
    };
    if (const json::value* schema = object.if_contains("schema"); schema != nullptr && schema->is_string()) {
      const std::string_view said{schema->get_string()};
      bool known = said == std::string_view{T::schema};
      if constexpr (names_other) known = known || T::accepts(said);
      if (!known) {
        throw Error(Status::invalid_argument,
                    "document: expected " + std::string(std::string_view{T::schema}) + ", got " + std::string(said));
      }
    }
  }
  T out;
  detail::read_fields(object, out);
  return out;
}

template <typename T>
json::object to_json(const T& document) {
  return detail::write_fields(document);
}

/// An object from text. Throws Error(invalid_argument).
inline json::object parse_object(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) throw Error(Status::invalid_argument, "document: not JSON: " + error.message());
  if (!value.is_object()) throw Error(Status::invalid_argument, "document: not a JSON object");
  return std::move(value.get_object());
}

template <typename T>
T parse_document(std::string_view text) {
  return from_json<T>(parse_object(text));
}

inline std::vector<std::string> parse_string_array(std::string_view text) {
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  if (error) throw Error(Status::invalid_argument, "document: not JSON: " + error.message());
  std::vector<std::string> out;
  detail::read_value("array", value, out);
  return out;
}

}  // namespace bot_bottle::sdk
