/* A document that is not UTF-8. */
#include "good.h"
static bb_status describe(void* self, const bb_call* call, bb_writer out) {
  (void)self;
  (void)call;
  return out.write(out.context, text("{\"schema\":\"bot-bottle.provider-description/1\",\"display_name\":\"\\xff\"}"));
}
#define DESCRIBE describe
#include "entry.h"
