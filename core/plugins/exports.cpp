#include "core/plugins/exports.hpp"

#if defined(__linux__)
#include <elf.h>
#endif

#include <algorithm>
#include <cstring>
#include <string_view>

#include "core/base/file.hpp"

namespace bot_bottle::plugins {

#if defined(__linux__)
namespace {

constexpr std::size_t max_library_bytes = std::size_t{256} << 20;

/// Bounds-checked copies out of the file's bytes.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  bool read(std::uint64_t at, T& into) const {
    if (at > bytes_.size() || bytes_.size() - at < sizeof into) return false;
    std::memcpy(&into, bytes_.data() + at, sizeof into);
    return true;
  }
  /// A NUL-terminated text.
  [[nodiscard]] std::string_view text(std::uint64_t at) const {
    if (at >= bytes_.size()) return {};
    const std::string_view rest = bytes_.substr(at);
    return rest.substr(0, std::min(rest.find('\0'), rest.size()));
  }

 private:
  std::string_view bytes_;
};

}  // namespace

Result<std::vector<std::string>> exported_symbols(const std::filesystem::path& library) {
  BB_TRY(const std::string content, read_file(library, max_library_bytes));
  const Bytes bytes(content);
  Elf64_Ehdr header{};
  if (!bytes.read(0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(Elf64_Shdr))
    return fail(ErrorKind::unsupported, "its exports cannot be read here: not a 64-bit ELF file");
  const auto broken = [] { return fail(ErrorKind::invalid_argument, "its table of symbols leads out of the file"); };
  std::vector<std::string> names;
  for (std::uint64_t index = 0; index < header.e_shnum; ++index) {
    Elf64_Shdr section{};
    if (!bytes.read(header.e_shoff + index * sizeof section, section)) return broken();
    if (section.sh_type != SHT_DYNSYM) continue;
    Elf64_Shdr strings{};
    if (section.sh_size > content.size() || !bytes.read(header.e_shoff + section.sh_link * sizeof strings, strings))
      return broken();
    for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol{};
      if (!bytes.read(section.sh_offset + at, symbol)) return broken();
      const unsigned binding = ELF64_ST_BIND(symbol.st_info);
      const unsigned visibility = ELF64_ST_VISIBILITY(symbol.st_other);
      const bool leaves = (binding == STB_GLOBAL || binding == STB_WEAK || binding == STB_GNU_UNIQUE) &&
                          (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
      if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS || !leaves) continue;
      names.emplace_back(bytes.text(strings.sh_offset + symbol.st_name));
    }
  }
  std::ranges::sort(names);
  return names;
}

#else

Result<std::vector<std::string>> exported_symbols(const std::filesystem::path&) {
  return fail(ErrorKind::unsupported, "its exports cannot be read here: not a 64-bit ELF file");
}

#endif

}  // namespace bot_bottle::plugins
