#include "core/manifest/view.hpp"

#include <algorithm>

#include "core/base/paths.hpp"
#include "core/base/text.hpp"
#include "core/manifest/scalars.hpp"

namespace bot_bottle::manifest {

void View::fault(std::string message, std::string hint) const {
  faults_->error(node_->spot.place(), path_, std::move(message), std::move(hint));
}
void View::key_fault(std::string message, std::string hint) const {
  faults_->error(key_spot_.place(), path_, std::move(message), std::move(hint));
}
void View::missing(std::string message, std::string hint) const {
  if (!faults_->is_partial()) key_fault(std::move(message), std::move(hint));
}
void View::warning(std::string message, std::string hint) const {
  faults_->warning(node_->spot.place(), path_, std::move(message), std::move(hint));
}

void View::wrong_type(std::string_view expected, Quoting quoting) const {
  if (node_->kind == Node::Kind::invalid) return;
  if (node_->kind == Node::Kind::null) {
    key_fault("has no value, expected " + std::string(expected), "give it a value or remove the key");
    return;
  }
  const bool scalar = node_->kind == Node::Kind::boolean || node_->kind == Node::Kind::integer ||
                      node_->kind == Node::Kind::floating || node_->kind == Node::Kind::ambiguous;
  fault((scalar ? shown(node_->text) + " is " : "found ") + std::string(kind_name(*node_)) + ", expected " +
            std::string(expected),
        scalar && quoting == Quoting::helps ? "quote it: \"" + shown(node_->text) + "\"" : std::string());
}

namespace {

/// "git.user.name" → "git: {user: {name: …}}"
std::string nested(std::string_view key) {
  std::string out;
  std::size_t depth = 0;
  for (const std::string_view part : split(key, '.')) {
    if (depth++ > 0) out += ": {";
    out += shown(part);
  }
  return shown(out) + ": …" + std::string(depth - 1, '}');
}

}  // namespace

bool View::map() const {
  if (node_->is_map()) return true;
  wrong_type("a map");
  return false;
}

bool View::map_of(std::span<const std::string> accepted) const {
  if (!map()) return false;
  for (const View& member : members()) {
    if (std::ranges::find(accepted, member.key()) != accepted.end()) continue;
    std::string hint = suggestion(member.key(), accepted, "known keys");
    // "git.user.name: x" is one key in YAML, three in TOML.
    const std::size_t dot = member.key().find('.');
    if (dot != std::string::npos && std::ranges::find(accepted, member.key().substr(0, dot)) != accepted.end())
      hint = "write it nested: " + nested(member.key());
    member.key_fault("unknown key", std::move(hint));
  }
  return true;
}

std::optional<View> View::child(std::string_view key) const {
  for (std::size_t i = 0; i < node_->keys.size(); ++i)
    if (node_->keys[i].name == key)
      return View(*faults_, node_->items[i], node_->keys[i].spot, join_path(path_, key), std::string(key));
  return std::nullopt;
}

std::vector<View> View::members() const {
  std::vector<View> out;
  for (std::size_t i = 0; i < node_->keys.size(); ++i)
    out.push_back(View(*faults_, node_->items[i], node_->keys[i].spot, join_path(path_, node_->keys[i].name),
                       node_->keys[i].name));
  return out;
}

std::optional<std::vector<View>> View::list() const {
  if (node_->kind != Node::Kind::sequence) {
    wrong_type("a list");
    return std::nullopt;
  }
  std::vector<View> out;
  for (std::size_t i = 0; i < node_->items.size(); ++i)
    out.push_back(View(*faults_, node_->items[i], node_->items[i].spot, index_path(path_, i), {}));
  return out;
}

std::optional<std::string> View::text(std::string_view expected, Quoting quoting) const {
  if (node_->kind == Node::Kind::text) return node_->text;
  wrong_type(expected, quoting);
  return std::nullopt;
}

std::optional<std::string> View::line(std::string_view expected, Quoting quoting) const {
  auto value = text(expected, quoting);
  if (!value) return std::nullopt;
  if (value->empty()) {
    fault("is empty, expected " + std::string(expected));
    return std::nullopt;
  }
  if (has_control_characters(*value)) {
    fault("holds a line break or a control character, expected one line");
    return std::nullopt;
  }
  return value;
}

std::optional<bool> View::boolean() const {
  if (node_->kind == Node::Kind::boolean) return node_->boolean;
  if (node_->kind == Node::Kind::text && (node_->text == "true" || node_->text == "false"))
    fault("found a string, expected true or false", "remove the quotes");
  else
    wrong_type("true or false");
  return std::nullopt;
}

std::optional<std::uint64_t> View::positive(std::uint64_t most) const {
  const std::string expected = "a whole number from 1 to " + std::to_string(most);
  if (node_->kind != Node::Kind::integer) {
    wrong_type(expected);
    return std::nullopt;
  }
  if (node_->integer < 1 || static_cast<std::uint64_t>(node_->integer) > most) {
    fault(shown(node_->text) + " is out of range, expected " + expected);
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(node_->integer);
}

std::optional<std::string> View::choice(std::span<const std::string> accepted) const {
  std::vector<std::string> words(accepted.begin(), accepted.end());
  auto value = text("one of " + join(words, ", "));
  if (!value) return std::nullopt;
  if (std::ranges::find(words, *value) != words.end()) return value;
  fault(in_quotes(*value) + " is not accepted", suggestion(*value, words));
  return std::nullopt;
}

std::optional<std::string> View::name(std::string_view expected) const {
  auto value = line(expected);
  if (!value) return std::nullopt;
  if (is_name(*value)) return value;
  fault(in_quotes(*value) + " is not " + std::string(expected),
        "names are lower-case letters, digits and '-', and begin with a letter");
  return std::nullopt;
}

std::optional<std::string> View::variable_name() const {
  auto value = text("the name of an environment variable");
  if (!value) return std::nullopt;
  if (is_variable_name(*value)) return value;
  // The value is not shown: it may be the secret itself.
  fault("is not the name of an environment variable",
        "name the host variable that holds the token, never the token itself");
  return std::nullopt;
}

std::optional<std::string> View::host_path() const {
  auto value = line("a path");
  if (!value) return std::nullopt;
  if (value->starts_with("~") && *value != "~" && !value->starts_with("~/")) {
    fault("'~user' is not supported", "write the whole path, or begin it with ~/");
    return std::nullopt;
  }
  auto expanded = expand_tilde(*value);
  if (!expanded) {
    fault(expanded.error().message, expanded.error().hint);
    return std::nullopt;
  }
  std::filesystem::path path = std::move(*expanded);
  if (path.is_relative()) path = place().file.parent_path() / path;
  std::error_code code;
  const auto absolute = std::filesystem::absolute(path, code);
  return (code ? path : absolute).lexically_normal().string();
}

std::optional<std::vector<std::string>> View::lines(std::string_view expected) const {
  if (node_->kind != Node::Kind::sequence) {
    wrong_type(expected);
    return std::nullopt;
  }
  std::vector<std::string> out;
  bool good = true;
  for (const View& item : list().value_or(std::vector<View>{})) {
    if (auto value = item.line())
      out.push_back(std::move(*value));
    else
      good = false;
  }
  if (!good) return std::nullopt;
  return out;
}

}  // namespace bot_bottle::manifest
