#include "core/screen/screen.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "core/base/clock.hpp"
#include "core/base/error.hpp"
#include "core/desk/watch.hpp"
#include "core/screen/controller.hpp"
#include "core/screen/view.hpp"

namespace bot_bottle::screen {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
/// At most so often is drawn: a flood of events costs no more than this.
constexpr milliseconds frame_time{40};
constexpr milliseconds notify_pause{3'000};
/// What was decided last reaches the audit before we go, bottle by bottle.
constexpr milliseconds finish_time{1'000};

int signal_pipe =
    -1;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): a signal handler has no other place

void on_signal(int number) {
  const int before = errno;
  const auto octet = static_cast<unsigned char>(number);
  [[maybe_unused]] const ssize_t written = ::write(signal_pipe, &octet, 1);
  errno = before;
}

/// SIGWINCH and what ends us, as octets on a pipe, until it goes.
class SignalPipe {
 public:
  SignalPipe() {
    std::array<int, 2> fds{};
    if (::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
    read_.reset(fds[0]);
    write_.reset(fds[1]);
    signal_pipe = write_.get();
    struct sigaction action {};
    action.sa_handler = on_signal;
    for (std::size_t i = 0; i < numbers.size(); ++i) ::sigaction(numbers[i], &action, &before_[i]);
  }
  ~SignalPipe() {
    for (std::size_t i = 0; i < numbers.size(); ++i) ::sigaction(numbers[i], &before_[i], nullptr);
    signal_pipe = -1;
  }
  SignalPipe(const SignalPipe&) = delete;
  SignalPipe& operator=(const SignalPipe&) = delete;
  [[nodiscard]] int fd() const { return read_.get(); }
  /// The next one; 0: none.
  [[nodiscard]] int take() const {
    unsigned char octet = 0;
    return ::read(read_.get(), &octet, 1) == 1 ? octet : 0;
  }

 private:
  static constexpr std::array numbers{SIGWINCH, SIGINT, SIGTERM, SIGHUP};
  UniqueFd read_;
  UniqueFd write_;
  std::array<struct sigaction, numbers.size()> before_{};
};

class Loop {
 public:
  explicit Loop(const Options& options)
      : surface_(options.color), watch_(options.home), controller_(watch_, model_, surface_, options.program) {}

  int run() {
    const int code = loop();
    watch_.finish(finish_time);
    return code;
  }

 private:
  int loop() {
    surface_.set_title("bot-bottle supervise");
    model_.opened_at = format_time(now_ms());
    watch_.work(nullptr, 0);  // the first look
    while (true) {
      show();
      std::vector<pollfd> polled{{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0},
                                 {.fd = signals_.fd(), .events = POLLIN, .revents = 0}};
      const std::size_t watch_at = polled.size();
      watch_.add_to(polled);
      const std::size_t jobs_at = polled.size();
      controller_.jobs().add_to(polled);
      const int ready = ::poll(polled.data(), polled.size(), wait_ms());
      if (ready < 0 && errno != EINTR) throw Failure(error_from_errno("cannot poll", errno));
      if (ready < 0)
        for (pollfd& one : polled) one.revents = 0;
      const std::size_t jobs_count = polled.size() - jobs_at;
      watch_.work(polled.data() + watch_at, jobs_at - watch_at);
      if (jobs_count > 0) {
        controller_.jobs().work(polled.data() + jobs_at, jobs_count);
        dirty_ = true;
      }
      if (const auto code = take_signals(Interrupt::ends)) return *code;
      if ((polled[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0) return 0;  // the terminal is gone
      take_new();
      if (!read_keys()) return 0;
      // Ctrl-C in a program that had the terminal was for that program.
      if (const auto code = take_signals(Interrupt::was_for_another)) return *code;
    }
  }

  enum class Interrupt : std::uint8_t { ends, was_for_another };
  /// The exit code, once a signal ends us.
  std::optional<int> take_signals(Interrupt interrupt) {
    for (int number = signals_.take(); number != 0; number = signals_.take()) {
      if (number == SIGWINCH) {
        surface_.resize();
        dirty_ = true;
      } else if (number != SIGINT || interrupt == Interrupt::ends) {
        return 128 + number;
      }
    }
    return std::nullopt;
  }

  void take_new() {
    if (watch_.version() != seen_) {
      seen_ = watch_.version();
      const std::size_t fresh = model_.update(watch_.bottles(), watch_.pending(), watch_.events(), Clock::now());
      for (const std::string& complaint : watch_.take_complaints()) model_.say(complaint, Tone::bad);
      if (fresh > 0) announce(fresh);
      dirty_ = true;
    }
    const std::size_t pending = model_.proposals.size();
    if (pending != titled_) {
      titled_ = pending;
      surface_.set_title(pending == 0 ? std::string("bot-bottle supervise")
                                      : fmt::format("({}) bot-bottle supervise", pending));
    }
    const auto now = Clock::now();
    if (now >= mark_ends_) dirty_ = true;
    mark_ends_ = model_.next_change(now);
  }

  void announce(std::size_t fresh) {
    surface_.bell();
    const auto now = Clock::now();
    if (now - notified_ < notify_pause) return;
    notified_ = now;
    controller_.notify(fresh);
  }

  bool read_keys() {
    // Before a key is taken: what it acts on is what is on the screen.
    while (const auto key = surface_.read_key()) {
      dirty_ = true;
      if (!controller_.act(model_.press(*key, Clock::now()))) return false;
      // A long paste is shown key by key, so that `settle` sees each state.
      model_.settle(surface_.rows(), surface_.columns(), surface_.charset());
    }
    return true;
  }

  void show() {
    const auto now = Clock::now();
    if (!dirty_ || now < painted_ + frame_time) return;
    dirty_ = false;
    painted_ = now;
    model_.settle(surface_.rows(), surface_.columns(), surface_.charset());
    surface_.paint(render(model_, surface_.rows(), surface_.columns(), surface_.charset(), now));
  }

  [[nodiscard]] int wait_ms() const {
    const auto now = Clock::now();
    auto next = std::min(watch_.next_look(), mark_ends_);
    if (dirty_) next = std::min(next, painted_ + frame_time);
    const auto left = std::chrono::duration_cast<milliseconds>(next - now).count() + 1;
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  }

  SignalPipe signals_;  // before the surface: ncurses leaves handlers alone that are there
  Surface surface_;
  desk::Watch watch_;
  Model model_;
  Controller controller_;
  std::uint64_t seen_ = 0;
  std::size_t titled_ = 0;
  bool dirty_ = true;
  Clock::time_point painted_{};
  Clock::time_point notified_{};
  Clock::time_point mark_ends_ = Clock::time_point::max();
};

}  // namespace

int run(const Options& options) {
  return Loop(options).run();
}

}  // namespace bot_bottle::screen
