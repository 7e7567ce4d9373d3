/* A table that says it is empty. */
#include "good.h"
#define TABLE_SIZE 0
#include "entry.h"
