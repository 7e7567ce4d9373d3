/* Reads where nothing is. */
#include "good.h"
static bb_status plan(void* self, const bb_call* call, bb_str spec, bb_writer out) {
  const volatile int* const nowhere = NULL;
  (void)spec;
  if (*nowhere == 0) return BB_INTERNAL;
  return good_plan(self, call, spec, out);
}
#define PLAN plan
#include "entry.h"
