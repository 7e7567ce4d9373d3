// What servers said of their tools, for the life of the sidecar: a tool that is described otherwise later (a "rug
// pull") is seen. Hostile input: the descriptions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"

namespace bot_bottle::mcp {

/// Equal for documents that say the same: keys in order, no space, one spelling of each string and number.
std::string canonical(const json::value& value);

/// SHA-256 over the canonical definition but `_meta`, which the protocol leaves to implementations and which may differ
/// from answer to answer. Whatever else it has is part of it, known to us or not: a model may be shown it.
std::string digest_of_tool(const json::object& tool);

class ToolBook {
 public:
  static constexpr std::size_t max_tools = 4096;  // of all servers
  static constexpr std::size_t max_name_octets = 256;

  struct Remarks {
    std::vector<std::string> changed;  // names; hostile text
    bool malformed = false;            // an entry without a usable name
    bool full = false;                 // what could not be noted any more
  };
  /// Compares a list with what `server` (host, port and path) said before; the first word on a tool is what counts from
  /// then on. Tools that are new or missing are no change: lists come in pages.
  Remarks note(std::string_view server, const json::array& tools);

 private:
  std::map<std::string, std::string, std::less<>> digests_;  // by server and name
};

}  // namespace bot_bottle::mcp
