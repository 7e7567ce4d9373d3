/* An entry without init and get_interface. */
#include "good.h"
const bb_plugin bb_plugin_entry = {sizeof(bb_plugin), BB_ABI_MAJOR, 0, 0, "subject", "1.0.0", "", NULL, NULL, NULL};
