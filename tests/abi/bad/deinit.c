/* Tells that its deinit ran. */
#include <unistd.h>

#include "good.h"
static void ended(void) {
  if (write(2, "deinit\n", 7) != 7) abort();
}
static const bb_provider provider = {sizeof(bb_provider), good_create, good_destroy, good_describe,
                                     good_plan,           NULL,        NULL};
static const void* get_interface(const char* id) {
  return strcmp(id, BB_INTERFACE_PROVIDER) == 0 ? &provider : NULL;
}
const bb_plugin bb_plugin_entry = {sizeof(bb_plugin), BB_ABI_MAJOR, BB_ABI_MINOR, 0,     "subject",
                                   "1.0.0",           "",           good_init,    ended, get_interface};
