// Trees of files to and from tar, beneath an open directory and through no link. Used on both sides: `bottle-init
// --pack` and `--unpack` with the agent's own rights in the bottle, the backend on the host.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/unique_fd.hpp"
#include "sidecar/guest/tar.hpp"

namespace bot_bottle::guest {

struct PackOptions {
  bool recursive = true;
  std::optional<mode_t> mode;  // of the top entry
  std::optional<std::pair<std::uint32_t, std::uint32_t>> owner;
  std::vector<std::pair<dev_t, ino_t>> skip;         // directories left out
  std::function<bool(std::uint64_t entries)> going;  // now and then; false stops
};

/// Writes `path` beneath `root` under the name `as`, and (a directory) all that is in it; empty `as`: its content
/// alone. Devices, sockets and pipes are left out; set-id bits never travel; what vanishes meanwhile is left out, too.
/// False and `problem` when it cannot be read or `sink` says false. The archive's end is the caller's to write.
bool pack_tree(int root, const std::string& path, const std::string& as, const PackOptions& options,
               const std::function<bool(std::string_view)>& sink, std::string& problem);

/// Makes what an archive holds beneath a directory: new files only, in place of what was there and never through it.
class TreeWriter final : public TarReader::Sink {
 public:
  struct Limits {
    std::uint64_t keep_free_bytes = std::uint64_t{64} << 20;  // of the destination's disk
    std::uint64_t entries = 4'000'000;
  };
  TreeWriter(int root, Limits limits) : root_(root), limits_(limits) {}
  bool begin(const TarEntry& entry) override;
  bool data(std::string_view bytes) override;
  bool end() override;
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] std::uint64_t skipped() const { return skipped_; }
  /// Modes of directories, from the deepest: what is not writable must not stand in the way before.
  void finish();

 private:
  bool stop(const std::string& what, int number);
  UniqueFd open_parent(const std::string& path, std::string& name);

  int root_;  // borrowed
  Limits limits_;
  UniqueFd file_;
  std::uint64_t offset_ = 0;
  std::uint64_t since_check_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t skipped_ = 0;
  TarEntry entry_;
  std::vector<std::pair<std::string, mode_t>> directories_;
  std::string problem_;
};

/// `bottle-init --pack PATH [ENTRY]`: an archive of the absolute PATH on standard output, in which it is called ENTRY,
/// "copy" without one. The SDK of plugins relies on both (sdk/bottle_parts.hpp): they stay as long as ABI 1 does.
int run_pack(const std::string& path, const std::string& entry);
/// `bottle-init --unpack DIRECTORY`: the archive on standard input into it; it is made if missing.
int run_unpack(const std::string& directory);

}  // namespace bot_bottle::guest
