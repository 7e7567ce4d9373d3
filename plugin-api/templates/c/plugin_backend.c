/* The skeleton of a backend in C11 from the header alone. It says that it cannot run yet: fill in the functions below,
 * then let `probe` say so, and `bot-bottle plugin check` tries the life of a whole bottle. backend.h says what each
 * promises; the documents are described in share/bot-bottle/schemas. The C++ SDK has much of this ready
 * (bot_bottle/sdk). */
#include <bot_bottle/plugin.h>
#include <string.h>

static bb_str text(const char* zero_terminated) {
  bb_str out;
  out.data = zero_terminated;
  out.size = strlen(zero_terminated);
  return out;
}

/* No state yet: any address that is not NULL will do. */
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

static bb_status probe(void* self, const bb_call* call, bb_writer out) {
  (void)self;
  (void)call;
  return out.write(out.context, text("{\"schema\":\"bot-bottle.probe/1\",\"available\":false,"
                                     "\"reason\":\"@NAME@ is a skeleton\",\"fix\":\"write it\",\"features\":[],"
                                     "\"version\":\"\"}"));
}

/* A failure is a message, a hint and a status, always together. */
static bb_status not_yet(const bb_call* call, const char* what) {
  call->fail(call, text(what), text("write this function"));
  return BB_UNSUPPORTED;
}

static bb_status plan(void* self, const bb_call* call, bb_str spec, bb_writer out) {
  (void)self;
  (void)spec;
  (void)out;
  return not_yet(call, "@NAME@ cannot plan a bottle yet");
}

static bb_status start_sidecar(void* self, const bb_call* call, bb_str plan_text, int32_t config_fd,
                               int32_t lifeline_fd, bb_writer out) {
  (void)self;
  (void)plan_text;
  (void)config_fd;
  (void)lifeline_fd;
  (void)out;
  return not_yet(call, "@NAME@ cannot start a sidecar yet");
}

static bb_status launch(void* self, const bb_call* call, bb_str plan_text, bb_str inputs, int32_t lifeline_fd,
                        bb_writer out) {
  (void)self;
  (void)plan_text;
  (void)inputs;
  (void)lifeline_fd;
  (void)out;
  return not_yet(call, "@NAME@ cannot launch a bottle yet");
}

static bb_status exec(void* self, const bb_call* call, bb_str bottle, bb_str request, int32_t stdin_fd, bb_writer out) {
  (void)self;
  (void)bottle;
  (void)request;
  (void)stdin_fd;
  (void)out;
  return not_yet(call, "@NAME@ cannot run programs yet");
}

static bb_status attach_argv(void* self, const bb_call* call, bb_str bottle, bb_str request, bb_writer out) {
  (void)self;
  (void)bottle;
  (void)request;
  (void)out;
  return not_yet(call, "@NAME@ cannot attach a terminal yet");
}

static bb_status copy_in(void* self, const bb_call* call, bb_str bottle, bb_str request) {
  (void)self;
  (void)bottle;
  (void)request;
  return not_yet(call, "@NAME@ cannot copy into a bottle yet");
}

static bb_status copy_out(void* self, const bb_call* call, bb_str bottle, bb_str request) {
  (void)self;
  (void)bottle;
  (void)request;
  return not_yet(call, "@NAME@ cannot copy out of a bottle yet");
}

/* Nothing runs and nothing is left: both are success, however often they are called. */
static bb_status stop(void* self, const bb_call* call, bb_str bottle) {
  (void)self;
  (void)call;
  (void)bottle;
  return BB_OK;
}

static bb_status enumerate(void* self, const bb_call* call, bb_writer out) {
  (void)self;
  (void)call;
  return out.write(out.context, text("{\"schema\":\"bot-bottle.bottles/1\",\"bottles\":[]}"));
}

static const bb_backend backend = {
    sizeof(bb_backend), create,  destroy,  probe, plan, NULL, start_sidecar, launch, exec,
    attach_argv,        copy_in, copy_out, NULL,  stop, stop, enumerate,     NULL,   NULL};

static bb_status init(const bb_host* host) {
  (void)host;
  return BB_OK;
}

static const void* get_interface(const char* id) {
  return strcmp(id, BB_INTERFACE_BACKEND) == 0 ? &backend : NULL;
}

const bb_plugin bb_plugin_entry = {sizeof(bb_plugin), BB_ABI_MAJOR,    BB_ABI_MINOR, 0,    "@NAME@",
                                   "1.0.0",           "@DESCRIPTION@", init,         NULL, get_interface};
