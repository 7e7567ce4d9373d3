// A git that talks: one socket is its standard input and output, so that the loop reads and writes it like a
// connection. Used to serve fetches.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/base/result.hpp"
#include "sidecar/git_gate/workshop.hpp"
#include "sidecar/net/stream.hpp"

namespace bot_bottle::git_gate {

/// Destroying it kills the program and all of its group.
class Child {
 public:
  /// `on_exit` comes once, in a turn, with the exit code (128 + signal). Standard error is in `errors()`, at most 64
  /// KiB.
  static Result<std::unique_ptr<Child>> start(net::Loop& loop, ProcessRequest request,
                                              std::function<void(int code)> on_exit);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();
  [[nodiscard]] net::Stream& stream() { return stream_; }
  [[nodiscard]] std::string errors() const;

 private:
  struct Watch;
  Child() = default;
  net::Stream stream_;
  UniqueFd errors_;
  pid_t pid_ = -1;
  Watch* watch_ = nullptr;
};

}  // namespace bot_bottle::git_gate
