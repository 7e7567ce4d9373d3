/* A complete provider in C11 from the header alone: an agent that greets. It fails to be resumed, to show how. */
#include <bot_bottle/plugin.h>
#include <string.h>

static bb_str text(const char* zero_terminated) {
  bb_str out;
  out.data = zero_terminated;
  out.size = strlen(zero_terminated);
  return out;
}

/* No state: any address that is not NULL will do. */
static int the_instance;

static bb_status create(const bb_host* host, const bb_call* call, void** self) {
  (void)host;
  (void)call;
  *self = &the_instance;
  return BB_OK;
}

static void destroy(void* self) {
  (void)self;
}

static bb_status describe(void* self, const bb_call* call, bb_writer out) {
  (void)self;
  (void)call;
  return out.write(out.context,
                   text("{\"schema\":\"bot-bottle.provider-description/1\",\"display_name\":\"Hello\","
                        "\"guest_home\":\"/home/agent\",\"user\":\"agent\",\"program\":\"sh\",\"dockerfile\":\"\","
                        "\"state_paths\":[],\"skills_dir\":\"\",\"env\":{},\"bind_ro\":[]}"));
}

/* A real plugin has a JSON parser; this one looks for the only thing it cares about. */
static int contains(bb_str where, const char* what) {
  const size_t length = strlen(what);
  size_t at;
  for (at = 0; at + length <= where.size; ++at) {
    if (memcmp(where.data + at, what, length) == 0) return 1;
  }
  return 0;
}

static bb_status plan(void* self, const bb_call* call, bb_str spec, bb_writer out) {
  (void)self;
  if (contains(spec, "\"resume\":true")) {
    call->fail(call, text("hello cannot be resumed"), text("start a new bottle"));
    return BB_UNSUPPORTED;
  }
  return out.write(out.context,
                   text("{\"schema\":\"bot-bottle.provider-plan/1\",\"env\":{\"GREETING\":\"hello\"},\"hidden_env\":[],"
                        "\"files\":[],\"egress_routes\":[],\"placeholders\":[],\"commands\":[],"
                        "\"argv\":[\"sh\",\"-c\",\"echo \\\"$GREETING\\\"\"],\"resume_argv\":[],"
                        "\"headless_argv\":[\"sh\",\"-c\",\"echo \\\"$GREETING\\\"\"],\"headless_stdin\":\"none\","
                        "\"mcp_commands\":[],\"ui\":{\"title\":\"hello\",\"color\":\"\"}}"));
}

static const bb_provider provider = {sizeof(bb_provider), create, destroy, describe, plan, NULL, NULL};

static bb_status init(const bb_host* host) {
  host->log(host, BB_LOG_DEBUG, text("hello-c is here"));
  return BB_OK;
}

static const void* get_interface(const char* id) {
  return strcmp(id, BB_INTERFACE_PROVIDER) == 0 ? &provider : NULL;
}

const bb_plugin bb_plugin_entry = {sizeof(bb_plugin),
                                   BB_ABI_MAJOR,
                                   BB_ABI_MINOR,
                                   0,
                                   "hello-c",
                                   "1.0.0",
                                   "A provider in C from the header alone",
                                   init,
                                   NULL,
                                   get_interface};
