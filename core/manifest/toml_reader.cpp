// TOML → the same tree as YAML. toml++ recurses for every level of a dotted key and has no limit on them (3.3): a line
// "a.a.a.…" of 256 KiB would overflow the stack when the tree is destroyed. So nesting is counted before it parses.
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/base/terminal_text.hpp"
#include "core/manifest/front_matter.hpp"

namespace bot_bottle::manifest {
namespace {

/// Walks TOML's lexical structure: strings, comments, brackets, dots between keys. Malformed text may confuse it only
/// behind the point where toml++ stops with an error.
class NestingScan {
 public:
  explicit NestingScan(std::string_view text) : text_(text) {}

  /// The offset where the nesting becomes too deep; npos when it never does.
  std::size_t first_too_deep() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      switch (c) {
        case '"':
        case '\'':
          skip_string(c);
          continue;
        case '#':
          at_ = std::min(text_.find('\n', at_), text_.size());
          continue;
        case '[':
        case '{':
          dots_ = 0;
          if (++brackets_ > max_depth) return at_;
          break;
        case ']':
        case '}':
          dots_ = 0;
          if (brackets_ > 0) --brackets_;
          break;
        case '=':
        case ',':
        case '\n':
          dots_ = 0;
          break;
        case '.':
          if (++dots_ > max_depth) return at_;
          break;
        default:
          break;
      }
      ++at_;
    }
    return std::string_view::npos;
  }

 private:
  void skip_string(char quote) {
    const std::string triple(3, quote);
    if (text_.substr(at_, 3) == triple) {
      at_ += 3;
      while (at_ < text_.size() && text_.substr(at_, 3) != triple) at_ += text_[at_] == '\\' && quote == '"' ? 2U : 1U;
      at_ = std::min(at_ + 3, text_.size());
      while (at_ < text_.size() && text_[at_] == quote) ++at_;  // """x"""" ends with a quote of its own
      return;
    }
    ++at_;
    while (at_ < text_.size() && text_[at_] != quote && text_[at_] != '\n')
      at_ += text_[at_] == '\\' && quote == '"' ? 2U : 1U;
    at_ = std::min(at_, text_.size());
    if (at_ < text_.size() && text_[at_] == quote) ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t brackets_ = 0;
  std::size_t dots_ = 0;
};

class TreeBuilder {
 public:
  TreeBuilder(const FrontMatter& front_matter, Faults& faults) : front_matter_(front_matter), faults_(faults) {}

  Node node(const toml::node& source, const std::string& path,
            std::size_t depth) {  // NOLINT(misc-no-recursion): bounded
    Node out;
    out.spot = spot(source.source());
    if (depth > max_depth) {
      faults_.error(out.spot.place(), path, "nested deeper than " + std::to_string(max_depth) + " levels");
      out.kind = Node::Kind::invalid;
    } else if (const auto* table = source.as_table()) {
      out.kind = Node::Kind::map;
      for (const auto& [key, value] : *table) {
        const std::string name(key.str());
        const std::string child = join_path(path, name);
        Node item = node(value, child, depth + 1);
        const Spot where = spot(key.source());
        if (name.find('\0') != std::string::npos) {
          faults_.error(where.place(), child, "a NUL character", "remove the \\u0000");
          continue;
        }
        out.keys.push_back({name, where});
        out.items.push_back(std::move(item));
      }
    } else if (const auto* array = source.as_array()) {
      out.kind = Node::Kind::sequence;
      for (const auto& item : *array) out.items.push_back(node(item, index_path(path, out.items.size()), depth + 1));
    } else {
      scalar(source, path, out);
    }
    return out;
  }

  Spot spot(const toml::source_region& region) const {
    const auto line = static_cast<std::size_t>(region.begin.line);
    const auto column = static_cast<std::size_t>(region.begin.column);
    if (line == 0) return front_matter_.spot(0, 0);
    // toml++ counts code points; clamp through the line's own length.
    Spot end = front_matter_.spot(line - 1, SIZE_MAX);
    end.column = std::clamp<std::size_t>(column, 1, end.column);
    return end;
  }

 private:
  void scalar(const toml::node& source, const std::string& path, Node& out) {
    if (const auto* text = source.as_string()) {
      out.kind = Node::Kind::text;
      out.text = text->get();
      if (out.text.find('\0') != std::string::npos) {
        faults_.error(out.spot.place(), path, "a NUL character", "remove the \\u0000");
        out.kind = Node::Kind::invalid;
      }
      return;
    }
    std::ostringstream written;
    if (const auto* boolean = source.as_boolean()) {
      out.kind = Node::Kind::boolean;
      out.boolean = boolean->get();
      written << (out.boolean ? "true" : "false");
    } else if (const auto* integer = source.as_integer()) {
      out.kind = Node::Kind::integer;
      out.integer = integer->get();
      written << out.integer;
    } else if (const auto* floating = source.as_floating_point()) {
      out.floating = floating->get();
      out.kind = std::isfinite(out.floating) ? Node::Kind::floating : Node::Kind::ambiguous;
      out.look = "a special number";
      written << out.floating;
    } else {
      out.kind = Node::Kind::ambiguous;
      out.look = source.is_time() ? "a time" : "a date";
      if (const auto* date = source.as_date()) written << *date;
      if (const auto* time = source.as_time()) written << *time;
      if (const auto* both = source.as_date_time()) written << *both;
    }
    out.text = written.str();
  }

  const FrontMatter& front_matter_;
  Faults& faults_;
};

}  // namespace

bool read_toml(const FrontMatter& front_matter, Node& root, Faults& faults) {
  const std::string_view text = front_matter.text;
  if (const std::size_t at = NestingScan(text).first_too_deep(); at != std::string_view::npos) {
    const std::string_view before = text.substr(0, at);
    const auto line = static_cast<std::size_t>(std::ranges::count(before, '\n'));
    const std::size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    faults.error(front_matter.spot(line, at - start).place(), {},
                 "nested deeper than " + std::to_string(max_depth) + " levels");
    return false;
  }
  TreeBuilder builder(front_matter, faults);
  try {
    const toml::table table = toml::parse(text);
    root = builder.node(table, {}, 0);
    return true;
  } catch (const toml::parse_error& error) {
    faults.error(builder.spot(error.source()).place(), {},
                 "not valid TOML: " + escape_untrusted(error.description(), 200));
    return false;
  }
}

}  // namespace bot_bottle::manifest
