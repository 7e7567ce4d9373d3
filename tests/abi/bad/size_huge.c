/* An entry that says it has 1 GiB. */
#include "good.h"
#define ENTRY_SIZE (1U << 30)
#include "entry.h"
