/* An entry that says it is empty. */
#include "good.h"
#define ENTRY_SIZE 0
#include "entry.h"
