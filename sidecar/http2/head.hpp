// Reads the field section of a request, a response or a trailer, field by field as HPACK gives them (RFC 9113 §8).
// Hostile input: every name and value. nghttp2 checks much of it too; what goes to an HTTP/1 upstream rests on this
// file alone (h2.CL, h2.TE and header injection: attack A3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/http/fields.hpp"

namespace bot_bottle::http2 {

enum class Problem : std::uint8_t {
  none,
  bad_field_name,
  bad_field_value,
  connection_field,
  bad_te,
  pseudo_after_field,
  repeated_pseudo,
  unknown_pseudo,
  bad_pseudo,
  missing_pseudo,
  missing_authority,
  repeated_host,
  repeated_content_length,
  bad_content_length,
  unknown_expectation,
  section_too_large,
  too_many_fields,
};

/// A sentence part for people.
std::string_view text_of(Problem problem);

enum class Section : std::uint8_t { request, response, trailers };

struct Head {
  // Pseudo-header fields; empty where absent, which is an error where they are needed.
  std::string method;
  std::string scheme;
  std::string authority;
  std::string path;
  std::string protocol;  // RFC 8441
  int status = 0;
  http::Fields fields;  // the others, cookie crumbs joined (§8.2.3)
  std::optional<std::uint64_t> content_length;
  bool expects_continue = false;
  bool accepts_trailers = false;  // te: trailers
};

/// Limits as for HTTP/1: 64 KiB (each field counts 32 octets more, §10.5.1) and 256 fields.
class HeadReader {
 public:
  void start(Section section);
  /// The first problem is kept; more fields may be added and are dropped.
  Problem add(std::string_view name, std::string_view value);
  /// The section is complete: what must be there is.
  Problem finish();
  [[nodiscard]] Problem problem() const { return problem_; }
  /// Of all fields so far, those dropped too.
  [[nodiscard]] std::size_t octets() const { return octets_; }
  [[nodiscard]] Head& head() { return head_; }

 private:
  Problem read(std::string_view name, std::string_view value);
  Problem read_pseudo(std::string_view name, std::string_view value);
  Problem read_field(std::string_view name, std::string_view value);
  Problem finish_request() const;

  Section section_ = Section::request;
  Problem problem_ = Problem::none;
  Head head_;
  std::string cookie_;
  std::size_t octets_ = 0;
  std::size_t count_ = 0;
  std::size_t hosts_ = 0;
  bool has_cookie_ = false;
  bool fields_began_ = false;
};

}  // namespace bot_bottle::http2
