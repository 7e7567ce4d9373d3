// Files through the DLP engine. Hostile input: names and contents of everything below the given paths.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/dlp/scanner.hpp"

namespace bot_bottle::scan {

struct FileFinding {
  std::filesystem::path path;
  std::uint64_t line = 1;    // from 1
  std::uint64_t column = 1;  // octets, from 1
  std::uint64_t offset = 0;  // octets from the start of the file
  std::string rule;
  std::string encoding;
  std::string snippet;  // redacted; may hold hostile text
};

struct Totals {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t findings = 0;
  std::uint64_t skipped = 0;        // links, pipes, devices, sockets
  std::vector<std::string> errors;  // what could not be read; may hold hostile text
};

/// Reads files and, in the order of their names, what is below directories. Links are not followed, not even when they
/// are named: what they point to has a path of its own.
class FileScan {
 public:
  FileScan(std::shared_ptr<const dlp::Rules> rules, std::function<void(const FileFinding&)> found);
  void path(const std::filesystem::path& path);
  /// Reads up to `size` octets into `into`; 0 at the end.
  using Read = std::function<Result<std::size_t>(char* into, std::size_t size)>;
  /// A text from elsewhere: `label` is what findings call it, `name` the file name that rules go by.
  void stream(const std::filesystem::path& label, const std::string& name, const Read& read);
  void text(const std::filesystem::path& label, std::string_view text);
  void error(const std::filesystem::path& path, std::string_view what);
  [[nodiscard]] const Totals& totals() const { return totals_; }

 private:
  void directory(const std::filesystem::path& path, int depth);
  void entry(const std::filesystem::path& path, int depth);
  void file(const std::filesystem::path& path);

  std::shared_ptr<const dlp::Rules> rules_;
  std::shared_ptr<const dlp::KnownSecrets> no_secrets_;
  std::function<void(const FileFinding&)> found_;
  Totals totals_;
};

}  // namespace bot_bottle::scan
