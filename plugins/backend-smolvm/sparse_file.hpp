// A file that a guest fills: zeros become holes, and neither it nor its size may fill the disk of this machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/base/unique_fd.hpp"

namespace bot_bottle::backend_smolvm {

class SparseFile {
 public:
  /// How many octets are taken between two looks at the free space.
  static constexpr std::uint64_t look_every = std::uint64_t{16} << 20;

  /// At `path`, made new by `open`. All numbers are octets: `keep_free` of the file system is not eaten, and more than
  /// `most` is not taken; both are failed_precondition.
  explicit SparseFile(std::string path, std::uint64_t keep_free = 0, std::uint64_t most = std::uint64_t{1} << 62U);
  Result<void> open();
  Result<void> write(std::string_view bytes);
  /// Gives it its size, and puts it on disk unless it is worthless after a crash. Nothing is written afterwards.
  enum class Durable : std::uint8_t { no, yes };
  Result<void> finish(Durable durable = Durable::yes);
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  Result<void> write_at(std::string_view bytes, std::uint64_t offset);
  Result<void> look();

  std::string path_;
  std::uint64_t keep_free_;
  std::uint64_t most_;
  std::uint64_t size_ = 0;
  std::uint64_t looked_at_ = 0;
  UniqueFd fd_;
};

}  // namespace bot_bottle::backend_smolvm
