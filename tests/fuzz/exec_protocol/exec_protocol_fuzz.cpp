// The exec socket between the operator's side and a bottle that may be lying: frames cut anywhere are the frames of the
// whole, none is longer than allowed, and a request that is taken is the one that encoding it gives back. The first
// octet chooses the cut.
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/guest/protocol.hpp"

using namespace bot_bottle;  // NOLINT(google-build-using-namespace)

namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

struct Read {
  std::vector<guest::Frame> frames;
  bool broken = false;
};

Read read_in_pieces(std::string_view input, std::size_t piece) {
  std::array<int, 2> ends{};
  must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  guest::FrameReader reader;
  Read read;
  for (std::size_t at = 0; at < input.size() && !read.broken; at += piece) {
    const std::string_view part = input.substr(at, piece);
    must(::send(theirs.get(), part.data(), part.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(part.size()));
    for (std::size_t left = part.size(); left > 0 && !read.broken;) {
      // recvmsg takes what is there; a part is smaller than its buffer or comes in several.
      read.broken = reader.receive(ours.get()) == guest::FrameReader::Got::ended;
      std::array<char, 1> none{};
      const ssize_t waiting = ::recv(ours.get(), none.data(), 1, MSG_PEEK | MSG_DONTWAIT);
      left = waiting > 0 ? 1 : 0;
    }
    guest::Frame frame;
    guest::FrameReader::Got got = guest::FrameReader::Got::more_needed;
    while (!read.broken && (got = reader.next(frame)) == guest::FrameReader::Got::frame) {
      must(frame.payload.size() <= guest::max_frame_bytes);
      read.frames.push_back(frame);
    }
    read.broken = read.broken || got == guest::FrameReader::Got::ended;
  }
  return read;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > 65536) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Read whole = read_in_pieces(input, input.size());
  const Read cut = read_in_pieces(input, 1 + data[0] % 32U);
  must(whole.frames.size() == cut.frames.size() && whole.broken == cut.broken);
  for (std::size_t i = 0; i < whole.frames.size(); ++i) {
    must(whole.frames[i].type == cut.frames[i].type && whole.frames[i].payload == cut.frames[i].payload);
    guest::Request request;
    if (!guest::decode(whole.frames[i].payload, request)) continue;
    std::string again;
    must(guest::encode(request, again) && again == whole.frames[i].payload);
  }
  guest::Request request;
  std::string again;
  if (guest::decode(input, request)) must(guest::encode(request, again) && again == input);
  return 0;
}
