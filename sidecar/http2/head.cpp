#include "sidecar/http2/head.hpp"

#include <charconv>

#include "core/base/text.hpp"

namespace bot_bottle::http2 {
namespace {

constexpr std::size_t max_octets = std::size_t{64} << 10;
constexpr std::size_t max_fields = 256;
constexpr std::size_t field_overhead = 32;

bool is_lower_token(std::string_view name) {
  if (!http::is_token(name)) return false;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') return false;
  }
  return true;
}

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

/// Visible ASCII: what a request line may hold between its spaces.
bool is_visible(std::string_view text) {
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7f) return false;
  }
  return !text.empty();
}

bool is_connection_field(std::string_view name) {
  return name == "connection" || name == "proxy-connection" || name == "keep-alive" || name == "transfer-encoding" ||
         name == "upgrade";
}

}  // namespace

void HeadReader::start(Section section) {
  section_ = section;
  problem_ = Problem::none;
  head_ = {};
  cookie_.clear();
  octets_ = count_ = hosts_ = 0;
  has_cookie_ = fields_began_ = false;
}

Problem HeadReader::add(std::string_view name, std::string_view value) {
  octets_ += name.size() + value.size() + field_overhead;
  ++count_;
  if (problem_ == Problem::none) problem_ = read(name, value);
  return problem_;
}

Problem HeadReader::read(std::string_view name, std::string_view value) {
  if (octets_ > max_octets) return Problem::section_too_large;
  if (count_ > max_fields) return Problem::too_many_fields;
  if (name.starts_with(':')) return read_pseudo(name, value);
  fields_began_ = true;
  return read_field(name, value);
}

Problem HeadReader::read_pseudo(std::string_view name, std::string_view value) {
  if (fields_began_) return Problem::pseudo_after_field;
  if (section_ == Section::trailers) return Problem::unknown_pseudo;
  if (section_ == Section::response) {
    if (name != ":status") return Problem::unknown_pseudo;
    if (head_.status != 0) return Problem::repeated_pseudo;
    if (value.size() != 3 || value.find_first_not_of("0123456789") != std::string_view::npos)
      return Problem::bad_pseudo;
    std::from_chars(value.data(), value.data() + value.size(), head_.status);
    // 101 has no meaning here (§8.6).
    return head_.status < 100 || head_.status > 599 || head_.status == 101 ? Problem::bad_pseudo : Problem::none;
  }
  std::string* target = name == ":method"      ? &head_.method
                        : name == ":scheme"    ? &head_.scheme
                        : name == ":authority" ? &head_.authority
                        : name == ":path"      ? &head_.path
                        : name == ":protocol"  ? &head_.protocol
                                               : nullptr;
  if (target == nullptr) return Problem::unknown_pseudo;
  if (!target->empty()) return Problem::repeated_pseudo;
  if (!is_visible(value)) return Problem::bad_pseudo;
  const bool token = target == &head_.method || target == &head_.protocol;
  if (token && !http::is_token(value)) return Problem::bad_pseudo;
  target->assign(value);
  return Problem::none;
}

Problem HeadReader::read_field(std::string_view name, std::string_view value) {
  if (!is_lower_token(name)) return Problem::bad_field_name;
  if (!http::is_field_value(value)) return Problem::bad_field_value;
  if (!value.empty() && (is_blank(value.front()) || is_blank(value.back()))) return Problem::bad_field_value;
  if (section_ != Section::response && !is_valid_utf8(value)) return Problem::bad_field_value;
  if (is_connection_field(name)) return Problem::connection_field;
  if (name == "te") {
    if (!equals_ignoring_case(value, "trailers")) return Problem::bad_te;
    head_.accepts_trailers = true;
    return Problem::none;
  }
  if (section_ != Section::trailers) {
    if (name == "content-length") {
      if (head_.content_length) return Problem::repeated_content_length;
      const bool digits =
          !value.empty() && value.size() <= 18 && value.find_first_not_of("0123456789") == std::string_view::npos;
      if (!digits) return Problem::bad_content_length;
      std::uint64_t length = 0;
      std::from_chars(value.data(), value.data() + value.size(), length);
      head_.content_length = length;
    } else if (section_ == Section::request && name == "host") {
      if (++hosts_ > 1) return Problem::repeated_host;
    } else if (section_ == Section::request && name == "expect") {
      if (!equals_ignoring_case(value, "100-continue")) return Problem::unknown_expectation;
      head_.expects_continue = true;
    } else if (section_ == Section::request && name == "cookie") {
      if (has_cookie_) cookie_.append("; ");
      has_cookie_ = true;
      cookie_.append(value);
      return Problem::none;
    }
  }
  head_.fields.add(name, value);
  return Problem::none;
}

Problem HeadReader::finish_request() const {
  if (head_.method.empty()) return Problem::missing_pseudo;
  if (head_.authority.empty() && hosts_ == 0) return Problem::missing_authority;
  if (head_.method == "CONNECT" && head_.protocol.empty()) {
    // A tunnel inside a connection that is inspected: its shape is right, and it is refused later like TRACE.
    return head_.scheme.empty() && head_.path.empty() && !head_.authority.empty() ? Problem::none : Problem::bad_pseudo;
  }
  if (head_.scheme.empty() || head_.path.empty()) return Problem::missing_pseudo;
  if (!head_.protocol.empty() && (head_.method != "CONNECT" || head_.authority.empty())) return Problem::bad_pseudo;
  if (head_.path.front() != '/' && !(head_.path == "*" && head_.method == "OPTIONS")) return Problem::bad_pseudo;
  return Problem::none;
}

Problem HeadReader::finish() {
  if (problem_ != Problem::none) return problem_;
  if (has_cookie_) head_.fields.add("cookie", cookie_);
  if (section_ == Section::request) problem_ = finish_request();
  if (section_ == Section::response && head_.status == 0) problem_ = Problem::missing_pseudo;
  return problem_;
}

std::string_view text_of(Problem problem) {
  switch (problem) {
    case Problem::none:
      return "nothing wrong";
    case Problem::bad_field_name:
      return "a field name is not a lower-case token";
    case Problem::bad_field_value:
      return "a field value holds a forbidden octet";
    case Problem::connection_field:
      return "a field that belongs to an HTTP/1 connection";
    case Problem::bad_te:
      return "TE is not exactly \"trailers\"";
    case Problem::pseudo_after_field:
      return "a pseudo-header field after a field";
    case Problem::repeated_pseudo:
      return "a pseudo-header field is repeated";
    case Problem::unknown_pseudo:
      return "an unknown pseudo-header field";
    case Problem::bad_pseudo:
      return "a pseudo-header field is malformed";
    case Problem::missing_pseudo:
      return "a pseudo-header field is missing";
    case Problem::missing_authority:
      return "neither :authority nor Host is given";
    case Problem::repeated_host:
      return "Host is repeated";
    case Problem::repeated_content_length:
      return "Content-Length is repeated";
    case Problem::bad_content_length:
      return "Content-Length is not a number";
    case Problem::unknown_expectation:
      return "Expect is not 100-continue";
    case Problem::section_too_large:
      return "the field section is larger than 64 KiB";
    case Problem::too_many_fields:
      return "there are more than 256 fields";
  }
  return "malformed";
}

}  // namespace bot_bottle::http2
