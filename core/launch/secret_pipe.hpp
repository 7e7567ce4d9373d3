// A pipe on which a plugin hands a secret over. Called by deploy_keys.cpp and host_login.cpp.
#pragma once

#include <cstddef>
#include <string>
#include <thread>

#include "core/base/unique_fd.hpp"

namespace bot_bottle::launch {

/// It is read while it is written: a plugin may not know how large a pipe is. What it held is wiped in the end.
class SecretPipe {
 public:
  /// Throws Failure. What goes beyond `max_bytes` is read and thrown away: is_too_long().
  explicit SecretPipe(std::size_t max_bytes);
  SecretPipe(const SecretPipe&) = delete;
  SecretPipe& operator=(const SecretPipe&) = delete;
  ~SecretPipe();

  [[nodiscard]] int write_end() const { return write_.get(); }
  /// Ends it and waits for the reader; text() is whole from then on.
  void finish();
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool is_too_long() const { return too_long_; }

 private:
  UniqueFd read_;
  UniqueFd write_;
  std::string text_;
  bool too_long_ = false;
  std::thread reader_;
};

}  // namespace bot_bottle::launch
