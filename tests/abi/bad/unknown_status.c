/* A status from nowhere, and a message that wants to play with the terminal. */
#include "good.h"
static bb_status describe(void* self, const bb_call* call, bb_writer out) {
  (void)self;
  (void)out;
  call->fail(call, text("odd\x1b[2J\xff"), text("hint\n"));
  return 4711;
}
#define DESCRIBE describe
#include "entry.h"
