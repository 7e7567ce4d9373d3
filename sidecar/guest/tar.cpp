#include "sidecar/guest/tar.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace bot_bottle::guest {
namespace {

// Offsets and sizes of the ustar header (IEEE Std 1003.1, pax, "ustar Interchange Format").
constexpr std::size_t name_size = 100;
constexpr std::size_t link_at = 157;
constexpr std::size_t prefix_at = 345;
constexpr std::size_t prefix_size = 155;

void put_octal(std::array<char, tar_block>& block, std::size_t at, std::size_t size, std::uint64_t value) {
  for (std::size_t i = size - 1; i-- > 0; value >>= 3) block[at + i] = static_cast<char>('0' + (value & 7));
}

std::string make_block(const std::string& path, const std::string& target, char type, const TarEntry& entry,
                       std::uint64_t size) {
  std::array<char, tar_block> block{};
  std::memcpy(block.data(), path.data(), std::min(path.size(), name_size));
  put_octal(block, 100, 8, entry.mode & 07777);
  put_octal(block, 108, 8, std::min<std::uint32_t>(entry.uid, 07777777));
  put_octal(block, 116, 8, std::min<std::uint32_t>(entry.gid, 07777777));
  put_octal(block, 124, 12, size);
  put_octal(block, 136, 12, static_cast<std::uint64_t>(std::max<std::int64_t>(0, entry.mtime)));
  std::memset(block.data() + 148, ' ', 8);
  block[156] = type;
  std::memcpy(block.data() + link_at, target.data(), std::min(target.size(), name_size));
  std::memcpy(block.data() + 257,
              "ustar\0"
              "00",
              8);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put_octal(block, 148, 7, sum);
  block[155] = ' ';
  return {block.data(), block.size()};
}

/// "<length> <key>=<value>\n", where the length counts itself.
std::string pax_record(std::string_view key, const std::string& value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) length = std::to_string(length).size() + rest;
  return std::to_string(length) + " " + std::string(key) + "=" + value + "\n";
}

std::string text_of(std::string_view block, std::size_t at, std::size_t size) {
  const std::string_view field = block.substr(at, size);
  return std::string(field.substr(0, field.find('\0')));
}

/// Octal with blanks around, or GNU's base 256. False for anything else.
bool number_of(std::string_view block, std::size_t at, std::size_t size, std::uint64_t& into) {
  const std::string_view field = block.substr(at, size);
  into = 0;
  if ((static_cast<unsigned char>(field[0]) & 0x80) != 0) {
    if ((static_cast<unsigned char>(field[0]) & 0x40) != 0) return false;  // negative
    for (std::size_t i = 0; i < size; ++i) {
      const auto byte = static_cast<std::uint64_t>(static_cast<unsigned char>(field[i]) & (i == 0 ? 0x3f : 0xff));
      if (into > (UINT64_MAX >> 9)) return false;
      into = (into << 8) | byte;
    }
    return true;
  }
  bool ended = false;
  bool seen = false;
  for (const char c : field) {
    if (c == ' ' || c == '\0') {
      ended = seen;
      continue;
    }
    if (ended || c < '0' || c > '7') return false;
    seen = true;
    into = (into << 3) | static_cast<std::uint64_t>(c - '0');
  }
  return true;
}

}  // namespace

std::string make_tar_header(const TarEntry& entry) {
  char type = '0';
  if (entry.kind == TarEntry::Kind::directory) type = '5';
  if (entry.kind == TarEntry::Kind::link) type = '2';
  const std::uint64_t size = entry.kind == TarEntry::Kind::file ? entry.size : 0;
  constexpr std::uint64_t largest = (std::uint64_t{1} << 33) - 1;
  std::string extension;
  if (entry.path.size() > name_size) extension += pax_record("path", entry.path);
  if (entry.target.size() > name_size) extension += pax_record("linkpath", entry.target);
  if (size > largest) extension += pax_record("size", std::to_string(size));
  if (entry.uid > 07777777) extension += pax_record("uid", std::to_string(entry.uid));
  if (entry.gid > 07777777) extension += pax_record("gid", std::to_string(entry.gid));
  std::string out;
  if (!extension.empty()) {
    out = make_block("pax", {}, 'x', entry, extension.size()) + extension;
    out.append(tar_padding(extension.size()), '\0');
  }
  return out + make_block(entry.path, entry.target, type, entry, std::min(size, largest));
}

std::string make_tar_end() {
  return std::string(2 * tar_block, '\0');
}

bool TarReader::bad(std::string what) {
  failed_ = true;
  problem_ = std::move(what);
  return false;
}

bool TarReader::feed(std::string_view bytes) {
  while (!failed_ && !bytes.empty()) {
    if (complete_) return true;  // what follows the end is of no interest
    if (left_ > 0) {
      const std::size_t take = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      const std::string_view part = bytes.substr(0, take);
      if (in_extension_) extension_ += part;
      if (in_entry_ && !sink_.data(part)) failed_ = true;
      bytes.remove_prefix(take);
      left_ -= take;
      if (!failed_ && left_ == 0 && !finish_entry()) return false;
    } else if (padding_ > 0) {
      const std::size_t take = std::min(padding_, bytes.size());
      bytes.remove_prefix(take);
      padding_ -= take;
    } else {
      const std::size_t take = std::min(tar_block - block_.size(), bytes.size());
      block_.append(bytes.substr(0, take));
      bytes.remove_prefix(take);
      if (block_.size() < tar_block) continue;
      const std::string block = std::move(block_);
      block_.clear();
      if (!on_header(block)) return false;
    }
  }
  return !failed_;
}

