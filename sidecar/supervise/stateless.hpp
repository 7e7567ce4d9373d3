// The stateless half of the protocol (modelcontextprotocol.io, revision 2026-07-28): no session, no handshake; each
// request says in its `_meta` which revision it speaks, and repeats in header fields what intermediaries look at.
// Pure. Hostile input: every field and every part of a message. Never throws.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sidecar/http/fields.hpp"
#include "sidecar/supervise/rpc.hpp"

namespace bot_bottle::supervise {

inline constexpr std::string_view stateless_version = "2026-07-28";

/// True for what asks to be served without a session: its `_meta` names a revision, or its header field names one from
/// 2026-07-28 on, known or not. Everything else is of the revisions before.
bool is_stateless(const http::Fields& fields, const RpcMessage& message);

struct StatelessRefusal {
  RpcCode code = RpcCode::invalid_request;
  std::string message;
  json::object data;  // empty: none
};
/// What is wrong with a request before its method is looked at; answered with 400. The fields must say what the body
/// says: something between that judged one of them would have judged the other (basic/transports/streamable-http,
/// Server Validation).
std::optional<StatelessRefusal> check_stateless(const http::Fields& fields, const RpcMessage& message);

/// A value of `Mcp-Name` as it was meant: `=?base64?…?=` stands for its octets. Nothing: it is not well formed.
std::optional<std::string> decode_mirrored(std::string_view value);

}  // namespace bot_bottle::supervise
