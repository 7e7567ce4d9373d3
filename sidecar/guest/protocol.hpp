// What the operator's side and bottle-init say to each other on the exec socket: frames of [u32 length, little endian]
// [u8 type] [payload], descriptors by SCM_RIGHTS. Both ends check everything: the bottle's end may be lying.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::guest {

inline constexpr std::uint8_t protocol_version = 1;
/// A request with its whole environment; the kernel's own limit for one execve is of this order.
inline constexpr std::size_t max_frame_bytes = std::size_t{2} << 20;
/// At most standard input, output and error travel at once.
inline constexpr std::size_t max_frame_fds = 3;

enum class FrameType : std::uint8_t {
  request = 1,   // operator → bottle: a Request; three pipe or socket ends unless tty or detached
  signal = 2,    // operator → bottle: one byte, the signal for the program's process group
  shutdown = 3,  // operator → bottle: end everything
  // Only through `bottle-init --relay` (relay.hpp), where no descriptor can travel:
  input = 4,      // operator → bottle: bytes for the program's standard input or terminal
  input_end = 5,  // operator → bottle: no more of them
  resize = 6,     // operator → bottle: u32 rows, u32 columns
  started =
      16,  // bottle → operator: u32 pid, then what a detached session wrote meanwhile; with the pty's master if tty
  exited = 17,  // bottle → operator: u32, the exit code or 128 + signal
  failed = 18,  // bottle → operator: u32 errno, then text
  output = 19,  // bottle → operator, relay only: standard output or the terminal's
  error = 20,   // bottle → operator, relay only: standard error
};

struct Request {
  bool tty = false;
  bool detached = false;  // outlives this connection
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
  std::string session;  // a name: a running session of that name is attached to, and argv is not used
  std::string cwd;      // empty = /
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "NAME=value": the whole environment
};

/// The payload of a request frame. Strings with NUL bytes cannot be carried: false.
bool encode(const Request& request, std::string& into);
/// Strict: version, counts, every terminator, nothing left over.
bool decode(std::string_view payload, Request& into);

std::string encode_u32(std::uint32_t value);
/// The first four bytes; false when there are fewer.
bool decode_u32(std::string_view payload, std::uint32_t& into);

/// Writes one whole frame (blocking sockets) or fails; never raises SIGPIPE.
bool send_frame(int socket, FrameType type, std::string_view payload, std::span<const int> fds = {});
/// The frame's bytes, for what is not a socket. Empty when the payload is too long.
std::string make_frame(FrameType type, std::string_view payload);

struct Frame {
  FrameType type = FrameType::failed;
  std::string payload;
};

/// Collects frames from a stream socket. Descriptors are kept until taken; a frame that is too long, or more
/// descriptors than a frame may carry, is the end of the connection.
class FrameReader {
 public:
  enum class Got : std::uint8_t { frame, more_needed, ended };
  /// One recvmsg(2); then `next` may have frames. `ended` on end of stream or a broken peer.
  Got receive(int socket);
  /// Bytes that came some other way: from a pipe, or out of another protocol.
  void append(std::string_view bytes) { buffer_.append(bytes); }
  /// Takes the next complete frame.
  Got next(Frame& into);
  std::vector<UniqueFd> take_fds() { return std::move(fds_); }

 private:
  std::string buffer_;
  std::vector<UniqueFd> fds_;
};

/// Connects a stream socket to a path of any length (through /proc/self/fd of its directory). -1 and errno on failure.
int connect_unix(const std::string& path);
/// Binds and listens in the same way; an old socket file is removed first. Mode 0600.
int listen_unix(const std::string& path);
/// The same with a name of the abstract namespace (unix(7)): it belongs to the network namespace, has no file that the
/// agent could replace, and is free again when its owner ends.
int connect_abstract(const std::string& name);
int listen_abstract(const std::string& name);

}  // namespace bot_bottle::guest
