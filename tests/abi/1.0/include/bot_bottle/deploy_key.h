/* bot-bottle.deploy-key/1: makes and revokes short-lived repository keys at a forge. */
#ifndef BOT_BOTTLE_DEPLOY_KEY_H
#define BOT_BOTTLE_DEPLOY_KEY_H

#include "bot_bottle/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BB_INTERFACE_DEPLOY_KEY "bot-bottle.deploy-key/1"

/* Required: create, destroy, create_key, remove_key. The forge's token is read with the secret service under the name
 * that the request gives; the private key leaves on a descriptor. */
typedef struct bb_deploy_key {
  uint32_t struct_size;
  /* since 1.0 */
  bb_status (*create)(const bb_host* host, const bb_call* call, void** self); /* [serial] */
  void (*destroy)(void* self);                                                /* [serial] */

  /* request: bot-bottle.deploy-key-request/1 {repo_url, title, read_only, token_name, api_url?, ca_file?}. The private
   * key (OpenSSH PEM) is written to `private_key_fd` (borrowed; a pipe's write end). out: bot-bottle.deploy-key/1
   * {key_id, public_key, fingerprint}. On failure no key is left at the forge. [serial] */
  bb_status (*create_key)(void* self, const bb_call* call, bb_str request, int32_t private_key_fd, bb_writer out);
  /* request: the above plus key_id; an empty one means every key with that title (the answer of create_key was lost). A
   * key that is already gone is BB_OK; every other failure is an error. [serial] */
  bb_status (*remove_key)(void* self, const bb_call* call, bb_str request);
} bb_deploy_key;

#ifdef __cplusplus
}
#endif
#endif
