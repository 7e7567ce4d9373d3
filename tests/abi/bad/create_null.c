/* create: BB_OK without an instance. */
#include "good.h"
static bb_status create(const bb_host* host, const bb_call* call, void** self) {
  (void)host;
  (void)call;
  (void)self;
  return BB_OK;
}
#define CREATE create
#include "entry.h"
