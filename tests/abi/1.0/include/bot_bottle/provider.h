/* bot-bottle.provider/1: knows one agent program. Declares; the core applies through the backend. */
#ifndef BOT_BOTTLE_PROVIDER_H
#define BOT_BOTTLE_PROVIDER_H

#include "bot_bottle/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BB_INTERFACE_PROVIDER "bot-bottle.provider/1"

/* What a plugin may do to a bottle while `provision` runs. Valid until it returns. */
typedef struct bb_bottle_ops {
  uint32_t struct_size;
  /* since 1.0 */
  void* context;
  /* As bb_backend.exec and copy_in, on this bottle. [serial] */
  bb_status (*exec)(void* context, const bb_call* call, bb_str request, bb_writer out);
  bb_status (*copy_in)(void* context, const bb_call* call, bb_str request);
} bb_bottle_ops;

/* Required: create, destroy, describe, plan. */
typedef struct bb_provider {
  uint32_t struct_size;
  /* since 1.0 */
  bb_status (*create)(const bb_host* host, const bb_call* call, void** self); /* [serial] */
  void (*destroy)(void* self);                                                /* [serial] */

  /* out: bot-bottle.provider-description/1 {display_name, guest_home, user, program, dockerfile, state_paths,
   * skills_dir, env}. Pure. [serial] */
  bb_status (*describe)(void* self, const bb_call* call, bb_writer out);
  /* spec: bot-bottle.provider-spec/1. out: bot-bottle.provider-plan/1 {env, hidden_env, files, egress_routes, commands,
   * argv, resume_argv, headless_argv, headless_stdin, mcp_commands, ui}. Pure. [serial] */
  bb_status (*plan)(void* self, const bb_call* call, bb_str spec, bb_writer out);
  /* For what cannot be declared; after the declared files, before the declared commands. Optional. [serial] */
  bb_status (*provision)(void* self, const bb_call* call, bb_str spec, const bb_bottle_ops* ops);
  /* Reads the host's login, after the plan was agreed to: out is bot-bottle.host-credentials/1 {expires_at, secrets:
   * [{name, size}]}, the octets of the secrets go one after the other to the descriptor `secret_fd` (borrowed; a pipe's
   * write end), `size` of each. Their names are those of the plan's `host_secrets`; without `secrets` there is one.
   * May run the program that keeps the login, to renew it. The plan is then asked for again, with `host_credentials` in
   * its spec: files and placeholders are taken from that one. Optional. [serial] */
  bb_status (*host_credentials)(void* self, const bb_call* call, bb_str spec, int32_t secret_fd, bb_writer out);
} bb_provider;

#ifdef __cplusplus
}
#endif
#endif
