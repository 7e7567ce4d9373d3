#include "sidecar/git_gate/pkt_line.hpp"

#include <algorithm>

namespace bot_bottle::git_gate {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void write_length(std::string& out, std::size_t length) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (int shift = 12; shift >= 0; shift -= 4) out += digits[(length >> static_cast<unsigned>(shift)) & 15U];
}

}  // namespace

PktReader::Event PktReader::next(std::string_view& input, std::string_view& payload) {
  payload = {};
  std::size_t length = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    if (i == input.size()) return Event::need_more;
    const int value = hex_value(input[i]);
    if (value < 0) return Event::bad;
    length = length * 16 + static_cast<std::size_t>(value);
  }
  if (length < 4) {
    if (length == 3) return Event::bad;
    input.remove_prefix(4);
    return length == 0 ? Event::flush : length == 1 ? Event::delimiter : Event::response_end;
  }
  if (length > max_pkt_payload + 4) return Event::bad;
  if (input.size() < length) return Event::need_more;
  payload = input.substr(4, length - 4);
  input.remove_prefix(length);
  return Event::data;
}

void write_pkt(std::string& out, std::string_view payload) {
  payload = payload.substr(0, max_pkt_payload);
  write_length(out, payload.size() + 4);
  out += payload;
}

void write_band(std::string& out, char band, std::string_view bytes) {
  constexpr std::size_t most = max_pkt_payload - 1;
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, most);
    write_length(out, piece.size() + 5);
    out += band;
    out += piece;
    bytes.remove_prefix(piece.size());
  }
}

}  // namespace bot_bottle::git_gate
