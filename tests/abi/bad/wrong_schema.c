/* A document of another kind. */
#include "good.h"
static bb_status describe(void* self, const bb_call* call, bb_writer out) {
  (void)self;
  (void)call;
  return out.write(out.context, text("{\"schema\":\"bot-bottle.plan/1\"}"));
}
#define DESCRIBE describe
#include "entry.h"
