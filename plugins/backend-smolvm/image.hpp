// The image of a machine: an archive as `docker save` writes it, with bottle-init as one more layer, root as its user
// and no program of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/json.hpp"
#include "core/base/result.hpp"
#include "plugins/backend-driven/recipe.hpp"

namespace bot_bottle::backend_smolvm {

struct ArchiveLayer {
  std::string name;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};
/// What an archive holds. Its layers are not looked into.
struct ImageArchive {
  std::string path;
  std::string config;  // JSON
  std::vector<ArchiveLayer> layers;
};
/// Errors: not_found, invalid_argument (what is wrong where).
Result<ImageArchive> read_image_archive(const std::string& path);

/// A number of a tar header: octal, or base 256 for what is large (GNU and pax readers take both).
std::uint64_t parse_tar_number(std::string_view field);

/// SHA-256 of a part of an open file, in hex.
Result<std::string> sha256_of_part(int fd, std::uint64_t offset, std::uint64_t size);

/// What goes on top: bottle-init, and the agent's home and workspace, which bottle-init's Landlock rules name before
/// anything else could make them.
/// A Dockerfile for docker's own program. Its directory is a context only if it copies from there, and never where that
/// holds one of `kept` (homes).
Result<driven::Recipe> read_machine_recipe(const std::string& dockerfile,
                                           const std::vector<std::filesystem::path>& kept);

struct MachineLayer {
  std::string init;  // bottle-init on this machine
  std::string home;
  std::string workspace;
  std::uint32_t uid = 1000;
  std::uint32_t gid = 1000;
};

/// Names what `write_machine_archive` would make: of the image's content and of the layer's.
Result<std::string> machine_archive_digest(const ImageArchive& image, const MachineLayer& layer);

/// What images and snapshots leave of a disk, in octets; as the local backend's freezer does.
inline constexpr std::uint64_t disk_reserve = std::uint64_t{512} << 20;

/// Writes it at `to` (made new, moved there when whole). `keep_free` octets of the disk are not eaten:
/// failed_precondition.
Result<void> write_machine_archive(const ImageArchive& image, const MachineLayer& layer, const std::string& to,
                                   std::uint64_t keep_free);

/// An archive of one layer, the file `layer`: what a freeze made. `keep_free` as above.
Result<void> write_layer_archive(const std::string& layer, const std::string& to, std::uint64_t keep_free);

}  // namespace bot_bottle::backend_smolvm
