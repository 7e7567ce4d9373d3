/* Puts a secret into its plan. */
#include <stdio.h>
#include <unistd.h>

#include "good.h"
static const bb_host* the_host;
static bb_status create(const bb_host* host, const bb_call* call, void** self) {
  the_host = host;
  return good_create(host, call, self);
}
static bb_status plan(void* self, const bb_call* call, bb_str spec, bb_writer out) {
  char secret[128];
  char document[1024];
  int32_t fd = -1;
  ssize_t got;
  const bb_secret_service* service = (const bb_secret_service*)the_host->get_service(the_host, BB_SERVICE_SECRET);
  (void)self;
  (void)spec;
  if (service->open(the_host->host_data, call, text("TOKEN"), &fd) != BB_OK) return BB_PERMISSION_DENIED;
  got = read(fd, secret, sizeof secret - 1);
  close(fd);
  secret[got > 0 ? got : 0] = '\0';
  snprintf(document, sizeof document, "%.*s,\"note\":\"%s\"}", (int)strlen(GOOD_PLAN) - 1, GOOD_PLAN, secret);
  return out.write(out.context, text(document));
}
#define CREATE create
#define PLAN plan
#include "entry.h"
