/* Compiled in every dialect that plugin.h promises (see CMakeLists.txt); each header also alone and in another order.
 */
#ifdef BB_TEST_HEADER
#include BB_TEST_HEADER
#endif
#include <bot_bottle/backend.h>
#include <bot_bottle/deploy_key.h>
#include <bot_bottle/freezer.h>
#include <bot_bottle/plugin.h>
#include <bot_bottle/provider.h>

#if BB_ABI_MAJOR != 1
#error "the major is 1"
#endif

static const bb_provider provider = {sizeof(bb_provider), NULL, NULL, NULL, NULL, NULL, NULL};
const bb_plugin bb_plugin_entry = {
    sizeof(bb_plugin), BB_ABI_MAJOR, BB_ABI_MINOR, 0, "header", "1", "", NULL, NULL, NULL};
const void* use(void);
const void* use(void) {
  return &provider;
}
