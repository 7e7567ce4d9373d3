// YAML, read strictly: yaml-cpp's events become the tree, and whatever two readers may take for two things is a fault.
// Aliases are refused as events, so no alias bomb is ever expanded (test: a_hostile_agent_file_is_bounded).
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <array>
#include <map>
#include <sstream>
#include <unordered_map>

#include "core/base/terminal_text.hpp"
#include "core/base/text.hpp"
#include "core/manifest/front_matter.hpp"
#include "core/manifest/scalars.hpp"

namespace bot_bottle::manifest {
namespace {

/// Thrown through yaml-cpp after a fault behind which the events mean nothing.
struct Stop {};

class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(const FrontMatter& front_matter, Faults& faults) : front_matter_(front_matter), faults_(faults) {}

  [[nodiscard]] bool has_root() const { return has_root_; }
  Node& root() { return root_; }

  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node;
    node.spot = spot(mark);
    check_anchor(anchor, node);
    finish(std::move(node));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    Node node;
    node.spot = spot(mark);
    refuse(node, "an alias ('*name') is not accepted", "write the value out; bottles share by 'extends'");
    finish(std::move(node));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node;
    node.spot = spot(mark);
    const char first = at(mark);
    const bool plain = tag == "?";
    if (plain)
      classify_plain(value, node);
    else {
      node.kind = Node::Kind::text;
      node.text = value;
    }
    if (value.find('\0') != std::string::npos) refuse(node, "a NUL character", "remove the \\0");
    check_anchor(anchor, node);
    // yaml-cpp gives a quoted scalar the tag "!", as it does for the non-specific tag: the source tells them apart.
    if (first == '!' || (!plain && tag != "!"))
      refuse(node, "a tag ('!name') is not accepted", "values have the type that the key asks for");
    else if (first == '"' || first == '\'')
      check_quotes(mark, first, node);
    if (plain && node.kind == Node::Kind::ambiguous && is_boolean_lookalike(value))
      refuse(node, in_quotes(value) + " is a boolean to some YAML readers and text to others",
             "write true or false, or quote it: \"" + shown(value) + "\"");
    if (plain && expects_key() && value == "<<")
      refuse(node, "a merge key ('<<') is not accepted", "write the values out; bottles share by 'extends'");
    finish(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open(mark, tag, anchor, Node::Kind::sequence);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open(mark, tag, anchor, Node::Kind::map);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    std::string path;
    bool has_key = false;
    bool keep = true;  // false: the key was refused, its value is dropped
    Key key;
    std::unordered_map<std::string, std::size_t> lines;
  };

  Spot spot(const YAML::Mark& mark) const {
    if (mark.line < 0 || mark.column < 0) return front_matter_.spot(0, 0);
    return front_matter_.spot(static_cast<std::size_t>(mark.line), static_cast<std::size_t>(mark.column));
  }
  char at(const YAML::Mark& mark) const {
    const auto position = static_cast<std::size_t>(mark.pos);
    return mark.pos >= 0 && position < front_matter_.text.size() ? front_matter_.text[position] : '\0';
  }
  [[nodiscard]] bool expects_key() const {
    return !frames_.empty() && frames_.back().node.is_map() && !frames_.back().has_key;
  }
  [[nodiscard]] std::string path() const {
    if (frames_.empty()) return {};
    const Frame& frame = frames_.back();
    if (!frame.node.is_map()) return index_path(frame.path, frame.node.items.size());
    return frame.has_key ? join_path(frame.path, frame.key.name) : frame.path;
  }

  void refuse(Node& node, std::string message, std::string hint) {
    faults_.error(node.spot.place(), path(), std::move(message), std::move(hint));
    node.kind = Node::Kind::invalid;
  }
  void check_anchor(YAML::anchor_t anchor, Node& node) {
    if (anchor != YAML::NullAnchor)
      refuse(node, "an anchor ('&name') is not accepted", "write the value out; bottles share by 'extends'");
  }

  /// yaml-cpp ends a quoted scalar without its quote where the indentation or the file ends, and would hand on half a
  /// value. So the quote must close on its line.
  void check_quotes(const YAML::Mark& mark, char quote, Node& node) {
    const std::string& text = front_matter_.text;
    for (auto i = static_cast<std::size_t>(mark.pos) + 1; i < text.size() && text[i] != '\n'; ++i) {
      if (text[i] == '\\' && quote == '"') {
        ++i;
        if (i >= text.size() || text[i] == '\n') break;
      } else if (text[i] == quote) {
        if (quote == '\'' && i + 1 < text.size() && text[i + 1] == '\'')
          ++i;
        else
          return;
      }
    }
    refuse(node, "the quote is not closed on its line",
           "close it; for several lines use a block: '|' keeps them, '>' folds them");
    throw Stop{};
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Node::Kind kind) {
    if (frames_.size() >= max_depth) {
      faults_.error(spot(mark).place(), {}, "nested deeper than " + std::to_string(max_depth) + " levels");
      throw Stop{};
    }
    Frame frame;
    frame.node.kind = kind;
    frame.node.spot = spot(mark);
    frame.path = path();
    if (expects_key()) {
      faults_.error(frame.node.spot.place(), frame.path,
                    "a key must be a plain word, not " + std::string(kind_name(frame.node)));
      frame.node.kind = Node::Kind::invalid;
    }
    if (!tag.empty() && tag != "?")
      refuse(frame.node, "a tag ('!name') is not accepted", "values have the type that the key asks for");
    check_anchor(anchor, frame.node);
    // An invalid frame still has to be walked as what it is.
    invalid_.push_back(frame.node.kind == Node::Kind::invalid);
    frame.node.kind = kind;
    frames_.push_back(std::move(frame));
  }

