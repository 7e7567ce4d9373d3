/* A table that says it has 1 GiB. */
#include "good.h"
#define TABLE_SIZE (1U << 30)
#include "entry.h"
