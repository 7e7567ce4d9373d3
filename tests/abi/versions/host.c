/* A host in C of one version of the header (-DGREW: a later one), which loads a provider of any version and uses it as
 * plugin.h says: one zeroed copy of min(their size, my size), absent slots asked for by name. Usage: host PLUGIN */
#include <bot_bottle/plugin.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static size_t written;

static bb_status write_out(void* context, bb_str part) {
  (void)context;
  written += part.size;
  return BB_OK;
}
static void on_fail(const bb_call* call, bb_str message, bb_str hint) {
  (void)call;
  (void)hint;
  fprintf(stderr, "failed: %.*s\n", (int)message.size, message.data);
}
static void on_progress(const bb_call* call, uint32_t permille, bb_str what) {
  (void)call;
  (void)permille;
  (void)what;
}
static void on_log(const bb_host* host, bb_log_level level, bb_str text) {
  (void)host;
  (void)level;
  (void)text;
}
static const void* no_service(const bb_host* host, const char* id) {
  (void)host;
  (void)id;
  return NULL;
}

/* Asserts in a way that -DNDEBUG leaves alone. */
static int must(int holds, const char* what) {
  if (!holds) fprintf(stderr, "not so: %s\n", what);
  return holds;
}

int main(int argc, char** argv) {
  const char spec[] =
      "{\"schema\":\"bot-bottle.provider-spec/1\",\"agent\":\"a\",\"slug\":\"a-1\",\"guest\":{\"home\":\"/home/"
      "agent\"}}";
  const bb_str spec_text = {spec, sizeof spec - 1};
  const bb_writer out = {NULL, write_out};
  bb_host host;
  bb_call call;
  bb_provider table;
  const bb_plugin* entry;
  const void* theirs;
  uint32_t size;
  void* self = NULL;
  void* library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!must(library != NULL, "the library opens")) return 1;
  entry = (const bb_plugin*)dlsym(library, "bb_plugin_entry");
  if (!must(entry != NULL && entry->abi_major == BB_ABI_MAJOR, "an entry of this major")) return 1;
  memset(&host, 0, sizeof host);
  host.struct_size = sizeof host;
  host.abi_minor = BB_ABI_MINOR;
  host.log = on_log;
  host.get_service = no_service;
  memset(&call, 0, sizeof call);
  call.struct_size = sizeof call;
  call.cancel_fd = -1;
  call.fail = on_fail;
  call.progress = on_progress;
  if (!must(entry->init(&host) == BB_OK, "init")) return 1;
  theirs = entry->get_interface(BB_INTERFACE_PROVIDER);
  if (!must(theirs != NULL, "a provider")) return 1;
  memcpy(&size, theirs, sizeof size);
  memset(&table, 0, sizeof table);
  memcpy(&table, theirs, size < sizeof table ? size : sizeof table);
  if (!must(table.create(&host, &call, &self) == BB_OK && self != NULL, "create")) return 1;
  if (!must(table.describe(self, &call, out) == BB_OK && written > 0, "describe")) return 1;
  written = 0;
  if (!must(table.plan(self, &call, spec_text, out) == BB_OK && written > 0, "plan")) return 1;
#ifdef GREW
  /* What this version has and the plugin's has not is null, never what lies behind the plugin's table. */
  if (size < sizeof table && !must(table.of_the_future == NULL, "a younger slot is absent")) return 1;
  if (size >= sizeof table && table.of_the_future != NULL &&
      !must(table.of_the_future(self, &call) == BB_OK, "a younger slot works"))
    return 1;
#endif
  table.destroy(self);
  printf("table of %u, host's of %u\n", (unsigned)size, (unsigned)sizeof table);
  return 0;
}
