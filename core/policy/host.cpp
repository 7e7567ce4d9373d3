// Host names as policy compares them. Hostile input: the authority, SNI and Host of every request.
#include <idn2.h>

#include <algorithm>

#include "core/base/text.hpp"
#include "core/policy/decide.hpp"

namespace bot_bottle::policy {
namespace {

constexpr std::size_t max_host_octets = 253;  // RFC 1035 §2.3.4, without the root's dot
constexpr std::size_t max_label_octets = 63;
constexpr std::size_t max_input_octets =
    1024;  // a U-label name is longer than its A-labels; beyond this nothing is meant

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// The last label decides: WHATWG URL "ends in a number". No name of the public DNS ends in a number, so nothing is
/// lost.
bool is_number_label(std::string_view label) {
  if (label.empty()) return false;
  if (std::ranges::all_of(label, is_digit)) return true;
  if (label.size() >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
    return std::ranges::all_of(label.substr(2), is_hex);
  return false;
}

Result<std::string> to_a_labels(std::string_view host) {
  const std::string text(host);
  char* output = nullptr;
  const int code = ::idn2_lookup_u8(reinterpret_cast<const std::uint8_t*>(text.c_str()),
                                    reinterpret_cast<std::uint8_t**>(&output), IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  if (code != IDN2_OK)
    return fail(ErrorKind::invalid_argument,
                std::string("the host name is not a valid internationalised name: ") + ::idn2_strerror(code));
  std::string result(output);
  ::idn2_free(output);
  return result;
}

}  // namespace

bool is_address_literal(std::string_view host) {
  // inet_aton(3) of glibc stops at white space and takes what was before it.
  host = host.substr(0, host.find_first_of(" \t\r\n\v\f"));
  if (host.find_first_of(":[]%") != std::string_view::npos) return true;
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  const std::size_t dot = host.rfind('.');
  return is_number_label(dot == std::string_view::npos ? host : host.substr(dot + 1));
}

Result<std::string> normalise_host(std::string_view host) {
  if (host.empty()) return fail(ErrorKind::invalid_argument, "the host name is empty");
  if (host.size() > max_input_octets)
    return fail(ErrorKind::invalid_argument, "the host name is longer than 253 octets");
  // Before anything reads it as a C string: a NUL with an allowed suffix behind it passed a suffix check elsewhere
  // while the resolver stopped at the NUL (attack A1; A1_a_nul_in_a_host_name_is_refused).
  if (host.find('\0') != std::string_view::npos)
    return fail(ErrorKind::invalid_argument, "the host name holds a NUL octet");
  const auto literal = [] {
    return fail(ErrorKind::invalid_argument, "an IP address is not a host name",
                "name the host; pin its address under 'hosts' if need be");
  };
  if (is_ascii(host) && is_address_literal(host)) return literal();
  std::string name(host);
  if (!is_ascii(host)) {
    if (!is_valid_utf8(host)) return fail(ErrorKind::invalid_argument, "the host name is not valid UTF-8");
    BB_TRY(name, to_a_labels(host));
    // Full-width digits and ideographic full stops become an address only here (A11).
    if (is_address_literal(name)) return literal();
  }
  name = to_lower(name);
  // A soft hyphen alone maps to nothing (UTS 46), and "." is the root.
  if (name.empty() || name == ".") return fail(ErrorKind::invalid_argument, "the host name is empty");
  if (name.back() == '.') name.pop_back();  // "example.com." is the same name (A14)
  if (name.size() > max_host_octets)
    return fail(ErrorKind::invalid_argument, "the host name is longer than 253 octets");
  for (const std::string_view label : split(name, '.')) {
    if (label.empty()) return fail(ErrorKind::invalid_argument, "the host name has an empty label");
    if (label.size() > max_label_octets)
      return fail(ErrorKind::invalid_argument, "a label of the host name is longer than 63 octets");
    for (const char c : label) {
      if (c == '*')
        return fail(ErrorKind::invalid_argument, "wildcards are not supported in host names",
                    "write one route for each host");
      if (!is_letter(c) && !is_digit(c) && c != '-')
        return fail(ErrorKind::invalid_argument,
                    "the host name has a character other than letters, digits, '-' and '.'");
    }
    if (label.front() == '-' || label.back() == '-')
      return fail(ErrorKind::invalid_argument, "a label of the host name begins or ends with '-'");
  }
  return name;
}

}  // namespace bot_bottle::policy
