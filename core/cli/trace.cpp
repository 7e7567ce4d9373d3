// Remembers where the last exception was thrown, for -D and for bug reports: when it is caught the stack is gone.
// Ours is found before the C++ runtime's because the executable comes first in symbol lookup.
#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>

#include <array>
#include <cstdlib>
#include <string>
#include <typeinfo>
#include <vector>

#include "core/cli/command_line.hpp"

namespace bot_bottle::cli {
namespace {

thread_local std::array<void*, 48> frames{};
thread_local int frame_count = 0;

}  // namespace

void remember_throw() {
  frame_count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
}

std::vector<std::string> last_throw_trace() {
  std::vector<std::string> lines;
  for (int i = 2; i < frame_count; ++i) {
    Dl_info where{};
    void* address = frames[static_cast<std::size_t>(i)];
    if (::dladdr(address, &where) == 0 || where.dli_fname == nullptr) continue;
    // As addr2line wants it: the file and the offset in it.
    const auto offset = reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(where.dli_fbase);
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "(+0x%zx)", static_cast<std::size_t>(offset));
    lines.push_back(std::string(where.dli_fname) + text.data());
  }
  return lines;
}

}  // namespace bot_bottle::cli

// Sanitizers bring their own; theirs stays. (clang says so through __has_feature, g++ 12 by a macro.)
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BB_SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BB_SANITIZED 1
#endif
#if !defined(BB_SANITIZED) && defined(__linux__)
// Each compiler declares it to itself, with another type for the second argument.
#ifdef __clang__
using ThrownType = std::type_info;
#else
using ThrownType = void;
#endif
extern "C" __attribute__((visibility("default"), noreturn)) void __cxa_throw(void* object, ThrownType* type,
                                                                             void (*destroy)(void*)) {
  using Throw = void (*)(void*, ThrownType*, void (*)(void*));
  static const Throw real = reinterpret_cast<Throw>(::dlsym(RTLD_NEXT, "__cxa_throw"));
  bot_bottle::cli::remember_throw();
  if (real != nullptr) real(object, type, destroy);
  std::abort();
}
#endif
