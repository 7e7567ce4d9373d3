/* Ends the whole process from describe, as if all were well. */
#include "good.h"
static bb_status describe(void* self, const bb_call* call, bb_writer out) {
  (void)self;
  (void)call;
  (void)out;
  exit(0);
}
#define DESCRIBE describe
#include "entry.h"
