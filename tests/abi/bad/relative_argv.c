/* Starts whatever lies in the working directory, which the agent can write to. */
#include "good.h"
#define FAULTY_PLAN                                                                                               \
  "{\"schema\":\"bot-bottle.provider-plan/1\",\"env\":{},\"hidden_env\":[],\"files\":[],\"egress_routes\":[],"    \
  "\"placeholders\":[],\"commands\":[],\"argv\":[\"tools/agent\"],\"resume_argv\":[],\"headless_argv\":[\"sh\"]," \
  "\"headless_stdin\":\"none\",\"mcp_commands\":[],\"ui\":{}}"
static bb_status plan(void* self, const bb_call* call, bb_str spec, bb_writer out) {
  (void)self;
  (void)call;
  (void)spec;
  return out.write(out.context, text(FAULTY_PLAN));
}
#define PLAN plan
#include "entry.h"
