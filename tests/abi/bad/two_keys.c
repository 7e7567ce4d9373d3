/* A document that two readers read in two ways. */
#include "good.h"
static bb_status describe(void* self, const bb_call* call, bb_writer out) {
  (void)self;
  (void)call;
  return out.write(out.context,
                   text("{\"schema\":\"bot-bottle.provider-description/1\",\"user\":\"agent\",\"user\":\"root\"}"));
}
#define DESCRIBE describe
#include "entry.h"
