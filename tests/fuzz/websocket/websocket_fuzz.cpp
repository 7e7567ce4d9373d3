// Frames of both senders: what is read does not depend on how it was cut, and survives being written and read again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "sidecar/websocket/frames.hpp"

namespace ws = bot_bottle::websocket;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

/// What was read, written again as whole frames; and how it ended.
struct Seen {
  std::string written;
  ws::Problem problem = ws::Problem::none;
};

Seen read(std::string_view octets, std::size_t piece, ws::Sender sender) {
  using Event = ws::FrameReader::Event;
  const std::optional<ws::Mask> mask =
      sender == ws::Sender::client ? std::optional<ws::Mask>({9, 8, 7, 6}) : std::nullopt;
  ws::FrameReader reader(sender);
  Seen seen;
  std::string message;
  while (!octets.empty()) {
    std::string_view input = octets.substr(0, piece);
    octets.remove_prefix(input.size());
    for (Event event = reader.next(input); event != Event::need_more; event = reader.next(input)) {
      if (event == Event::bad) {
        require(reader.problem() != ws::Problem::none && !ws::text_of(reader.problem()).empty());
        seen.problem = reader.problem();
        return seen;
      }
      if (event == Event::data) {
        message.append(reader.bytes());
      } else if (event == Event::message_end) {
        ws::write_frame(seen.written, reader.kind(), true, message, mask);
        message.clear();
      } else {
        require(reader.bytes().size() <= 125);
        ws::write_frame(seen.written, reader.control(), true, reader.bytes(), mask);
      }
    }
    require(input.empty());
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const ws::Sender sender = (data[0] & 1U) != 0 ? ws::Sender::server : ws::Sender::client;
  const std::string_view octets(reinterpret_cast<const char*>(data) + 2, size - 2);
  const Seen whole = read(octets, octets.size(), sender);
  const Seen cut = read(octets, data[1] + 1U, sender);
  require(whole.problem == cut.problem && whole.written == cut.written);
  const Seen again = read(whole.written, whole.written.size() + 1, sender);
  require(again.problem == ws::Problem::none && again.written == whole.written);
  return 0;
}
