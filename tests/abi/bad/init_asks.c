/* Asks for a service in init, where only log may be used. */
#include "good.h"
static bb_status init(const bb_host* host) {
  return host->get_service(host, BB_SERVICE_PROCESS) == NULL ? BB_OK : BB_INTERNAL;
}
#define INIT init
#include "entry.h"
