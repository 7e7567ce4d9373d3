// The one exported symbol.
#include "plugins/backend-apple/apple_backend.hpp"
#include "plugins/backend-apple/apple_freezer.hpp"

BOT_BOTTLE_PLUGIN("backend-apple", "0.1.0", "Runs bottles in virtual machines of Apple's container",
                  bot_bottle::backend_apple::AppleBackend, bot_bottle::backend_apple::AppleFreezer)
