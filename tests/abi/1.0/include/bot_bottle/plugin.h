/* bot-bottle plugin ABI 1.0, frozen: tests/abi/1.0 has this header and its baseline, and CI refuses what is not growth.
 *
 * A plugin is a shared library that exports one constant, `bb_plugin_entry`. Verbs are slots in tables, nouns are
 * JSON documents, secrets are neither: they travel by descriptor or by the host's secret service, never in a document,
 * a message or a log line.
 *
 * Rules for both sides
 *  - Tables start with their size and grow at the end, in bands marked "since x.y". A slot never moves, changes type or
 *    is used again. Each side makes one zeroed local copy of min(their size, my size) bytes and touches nothing else.
 *  - In: bb_str, UTF-8, not NUL-terminated, borrowed until the call returns. Out: bb_writer, any number of writes; the
 *    host caps a document at 4 MiB and refuses what is not UTF-8 and JSON. Nothing is freed across the boundary.
 *  - No exception, longjmp or unwinding crosses. Calls are synchronous; nothing of a call may be used after it returns.
 *  - After `cancel_fd` becomes readable a plugin has 5 seconds to return BB_CANCELLED.
 *
 * Thread tags: [serial] one call at a time per `self`, from any thread. [any] may run concurrently.
 *
 * C11 that is also C++11; only the two headers below. */
#ifndef BOT_BOTTLE_PLUGIN_H
#define BOT_BOTTLE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define BB_ABI_MAJOR 1
/* An author may define an older minor before the include, to be loadable by older hosts. */
#ifndef BB_ABI_MINOR
#define BB_ABI_MINOR 0
#endif

#if defined(_WIN32)
#error "bot-bottle runs on Linux and macOS"
#endif
#define BB_EXPORT __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* ---- plain data ------------------------------------------------------------------------------------------------ */

/* `size` bytes at `data`; data may be NULL when size is 0. */
typedef struct bb_str {
  const char* data;
  size_t size;
} bb_str;

/* How a call ended. A reader takes a value that it does not know for BB_INTERNAL. */
typedef int32_t bb_status;
enum {
  BB_OK = 0,
  BB_CANCELLED = 1,           /* cancel_fd was honoured; exit 1 */
  BB_INVALID_ARGUMENT = 2,    /* fix the input, a retry is useless; exit 1 */
  BB_NOT_FOUND = 3,           /* exit 1; success for the removing verbs */
  BB_ALREADY_EXISTS = 4,      /* exit 1 */
  BB_UNSUPPORTED = 5,         /* this plugin, version or machine cannot; exit 1 */
  BB_PERMISSION_DENIED = 6,   /* exit 1 */
  BB_UNAVAILABLE = 7,         /* something needed is not running or installed: a retry may help; exit 4 */
  BB_FAILED_PRECONDITION = 8, /* fix something else first; exit 1 */
  BB_TIMEOUT = 9,             /* a retry may help; exit 1 */
  BB_INTERNAL = 10            /* a bug of the plugin; exit 1 */
};

/* Takes the next `part` of a result. Not BB_OK: stop writing and return that status (the cap was hit, or the call was
 * cancelled). Valid until the call returns. */
typedef struct bb_writer {
  void* context;
  bb_status (*write)(void* context, bb_str part);
} bb_writer;

/* One call from the host; alive until the function returns. [any] until then. Every member is set by the host. */
typedef struct bb_call {
  uint32_t struct_size;
  /* since 1.0 */
  int32_t
      cancel_fd;   /* poll for POLLIN: the operator or a deadline ended this call; -1: cannot be cancelled. Borrowed. */
  void* host_data; /* the host's own */
  /* At most once, and then a status other than BB_OK must be returned. message: what failed, on which input; hint: what
   * the operator should do; no newline or full stop at their ends. Never a secret. */
  void (*fail)(const struct bb_call* call, bb_str message, bb_str hint);
  /* permille: 0..1000, or UINT32_MAX when unknown; may go back. `what` is shown to the operator. */
  void (*progress)(const struct bb_call* call, uint32_t permille, bb_str what);
} bb_call;

/* ---- the host -------------------------------------------------------------------------------------------------- */

typedef uint32_t bb_log_level;
enum {
  BB_LOG_DEBUG = 0,
  BB_LOG_INFO = 1,
  BB_LOG_WARNING = 2,
  BB_LOG_ERROR = 3,
  BB_LOG_MISBEHAVING = 4 /* the other side broke a rule of this header */
};

