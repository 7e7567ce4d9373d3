#include "plugins/backend-docker/sidecar_stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/secret.hpp"
#include "sidecar/guest/protocol.hpp"

namespace bot_bottle::backend_docker {
namespace {

constexpr std::size_t max_configuration = std::size_t{4} << 20;

/// A buffer of fixed place, wiped at its end: growing would leave copies of secrets behind.
class ConfigurationBuffer {
 public:
  ConfigurationBuffer() { bytes_.reserve(max_configuration + 1); }
  ConfigurationBuffer(const ConfigurationBuffer&) = delete;
  ConfigurationBuffer& operator=(const ConfigurationBuffer&) = delete;
  ~ConfigurationBuffer() { wipe(bytes_.data(), bytes_.size()); }
  bool append(std::string_view part) {
    if (bytes_.size() + part.size() > max_configuration) return false;
    bytes_.append(part);
    return true;
  }
  [[nodiscard]] std::string_view view() const { return bytes_; }

 private:
  std::string bytes_;
};

}  // namespace

SidecarStream::SidecarStream(UniqueFd stream, int config_fd, std::string state_dir)
    : stream_(std::move(stream)), config_(::fcntl(config_fd, F_DUPFD_CLOEXEC, 0)), state_dir_(std::move(state_dir)) {
  std::array<int, 2> ends{};
  if (!config_ || ::pipe2(ends.data(), O_CLOEXEC) != 0)
    throw Failure(error_from_errno("cannot hold the sidecar's stream", errno));
  stop_read_.reset(ends[0]);
  stop_write_.reset(ends[1]);
  thread_ = std::thread([this] { run(); });
}

SidecarStream::~SidecarStream() {
  stop_write_.reset();
  if (thread_.joinable()) thread_.join();
}

void SidecarStream::run() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are the host's
  ConfigurationBuffer configuration;
  std::array<char, 65536> bytes{};
  const auto wait = [&](int fd, short events) {
    std::array<pollfd, 2> polled{
        {{.fd = fd, .events = events, .revents = 0}, {.fd = stop_read_.get(), .events = POLLIN, .revents = 0}}};
    while (::poll(polled.data(), polled.size(), -1) < 0 && errno == EINTR) {
    }
    return polled[1].revents == 0;
  };
  const auto send = [&](std::string_view part) {
    while (!part.empty()) {
      const ssize_t sent = ::send(stream_.get(), part.data(), part.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent >= 0)
        part.remove_prefix(static_cast<std::size_t>(sent));
      else if (errno != EINTR && (errno != EAGAIN || !wait(stream_.get(), POLLOUT)))
        return false;
    }
    return true;
  };
  while (wait(config_.get(), POLLIN)) {
    const ssize_t got = ::read(config_.get(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    if (got == 0) {
      config_.reset();
      send(guest::encode_u32(static_cast<std::uint32_t>(configuration.view().size())));
      send(configuration.view());
      break;
    }
    const bool fits = configuration.append({bytes.data(), static_cast<std::size_t>(got)});
    wipe(bytes.data(), bytes.size());
    if (!fits) break;
  }
  config_.reset();
}

}  // namespace bot_bottle::backend_docker
