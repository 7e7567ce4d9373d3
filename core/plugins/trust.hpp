// Which libraries may run: owners and modes, SHA-256 of the opened file, and the operator's word in trust.toml.
// Hostile input: contrib directories that someone else can write to. Guarded by tests/abi (Trust.*).
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/base/unique_fd.hpp"
#include "core/plugins/registry.hpp"

namespace bot_bottle::plugins {

/// Why a path is not to be used, and the command that mends it.
struct Refusal {
  std::string reason;
  std::string fix;
};

/// Nothing when only this user and root can change what `status` describes.
std::optional<Refusal> refuse_foreign(const std::filesystem::path& path, const struct stat& status);
/// The directory and plugin.toml and library in it, and the directories above (which must not be writable by everyone,
/// or be sticky like /tmp: who can rename a parent can swap the plugin). Absent files are not this function's business.
std::optional<Refusal> refuse_unsafe_directory(const std::filesystem::path& directory, const std::string& library);

/// A library whose bytes have been read: what was checked is what `fd` refers to.
struct CheckedLibrary {
  UniqueFd fd;
  std::filesystem::path path;
  std::string sha256;
};
/// Opens without following a link, checks owner, mode and type on the descriptor and hashes it (≤ 256 MiB).
/// Failure: not_found, refused.
CheckedLibrary open_library(const std::filesystem::path& directory, const std::string& library);

/// One line of trust.toml. `provides` is only there for a library without plugin.toml.
struct TrustEntry {
  std::string name;
  std::string sha256;
  std::string library;  // absolute path, for the reader
  std::string version;
  std::vector<std::string> provides;
};

/// ~/.bot-bottle/trust.toml. A file that is broken or that others can write to counts as empty; `problem` says so.
class TrustStore {
 public:
  static TrustStore load(const std::filesystem::path& file);

  [[nodiscard]] const TrustEntry* find(const std::string& name) const;
  [[nodiscard]] bool trusts(const std::string& name, const std::string& sha256) const;
  [[nodiscard]] const std::vector<TrustEntry>& entries() const { return entries_; }
  [[nodiscard]] const std::string& problem() const { return problem_; }
  /// Replaces the entry of that name and writes the file (0600). Failure when the file is not ours to replace.
  void record(TrustEntry entry);

 private:
  std::filesystem::path file_;
  std::vector<TrustEntry> entries_;
  std::string problem_;
};

}  // namespace bot_bottle::plugins
