// JSON-RPC 2.0 as MCP (modelcontextprotocol.io, 2025-06-18) and A2A (a2a-protocol.org, 0.3) speak it.
// Hostile input: every octet. Never throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"

namespace bot_bottle::mcp {

/// Of one message or batch. More is not read: the callers say what that means.
inline constexpr std::size_t max_message_octets = std::size_t{1} << 20;

enum class Look : std::uint8_t { need_more, other, message };
/// Whether a body that begins like this is worth keeping: it opens an object, alone or in a list, whose first key is
/// one that JSON-RPC messages have. Decided within 64 octets, whatever the content type says. A message that begins
/// otherwise is not recognised as an agent's; nothing but the scan of its joined arguments is lost by that.
Look first_look(std::string_view begin);

/// The value of a text with one JSON document (a byte order mark before it is passed over, as clients do). Nothing when
/// it is longer than max_message_octets, deeper than 32, has a key twice, or is no JSON: two readers could disagree.
std::optional<json::value> read(std::string_view text);

/// The messages of a document: itself, or those of a batch. Only objects with `"jsonrpc": "2.0"`. Here and below the
/// names of a message's own members count in any case.
std::vector<const json::object*> messages_of(const json::value& document);

/// True when a request in it asks for the list of tools.
bool asks_for_tools(const json::value& document);

/// What a message says, unescaped.
struct Strings {
  struct Piece {
    std::size_t begin = 0;  // in `each`
    std::string where;      // "tools/call params.arguments.text"
  };
  std::string each;  // one after the other with line ends between; keys too
  /// The values with nothing between: all of them on a line; on the next all but those that only say of what kind a
  /// part is ("kind", "type", "role", "mimeType"); then, on a line for each of those, its end with what follows it, so
  /// that what is cut over several has a beginning that rules take for the beginning of a word.
  std::string joined;
  std::vector<Piece> pieces;
  /// The place of the string at `offset` of `each`.
  [[nodiscard]] std::string_view where(std::size_t offset) const;
};
/// Of `params`, `result` and `error` of each message.
Strings strings_of(const json::value& document);
/// Of the whole document: agent cards.
Strings all_strings_of(const json::value& document);

/// `result.tools` of each message, or of what a lenient client takes for one: `jsonrpc` may be missing. Entries may be
/// of any type.
std::vector<const json::array*> tool_lists_of(const json::value& document);

/// `/.well-known/agent-card.json`, `/.well-known/agent.json` (A2A §5.3), also below a prefix.
bool is_agent_card_path(std::string_view path);

}  // namespace bot_bottle::mcp
