// Signals as something to poll, where there is no signalfd(2). One at a time in a process.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <vector>

#include "plugins/backend-driven/tool.hpp"

namespace bot_bottle::driven {

class SignalPipe {
 public:
  explicit SignalPipe(std::initializer_list<int> numbers) : ends_(make_pipe()), numbers_(numbers) {
    for (const int fd : {ends_.read.get(), ends_.write.get()}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
    target() = ends_.write.get();
    struct sigaction action {};
    action.sa_handler = [](int number) {
      const int before = errno;
      const auto byte = static_cast<unsigned char>(number);
      [[maybe_unused]] const ssize_t written = ::write(target(), &byte, 1);
      errno = before;
    };
    action.sa_flags = SA_RESTART;
    for (const int number : numbers_) ::sigaction(number, &action, nullptr);
  }
  SignalPipe(const SignalPipe&) = delete;
  SignalPipe& operator=(const SignalPipe&) = delete;
  ~SignalPipe() {
    for (const int number : numbers_) ::signal(number, SIG_DFL);
    target() = -1;
  }

  [[nodiscard]] int fd() const { return ends_.read.get(); }
  /// The next one that has come; 0: none.
  [[nodiscard]] int take() const {
    unsigned char byte = 0;
    return ::read(ends_.read.get(), &byte, 1) == 1 ? byte : 0;
  }

 private:
  static int& target() {
    static int fd = -1;
    return fd;
  }
  PipeEnds ends_;
  std::vector<int> numbers_;
};

}  // namespace bot_bottle::driven
