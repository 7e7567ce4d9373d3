/* A backend that works, with one fault: everything goes to the library good.so beside this one, and the file `fault`
 * there says which call is spoiled and how. So each rule of `plugin check` meets a plugin that breaks it and nothing
 * else. */
#define _GNU_SOURCE
#include <bot_bottle/plugin.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bb_backend good;
static char fault[64];
static int is(const char* name) {
  return strcmp(fault, name) == 0;
}

static bb_str text(const char* zero_terminated) {
  bb_str out;
  out.data = zero_terminated;
  out.size = strlen(zero_terminated);
  return out;
}

/* What the good one wrote, NUL-terminated. */
struct buffer {
  char data[1 << 20];
  size_t size;
};
static struct buffer buffer;
static bb_status keep(void* context, bb_str part) {
  (void)context;
  if (buffer.size + part.size >= sizeof buffer.data) return BB_INTERNAL;
  memcpy(buffer.data + buffer.size, part.data, part.size);
  buffer.size += part.size;
  buffer.data[buffer.size] = '\0';
  return BB_OK;
}
static bb_writer kept(void) {
  bb_writer out = {NULL, keep};
  buffer.size = 0;
  buffer.data[0] = '\0';
  return out;
}

/* The first `from` becomes `to`, in place of it. */
static void replace(const char* from, const char* to) {
  char* const at = strstr(buffer.data, from);
  if (at == NULL) return;
  memmove(at + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
  memcpy(at, to, strlen(to));
  buffer.size = strlen(buffer.data);
}

/* The value of a member that is a text without escapes. */
static void member(bb_str document, const char* name, char* into, size_t size) {
  char pattern[64];
  const char* at;
  size_t length = 0;
  snprintf(pattern, sizeof pattern, "\"%s\":\"", name);
  at = (const char*)memmem(document.data, document.size, pattern, strlen(pattern));
  into[0] = '\0';
  if (at == NULL) return;
  for (at += strlen(pattern); at < document.data + document.size && *at != '"' && length + 1 < size; ++at)
    into[length++] = *at;
  into[length] = '\0';
}

static bb_status plan(void* self, const bb_call* call, bb_str spec, bb_writer out) {
  static char changed[65536];
  char path[512];
  static int calls;
  bb_status status;
  if (is("plan hangs")) pause();
  if (is("plan writes")) {
    member(spec, "state_dir", path, sizeof path - 16);
    strcat(path, "/written");
    fclose(fopen(path, "w"));
  }
  if (is("the host's network") && spec.size < sizeof changed - 64) {
    snprintf(changed, sizeof changed, "%.*s,\"disabled_guards\":[\"netns\"]}", (int)spec.size - 1, spec.data);
    spec = text(changed);
  }
  status = good.plan(self, call, spec, kept());
  if (is("two plans") && ++calls % 2 == 0) replace("\"summary\":[", "\"summary\":[\"again\",");
  return status == BB_OK ? out.write(out.context, text(buffer.data)) : status;
}

static bb_status exec(void* self, const bb_call* call, bb_str bottle, bb_str request, int32_t stdin_fd, bb_writer out) {
  static char changed[65536];
  bb_call deaf = *call;
  bb_status status;
  char* begin;
  /* The attacker's run, and not its list. */
  const int attack = memmem(request.data, request.size, "\"./attacker\"", 12) != NULL &&
                     memmem(request.data, request.size, "\"--list\"", 8) == NULL;
  const char* const env = (const char*)memmem(request.data, request.size, "\"env\":{", 7);
  if (is("secret inside") && env != NULL && request.size < sizeof changed - 256) {
    const size_t before = (size_t)(env + 7 - request.data);
    snprintf(changed, sizeof changed, "%.*s\"LEAKED\":\"%s\",%.*s", (int)before, request.data, getenv("CHECKED_TOKEN"),
             (int)(request.size - before), request.data + before);
    request = text(changed);
  }
  if (is("cancel ignored")) {
    deaf.cancel_fd = -1;
    call = &deaf;
  }
  if (is("stdin lost")) stdin_fd = -1;
  status = good.exec(self, call, bottle, request, stdin_fd, kept());
  if (status != BB_OK) return status;
  if (is("attack cut short") && attack)
    return out.write(out.context, text("{\"schema\":\"bot-bottle.exec-result/1\",\"code\":1,\"stdout\":\"{\\\"id\\\":"
                                       "\\\"5.1.1\\\",\\\"verdict\\\":\\\"blocked\\\"}\\n\",\"stderr\":\"gone\","
                                       "\"truncated\":false}"));
  if (is("attack without proof") && attack) replace("\\\"verdict\\\":\\\"blocked\\\"", "\\\"verdict\\\":\\\"error\\\"");
  if (is("attack in part") && attack) replace("\"truncated\":false", "\"truncated\":true");
  if (is("attack failed") && attack) replace("\"code\":0", "\"code\":9");
  if (is("wrong code")) replace("\"code\":7", "\"code\":1");
  if (is("output cut in silence")) replace("\"truncated\":true", "\"truncated\":false");
  begin = strstr(buffer.data, "\"stderr\":\"err");
  if (is("stderr lost") && begin != NULL) replace("\"stderr\":\"err\\n\"", "\"stderr\":\"\"");
  return out.write(out.context, text(buffer.data));
}

static bb_status attach_argv(void* self, const bb_call* call, bb_str bottle, bb_str request, bb_writer out) {
  char hidden[256];
  char words[512];
  bb_status status;
  if (!is("a value on argv")) return good.attach_argv(self, call, bottle, request, out);
  status = good.attach_argv(self, call, bottle, request, kept());
  if (status != BB_OK) return status;
  member(request, "HIDDEN", hidden, sizeof hidden);
  snprintf(words, sizeof words, "\"argv\":[\"env\",\"HIDDEN=%s\",", hidden);
  replace("\"argv\":[", words);
  return out.write(out.context, text(buffer.data));
}

static bb_status copy_out(void* self, const bb_call* call, bb_str bottle, bb_str request) {
  char state[512];
  char source[512];
  char dest[512];
  char command[8192];
  member(bottle, "state_dir", state, sizeof state);
  member(request, "source", source, sizeof source);
  member(request, "dest", dest, sizeof dest);
  if (is("holes filled") && strcmp(source, "/workspace/sparse") == 0) {
    snprintf(command, sizeof command, "head -c 128M /dev/zero > '%s'", dest);
    return system(command) == 0 ? BB_OK : BB_INTERNAL;
  }
  if (!is("links followed")) return good.copy_out(self, call, bottle, request);
  snprintf(command, sizeof command, "cp -rL '%s/backend%s' '%s' 2>/dev/null; find '%s' -type p -delete", state, source,
           dest, dest);
  return system(command) >= 0 ? BB_OK : BB_INTERNAL;
}

static bb_status copy_in(void* self, const bb_call* call, bb_str bottle, bb_str request) {
  char state[512];
  char source[512];
  char dest[512];
  char command[8192];
  member(bottle, "state_dir", state, sizeof state);
  member(request, "source", source, sizeof source);
  member(request, "dest", dest, sizeof dest);
  if (is("stumbles over pipes") && strcmp(dest, "/workspace/odd-in") == 0) {
    call->fail(call, text("cannot copy a pipe"), text(""));
    return BB_INVALID_ARGUMENT;
  }
  if (!is("written through links")) return good.copy_in(self, call, bottle, request);
  if (strncmp(dest, "/workspace", 10) != 0 || strcmp(dest, "/workspace/odd-in") == 0)
    return good.copy_in(self, call, bottle, request);
  snprintf(
      command, sizeof command,
      "cat '%s' > '%s/backend%s'; chmod 640 '%s/backend%s'; chown --reference='%s/backend/workspace' '%s/backend%s'",
      source, state, dest, state, dest, state, state, dest);
  return system(command) >= 0 ? BB_OK : BB_INTERNAL;
}

static bb_status launch(void* self, const bb_call* call, bb_str plan_text, bb_str inputs, int32_t lifeline_fd,
                        bb_writer out) {
  return good.launch(self, call, plan_text, inputs, is("lifeline ignored") ? -1 : lifeline_fd, out);
}
static bb_status start_sidecar(void* self, const bb_call* call, bb_str plan_text, int32_t config_fd,
                               int32_t lifeline_fd, bb_writer out) {
  return good.start_sidecar(self, call, plan_text, config_fd, is("lifeline ignored") ? -1 : lifeline_fd, out);
}

static bb_status stop(void* self, const bb_call* call, bb_str bottle) {
  return is("stop does nothing") ? BB_OK : good.stop(self, call, bottle);
}

static bb_status remove_bottle(void* self, const bb_call* call, bb_str bottle) {
  static int calls;
  /* The first call is the suite's, for what never was. */
  if (is("removed once only") && ++calls == 3) {
    call->fail(call, text("there is no such bottle"), text(""));
    return BB_NOT_FOUND;
  }
  return good.remove(self, call, bottle);
}

static bb_status enumerate(void* self, const bb_call* call, bb_writer out) {
  if (is("nothing listed")) return out.write(out.context, text("{\"schema\":\"bot-bottle.bottles/1\",\"bottles\":[]}"));
  return good.enumerate(self, call, out);
}

static bb_backend table;

static bb_status init(const bb_host* host) {
  char path[1024];
  Dl_info info;
  ssize_t length;
  char* slash;
  FILE* file;
  void* library;
  const bb_plugin* entry;
  if (dladdr(&table, &info) == 0) return BB_INTERNAL;
  length = readlink(info.dli_fname, path, sizeof path - 32); /* loaded through a descriptor */
  if (length < 0) length = (ssize_t)strlen(strcpy(path, info.dli_fname));
  path[length] = '\0';
  slash = strrchr(path, '/');
  strcpy(slash, "/fault");
  file = fopen(path, "r");
  if (file == NULL || fgets(fault, sizeof fault, file) == NULL) return BB_INTERNAL;
  fclose(file);
  strcpy(slash, "/good.so");
  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  entry = library == NULL ? NULL : (const bb_plugin*)dlsym(library, "bb_plugin_entry");
  if (entry == NULL || entry->init(host) != BB_OK) return BB_UNAVAILABLE;
  good = *(const bb_backend*)entry->get_interface(BB_INTERFACE_BACKEND);
  table = good;
  table.plan = plan;
  table.exec = exec;
  table.attach_argv = attach_argv;
  table.copy_in = copy_in;
  table.copy_out = copy_out;
  table.start_sidecar = start_sidecar;
  table.launch = launch;
  table.stop = stop;
  table.remove = remove_bottle;
  table.enumerate = enumerate;
  return BB_OK;
}

static const void* get_interface(const char* id) {
  return strcmp(id, BB_INTERFACE_BACKEND) == 0 ? &table : NULL;
}

__attribute__((visibility("default")))
const bb_plugin bb_plugin_entry = {sizeof(bb_plugin), BB_ABI_MAJOR,          BB_ABI_MINOR, 0,    "subject",
                                   "1.0.0",           "A plugin under test", init,         NULL, get_interface};
