/* Says what failed, and that nothing did. */
#include "good.h"
static bb_status describe(void* self, const bb_call* call, bb_writer out) {
  call->fail(call, text("nothing is wrong"), text(""));
  return good_describe(self, call, out);
}
#define DESCRIBE describe
#include "entry.h"
