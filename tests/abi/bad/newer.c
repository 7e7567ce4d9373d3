/* Made for a host of the future: larger tables, functions that this host does not know and must not call. */
#include "good.h"
typedef struct future_provider {
  bb_provider known;
  bb_status (*future)(void* self);
} future_provider;
static bb_status future(void* self) {
  (void)self;
  abort();
}
static const future_provider provider = {
    {sizeof(future_provider), good_create, good_destroy, good_describe, good_plan, NULL, NULL}, future};
static const void* get_interface(const char* id) {
  return strcmp(id, BB_INTERFACE_PROVIDER) == 0 ? &provider : NULL;
}
const bb_plugin bb_plugin_entry = {sizeof(bb_plugin), BB_ABI_MAJOR,      9,         0,    "subject",
                                   "1.0.0",           "From the future", good_init, NULL, get_interface};
