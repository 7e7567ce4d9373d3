/* init says no. */
#include "good.h"
static bb_status init(const bb_host* host) {
  host->log(host, BB_LOG_ERROR, text("no good day"));
  return BB_UNAVAILABLE;
}
#define INIT init
#include "entry.h"
