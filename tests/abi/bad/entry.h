/* Builds the tables from what the file has defined before, the good parts for the rest. */
#ifndef CREATE
#define CREATE good_create
#endif
#ifndef DESCRIBE
#define DESCRIBE good_describe
#endif
#ifndef PLAN
#define PLAN good_plan
#endif
#ifndef INIT
#define INIT good_init
#endif
#ifndef ENTRY_SIZE
#define ENTRY_SIZE sizeof(bb_plugin)
#endif
#ifndef TABLE_SIZE
#define TABLE_SIZE sizeof(bb_provider)
#endif
#ifndef MAJOR
#define MAJOR BB_ABI_MAJOR
#endif

#ifndef GET_INTERFACE
#define GET_INTERFACE get_interface
static const bb_provider provider = {TABLE_SIZE, CREATE, good_destroy, DESCRIBE, PLAN, NULL, NULL};
static const void* get_interface(const char* id) {
  return strcmp(id, BB_INTERFACE_PROVIDER) == 0 ? &provider : NULL;
}
#endif

#ifdef __cplusplus
extern "C"
#endif
    const bb_plugin bb_plugin_entry = {ENTRY_SIZE, MAJOR, BB_ABI_MINOR, 0, "subject", "1.0.0", "A plugin under test",
                                       INIT,       NULL,  GET_INTERFACE};
