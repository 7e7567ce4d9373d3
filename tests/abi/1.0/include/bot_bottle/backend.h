/* bot-bottle.backend/1: isolates. Builds images, launches, executes, copies, lists, cleans up.
 *
 * Life of a bottle: plan → build → start_sidecar → launch → (exec | attach_argv | copy_in | copy_out)* → stop → remove.
 * The documents are described in docs/internals.md and, field by field, in plugin-api/schemas/. */
#ifndef BOT_BOTTLE_BACKEND_H
#define BOT_BOTTLE_BACKEND_H

#include "bot_bottle/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BB_INTERFACE_BACKEND "bot-bottle.backend/1"

/* Required: create, destroy, probe, plan, start_sidecar, launch, exec, attach_argv, copy_in, copy_out, stop, remove,
 * enumerate. An absent optional slot is BB_UNSUPPORTED by its name. */
typedef struct bb_backend {
  uint32_t struct_size;
  /* since 1.0 */

  /* *self: the instance, given back to every function and ended by destroy. [serial] */
  bb_status (*create)(const bb_host* host, const bb_call* call, void** self);
  /* Frees `self`; no other call follows. [serial] */
  void (*destroy)(void* self);

  /* out: bot-bottle.probe/1 {available, reason, fix, features[], version}. No side effects, under 100 ms where the tool
   * allows it. "Not available" is BB_OK with available=false. [serial] */
  bb_status (*probe)(void* self, const bb_call* call, bb_writer out);

  /* spec: bot-bottle.spec/1. out: bot-bottle.plan/1. Pure and fast: reads, never writes. Asking for a feature that is
   * absent is BB_UNSUPPORTED with its name in the message. [serial] */
  bb_status (*plan)(void* self, const bb_call* call, bb_str spec, bb_writer out);

  /* Makes the image the plan names, if it is not there. Optional: NULL where the backend has no images. [serial] */
  bb_status (*build)(void* self, const bb_call* call, bb_str plan);

  /* Starts the bottle's sidecar, confined, with the network. `config_fd` (borrowed) becomes its standard input: the
   * sidecar reads its configuration and secrets there to the end; the host writes them after this returns.
   * `lifeline_fd` (borrowed; -1: detached): the read end of a pipe; when it ends, the sidecar must end.
   * out: bot-bottle.sidecar/1. On failure nothing is left behind. [serial] */
  bb_status (*start_sidecar)(void* self, const bb_call* call, bb_str plan, int32_t config_fd, int32_t lifeline_fd,
                             bb_writer out);

  /* Starts the agent's bottle, without the agent: returns when exec works, waited for by polling with backoff.
   * inputs: bot-bottle.launch/1 (what the sidecar made: the CA). `lifeline_fd` as above. out: bot-bottle.bottle/1,
   * which names the bottle in all later calls, also from other processes. On failure nothing is left behind. [serial]
   */
  bb_status (*launch)(void* self, const bb_call* call, bb_str plan, bb_str inputs, int32_t lifeline_fd, bb_writer out);

  /* request: bot-bottle.exec/1. Runs a program in the bottle to its end. `stdin_fd` (borrowed; -1: /dev/null) is read.
   * out: bot-bottle.exec-result/1. A program that cannot be started is BB_NOT_FOUND; one that fails is BB_OK with its
   * code. [serial] */
  bb_status (*exec)(void* self, const bb_call* call, bb_str bottle, bb_str request, int32_t stdin_fd, bb_writer out);

  /* request: bot-bottle.exec/1. out: bot-bottle.attach/1 {argv, env}: a program that the host starts with the
   * operator's terminal (or pipes) as 0 to 2, that runs the request in the bottle, forwards size changes and signals,
   * and exits with its code. No value of the request's env is on argv. [serial] */
  bb_status (*attach_argv)(void* self, const bb_call* call, bb_str bottle, bb_str request, bb_writer out);

  /* request: bot-bottle.copy/1. Host → bottle. [serial] */
  bb_status (*copy_in)(void* self, const bb_call* call, bb_str bottle, bb_str request);
  /* Bottle → host. The tree is hostile: no link is followed, none is written that leaves the destination, no device,
   * socket or set-id bit is made. [serial] */
  bb_status (*copy_out)(void* self, const bb_call* call, bb_str bottle, bb_str request);

  /* Runs `argv` (a JSON array) in the sidecar; for control where its socket cannot be reached. Optional. [serial] */
  bb_status (*sidecar_exec)(void* self, const bb_call* call, bb_str bottle, bb_str argv, int32_t stdin_fd,
                            bb_writer out);

  /* Ends what runs (sidecar and bottle) and keeps what was written. Already stopped is BB_OK. [serial] */
  bb_status (*stop)(void* self, const bb_call* call, bb_str bottle);
  /* Stops, and removes all that the bottle has outside its state directory, and the backend's own part inside it.
   * Already gone is BB_OK. Called after a failed launch too: `bottle` may then be the plan. On failure the rest is
   * still removed and `fail` names what stayed. [serial] */
  bb_status (*remove)(void* self, const bb_call* call, bb_str bottle);

  /* out: bot-bottle.bottles/1: what runs now, by the backend's own truth (labels, processes), never by files. [serial]
   */
  bb_status (*enumerate)(void* self, const bb_call* call, bb_writer out);
  /* known: a JSON array of the slugs that the host wants kept. out: bot-bottle.orphans/1: what the others left.
   * Optional. [serial] */
  bb_status (*orphans)(void* self, const bb_call* call, bb_str known, bb_writer out);
  /* orphans: a document of `orphans`. Removes as much as it can; each failure is in the message. Optional. [serial] */
  bb_status (*cleanup)(void* self, const bb_call* call, bb_str orphans);
} bb_backend;

#ifdef __cplusplus
}
#endif
#endif
