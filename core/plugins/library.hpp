// Opens a checked library. The only file that knows Boost.DLL (1.6 s of compile time a user).
#pragma once

#include "core/plugins/trust.hpp"

namespace bot_bottle::plugins {

/// The address of `bb_plugin_entry` of exactly the file that `library.fd` refers to. The descriptor and the library
/// stay open until the process ends: thread-local destructors, detached threads and sanitizer reports break after
/// dlclose, and the C library would take a later /proc/self/fd/N of the same number for this one. Failure (internal):
/// the loader's reason, or "no symbol".
const void* load_entry(CheckedLibrary library);

}  // namespace bot_bottle::plugins
