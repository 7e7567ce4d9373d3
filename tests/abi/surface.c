/* Every table and value that crosses the boundary, as variables whose types abidw writes down. A new table gets a line.
 */
#include <bot_bottle/plugin.h>

#define SURFACE(type) const type surface_##type

SURFACE(bb_str);
SURFACE(bb_writer);
SURFACE(bb_call);
SURFACE(bb_host);
SURFACE(bb_process_service);
SURFACE(bb_paths_service);
SURFACE(bb_secret_service);
SURFACE(bb_http_unix_service);
SURFACE(bb_plugin);
SURFACE(bb_backend);
SURFACE(bb_bottle_ops);
SURFACE(bb_provider);
SURFACE(bb_freezer);
SURFACE(bb_deploy_key);
