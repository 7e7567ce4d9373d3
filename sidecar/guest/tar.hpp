// POSIX tar (IEEE Std 1003.1, pax) as far as trees of files need it: what is copied into and out of a bottle where only
// bytes can travel. Hostile input: every archive that comes out of a bottle (fuzzed: tests/fuzz/tar).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace bot_bottle::guest {

inline constexpr std::size_t tar_block = 512;
/// Longer names and longer extended headers are refused: nobody has them, and they are memory.
inline constexpr std::size_t max_tar_path = 4096;
inline constexpr std::size_t max_tar_extension = 65536;

struct TarEntry {
  enum class Kind : std::uint8_t { file, directory, link, other };
  Kind kind = Kind::file;
  std::string path;
  std::string target;  // of a link
  mode_t mode = 0644;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;  // file: bytes that follow
  std::int64_t mtime = 0;
};

/// The header blocks of one entry, with a pax header before it when names or sizes need one. The content follows,
/// filled up with `tar_padding`.
std::string make_tar_header(const TarEntry& entry);
inline std::size_t tar_padding(std::uint64_t size) {
  return static_cast<std::size_t>((tar_block - size % tar_block) % tar_block);
}
/// The two zero blocks at the end.
std::string make_tar_end();

/// Takes an archive in pieces of any size and gives its entries to `Sink`.
class TarReader {
 public:
  struct Sink {
    Sink() = default;
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;
    virtual ~Sink() = default;
    /// Each returns false to stop.
    virtual bool begin(const TarEntry& entry) = 0;
    virtual bool data(std::string_view bytes) = 0;
    virtual bool end() = 0;
  };
  explicit TarReader(Sink& sink) : sink_(sink) {}
  /// False: malformed, or the sink stopped; from then on always.
  bool feed(std::string_view bytes);
  /// The archive's end has been seen. Without it, it was cut short.
  [[nodiscard]] bool is_complete() const { return complete_; }
  /// What is malformed; empty when it was the sink.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  bool on_header(std::string_view block);
  bool on_extension();
  bool finish_entry();
  bool bad(std::string what);

  Sink& sink_;
  std::string block_;      // a header that is not whole yet
  std::string extension_;  // content of a pax or GNU header
  char extension_type_ = 0;
  std::string next_path_;
  std::string next_target_;
  std::int64_t next_size_ = -1;
  std::uint64_t left_ = 0;     // bytes of content
  std::size_t padding_ = 0;    // bytes behind it
  bool in_entry_ = false;      // content goes to the sink
  bool in_extension_ = false;  // content goes to extension_
  int zero_blocks_ = 0;
  bool complete_ = false;
  bool failed_ = false;
  std::string problem_;
};

}  // namespace bot_bottle::guest
