/* Takes the token from the host's environment, instead of naming it. */
#include <stdio.h>

#include "good.h"
static bb_status plan(void* self, const bb_call* call, bb_str spec, bb_writer out) {
  char document[2048];
  const char* token = getenv("CHECKED_TOKEN");
  (void)self;
  (void)call;
  (void)spec;
  snprintf(document, sizeof document, "%.*s,\"summary\":[\"key %s\"]}", (int)strlen(GOOD_PLAN) - 1, GOOD_PLAN,
           token == NULL ? "" : token);
  return out.write(out.context, text(document));
}
#define PLAN plan
#include "entry.h"
