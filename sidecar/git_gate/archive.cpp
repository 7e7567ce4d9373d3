#include "sidecar/git_gate/archive.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>

#include "sidecar/dlp/content_decoder.hpp"

namespace bot_bottle::git_gate {
namespace {

constexpr int max_depth = 3;
constexpr std::string_view local_header{"PK\x03\x04", 4};
constexpr std::string_view central_header{"PK\x01\x02", 4};
constexpr std::string_view end_header{"PK\x05\x06", 4};
constexpr std::size_t local_size = 30;
constexpr std::size_t central_size = 46;
constexpr std::size_t end_reach = 65557;  // a comment of 64 KiB and the record itself
constexpr std::size_t tar_block = 512;
constexpr unsigned deflated = 8;

unsigned little_16(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]) | static_cast<unsigned>(static_cast<unsigned char>(bytes[at + 1])) << 8U;
}

std::uint64_t little_32(std::string_view bytes, std::size_t at) {
  return little_16(bytes, at) | static_cast<std::uint64_t>(little_16(bytes, at + 2)) << 16U;
}

bool is_zip(std::string_view bytes) {
  if (bytes.starts_with(local_header) || bytes.starts_with(end_header)) return true;
  // With something in front of it (a self-extracting program) it is known by its end.
  return bytes.substr(bytes.size() - std::min(bytes.size(), end_reach)).find(end_header) != std::string_view::npos;
}

bool is_tar(std::string_view bytes) {
  return bytes.size() >= tar_block && bytes.substr(257, 5) == "ustar";
}

struct Inflated {
  std::string bytes;
  bool ended = false;
  bool too_large = false;
};

Inflated inflate_raw(std::string_view bytes, std::size_t most) {
  Inflated out;
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return out;
  std::array<unsigned char, 65536> buffer{};
  stream.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<unsigned>(bytes.size());
  int code = Z_OK;
  while (code == Z_OK) {
    stream.next_out = buffer.data();
    stream.avail_out = static_cast<unsigned>(buffer.size());
    code = ::inflate(&stream, Z_NO_FLUSH);
    const std::size_t got = buffer.size() - stream.avail_out;
    out.bytes.append(reinterpret_cast<const char*>(buffer.data()), got);
    if (out.bytes.size() > most) {
      out.too_large = true;
      break;
    }
    if (got == 0 && code == Z_OK && stream.avail_in == 0) break;
  }
  out.ended = code == Z_STREAM_END;
  inflateEnd(&stream);
  return out;
}

class Collect final : public dlp::ContentDecoder::Sink {
 public:
  bool on_decoded(std::string_view bytes) override {
    if (text.size() + bytes.size() > max_archive_octets) {
      too_large = true;
      return false;
    }
    text.append(bytes);
    return true;
  }
  std::string text;
  bool too_large = false;
};

/// An octal field, or base 256 when its first bit is set (GNU tar).
std::uint64_t tar_number(std::string_view field) {
  std::uint64_t value = 0;
  if ((static_cast<unsigned char>(field.front()) & 0x80U) != 0) {
    for (const char c : field.substr(4)) value = (value << 8U) | static_cast<unsigned char>(c);
    return value;
  }
  for (const char c : field) {
    if (c >= '0' && c <= '7')
      value = value * 8 + static_cast<std::uint64_t>(c - '0');
    else if (c != ' ')
      break;
  }
  return value;
}

}  // namespace

bool Unpacker::is_archive(std::string_view head) {
  return is_zip(head) || is_tar(head) || (head.size() >= 4 && dlp::sniff_coding(head.substr(0, 4)).has_value());
}

std::optional<std::string> Unpacker::open(const std::string& name, std::string_view bytes) {
  fault_.reset();
  octets_ = members_ = 0;
  enter(name, bytes, 0);
  return std::move(fault_);
}

bool Unpacker::spend(std::size_t octets) {
  octets_ += octets;
  ++members_;
  if (octets_ <= max_unpacked_octets && members_ <= max_members) return true;
  fault(fmt::format("it unpacks to more than {} MiB or {} members", max_unpacked_octets >> 20U, max_members));
  return false;
}

void Unpacker::give(const std::string& name, std::string_view bytes, int depth) {
  if (!spend(bytes.size())) return;
  on_content_(name, bytes);
  enter(name, bytes, depth + 1);
}

