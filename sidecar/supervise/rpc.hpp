// JSON-RPC 2.0 as the Model Context Protocol uses it (modelcontextprotocol.io, revisions 2024-11-05 to 2026-07-28).
// Pure. Hostile input: every octet. Never throws.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"

namespace bot_bottle::supervise {

inline constexpr std::size_t max_rpc_octets = std::size_t{1} << 20;
inline constexpr std::size_t max_rpc_messages = 32;  // of a batch

enum class RpcCode : std::int32_t {
  parse_error = -32700,
  invalid_request = -32600,
  method_not_found = -32601,
  invalid_params = -32602,
  internal_error = -32603,
  refused = -32000,            // of the range for servers: HTTP's own reasons
  session_not_found = -32001,  // as the reference implementation has it
  header_mismatch = -32020,    // these two: revision 2026-07-28
  unsupported_version = -32022,
};

struct RpcMessage {
  enum class Kind : std::uint8_t { request, notification, response, invalid };
  Kind kind = Kind::invalid;
  json::value id;  // a string or an integer; null but for requests and responses
  std::string method;
  json::object params;
  bool bad_params = false;  // there were some, and they were no object
};

struct RpcPayload {
  bool is_batch = false;
  std::vector<RpcMessage> messages;  // never empty
};

struct RpcProblem {
  RpcCode code = RpcCode::invalid_request;
  std::string message;
};

enum class Batches : std::uint8_t { refused, accepted };

/// What a body says. `problem` set: nothing in it is to be acted on. Ids of more than 256 octets, fractions and null
/// are invalid; so is a document with a key twice or deeper than 32.
struct RpcReading {
  std::optional<RpcProblem> problem;
  RpcPayload payload;
};
RpcReading read_rpc(std::string_view body, Batches batches);

json::object rpc_result(const json::value& id, json::object result);
/// `data`, when not empty, is the error's own.
json::object rpc_error(const json::value& id, RpcCode code, std::string_view message, json::object data = {});

/// The revisions spoken that have sessions, newest first. What has none is in stateless.hpp.
std::span<const std::string_view> session_versions();
bool is_known_version(std::string_view version);
/// Revisions are dates: they compare as texts.
inline bool has_batches(std::string_view version) {
  return version == "2025-03-26";
}

/// A media type in an Accept field (RFC 9110 §12.5.1); weights of 0 are refusals.
bool accepts(std::string_view accept, std::string_view type);

}  // namespace bot_bottle::supervise
