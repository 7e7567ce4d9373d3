// Lookups in the tree, and the one way from a file's text to it.
#include "core/manifest/document.hpp"

#include <algorithm>

#include "core/manifest/front_matter.hpp"

namespace bot_bottle::manifest {

const Node* Node::find(std::string_view key) const {
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (keys[i].name == key) return &items[i];
  return nullptr;
}

const Key* Node::find_key(std::string_view key) const {
  const auto found = std::ranges::find(keys, key, &Key::name);
  return found == keys.end() ? nullptr : &*found;
}

std::string_view kind_name(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null:
      return "empty";
    case Node::Kind::boolean:
      return "a boolean";
    case Node::Kind::integer:
    case Node::Kind::floating:
      return "a number";
    case Node::Kind::text:
      return "a string";
    case Node::Kind::ambiguous:
      return node.look;
    case Node::Kind::sequence:
      return "a list";
    case Node::Kind::map:
      return "a map";
    case Node::Kind::invalid:
      break;
  }
  return "invalid";
}

Document read_document(std::string_view text, const std::filesystem::path& file, Faults& faults) {
  Document document;
  document.root.kind = Node::Kind::map;
  const auto front_matter = split_front_matter(text, file, faults);
  if (!front_matter) return document;
  document.language = front_matter->language;
  document.begin = {front_matter->file, 1, 1};
  document.body_begin = {front_matter->file, front_matter->body_line, 1};
  document.body = front_matter->body;
  document.root.spot = document.begin;
  document.usable = front_matter->language == Language::yaml ? read_yaml(*front_matter, document.root, faults)
                                                             : read_toml(*front_matter, document.root, faults);
  return document;
}

}  // namespace bot_bottle::manifest
