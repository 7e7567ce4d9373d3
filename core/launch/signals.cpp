#include "core/launch/signals.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "core/base/error.hpp"

namespace bot_bottle::launch {
namespace {

constexpr std::array handled{SIGINT, SIGTERM, SIGHUP, SIGPIPE};

// A handler can reach nothing else.
volatile std::sig_atomic_t signal_received = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
volatile std::sig_atomic_t phase_now = 0;        // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
volatile std::sig_atomic_t write_fd = -1;        // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

void on_signal(int number) {
  const auto phase = static_cast<Signals::Phase>(phase_now);
  if (phase == Signals::Phase::undoing) return;
  if (phase == Signals::Phase::attached && number == SIGINT) return;
  const int saved = errno;
  if (signal_received == 0) signal_received = number;
  [[maybe_unused]] const ssize_t written = ::write(write_fd, "x", 1);
  errno = saved;
}

}  // namespace

Signals::Signals() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  read_.reset(fds[0]);
  write_.reset(fds[1]);
  signal_received = 0;
  phase_now = static_cast<std::sig_atomic_t>(Phase::launching);
  write_fd = write_.get();
  for (std::size_t i = 0; i < handled.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = handled[i] == SIGPIPE ? SIG_IGN : on_signal;
    action.sa_flags = SA_RESTART;
    ::sigaction(handled[i], &action, &before_[i]);
    // A signal that the parent ignores stays ignored (nohup).
    if (handled[i] == SIGHUP && before_[i].sa_handler == SIG_IGN) ::sigaction(handled[i], &before_[i], nullptr);
  }
}

Signals::~Signals() {
  for (std::size_t i = 0; i < handled.size(); ++i) ::sigaction(handled[i], &before_[i], nullptr);
  write_fd = -1;
}

void Signals::set_phase(Phase phase) {
  phase_now = static_cast<std::sig_atomic_t>(phase);
}

int Signals::received() const {
  return signal_received;
}

std::string Signals::ending() const {
  return received() == SIGINT ? "ended by Ctrl-C" : received() == SIGTERM ? "ended by SIGTERM" : "ended by SIGHUP";
}

void Signals::throw_if_cancelled() const {
  if (received() != 0) throw Failure(make_error(ErrorKind::cancelled, ending()));
}

}  // namespace bot_bottle::launch