/* Lives as long as the process. [any] */
typedef struct bb_host {
  uint32_t struct_size;
  /* since 1.0 */
  uint32_t abi_minor; /* the host's; its major is the entry's, or the plugin would not have been loaded */
  void* host_data;    /* pass it back */
  void (*log)(const struct bb_host* host, bb_log_level level, bb_str text);
  /* A service table by id ("bot-bottle.process/1"), or NULL. The table lives as long as the host; the `self` to pass to
   * its functions is `host_data`. Not to be called from `init`. */
  const void* (*get_service)(const struct bb_host* host, const char* id);
} bb_host;

/* "bot-bottle.process/1": runs programs. Never a shell. */
#define BB_SERVICE_PROCESS "bot-bottle.process/1"
typedef struct bb_process_service {
  uint32_t struct_size;
  /* since 1.0 */
  /* request: bot-bottle.process-request/1 {argv, env (object or absent: inherit), cwd, stdin, timeout_ms, max_output}.
   * Runs to the end; out: bot-bottle.process-result/1 {code, stdout, stderr, truncated}. Ends with the call's
   * cancellation. [any] */
  bb_status (*run)(void* host_data, const bb_call* call, bb_str request, bb_writer out);
  /* request: as above plus {session: bool}. Starts a program that outlives the call; `fds`/`targets` are `fd_count`
   * descriptors (borrowed) and the numbers they get in the child; 0 to 2 are /dev/null unless named, all others are
   * closed. *pid is set on BB_OK; the caller reaps it. [any] */
  bb_status (*spawn)(void* host_data, const bb_call* call, bb_str request, const int32_t* fds, const int32_t* targets,
                     uint32_t fd_count, int64_t* pid);
} bb_process_service;

/* "bot-bottle.paths/1": where things are. */
#define BB_SERVICE_PATHS "bot-bottle.paths/1"
typedef struct bb_paths_service {
  uint32_t struct_size;
  /* since 1.0 */
  /* name: "home" ($BOT_BOTTLE_HOME), "state" (home/state), "cache" (home/cache), "libexec" (bot-bottle-sidecar,
   * bottle-init, bottle-keeper), "share" (rules), "plugin" (the calling plugin's own directory),
   * "operator-home". out: the absolute path as text (not JSON). BB_NOT_FOUND for other names. [any] */
  bb_status (*get)(void* host_data, const bb_call* call, bb_str name, bb_writer out);
} bb_paths_service;

/* "bot-bottle.secret/1": only what the manifest granted to this plugin. */
#define BB_SERVICE_SECRET "bot-bottle.secret/1"
typedef struct bb_secret_service {
  uint32_t struct_size;
  /* since 1.0 */
  /* *fd: the read end of a pipe that holds the secret called `name` and then ends; the plugin closes it.
   * BB_NOT_FOUND: no such secret, BB_PERMISSION_DENIED: not granted. [any] */
  bb_status (*open)(void* host_data, const bb_call* call, bb_str name, int32_t* fd);
} bb_secret_service;

/* "bot-bottle.http-unix/1": HTTP/1.1 over a unix socket, so that plugins need no client of their own. */
#define BB_SERVICE_HTTP_UNIX "bot-bottle.http-unix/1"
typedef struct bb_http_unix_service {
  uint32_t struct_size;
  /* since 1.0 */
  /* request: bot-bottle.http-request/1 {socket, method, target, headers, body, timeout_ms}; out:
   * bot-bottle.http-response/1 {status, headers, body}. Bodies are text; up to 4 MiB. [any] */
  bb_status (*request)(void* host_data, const bb_call* call, bb_str request, bb_writer out);
} bb_http_unix_service;

/* ---- the entry ------------------------------------------------------------------------------------------------- */

/* The first twelve bytes never move, in any major. Strings are NUL-terminated and static. */
typedef struct bb_plugin {
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t reserved; /* 0 */
  const char* name;
  const char* version;
  const char* description;
  /* Called once per process, never concurrently, before anything else. `host` outlives the plugin. Only host->log may
   * be used in here. Not BB_OK: the plugin is not used. */
  bb_status (*init)(const bb_host* host);
  /* Called once at the end, when no call is running. May be NULL. The library is never unloaded. */
  void (*deinit)(void);
  /* The table for an id ("bot-bottle.backend/1"), with static lifetime, or NULL. [any] */
  const void* (*get_interface)(const char* id);
} bb_plugin;

/* The one exported symbol. */
extern BB_EXPORT const bb_plugin bb_plugin_entry;

#ifdef __cplusplus
}
#endif

#include "bot_bottle/backend.h"
#include "bot_bottle/deploy_key.h"
#include "bot_bottle/freezer.h"
#include "bot_bottle/provider.h"

#endif