  void close() {
    Node node = std::move(frames_.back().node);
    frames_.pop_back();
    if (invalid_.back()) {
      node.kind = Node::Kind::invalid;
      node.items.clear();
      node.keys.clear();
    }
    invalid_.pop_back();
    finish(std::move(node));
  }

  void finish(Node node) {
    if (frames_.empty()) {
      root_ = std::move(node);
      has_root_ = true;
      return;
    }
    Frame& frame = frames_.back();
    if (!frame.node.is_map()) {
      frame.node.items.push_back(std::move(node));
      return;
    }
    if (!frame.has_key) {
      take_key(frame, std::move(node));
      return;
    }
    if (frame.keep) {
      // yaml-cpp places an absent value at the token behind it.
      if (node.kind == Node::Kind::null) node.spot = frame.key.spot;
      frame.node.keys.push_back(std::move(frame.key));
      frame.node.items.push_back(std::move(node));
    }
    frame.has_key = false;
  }

  void take_key(Frame& frame, Node node) {
    frame.keep = false;
    if (node.kind == Node::Kind::text) {
      const auto [first, is_new] = frame.lines.emplace(node.text, node.spot.line);
      frame.keep = is_new;
      if (!is_new)
        faults_.error(node.spot.place(), join_path(frame.path, node.text),
                      "the key stands here twice; first in line " + std::to_string(first->second),
                      "keep one of the two");
    } else if (node.kind != Node::Kind::invalid) {
      // yaml-cpp reports a plain "null" and no key at all alike.
      std::string message = node.kind == Node::Kind::null
                                ? "the key is empty"
                                : in_quotes(node.text) + " is " + std::string(kind_name(node)) + ", not a key";
      faults_.error(node.spot.place(), frame.path, std::move(message), "a key is a word; quote it if it is meant");
    }
    frame.key = Key{.name = std::move(node.text), .spot = node.spot};
    frame.has_key = true;
  }

  const FrontMatter& front_matter_;
  Faults& faults_;
  std::vector<Frame> frames_;
  std::vector<bool> invalid_;
  Node root_;
  bool has_root_ = false;
};

/// What yaml-cpp's words mean for somebody who edits the file.
std::string advice(std::string_view message) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> known{{
      {"illegal map value", "a value that holds ': ' must be quoted"},
      {"unknown token", "a value that begins with @ ` or % must be quoted"},
      {"end of map not found", "check the indentation, and quote values that hold special characters"},
      {"end of sequence not found", "check the indentation of the list"},
      {"end of sequence flow not found", "a '[' is not closed"},
      {"end of map flow not found", "a '{' is not closed"},
      {"illegal block entry", "a list begins on a line of its own"},
  }};
  for (const auto& [part, hint] : known)
    if (message == part) return std::string(hint);
  return {};
}

/// Directives and document markers: the file holds one document, and its delimiters are the front matter's.
bool check_lines(const FrontMatter& front_matter, Faults& faults) {
  bool clean = true;
  for (std::size_t i = 0; i < front_matter.lines.size(); ++i) {
    const std::string_view line = front_matter.lines[i];
    const bool marker = (line.starts_with("---") || line.starts_with("...")) && (line.size() == 3 || line[3] == ' ');
    if (marker)
      faults.error(front_matter.spot(i, 0).place(), {}, "a second YAML document", "the front matter is one document");
    else if (line.starts_with('%'))
      faults.error(front_matter.spot(i, 0).place(), {}, "a YAML directive is not accepted", "remove the line");
    else
      continue;
    clean = false;
  }
  return clean;
}

}  // namespace

bool read_yaml(const FrontMatter& front_matter, Node& root, Faults& faults) {
  if (!check_lines(front_matter, faults)) return false;
  TreeBuilder builder(front_matter, faults);
  try {
    std::istringstream input(front_matter.text);
    YAML::Parser parser(input);
    parser.HandleNextDocument(builder);
    // yaml-cpp stops silently where the first value ends: "- a" followed by "b: c" would lose the second line.
    TreeBuilder rest(front_matter, faults);
    if (parser.HandleNextDocument(rest)) {
      faults.error(rest.root().spot.file ? rest.root().spot.place() : front_matter.spot(0, 0).place(), {},
                   "unexpected content after the end of the first value",
                   "the front matter is one map of 'key: value' lines");
      return false;
    }
  } catch (const Stop&) {
    return false;
  } catch (const YAML::Exception& error) {
    const auto line = static_cast<std::size_t>(std::max(error.mark.line, 0));
    const auto column = static_cast<std::size_t>(std::max(error.mark.column, 0));
    faults.error(front_matter.spot(line, column).place(), {}, "not valid YAML: " + escape_untrusted(error.msg, 200),
                 advice(error.msg));
    return false;
  }
  if (!builder.has_root() || builder.root().kind == Node::Kind::null) return true;  // empty: a map without keys
  if (builder.root().kind == Node::Kind::invalid) return false;
  if (!builder.root().is_map()) {
    faults.error(builder.root().spot.place(), {},
                 "the front matter is " + std::string(kind_name(builder.root())) + ", not a map",
                 "write 'key: value' lines");
    return false;
  }
  root = std::move(builder.root());
  return true;
}

}  // namespace bot_bottle::manifest
