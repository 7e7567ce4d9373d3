// Reads the head of an HTTP/1 message. Hostile input: every byte, from the agent and from upstreams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "sidecar/http/fields.hpp"
#include "sidecar/http1/problem.hpp"

namespace bot_bottle::http1 {

/// Octets of a head with its last CR LF, and fields in it (spec 04, Protocols).
struct HeadLimits {
  std::size_t bytes = std::size_t{64} << 10;
  std::size_t fields = 256;
};

/// How the body's end is known (RFC 9112 §6).
enum class Framing : std::uint8_t { none, length, chunked, until_close };

struct MessageHead {
  std::uint8_t minor_version = 1;  // HTTP/1.x
  http::Fields fields;             // all of them, in order
  Framing framing = Framing::none;
  std::uint64_t content_length = 0;  // with Framing::length
  bool keep_alive = true;            // what version and `Connection` say (§9.3)
};

struct RequestHead : MessageHead {
  std::string method;
  std::string target;
  bool expects_continue = false;
};

struct ResponseHead : MessageHead {
  int status = 0;
  std::string reason;
};

enum class Reading : std::uint8_t { complete, need_more, bad };

struct HeadResult {
  Reading reading = Reading::need_more;
  Problem problem = Problem::none;  // with Reading::bad
  std::size_t size = 0;             // octets of the head, with Reading::complete
};

/// Where the search for the end of the head goes on when more octets have come; reset for each message.
struct HeadProgress {
  std::size_t searched = 0;
  std::size_t line_begin = 0;
};

/// Reads one request head from the start of `bytes` into `out` (its memory is reused).
///
/// Stricter than a recipient must be: CR LF only (§2.2), single spaces in the request line (§3), no space before the
/// colon (§5.1), no folding (§5.2), no empty line before the request, Content-Length at most once and only digits,
/// never together with Transfer-Encoding, which must be exactly `chunked` (§6.1, §6.3), values without controls and in
/// UTF-8. A bad head is reported as soon as its bad line is complete; the caller answers 400 and closes.
HeadResult read_request_head(std::string_view bytes, HeadProgress& progress, RequestHead& out,
                             const HeadLimits& limits = {});

/// The same for a response; `framing` is as the fields say, see `response_framing`. Values may hold obs-text.
HeadResult read_response_head(std::string_view bytes, HeadProgress& progress, ResponseHead& out,
                              const HeadLimits& limits = {});

/// Framing of a response to `method`: HEAD, 1xx, 204 and 304 have no body whatever their fields say; without either
/// field the body goes to the end of the connection (§6.3).
Framing response_framing(const ResponseHead& head, std::string_view method);

/// One field line without its CR LF, added to `fields`. Used for heads and trailers.
Problem read_field_line(std::string_view line, bool require_utf8, http::Fields& fields);

}  // namespace bot_bottle::http1
