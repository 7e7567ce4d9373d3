/* Fails without fail. */
#include "good.h"
static bb_status describe(void* self, const bb_call* call, bb_writer out) {
  (void)self;
  (void)call;
  (void)out;
  return BB_NOT_FOUND;
}
#define DESCRIBE describe
#include "entry.h"
