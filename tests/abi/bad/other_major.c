/* Of another major: nothing after its first twelve bytes may be read, so the rest is not even there. */
#include <bot_bottle/plugin.h>
#include <string.h>
#define UNREADABLE ((const char*)1)
const bb_plugin bb_plugin_entry = {sizeof(bb_plugin), 2, 7, 0, UNREADABLE, UNREADABLE, UNREADABLE, NULL, NULL, NULL};
