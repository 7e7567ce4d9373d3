/* bot-bottle.freezer/1: snapshots a bottle so that it can be resumed. Offered by the plugin of the backend it freezes.
 */
#ifndef BOT_BOTTLE_FREEZER_H
#define BOT_BOTTLE_FREEZER_H

#include "bot_bottle/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BB_INTERFACE_FREEZER "bot-bottle.freezer/1"

/* Required: create, destroy, freeze, exists, remove. */
typedef struct bb_freezer {
  uint32_t struct_size;
  /* since 1.0 */
  bb_status (*create)(const bb_host* host, const bb_call* call, void** self); /* [serial] */
  void (*destroy)(void* self);                                                /* [serial] */

  /* bottle: bot-bottle.bottle/1 of a running bottle; its member "snapshot" is the name that the new snapshot shall have
   * ([a-z0-9-]+ "." [a-z0-9]+, never used before): `ref` in out, so that the host can remove what a call left that was
   * killed. out: bot-bottle.snapshot/1 {kind, ref, size}: home and workspace of one moment. Nothing secret is in a
   * snapshot. On failure nothing is left. The backend starts from it when plan's spec has it as "snapshot". [serial] */
  bb_status (*freeze)(void* self, const bb_call* call, bb_str bottle, bb_writer out);
  /* ref: a snapshot's. BB_OK or BB_NOT_FOUND. [serial] */
  bb_status (*exists)(void* self, const bb_call* call, bb_str ref);
  /* Already gone is BB_OK. Removes half of one, too, that a killed freeze left under this name. [serial] */
  bb_status (*remove)(void* self, const bb_call* call, bb_str ref);
  /* Writes the snapshot to the absolute `path`, which must not exist. Optional. [serial] */
  bb_status (*export_to)(void* self, const bb_call* call, bb_str ref, bb_str path);
} bb_freezer;

#ifdef __cplusplus
}
#endif
#endif
