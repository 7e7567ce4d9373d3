#include "sidecar/mcp/message.hpp"

#include <algorithm>
#include <array>

#include "core/base/text.hpp"

namespace bot_bottle::mcp {
namespace {

constexpr std::size_t look_octets = 64;
constexpr std::size_t max_where_octets = 200;
constexpr std::size_t max_pieces = 10'000;  // beyond, places are no longer noted; the strings still are
constexpr std::size_t window_octets = 256;  // what tokens with a shape have at most
constexpr std::size_t max_window_octets = std::size_t{2} << 20;
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

std::string_view skip_space(std::string_view text) {
  return text.substr(std::min(text.size(), text.find_first_not_of(" \t\r\n")));
}

bool is_request_key(std::string_view key) {
  constexpr auto keys = std::to_array<std::string_view>({"jsonrpc", "id", "method", "params", "result", "error"});
  return std::ranges::find(keys, key) != keys.end();
}

bool tells_kind(std::string_view key) {
  return key == "kind" || key == "type" || key == "role" || key == "mimeType";
}

/// Clients in Go take a key in any case for the one they look for, so a server may write "Result" and be read.
std::vector<const json::value*> members_of(const json::object& object, std::string_view key) {
  std::vector<const json::value*> values;
  for (const auto& member : object)
    if (equals_ignoring_case(member.key(), key)) values.push_back(&member.value());
  return values;
}

class Collector {
 public:
  explicit Collector(Strings& strings) : strings_(strings) {}

  // NOLINTNEXTLINE(misc-no-recursion): depth is bounded
  void add(const json::value& value, const std::string& where, std::string_view key = {}) {
    if (const json::string* text = value.if_string()) {
      note(*text, where);
      strings_.joined.append(*text);
      if (!tells_kind(key)) told_.emplace_back(*text);
    } else if (const json::array* array = value.if_array()) {
      for (std::size_t i = 0; i < array->size(); ++i) add((*array)[i], below(where, "[" + std::to_string(i) + "]"));
    } else if (const json::object* object = value.if_object()) {
      for (const auto& member : *object) {
        note(member.key(), where);
        add(member.value(), below(where, "." + std::string(member.key())), member.key());
      }
    }
  }

  void finish() {
    std::string& out = strings_.joined;
    out += '\n';
    for (const std::string_view text : told_) out += text;
    const std::size_t end = out.size() + max_window_octets;
    for (std::size_t i = 0; i < told_.size() && out.size() < end; ++i) {
      const std::string_view first = told_[i];
      out.append("\n").append(first.substr(first.size() - std::min(first.size(), window_octets)));
      std::size_t left = window_octets;
      for (std::size_t next = i + 1; next < told_.size() && left > 0; ++next) {
        const std::string_view more = told_[next].substr(0, left);
        out += more;
        left -= more.size();
      }
    }
  }

 private:
  static std::string below(const std::string& where, const std::string& step) {
    return where.size() + step.size() > max_where_octets ? where : where + step;
  }
  void note(std::string_view text, const std::string& where) {
    if (text.empty()) return;
    if (strings_.pieces.size() < max_pieces) strings_.pieces.push_back({strings_.each.size(), where});
    strings_.each.append(text).append("\n");
  }
  Strings& strings_;
  std::vector<std::string_view> told_;  // into the document
};

}  // namespace

Look first_look(std::string_view begin) {
  std::string_view text = begin.substr(0, look_octets);
  const Look undecided = begin.size() < look_octets ? Look::need_more : Look::other;
  if (text.size() < byte_order_mark.size() && byte_order_mark.starts_with(text)) return undecided;
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  text = skip_space(text);
  if (text.starts_with('[')) text = skip_space(text.substr(1));
  if (text.empty()) return undecided;
  if (text.front() != '{') return Look::other;
  text = skip_space(text.substr(1));
  if (text.empty()) return undecided;
  if (text.front() != '"') return Look::other;
  text.remove_prefix(1);
  const std::size_t end = text.find_first_of("\"\\");
  if (end == std::string_view::npos) return undecided;
  // Nobody escapes these keys but to hide them.
  if (text[end] == '\\') return Look::message;
  return is_request_key(text.substr(0, end)) ? Look::message : Look::other;
}

std::optional<json::value> read(std::string_view text) {
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  auto value = parse_json(text, max_message_octets);
  if (!value) return std::nullopt;
  return std::move(*value);
}

std::vector<const json::object*> messages_of(const json::value& document) {
  std::vector<const json::object*> messages;
  const auto add = [&](const json::value& value) {
    const json::object* object = value.if_object();
    if (object == nullptr) return;
    const auto versions = members_of(*object, "jsonrpc");
    if (std::ranges::any_of(versions, [](const json::value* said) { return *said == "2.0"; }))
      messages.push_back(object);
  };
  if (const json::array* batch = document.if_array()) {
    for (const json::value& value : *batch) add(value);
  } else {
    add(document);
  }
  return messages;
}

bool asks_for_tools(const json::value& document) {
  return std::ranges::any_of(messages_of(document), [](const json::object* message) {
    return get_string(*message, "method") == "tools/list";
  });
}

std::string_view Strings::where(std::size_t offset) const {
  const auto after = std::ranges::upper_bound(pieces, offset, {}, &Piece::begin);
  return after == pieces.begin() ? std::string_view() : std::string_view(std::prev(after)->where);
}

Strings strings_of(const json::value& document) {
  Strings strings;
  Collector collector(strings);
  for (const json::object* message : messages_of(document)) {
    const std::string method = get_string(*message, "method").substr(0, 64);
    const std::string prefix = method.empty() ? std::string() : method + " ";
    for (const char* part : {"params", "result", "error"})
      for (const json::value* value : members_of(*message, part)) collector.add(*value, prefix + part);
  }
  collector.finish();
  return strings;
}

Strings all_strings_of(const json::value& document) {
  Strings strings;
  Collector collector(strings);
  collector.add(document, "document");
  collector.finish();
  return strings;
}

std::vector<const json::array*> tool_lists_of(const json::value& document) {
  std::vector<const json::array*> lists;
  const auto add = [&](const json::value& message) {
    if (!message.is_object()) return;
    for (const json::value* result : members_of(message.get_object(), "result")) {
      if (!result->is_object()) continue;
      for (const json::value* tools : members_of(result->get_object(), "tools"))
        if (const json::array* list = tools->if_array()) lists.push_back(list);
    }
  };
  if (const json::array* batch = document.if_array()) {
    for (const json::value& value : *batch) add(value);
  } else {
    add(document);
  }
  return lists;
}

bool is_agent_card_path(std::string_view path) {
  return path.ends_with("/.well-known/agent-card.json") || path.ends_with("/.well-known/agent.json");
}

}  // namespace bot_bottle::mcp
