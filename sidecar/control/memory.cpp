#include "sidecar/control/memory.hpp"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace bot_bottle::sidecar {
namespace {

constexpr int map_from_octets = 512 << 10;

/// The dynamic loader tells addresses as numbers: here alone they become pointers.
template <typename T>
T* at_address(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);  // NOLINT(performance-no-int-to-ptr)
}

/// Only segments that were never writable: in the others relocations would be lost.
int drop_segments(dl_phdr_info* object, std::size_t /*size*/, void* /*data*/) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  bool relocated_text = false;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_DYNAMIC) continue;
    for (const auto* entry = at_address<const ElfW(Dyn)>(object->dlpi_addr + segment.p_vaddr); entry->d_tag != DT_NULL;
         ++entry)
      relocated_text = relocated_text || entry->d_tag == DT_TEXTREL;
  }
  if (relocated_text || object->dlpi_addr == 0) return 0;
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr + page - 1) & ~(page - 1);
    const std::uintptr_t end = (object->dlpi_addr + segment.p_vaddr + segment.p_memsz) & ~(page - 1);
    // Refused (locked pages, the kernel's own vdso): then they stay.
    if (end > begin) ::madvise(at_address<void>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void prepare_memory() {
  // Only getaddrinfo(3) runs on other threads: one arena of memory for all.
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, map_from_octets);
}

void trim_heap() {
  ::malloc_trim(0);
}

void settle_memory() {
  trim_heap();
  ::dl_iterate_phdr(drop_segments, nullptr);
}

}  // namespace bot_bottle::sidecar
