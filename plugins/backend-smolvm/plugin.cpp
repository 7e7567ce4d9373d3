// The one exported symbol.
#include "plugins/backend-smolvm/smolvm_backend.hpp"

BOT_BOTTLE_PLUGIN("backend-smolvm", "0.1.0", "Runs bottles as microVMs with the smolvm program",
                  bot_bottle::backend_smolvm::SmolvmBackend, bot_bottle::backend_smolvm::SmolvmFreezer)
