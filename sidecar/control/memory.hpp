// What is given back when the start is over.
#pragma once

namespace bot_bottle::sidecar {

/// Before anything large is allocated: freed blocks of this size go back to the kernel at once, and the threshold stays
/// where it is (glibc would raise it to the size of the rules' database, which is read once).
void prepare_memory();

/// After something large was read: gives what was freed back to the kernel.
void trim_heap();

/// Once, when everything is built. Drops the freed parts of the heap, and the pages of program and libraries that only
/// the start has used: they are read-only and unchanged, so the kernel brings those back that are needed again.
void settle_memory();

}  // namespace bot_bottle::sidecar
