/* A provider that is good in everything; each file beside this one changes one thing and includes entry.h at its end.
 */
#ifndef BOT_BOTTLE_TESTS_GOOD_H
#define BOT_BOTTLE_TESTS_GOOD_H

#include <bot_bottle/plugin.h>
#include <stdlib.h>
#include <string.h>

#define MAYBE_UNUSED __attribute__((unused))

MAYBE_UNUSED static bb_str text(const char* zero_terminated) {
  bb_str out;
  out.data = zero_terminated;
  out.size = strlen(zero_terminated);
  return out;
}

static int the_instance;

MAYBE_UNUSED static bb_status good_create(const bb_host* host, const bb_call* call, void** self) {
  (void)host;
  (void)call;
  *self = &the_instance;
  return BB_OK;
}
MAYBE_UNUSED static void good_destroy(void* self) {
  (void)self;
}

#define GOOD_DESCRIPTION                                                                                \
  "{\"schema\":\"bot-bottle.provider-description/1\",\"display_name\":\"Test\",\"guest_home\":\"/home/" \
  "agent\",\"user\":\"agent\"}"
#define GOOD_PLAN                                                                                                      \
  "{\"schema\":\"bot-bottle.provider-plan/"                                                                            \
  "1\",\"env\":{},\"hidden_env\":[],\"files\":[],\"egress_routes\":[],\"placeholders\":[],"                            \
  "\"commands\":[],\"argv\":[\"sh\"],\"resume_argv\":[],\"headless_argv\":[\"sh\"],\"headless_stdin\":\"none\",\"mcp_" \
  "commands\":[],\"ui\":{}}"

MAYBE_UNUSED static bb_status good_describe(void* self, const bb_call* call, bb_writer out) {
  (void)self;
  (void)call;
  return out.write(out.context, text(GOOD_DESCRIPTION));
}
MAYBE_UNUSED static bb_status good_plan(void* self, const bb_call* call, bb_str spec, bb_writer out) {
  (void)self;
  (void)call;
  (void)spec;
  return out.write(out.context, text(GOOD_PLAN));
}
MAYBE_UNUSED static bb_status good_init(const bb_host* host) {
  (void)host;
  return BB_OK;
}

#endif
