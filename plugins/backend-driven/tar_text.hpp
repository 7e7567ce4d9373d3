// A small archive in memory: what we make ourselves.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "sidecar/guest/tar.hpp"

namespace bot_bottle::driven {

class TarText {
 public:
  /// Paths are relative. A directory that was named before is left as it is.
  void directory(const std::string& path, mode_t mode, std::uint32_t uid = 0, std::uint32_t gid = 0) {
    if (!directories_.insert(path).second) return;
    add({.kind = guest::TarEntry::Kind::directory, .path = path, .mode = mode, .uid = uid, .gid = gid}, {});
  }
  void file(const std::string& path, mode_t mode, std::string_view content, std::uint32_t uid = 0,
            std::uint32_t gid = 0) {
    add({.path = path, .mode = mode, .uid = uid, .gid = gid, .size = content.size()}, content);
  }
  void link(const std::string& path, const std::string& target) {
    add({.kind = guest::TarEntry::Kind::link, .path = path, .target = target, .mode = 0777}, {});
  }
  /// Without the archive's end: more follows.
  std::string take() { return std::move(text_); }
  std::string finish() { return std::move(text_) + guest::make_tar_end(); }

 private:
  void add(const guest::TarEntry& entry, std::string_view content) {
    text_ += guest::make_tar_header(entry);
    text_ += content;
    text_.append(guest::tar_padding(content.size()), '\0');
  }
  std::string text_;
  std::set<std::string> directories_;
};

}  // namespace bot_bottle::driven
