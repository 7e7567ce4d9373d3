// What a strict HTTP/1 reader can find wrong; one small enum, so that hot paths build no strings.
#pragma once

#include <cstdint>
#include <string_view>

namespace bot_bottle::http1 {

enum class Problem : std::uint8_t {
  none,
  bad_request_line,
  bad_method,
  bad_target,
  bad_version,
  bad_status_line,
  bare_line_feed,
  bare_carriage_return,
  obsolete_fold,
  bad_field_name,
  space_before_colon,
  bad_field_value,
  head_too_large,
  too_many_fields,
  repeated_content_length,
  bad_content_length,
  length_and_coding,
  unknown_coding,
  coding_in_http_1_0,
  repeated_host,
  missing_host,
  unknown_expectation,
  bad_chunk_size,
  bad_chunk_extension,
  bad_chunk_end,
  bad_trailer,
};

/// A sentence part for people: "a bare line feed". Names RFC 9112's rule where there is one.
std::string_view text_of(Problem problem);

}  // namespace bot_bottle::http1
