// The fields of an opening handshake over HTTP/1 (RFC 6455 §4). Hostile input: both sides' fields.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sidecar/http/fields.hpp"

namespace bot_bottle::websocket {

/// The key, when the fields ask to upgrade to WebSocket, version 13, and to nothing else: `Upgrade` is exactly one
/// field with one member (a list could let the upstream choose another, attacks A7 and A8), named by `Connection`.
std::optional<std::string> read_upgrade_request(const http::Fields& fields);
/// True when the fields of a 101 answer the key, with nothing that was not asked for: no extension, and of
/// `offered_protocols` (the request's Sec-WebSocket-Protocol) at most one.
bool is_upgrade_response(const http::Fields& fields, std::string_view key, std::string_view offered_protocols);
/// Takes off what each side's own handshake makes anew; extensions are never offered, so nothing is compressed (A15).
void strip_handshake_fields(http::Fields& fields);

/// Sixteen random octets in base64.
std::string make_key();
/// Sec-WebSocket-Accept for a key.
std::string accept_for(std::string_view key);

}  // namespace bot_bottle::websocket
