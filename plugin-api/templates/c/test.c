/* Loads the plugin as bot-bottle does and looks at what it says of itself; `bot-bottle plugin check` does the rest. */
#include <bot_bottle/plugin.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  const bb_plugin* entry;
  const char* wanted = "bot-bottle.@KIND@/1";
  void* library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (library == NULL) {
    fprintf(stderr, "%s\n", argc == 2 ? dlerror() : "usage: load LIBRARY");
    return 1;
  }
  entry = (const bb_plugin*)dlsym(library, "bb_plugin_entry");
  if (entry == NULL || entry->abi_major != BB_ABI_MAJOR || strcmp(entry->name, "@NAME@") != 0) {
    fprintf(stderr, "no bb_plugin_entry of @NAME@ for ABI %d\n", BB_ABI_MAJOR);
    return 1;
  }
  if (entry->get_interface(wanted) == NULL || entry->get_interface("no such interface") != NULL) {
    fprintf(stderr, "%s is what it must offer, and only that\n", wanted);
    return 1;
  }
  return 0;
}