bool TarReader::on_header(std::string_view block) {
  if (std::ranges::all_of(block, [](char c) { return c == '\0'; })) {
    complete_ = ++zero_blocks_ == 2;
    return true;
  }
  if (zero_blocks_ > 0) return bad("an entry behind the end of the archive");
  std::uint64_t sum = 0;
  if (!number_of(block, 148, 8, sum)) return bad("a header without a checksum");
  std::uint64_t real = 0;
  for (std::size_t i = 0; i < tar_block; ++i)
    real += i >= 148 && i < 156 ? std::uint64_t{' '} : static_cast<unsigned char>(block[i]);
  if (sum != real) return bad("a header with a wrong checksum");
  std::uint64_t size = 0;
  std::uint64_t mode = 0;
  std::uint64_t mtime = 0;
  std::uint64_t uid = 0;
  std::uint64_t gid = 0;
  if (!number_of(block, 124, 12, size) || !number_of(block, 100, 8, mode) || !number_of(block, 136, 12, mtime) ||
      !number_of(block, 108, 8, uid) || !number_of(block, 116, 8, gid) || size > (std::uint64_t{1} << 62))
    return bad("a header with a bad number");
  const char type = block[156];
  if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
    if (size > max_tar_extension) return bad("an extended header that is too long");
    extension_.clear();
    extension_type_ = type;
    in_extension_ = true;
  } else {
    TarEntry entry;
    entry.kind = type == '0' || type == '\0' || type == '7' ? TarEntry::Kind::file
                 : type == '5'                              ? TarEntry::Kind::directory
                 : type == '2'                              ? TarEntry::Kind::link
                                                            : TarEntry::Kind::other;
    const std::string prefix = text_of(block, prefix_at, prefix_size);
    const bool ustar = block.substr(257, 6) == std::string_view("ustar\0", 6);
    entry.path = text_of(block, 0, name_size);
    if (ustar && !prefix.empty()) entry.path = prefix + "/" + entry.path;
    entry.target = text_of(block, link_at, name_size);
    if (!next_path_.empty()) entry.path = std::move(next_path_);
    if (!next_target_.empty()) entry.target = std::move(next_target_);
    if (next_size_ >= 0) size = static_cast<std::uint64_t>(next_size_);
    next_path_.clear();
    next_target_.clear();
    next_size_ = -1;
    while (entry.path.size() > 1 && entry.path.back() == '/') entry.path.pop_back();
    if (entry.path.size() > max_tar_path || entry.target.size() > max_tar_path) return bad("a name that is too long");
    if (entry.kind == TarEntry::Kind::directory || entry.kind == TarEntry::Kind::link) size = 0;
    entry.mode = static_cast<mode_t>(mode & 07777);
    entry.uid = static_cast<std::uint32_t>(uid);
    entry.gid = static_cast<std::uint32_t>(gid);
    entry.size = size;
    entry.mtime = static_cast<std::int64_t>(mtime);
    in_entry_ = true;
    if (!sink_.begin(entry)) {
      failed_ = true;
      return false;
    }
  }
  left_ = size;
  padding_ = tar_padding(size);
  return left_ > 0 || finish_entry();
}

bool TarReader::finish_entry() {
  if (in_extension_) {
    in_extension_ = false;
    return on_extension();
  }
  if (in_entry_ && !sink_.end()) failed_ = true;
  in_entry_ = false;
  return !failed_;
}

bool TarReader::on_extension() {
  if (extension_type_ == 'L' || extension_type_ == 'K') {
    (extension_type_ == 'L' ? next_path_ : next_target_) = extension_.substr(0, extension_.find('\0'));
    return true;
  }
  std::string_view left = extension_;
  while (!left.empty()) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(left.data(), left.data() + left.size(), length);
    const auto digits = static_cast<std::size_t>(end - left.data());
    if (error != std::errc() || length > left.size() || length < digits + 3 || left[digits] != ' ' ||
        left[length - 1] != '\n')
      return bad("a malformed extended header");
    const std::string_view record = left.substr(digits + 1, length - digits - 2);
    left.remove_prefix(length);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) return bad("a malformed extended header");
    const std::string_view key = record.substr(0, equals);
    const std::string_view value = record.substr(equals + 1);
    if (extension_type_ == 'g') continue;
    if ((key == "path" || key == "linkpath") && value.find('\0') != std::string_view::npos)
      return bad("a name with a NUL byte");
    if (key == "path") next_path_ = value;
    if (key == "linkpath") next_target_ = value;
    if (key == "size") {
      std::uint64_t size = 0;
      const auto [last, wrong] = std::from_chars(value.data(), value.data() + value.size(), size);
      if (wrong != std::errc() || last != value.data() + value.size() || size > (std::uint64_t{1} << 62))
        return bad("a bad size in an extended header");
      next_size_ = static_cast<std::int64_t>(size);
    }
    if (key.starts_with("GNU.sparse")) return bad("a sparse file in a form that is not read");
  }
  return true;
}

}  // namespace bot_bottle::guest
