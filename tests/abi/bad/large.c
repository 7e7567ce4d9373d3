/* Writes 5 MiB and does not stop when it is told to. */
#include "good.h"
static char block[1 << 20];
static bb_status describe(void* self, const bb_call* call, bb_writer out) {
  bb_str part;
  int count;
  (void)self;
  (void)call;
  memset(block, ' ', sizeof block);
  part.data = block;
  part.size = sizeof block;
  for (count = 0; count < 5; ++count) out.write(out.context, part);
  return out.write(out.context, text(GOOD_DESCRIPTION)) == BB_OK ? BB_OK : BB_OK;
}
#define DESCRIBE describe
#include "entry.h"
