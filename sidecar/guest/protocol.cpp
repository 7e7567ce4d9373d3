#include "sidecar/guest/protocol.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace bot_bottle::guest {
namespace {

constexpr std::uint8_t flag_tty = 1;
constexpr std::uint8_t flag_detached = 2;

void put_u16(std::string& into, std::uint16_t value) {
  into.push_back(static_cast<char>(value & 0xff));
  into.push_back(static_cast<char>(value >> 8));
}

bool put_text(std::string& into, const std::string& text) {
  if (text.find('\0') != std::string::npos) return false;
  into += text;
  into.push_back('\0');
  return true;
}

bool put_list(std::string& into, const std::vector<std::string>& list) {
  into += encode_u32(static_cast<std::uint32_t>(list.size()));
  for (const std::string& text : list)
    if (!put_text(into, text)) return false;
  return true;
}

/// Cuts fields off the front; after a failure everything fails.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : left_(bytes) {}
  bool u8(std::uint8_t& into) {
    if (left_.empty()) return false;
    into = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return true;
  }
  bool u16(std::uint16_t& into) {
    std::uint8_t low = 0;
    std::uint8_t high = 0;
    if (!u8(low) || !u8(high)) return false;
    into = static_cast<std::uint16_t>(low | (high << 8));
    return true;
  }
  bool text(std::string& into) {
    const std::size_t end = left_.find('\0');
    if (end == std::string_view::npos) return false;
    into = left_.substr(0, end);
    left_.remove_prefix(end + 1);
    return true;
  }
  bool list(std::vector<std::string>& into) {
    std::uint32_t count = 0;
    if (!decode_u32(left_, count)) return false;
    left_.remove_prefix(4);
    if (count > left_.size()) return false;  // each entry has at least its terminator
    into.resize(count);
    for (std::string& entry : into)
      if (!text(entry)) return false;
    return true;
  }
  [[nodiscard]] bool empty() const { return left_.empty(); }

 private:
  std::string_view left_;
};

/// "/proc/self/fd/N/name": sun_path has 108 bytes, a state directory may be deeper.
bool make_address(const std::string& path, UniqueFd& directory, sockaddr_un& address) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  directory.reset(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return false;
  const std::string short_path = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + name;
  if (name.empty() || short_path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return false;
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, short_path.c_str(), short_path.size() + 1);
  return true;
}

}  // namespace

std::string encode_u32(std::uint32_t value) {
  std::string out(4, '\0');
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<char>((value >> (8 * i)) & 0xff);
  return out;
}

bool decode_u32(std::string_view payload, std::uint32_t& into) {
  if (payload.size() < 4) return false;
  into = 0;
  for (std::size_t i = 0; i < 4; ++i)
    into |= static_cast<std::uint32_t>(static_cast<unsigned char>(payload[i])) << (8 * i);
  return true;
}

bool encode(const Request& request, std::string& into) {
  into.clear();
  into.push_back(static_cast<char>(protocol_version));
  into.push_back(static_cast<char>((request.tty ? flag_tty : 0) | (request.detached ? flag_detached : 0)));
  put_u16(into, request.rows);
  put_u16(into, request.columns);
  return put_text(into, request.session) && put_text(into, request.cwd) && put_list(into, request.argv) &&
         put_list(into, request.env) && into.size() <= max_frame_bytes;
}

bool decode(std::string_view payload, Request& into) {
  Cursor cursor(payload);
  std::uint8_t version = 0;
  std::uint8_t flags = 0;
  if (!cursor.u8(version) || version != protocol_version || !cursor.u8(flags) ||
      (flags & ~(flag_tty | flag_detached)) != 0)
    return false;
  into.tty = (flags & flag_tty) != 0;
  into.detached = (flags & flag_detached) != 0;
  return cursor.u16(into.rows) && cursor.u16(into.columns) && cursor.text(into.session) && cursor.text(into.cwd) &&
         cursor.list(into.argv) && cursor.list(into.env) && cursor.empty();
}

std::string make_frame(FrameType type, std::string_view payload) {
  if (payload.size() > max_frame_bytes) return {};
  std::string bytes = encode_u32(static_cast<std::uint32_t>(payload.size()));
  bytes.push_back(static_cast<char>(type));
  bytes += payload;
  return bytes;
}

bool send_frame(int socket, FrameType type, std::string_view payload, std::span<const int> fds) {
  std::string bytes = make_frame(type, payload);
  if (bytes.empty() || fds.size() > max_frame_fds) return false;
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    iovec part{.iov_base = bytes.data() + sent, .iov_len = bytes.size() - sent};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_frame_fds)> control{};
    if (sent == 0 && !fds.empty()) {
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(fds.size_bytes());
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(fds.size_bytes());
      std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    }
    const ssize_t count = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    sent += static_cast<std::size_t>(count);
  }
  return true;
}

FrameReader::Got FrameReader::receive(int socket) {
  std::array<char, 65536> bytes{};
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * max_frame_fds)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t count = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (count < 0) return errno == EAGAIN || errno == EINTR ? Got::more_needed : Got::ended;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t fd_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < fd_count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
      fds_.emplace_back(fd);
    }
  }
  if (count == 0 || (message.msg_flags & MSG_CTRUNC) != 0 || fds_.size() > max_frame_fds) return Got::ended;
  buffer_.append(bytes.data(), static_cast<std::size_t>(count));
  return Got::frame;
}

FrameReader::Got FrameReader::next(Frame& into) {
  std::uint32_t length = 0;
  if (buffer_.size() < 5 || !decode_u32(buffer_, length)) return Got::more_needed;
  if (length > max_frame_bytes) return Got::ended;
  if (buffer_.size() < 5 + std::size_t{length}) return Got::more_needed;
  into.type = static_cast<FrameType>(buffer_[4]);
  into.payload = buffer_.substr(5, length);
  buffer_.erase(0, 5 + std::size_t{length});
  return Got::frame;
}

int connect_unix(const std::string& path) {
  UniqueFd directory;
  sockaddr_un address{};
  if (!make_address(path, directory, address)) return -1;
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return -1;
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -1;
  return socket.release();
}

int listen_unix(const std::string& path) {
  UniqueFd directory;
  sockaddr_un address{};
  if (!make_address(path, directory, address)) return -1;
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return -1;
  ::unlink(address.sun_path);
  const mode_t before = ::umask(0177);
  const int bound = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int bind_errno = errno;
  ::umask(before);
  if (bound != 0) {
    errno = bind_errno;
    return -1;
  }
  if (::listen(socket.get(), 64) != 0) return -1;
  return socket.release();
}

namespace {

socklen_t abstract_address(const std::string& name, sockaddr_un& address) {
  if (name.empty() || name.size() >= sizeof address.sun_path) return 0;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
}

}  // namespace

int connect_abstract(const std::string& name) {
  sockaddr_un address{};
  const socklen_t size = abstract_address(name, address);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (size == 0 || !socket) return -1;
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return -1;
  return socket.release();
}

int listen_abstract(const std::string& name) {
  sockaddr_un address{};
  const socklen_t size = abstract_address(name, address);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (size == 0 || !socket) return -1;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) return -1;
  if (::listen(socket.get(), 64) != 0) return -1;
  return socket.release();
}

}  // namespace bot_bottle::guest
