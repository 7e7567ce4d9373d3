// What comes out of a machine that is frozen: tar's archive and what was said meanwhile. The agent has a hand in both
// (a file of zeros, a name, any number of warnings), and code 1 is tar's "changed meanwhile" and the program's own
// failure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bot_bottle::backend_smolvm {

/// Follows an archive from header to header as it passes by, in pieces of any size; nothing of it is kept. Zeros at its
/// end would not say that it is whole: a file that it is cut in may be full of them.
class ArchiveWalk {
 public:
  void take(std::string_view bytes);
  /// The two zero blocks of the end were where a header would have been.
  [[nodiscard]] bool is_whole() const { return zero_blocks_ == 2; }

 private:
  void take_header(std::string_view block);

  std::string block_;       // a header that is not whole yet
  std::uint64_t left_ = 0;  // octets of content and of what fills it up
  int zero_blocks_ = 0;
  bool is_broken_ = false;
};

/// Standard error, of any length. smolvm's own failure begins a line with "Error: "; the guest's tar begins each of its
/// lines with its name, and writes a newline of a file's name as an escape.
class Complaints {
 public:
  void take(std::string_view bytes);
  [[nodiscard]] bool has_failure() const { return !text_of_failure().empty(); }
  /// The last failure; without one how it began. Bounded.
  [[nodiscard]] const std::string& text() const { return has_failure() ? text_of_failure() : head_; }

 private:
  [[nodiscard]] const std::string& text_of_failure() const;

  std::string head_;
  std::string line_;  // the beginning of one that has not ended
  std::string failure_;
};

}  // namespace bot_bottle::backend_smolvm
