/* Closes every descriptor it finds, also those that are not its own, and stays. */
#include <unistd.h>

#include "good.h"
static bb_status describe(void* self, const bb_call* call, bb_writer out) {
  int fd;
  (void)self;
  (void)call;
  (void)out;
  for (fd = 0; fd < 1024; ++fd) close(fd);
  for (;;) pause();
  return BB_OK;
}
#define DESCRIBE describe
#include "entry.h"
