#include "sidecar/http1/head.hpp"

#include <array>
#include <charconv>
#include <cstring>

#include "core/base/text.hpp"

namespace bot_bottle::http1 {
namespace {

/// Octets of a field value: HTAB, SP, VCHAR, obs-text (RFC 9110 §5.5).
constexpr std::array<bool, 256> make_value_octets() {
  std::array<bool, 256> table{};
  for (unsigned c = 0x20; c < 0x100; ++c) table[c] = c != 0x7f;
  table['\t'] = true;
  return table;
}
constexpr auto value_octets = make_value_octets();

HeadResult bad(Problem problem) {
  return {Reading::bad, problem, 0};
}

/// Finds the empty line. Looks at each line end once, so a head that trickles in costs linear time (attack L:
/// slow-loris).
HeadResult find_end(std::string_view bytes, HeadProgress& progress, const HeadLimits& limits) {
  std::size_t lines = 0;
  while (true) {
    const std::size_t end = bytes.find('\n', progress.searched);
    if (end == std::string_view::npos) {
      progress.searched = bytes.size();
      if (bytes.size() > limits.bytes) return bad(Problem::head_too_large);
      return {};
    }
    if (end >= limits.bytes) return bad(Problem::head_too_large);
    if (end == 0 || bytes[end - 1] != '\r') return bad(Problem::bare_line_feed);
    progress.searched = end + 1;
    const bool empty_line = end - 1 == progress.line_begin;
    if (empty_line) return {Reading::complete, Problem::none, end + 1};
    progress.line_begin = end + 1;
    if (++lines > limits.fields + 1) return bad(Problem::too_many_fields);
  }
}

std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find("\r\n");
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 2);
  return line;
}

Problem read_version(std::string_view text, std::uint8_t& minor) {
  if (text == "HTTP/1.1") {
    minor = 1;
  } else if (text == "HTTP/1.0") {
    minor = 0;
  } else {
    return Problem::bad_version;
  }
  return Problem::none;
}

Problem read_request_line(std::string_view line, RequestHead& out) {
  const std::size_t first = line.find(' ');
  if (first == std::string_view::npos || first == 0) return Problem::bad_request_line;
  const std::size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos || second == first + 1) return Problem::bad_request_line;
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, second - first - 1);
  if (!http::is_token(method)) return Problem::bad_method;
  for (const char c : target) {
    if (c <= 0x20 || c >= 0x7f) return Problem::bad_target;
  }
  if (const Problem problem = read_version(line.substr(second + 1), out.minor_version); problem != Problem::none)
    return problem;
  out.method.assign(method);
  out.target.assign(target);
  return Problem::none;
}

Problem read_status_line(std::string_view line, ResponseHead& out) {
  if (line.size() < 12 || line[8] != ' ') return Problem::bad_status_line;
  if (const Problem problem = read_version(line.substr(0, 8), out.minor_version); problem != Problem::none)
    return problem;
  const std::string_view code = line.substr(9, 3);
  for (const char c : code) {
    if (c < '0' || c > '9') return Problem::bad_status_line;
  }
  out.status = (code[0] - '0') * 100 + (code[1] - '0') * 10 + (code[2] - '0');
  if (out.status < 100 || out.status > 599) return Problem::bad_status_line;
  if (line.size() > 12 && line[12] != ' ') return Problem::bad_status_line;
  const std::string_view reason = line.size() > 12 ? line.substr(13) : std::string_view{};
  for (const char c : reason) {
    if (!value_octets[static_cast<unsigned char>(c)]) return Problem::bad_status_line;
  }
  out.reason.assign(reason);
  return Problem::none;
}

Problem read_fields(std::string_view rest, bool require_utf8, const HeadLimits& limits, MessageHead& out) {
  out.fields.clear();
  while (true) {
    const std::string_view line = take_line(rest);
    if (line.empty()) return rest.empty() ? Problem::none : Problem::bad_field_name;
    if (out.fields.size() == limits.fields) return Problem::too_many_fields;
    if (const Problem problem = read_field_line(line, require_utf8, out.fields); problem != Problem::none)
      return problem;
  }
}

