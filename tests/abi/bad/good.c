/* Nothing is wrong: the control of all the others. */
#include "good.h"

#include "entry.h"
