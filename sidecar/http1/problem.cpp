#include "sidecar/http1/problem.hpp"

namespace bot_bottle::http1 {

std::string_view text_of(Problem problem) {
  switch (problem) {
    case Problem::none:
      return "nothing wrong";
    case Problem::bad_request_line:
      return "the request line is not METHOD SP TARGET SP HTTP/1.x";
    case Problem::bad_method:
      return "the method is not a token";
    case Problem::bad_target:
      return "the request target holds a forbidden octet";
    case Problem::bad_version:
      return "the version is not HTTP/1.0 or HTTP/1.1";
    case Problem::bad_status_line:
      return "the status line is malformed";
    case Problem::bare_line_feed:
      return "a line ends in a bare line feed";
    case Problem::bare_carriage_return:
      return "a carriage return stands alone";
    case Problem::obsolete_fold:
      return "a field line is folded";
    case Problem::bad_field_name:
      return "a field name is not a token";
    case Problem::space_before_colon:
      return "there is white space before a field's colon";
    case Problem::bad_field_value:
      return "a field value holds a forbidden octet";
    case Problem::head_too_large:
      return "the head is larger than 64 KiB";
    case Problem::too_many_fields:
      return "there are more than 256 fields";
    case Problem::repeated_content_length:
      return "Content-Length is repeated";
    case Problem::bad_content_length:
      return "Content-Length is not a number";
    case Problem::length_and_coding:
      return "both Content-Length and Transfer-Encoding are given";
    case Problem::unknown_coding:
      return "Transfer-Encoding is not exactly \"chunked\"";
    case Problem::coding_in_http_1_0:
      return "Transfer-Encoding in an HTTP/1.0 message";
    case Problem::repeated_host:
      return "Host is repeated";
    case Problem::missing_host:
      return "Host is missing";
    case Problem::unknown_expectation:
      return "Expect is not 100-continue";
    case Problem::bad_chunk_size:
      return "a chunk size is malformed";
    case Problem::bad_chunk_extension:
      return "a chunk extension is malformed or too long";
    case Problem::bad_chunk_end:
      return "a chunk does not end in CR LF";
    case Problem::bad_trailer:
      return "the trailer section is malformed";
  }
  return "malformed";
}

}  // namespace bot_bottle::http1