void Unpacker::enter(const std::string& name, std::string_view bytes, int depth) {  // NOLINT(misc-no-recursion)
  if (bytes.size() < 4 || !is_archive(bytes)) return;
  if (depth >= max_depth) {
    fault(fmt::format("archives in archives, more than {} deep", max_depth));
    return;
  }
  if (dlp::sniff_coding(bytes.substr(0, 4)))
    open_stream(name, bytes, depth);
  else if (is_tar(bytes))
    open_tar(name, bytes, depth);
  else
    open_zip(name, bytes, depth);
}

void Unpacker::open_stream(const std::string& name, std::string_view bytes, int depth) {  // NOLINT(misc-no-recursion)
  dlp::ContentDecoder decoder(*dlp::sniff_coding(bytes.substr(0, 4)));
  Collect collect;
  const auto outcome = decoder.write(bytes, collect);
  if (collect.too_large || (outcome == dlp::ContentDecoder::Outcome::bad && decoder.is_bomb())) {
    fault(fmt::format("it unpacks to more than {} MiB", max_archive_octets >> 20U));
  }
  // Damaged after so many octets: they are what a reader would get.
  give(name + "!", collect.text, depth);
}

void Unpacker::open_tar(const std::string& name, std::string_view bytes, int depth) {  // NOLINT(misc-no-recursion)
  // The content of members is part of what was scanned already; here only archives in it are opened.
  while (bytes.size() >= tar_block && bytes.front() != '\0') {
    const std::uint64_t size = tar_number(bytes.substr(124, 12));
    const std::string_view member = bytes.substr(0, 100).substr(0, bytes.substr(0, 100).find('\0'));
    bytes.remove_prefix(tar_block);
    const std::string_view content = bytes.substr(0, std::min<std::uint64_t>(size, bytes.size()));
    if (!spend(0)) return;
    enter(name + "!" + std::string(member), content, depth + 1);
    const std::uint64_t padded = (size + tar_block - 1) / tar_block * tar_block;
    bytes.remove_prefix(std::min<std::uint64_t>(padded < size ? bytes.size() : padded, bytes.size()));
  }
}

/// By every local header there is, wherever it stands: programs follow the central directory, which may point anywhere.
void Unpacker::open_zip(const std::string& name, std::string_view bytes, int depth) {  // NOLINT(misc-no-recursion)
  for (std::size_t at = bytes.find("PK"); at != std::string_view::npos; at = bytes.find("PK", at + 2)) {
    const std::string_view here = bytes.substr(at);
    if (here.starts_with(central_header) && here.size() >= central_size) {
      if ((little_16(here, 8) & 1U) != 0) fault("a member is encrypted");
      const unsigned method = little_16(here, 10);
      if (method != 0 && method != deflated) fault(fmt::format("a member is compressed by method {}", method));
      continue;
    }
    if (!here.starts_with(local_header) || here.size() < local_size) continue;
    const std::size_t name_size = little_16(here, 26);
    const std::size_t begin = local_size + name_size + little_16(here, 28);
    if (begin > here.size()) continue;
    const std::string member = name + "!" + std::string(here.substr(local_size, name_size));
    if (!spend(0)) return;
    const std::string_view data = here.substr(begin);
    // A stored member is part of what was scanned already; a zip in it is found by this same search.
    if ((data.size() >= 4 && dlp::sniff_coding(data.substr(0, 4))) || is_tar(data)) {
      const std::uint64_t stored = little_32(here, 18);
      enter(member, data.substr(0, stored == 0 ? data.size() : std::min<std::uint64_t>(stored, data.size())),
            depth + 1);
    }
    // Whatever the header says: programs believe the directory's word for the method.
    Inflated inflated = inflate_raw(data, max_archive_octets);
    if (inflated.too_large) fault(fmt::format("a member unpacks to more than {} MiB", max_archive_octets >> 20U));
    if (little_16(here, 8) == deflated || inflated.ended)
      give(member, inflated.bytes, depth);
    else if (!spend(inflated.bytes.size()))
      return;
    if (octets_ > max_unpacked_octets) return;
  }
}

}  // namespace bot_bottle::git_gate
