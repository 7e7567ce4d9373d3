/* Never comes back from describe. */
#include <unistd.h>

#include "good.h"
static bb_status describe(void* self, const bb_call* call, bb_writer out) {
  (void)self;
  (void)call;
  (void)out;
  for (;;) pause();
  return BB_OK;
}
#define DESCRIBE describe
#include "entry.h"
