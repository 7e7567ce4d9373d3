/* Two tables with holes: all of them are to be named at once. */
#include "good.h"
static const bb_provider provider = {sizeof(bb_provider), good_create, NULL, good_describe, NULL, NULL, NULL};
static const bb_backend backend = {sizeof(bb_backend),
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL,
                                   NULL};
static const void* both(const char* id) {
  if (strcmp(id, BB_INTERFACE_PROVIDER) == 0) return &provider;
  return strcmp(id, BB_INTERFACE_BACKEND) == 0 ? &backend : NULL;
}
#define GET_INTERFACE both
#include "entry.h"
