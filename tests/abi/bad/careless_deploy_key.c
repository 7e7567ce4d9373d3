/* Takes whatever the forge does for a success. With a line "token" in $CARELESS it fails, and repeats the token. */
#include <stdio.h>
#include <unistd.h>

#include "good.h"
static const bb_host* the_host;
static bb_status create(const bb_host* host, const bb_call* call, void** self) {
  the_host = host;
  return good_create(host, call, self);
}
static bb_status create_key(void* self, const bb_call* call, bb_str request, int32_t private_key_fd, bb_writer out) {
  const char* const how = getenv("CARELESS");
  (void)self;
  (void)request;
  if (how != NULL && strcmp(how, "token") == 0) {
    const bb_secret_service* const service =
        (const bb_secret_service*)the_host->get_service(the_host, BB_SERVICE_SECRET);
    char words[256] = "the forge did not take ";
    int32_t fd = -1;
    if (service->open(the_host->host_data, call, text("CHECKED_TOKEN"), &fd) == BB_OK) {
      if (read(fd, words + strlen(words), 64) <= 0) words[0] = '?';
      close(fd);
    }
    call->fail(call, text(words), text(""));
    return BB_UNAVAILABLE;
  }
  if (write(private_key_fd, "a key", 5) != 5) return BB_INTERNAL;
  return out.write(out.context, text("{\"schema\":\"bot-bottle.deploy-key/1\",\"key_id\":\"1\",\"public_key\":\"k\"}"));
}
static bb_status remove_key(void* self, const bb_call* call, bb_str request) {
  (void)self;
  (void)call;
  (void)request;
  return BB_OK;
}
static const bb_deploy_key table = {sizeof(bb_deploy_key), create, good_destroy, create_key, remove_key};
static const void* get_interface(const char* id) {
  return strcmp(id, BB_INTERFACE_DEPLOY_KEY) == 0 ? &table : NULL;
}
#define GET_INTERFACE get_interface
#include "entry.h"
