#include "plugins/backend-smolvm/frozen_stream.hpp"

#include <algorithm>

#include "plugins/backend-smolvm/image.hpp"
#include "sidecar/guest/tar.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

constexpr std::string_view own_failure = "Error: ";
constexpr std::size_t max_text = 4096;
constexpr std::uint64_t max_entry = std::uint64_t{1} << 62;
/// Hard links, links, devices, directories, FIFOs: whatever the field says, nothing follows.
constexpr std::string_view without_content = "123456";

}  // namespace

void ArchiveWalk::take(std::string_view bytes) {
  while (!bytes.empty() && !is_broken_ && !is_whole()) {
    if (left_ > 0) {
      const std::uint64_t skipped = std::min<std::uint64_t>(left_, bytes.size());
      left_ -= skipped;
      bytes.remove_prefix(static_cast<std::size_t>(skipped));
      continue;
    }
    const std::size_t part = std::min(guest::tar_block - block_.size(), bytes.size());
    block_ += bytes.substr(0, part);
    bytes.remove_prefix(part);
    if (block_.size() < guest::tar_block) continue;
    take_header(block_);
    block_.clear();
  }
}

void ArchiveWalk::take_header(std::string_view block) {
  if (block.find_first_not_of('\0') == std::string_view::npos) {
    ++zero_blocks_;
    return;
  }
  const std::uint64_t size = without_content.find(block[156]) == std::string_view::npos
                                 ? parse_tar_number(block.substr(124, 12))
                                 : std::uint64_t{0};
  is_broken_ = zero_blocks_ > 0 || block.substr(257, 5) != "ustar" || size > max_entry;
  left_ = size + guest::tar_padding(size);
}

void Complaints::take(std::string_view bytes) {
  head_ += bytes.substr(0, max_text - std::min(max_text, head_.size()));
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    line_ += bytes.substr(0, std::min(end, max_text - std::min(max_text, line_.size())));
    if (end == bytes.size()) return;
    if (line_.starts_with(own_failure)) failure_ = line_;
    line_.clear();
    bytes.remove_prefix(end + 1);
  }
}

const std::string& Complaints::text_of_failure() const {
  return line_.starts_with(own_failure) ? line_ : failure_;
}

}  // namespace bot_bottle::backend_smolvm
