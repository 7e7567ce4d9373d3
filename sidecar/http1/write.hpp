// Writes HTTP/1.1 messages from their parts: requests and responses are always re-serialised, never passed through, so
// what a recipient reads is what was checked (attack A3). Hostile input: none that a parser has not seen.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "sidecar/http/fields.hpp"

namespace bot_bottle::http1 {

/// "METHOD target HTTP/1.1\r\nhost: authority\r\n"; all three without CR, LF or space.
void write_request_line(std::string& out, std::string_view method, std::string_view target, std::string_view authority);
/// "HTTP/1.1 200 reason\r\n"; an empty reason becomes the usual one of the status.
void write_status_line(std::string& out, int status, std::string_view reason);
void write_field(std::string& out, std::string_view name, std::string_view value);
void write_fields(std::string& out, const http::Fields& fields);
/// The empty line after the fields.
void write_head_end(std::string& out);

/// What goes before a chunk's data: "1f4\r\n"; after it goes "\r\n". `size` is not 0.
void write_chunk_begin(std::string& out, std::size_t size);
/// "0\r\n", trailers, "\r\n".
void write_last_chunk(std::string& out, const http::Fields* trailers);

std::string_view reason_of(int status);

}  // namespace bot_bottle::http1
