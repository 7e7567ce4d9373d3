#include "core/launch/secret_pipe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/base/error.hpp"
#include "core/base/secret.hpp"

namespace bot_bottle::launch {

SecretPipe::SecretPipe(std::size_t max_bytes) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw Failure(error_from_errno("cannot make a pipe", errno));
  read_.reset(ends[0]);
  write_.reset(ends[1]);
  text_.reserve(max_bytes);  // it never moves, so that no copy is left behind
  reader_ = std::thread([this, max_bytes] {
    std::array<char, 4096> piece{};
    ssize_t count = 0;
    while ((count = ::read(read_.get(), piece.data(), piece.size())) > 0 || (count < 0 && errno == EINTR)) {
      if (count > 0 && text_.size() + static_cast<std::size_t>(count) <= max_bytes)
        text_.append(piece.data(), static_cast<std::size_t>(count));
      else if (count > 0)
        too_long_ = true;
      wipe(piece.data(), piece.size());
    }
  });
}

SecretPipe::~SecretPipe() {
  finish();
  wipe(text_.data(), text_.size());
}

void SecretPipe::finish() {
  write_.reset();
  if (reader_.joinable()) reader_.join();
}

}  // namespace bot_bottle::launch
