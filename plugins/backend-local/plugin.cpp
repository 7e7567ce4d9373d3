// The one exported symbol.
#include "plugins/backend-local/local_backend.hpp"
#include "plugins/backend-local/local_freezer.hpp"

BOT_BOTTLE_PLUGIN("backend-local", "0.1.0", "Runs bottles with bubblewrap on this machine",
                  bot_bottle::backend_local::LocalBackend, bot_bottle::backend_local::LocalFreezer)