/// Framing as the fields give it; the two ways to say it must not disagree or be repeated (attack A3).
Problem read_framing(MessageHead& out) {
  Problem problem = Problem::none;
  bool length = false;
  bool coding = false;
  bool close = false;
  bool keep = false;
  out.framing = Framing::none;
  out.content_length = 0;
  out.fields.each([&](const http::Field& field) {
    if (problem != Problem::none) return;
    if (field.name == "content-length") {
      if (length) {
        problem = Problem::repeated_content_length;
        return;
      }
      length = true;
      // 18 digits are beyond every body and cannot overflow; "+5", "5,5", "0x5" and "" are all refused.
      const bool digits = !field.value.empty() && field.value.size() <= 18 &&
                          field.value.find_first_not_of("0123456789") == std::string_view::npos;
      if (!digits) {
        problem = Problem::bad_content_length;
        return;
      }
      std::from_chars(field.value.data(), field.value.data() + field.value.size(), out.content_length);
    } else if (field.name == "transfer-encoding") {
      if (coding || !equals_ignoring_case(field.value, "chunked")) problem = Problem::unknown_coding;
      coding = true;
    } else if (field.name == "connection") {
      close = close || http::has_member(field.value, "close");
      keep = keep || http::has_member(field.value, "keep-alive");
    }
  });
  if (problem != Problem::none) return problem;
  if (length && coding) return Problem::length_and_coding;
  if (coding && out.minor_version == 0) return Problem::coding_in_http_1_0;
  if (coding) out.framing = Framing::chunked;
  if (length) out.framing = Framing::length;
  out.keep_alive = !close && (out.minor_version == 1 || keep);
  return Problem::none;
}

Problem read_request_rules(RequestHead& out) {
  std::size_t hosts = 0;
  Problem problem = Problem::none;
  out.expects_continue = false;
  out.fields.each([&](const http::Field& field) {
    if (field.name == "host") ++hosts;
    if (field.name == "expect") {
      if (equals_ignoring_case(field.value, "100-continue")) {
        out.expects_continue = out.minor_version == 1;
      } else {
        problem = Problem::unknown_expectation;
      }
    }
  });
  if (hosts > 1) return Problem::repeated_host;
  if (hosts == 0 && out.minor_version == 1) return Problem::missing_host;
  return problem;
}

}  // namespace

Problem read_field_line(std::string_view line, bool require_utf8, http::Fields& fields) {
  if (line.front() == ' ' || line.front() == '\t') return Problem::obsolete_fold;
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return Problem::bad_field_name;
  const std::string_view name = line.substr(0, colon);
  if (name.back() == ' ' || name.back() == '\t') return Problem::space_before_colon;
  if (!http::is_token(name)) return Problem::bad_field_name;
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  bool ascii = true;
  for (const char c : value) {
    const auto octet = static_cast<unsigned char>(c);
    if (!value_octets[octet]) return c == '\r' ? Problem::bare_carriage_return : Problem::bad_field_value;
    ascii = ascii && octet < 0x80;
  }
  if (!ascii && require_utf8 && !is_valid_utf8(value)) return Problem::bad_field_value;
  fields.add(name, value);
  return Problem::none;
}

HeadResult read_request_head(std::string_view bytes, HeadProgress& progress, RequestHead& out,
                             const HeadLimits& limits) {
  const HeadResult end = find_end(bytes, progress, limits);
  if (end.reading != Reading::complete) return end;
  std::string_view rest = bytes.substr(0, end.size);
  if (const Problem problem = read_request_line(take_line(rest), out); problem != Problem::none) return bad(problem);
  if (const Problem problem = read_fields(rest, true, limits, out); problem != Problem::none) return bad(problem);
  if (const Problem problem = read_framing(out); problem != Problem::none) return bad(problem);
  if (const Problem problem = read_request_rules(out); problem != Problem::none) return bad(problem);
  return end;
}

HeadResult read_response_head(std::string_view bytes, HeadProgress& progress, ResponseHead& out,
                              const HeadLimits& limits) {
  const HeadResult end = find_end(bytes, progress, limits);
  if (end.reading != Reading::complete) return end;
  std::string_view rest = bytes.substr(0, end.size);
  if (const Problem problem = read_status_line(take_line(rest), out); problem != Problem::none) return bad(problem);
  if (const Problem problem = read_fields(rest, false, limits, out); problem != Problem::none) return bad(problem);
  if (const Problem problem = read_framing(out); problem != Problem::none) return bad(problem);
  return end;
}

Framing response_framing(const ResponseHead& head, std::string_view method) {
  if (method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304) return Framing::none;
  return head.framing == Framing::none ? Framing::until_close : head.framing;
}

}  // namespace bot_bottle::http1
