// Bytes that must not outlive their use: locked in memory, left out of core dumps, wiped at the end.
#pragma once

#include <cstddef>
#include <string_view>

namespace bot_bottle {

/// Owns a copy of a secret in its own locked pages (mlock, MADV_DONTDUMP, MADV_WIPEONFORK). Move-only.
/// mlock can fail for lack of RLIMIT_MEMLOCK: `is_locked` tells; the bytes are kept all the same.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::string_view bytes);
  SecretBytes(SecretBytes&& other) noexcept;
  SecretBytes& operator=(SecretBytes&& other) noexcept;
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  ~SecretBytes();

  /// Valid while this object lives.
  [[nodiscard]] std::string_view view() const { return {data_, size_}; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] bool is_locked() const { return locked_; }

 private:
  void wipe();
  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
  bool locked_ = false;
};

/// Overwrites in a way the compiler keeps (explicit_bzero). For buffers that held a secret in passing.
void wipe(void* data, std::size_t size);

}  // namespace bot_bottle
