#include "core/plugins/schema.hpp"

#include <algorithm>

#include "core/base/file.hpp"

namespace bot_bottle::plugins {
namespace {

constexpr std::size_t most_problems = 32;

std::string_view type_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "boolean";
    case json::kind::string:
      return "string";
    case json::kind::array:
      return "array";
    case json::kind::object:
      return "object";
    case json::kind::double_:
      return "number";
    case json::kind::int64:
    case json::kind::uint64:
      return "integer";
  }
  return "null";
}

std::string_view text_of(const json::value& value) {
  const json::string* text = value.if_string();
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

class Validator {
 public:
  explicit Validator(const json::object& root) : root_(root) {}
  std::vector<std::string> problems;

  void check(const json::value& value, const json::object& schema,
             const std::string& at) {  // NOLINT(misc-no-recursion): bounded by the document's depth
    if (problems.size() >= most_problems) return;
    for (const auto& [key, rule] : schema) {
      if (key == "type") {
        check_type(value, rule, at);
      } else if (key == "const") {
        if (value != rule) add(at, "is not " + to_text(rule));
      } else if (key == "enum") {
        if (std::ranges::none_of(rule.as_array(), [&](const json::value& item) { return item == value; }))
          add(at, "is not one of " + to_text(rule));
      } else if (key == "minimum") {
        if (value.is_number() && value.to_number<double>() < rule.to_number<double>())
          add(at, "is below " + to_text(rule));
      } else if (key == "maximum") {
        if (value.is_number() && value.to_number<double>() > rule.to_number<double>())
          add(at, "is above " + to_text(rule));
      } else if (key == "minItems") {
        if (value.is_array() && value.as_array().size() < rule.to_number<std::size_t>()) add(at, "has too few items");
      } else if (key == "minLength") {
        if (value.is_string() && value.as_string().size() < rule.to_number<std::size_t>()) add(at, "is too short");
      } else if (key == "required") {
        check_required(value, rule.as_array(), at);
      } else if (key == "properties") {
        check_properties(value, rule.as_object(), at);
      } else if (key == "additionalProperties") {
        check_additional(value, rule, schema, at);
      } else if (key == "items") {
        if (!value.is_array()) continue;
        std::size_t index = 0;
        for (const json::value& item : value.as_array())
          check(item, rule.as_object(), at + "/" + std::to_string(index++));
      } else if (key == "$ref") {
        follow(value, text_of(rule), at);
      } else if (key != "$schema" && key != "$id" && key != "$defs" && key != "title" && key != "description") {
        add(at, "the schema has the unknown keyword " + std::string(key));
      }
    }
  }

 private:
  void add(const std::string& at, const std::string& problem) {
    problems.push_back((at.empty() ? "/" : at) + ": " + problem);
  }

  void check_type(const json::value& value, const json::value& rule, const std::string& at) {
    const std::string_view is = type_of(value);
    const auto matches = [&](const json::value& wanted) {
      return text_of(wanted) == is || (text_of(wanted) == "number" && is == "integer");
    };
    const bool fits = rule.is_array() ? std::ranges::any_of(rule.as_array(), matches) : matches(rule);
    if (!fits)
      add(at, "is " + std::string(is) + ", not " + (rule.is_string() ? std::string(text_of(rule)) : to_text(rule)));
  }
  void check_required(const json::value& value, const json::array& names, const std::string& at) {
    if (!value.is_object()) return;
    for (const json::value& name : names) {
      if (!value.as_object().contains(text_of(name))) add(at, "lacks \"" + std::string(text_of(name)) + "\"");
    }
  }
  void check_properties(const json::value& value, const json::object& rules,
                        const std::string& at) {  // NOLINT(misc-no-recursion)
    if (!value.is_object()) return;
    for (const auto& [name, rule] : rules) {
      if (const json::value* member = value.as_object().if_contains(name))
        check(*member, rule.as_object(), at + "/" + std::string(name));
    }
  }
  void check_additional(const json::value& value, const json::value& rule, const json::object& schema,
                        const std::string& at) {  // NOLINT(misc-no-recursion)
    if (!value.is_object()) return;
    const json::object* known = find_object(schema, "properties");
    for (const auto& [name, member] : value.as_object()) {
      if (known != nullptr && known->contains(name)) continue;
      if (rule.is_object()) {
        check(member, rule.as_object(), at + "/" + std::string(name));
      } else if (rule.is_bool() && !rule.as_bool()) {
        add(at, "has the unknown field \"" + std::string(name) + "\"");
      }
    }
  }
  void follow(const json::value& value, std::string_view reference,
              const std::string& at) {  // NOLINT(misc-no-recursion)
    constexpr std::string_view prefix = "#/$defs/";
    const json::object* definitions = find_object(root_, "$defs");
    const json::object* target = definitions != nullptr && reference.starts_with(prefix)
                                     ? find_object(*definitions, reference.substr(prefix.size()))
                                     : nullptr;
    if (target == nullptr) {
      add(at, "the schema refers to " + std::string(reference) + ", which is not there");
    } else {
      check(value, *target, at);
    }
  }

  const json::object& root_;
};

}  // namespace

std::vector<std::string> validate(const json::value& document, const json::object& schema) {
  Validator validator(schema);
  validator.check(document, schema, "");
  return std::move(validator.problems);
}

Result<Schemas> Schemas::load(const std::filesystem::path& directory) {
  Schemas out;
  std::error_code code;
  for (std::filesystem::directory_iterator it(directory, code), end; !code && it != end; it.increment(code)) {
    if (it->path().extension() != ".json") continue;
    BB_TRY(const std::string text, read_file(it->path()));
    auto schema = parse_json_object(text);
    if (!schema) return fail(std::move(schema.error()).within(it->path().string()));
    const json::object* properties = find_object(*schema, "properties");
    const json::object* tag = properties == nullptr ? nullptr : find_object(*properties, "schema");
    if (tag == nullptr) return fail(ErrorKind::internal, it->path().string() + ": no \"schema\" property");
    out.by_tag_[get_string(*tag, "const")] = std::move(*schema);
  }
  if (code || out.by_tag_.empty())
    return fail(ErrorKind::failed_precondition, "there are no schemas in " + directory.string());
  return out;
}

std::vector<std::string> Schemas::problems(const json::value& document, std::string_view tag) const {
  const auto found = by_tag_.find(tag);
  if (found == by_tag_.end()) return {"there is no schema for " + std::string(tag)};
  return validate(document, found->second);
}

std::vector<std::string> Schemas::tags() const {
  std::vector<std::string> out;
  for (const auto& [tag, schema] : by_tag_) out.push_back(tag);
  return out;
}

}  // namespace bot_bottle::plugins
