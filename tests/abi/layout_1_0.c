/* The layout of ABI 1.0 on LP64, kept for ever: a member that moves breaks every plugin that was ever built. */
#include <bot_bottle/plugin.h>

#define AT(type, member, offset) _Static_assert(offsetof(type, member) == (offset), #type "." #member " moved")
/* Tables grow only at their end, so 1.0's size is where the first member of 1.1 would be. */
#define ENDS(type, last, size) \
  _Static_assert(offsetof(type, last) + sizeof(((type*)0)->last) == (size), #type " of 1.0 changed")

_Static_assert(sizeof(void*) == 8, "LP64");

AT(bb_plugin, struct_size, 0);
AT(bb_plugin, abi_major, 4);
AT(bb_plugin, abi_minor, 8);
AT(bb_plugin, reserved, 12);
AT(bb_plugin, name, 16);
AT(bb_plugin, version, 24);
AT(bb_plugin, description, 32);
AT(bb_plugin, init, 40);
AT(bb_plugin, deinit, 48);
AT(bb_plugin, get_interface, 56);
ENDS(bb_plugin, get_interface, 64);

AT(bb_str, data, 0);
AT(bb_str, size, 8);
_Static_assert(sizeof(bb_str) == 16, "bb_str is passed by value");
AT(bb_writer, context, 0);
AT(bb_writer, write, 8);
_Static_assert(sizeof(bb_writer) == 16, "bb_writer is passed by value");

AT(bb_call, struct_size, 0);
AT(bb_call, cancel_fd, 4);
AT(bb_call, host_data, 8);
AT(bb_call, fail, 16);
AT(bb_call, progress, 24);
ENDS(bb_call, progress, 32);

AT(bb_host, struct_size, 0);
AT(bb_host, abi_minor, 4);
AT(bb_host, host_data, 8);
AT(bb_host, log, 16);
AT(bb_host, get_service, 24);
ENDS(bb_host, get_service, 32);

AT(bb_process_service, run, 8);
AT(bb_process_service, spawn, 16);
ENDS(bb_process_service, spawn, 24);
AT(bb_paths_service, get, 8);
ENDS(bb_paths_service, get, 16);
AT(bb_secret_service, open, 8);
ENDS(bb_secret_service, open, 16);
AT(bb_http_unix_service, request, 8);
ENDS(bb_http_unix_service, request, 16);

AT(bb_backend, create, 8);
AT(bb_backend, destroy, 16);
AT(bb_backend, probe, 24);
AT(bb_backend, plan, 32);
AT(bb_backend, build, 40);
AT(bb_backend, start_sidecar, 48);
AT(bb_backend, launch, 56);
AT(bb_backend, exec, 64);
AT(bb_backend, attach_argv, 72);
AT(bb_backend, copy_in, 80);
AT(bb_backend, copy_out, 88);
AT(bb_backend, sidecar_exec, 96);
AT(bb_backend, stop, 104);
AT(bb_backend, remove, 112);
AT(bb_backend, enumerate, 120);
AT(bb_backend, orphans, 128);
AT(bb_backend, cleanup, 136);
ENDS(bb_backend, cleanup, 144);

AT(bb_bottle_ops, context, 8);
AT(bb_bottle_ops, exec, 16);
AT(bb_bottle_ops, copy_in, 24);
ENDS(bb_bottle_ops, copy_in, 32);
AT(bb_provider, create, 8);
AT(bb_provider, destroy, 16);
AT(bb_provider, describe, 24);
AT(bb_provider, plan, 32);
AT(bb_provider, provision, 40);
AT(bb_provider, host_credentials, 48);
ENDS(bb_provider, host_credentials, 56);

AT(bb_freezer, create, 8);
AT(bb_freezer, destroy, 16);
AT(bb_freezer, freeze, 24);
AT(bb_freezer, exists, 32);
AT(bb_freezer, remove, 40);
AT(bb_freezer, export_to, 48);
ENDS(bb_freezer, export_to, 56);

AT(bb_deploy_key, create, 8);
AT(bb_deploy_key, destroy, 16);
AT(bb_deploy_key, create_key, 24);
AT(bb_deploy_key, remove_key, 32);
ENDS(bb_deploy_key, remove_key, 40);

_Static_assert(BB_OK == 0 && BB_CANCELLED == 1 && BB_INVALID_ARGUMENT == 2 && BB_NOT_FOUND == 3 &&
                   BB_ALREADY_EXISTS == 4 && BB_UNSUPPORTED == 5 && BB_PERMISSION_DENIED == 6 && BB_UNAVAILABLE == 7 &&
                   BB_FAILED_PRECONDITION == 8 && BB_TIMEOUT == 9 && BB_INTERNAL == 10,
               "a status code changed its value");
_Static_assert(BB_LOG_DEBUG == 0 && BB_LOG_INFO == 1 && BB_LOG_WARNING == 2 && BB_LOG_ERROR == 3 &&
                   BB_LOG_MISBEHAVING == 4,
               "a log level changed its value");

int main(void) {
  return 0;
}
