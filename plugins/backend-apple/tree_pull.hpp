// A tree out of a running bottle, as an archive of our own making: what the bottle sends is read strictly, and written
// anew with names and owners that we choose.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "bot_bottle/plugin.hpp"
#include "core/base/json.hpp"
#include "plugins/backend-driven/guest_channel.hpp"
#include "sidecar/guest/tar.hpp"

namespace bot_bottle::backend_apple {

/// The directories of a bottle (its plan's or its document's data) that hold what the agent made: home, and the
/// workspace where there is one. One that is another or lies in it is not named again: an archive has no name twice.
std::vector<std::string> kept_directories(const json::object& data);

struct PulledTree {
  std::string directory;  // of the bottle, absolute
  std::string as;         // the names' beginning in the archive ("home/agent"); empty: the content alone
  std::uint32_t uid = 1000;
  std::uint32_t gid = 1000;
  /// Of the file system that is written to; looked at every 16 MiB. As much as a local bottle's freeze leaves.
  std::uint64_t keep_free_bytes = std::uint64_t{512} << 20;
  std::uint64_t max_entries = 2'000'000;                    // they are remembered
  std::uint64_t max_name_bytes = std::uint64_t{256} << 20;  // of all of them together
};

/// What one archive has named so far, by whichever of the trees in it.
struct PulledNames {
  std::map<std::string, bool, std::less<>> is_directory;
  std::uint64_t bytes = 0;
};

/// What `bottle-init --pack` says, or whoever answers in its place, written anew to `fd` (borrowed). The image's
/// builder unpacks it as root on top of an image of the agent's making, and follows links: so every entry lies in a
/// directory that this archive itself has named before, no name comes twice (directories may), whichever tree it is of,
/// and no name has a part that leads elsewhere. Hard links and devices are left out, and nothing may lie below them.
class TreeRewriter final : public guest::TarReader::Sink {
 public:
  /// `tree` and `names` are borrowed; `names` are those of the archive in `fd`.
  TreeRewriter(const PulledTree& tree, int fd, PulledNames& names) : tree_(tree), fd_(fd), names_(names) {}
  bool begin(const guest::TarEntry& entry) override;
  bool data(std::string_view bytes) override;
  bool end() override;
  [[nodiscard]] std::uint64_t written() const { return written_; }
  /// Why it stopped; empty where it did not.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  bool refuse(std::string why);
  bool remember(const guest::TarEntry& entry);
  bool is_below_directories(std::string_view name, bool is_top);
  [[nodiscard]] std::string made_name(std::string_view name) const;
  bool put(std::string_view bytes);

  const PulledTree& tree_;
  int fd_;
  bool taken_ = false;
  std::uint64_t left_ = 0;
  std::size_t padding_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t since_check_ = 0;
  PulledNames& names_;
  std::string problem_;
};

/// Writes the entries to `fd`, without the archive's end: more may follow, with the same `names`. The octets written.
/// Throws for what is no archive or one that TreeRewriter refuses, for a tree that is larger than 16 GiB, for a disk
/// that is almost full, and as run_in_guest does.
std::uint64_t pull_tree(const sdk::Call& call, driven::GuestChannel& channel, const PulledTree& tree, int fd,
                        PulledNames& names);

}  // namespace bot_bottle::backend_apple
