// The documents of a backend, freezer and deploy-key provisioner (docs/internals.md) as structs. Defaults are what an
// absent field means. `data` is opaque to the host and comes back as it was given; `extra` holds what this header does
// not know yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bot_bottle/sdk/json.hpp"

namespace bot_bottle::sdk {

#define BB_SDK_FIELDS                      \
  template <typename Self, typename Visit> \
  static void fields(Self& self, Visit& visit)

struct Probe {
  static constexpr std::string_view schema = "bot-bottle.probe/1";
  bool available = false;
  std::string reason;  // why not, when not available
  std::string fix;     // what makes it available
  std::vector<std::string> features;
  std::string version;
  json::object extra;
  BB_SDK_FIELDS {
    visit("available", self.available);
    visit("reason", self.reason);
    visit("fix", self.fix);
    visit("features", self.features);
    visit("version", self.version);
  }
};

struct Guest {
  std::string user = "agent";
  std::uint32_t uid = 1000;
  std::uint32_t gid = 1000;
  std::string home = "/home/agent";
  BB_SDK_FIELDS {
    visit("user", self.user);
    visit("uid", self.uid);
    visit("gid", self.gid);
    visit("home", self.home);
  }
};

struct Workspace {
  std::string mode;    // "copy", "bind", "none"
  std::string source;  // on the host
  std::string path = "/workspace";
  BB_SDK_FIELDS {
    visit("mode", self.mode);
    visit("source", self.source);
    visit("path", self.path);
  }
};

/// Absent: the backend's default.
struct Resources {
  std::optional<double> cpus;
  std::optional<std::uint64_t> memory;  // bytes
  std::optional<std::uint64_t> pids;
  std::optional<std::uint64_t> disk;  // bytes
  BB_SDK_FIELDS {
    visit("cpus", self.cpus);
    visit("memory", self.memory);
    visit("pids", self.pids);
    visit("disk", self.disk);
  }
};

struct Image {
  std::string dockerfile;  // absolute, or empty
  BB_SDK_FIELDS { visit("dockerfile", self.dockerfile); }
};

struct Spec {
  static constexpr std::string_view schema = "bot-bottle.spec/1";
  std::string slug;
  std::string agent;
  std::string label;
  std::string version;
  std::string state_dir;
  bool detached = false;
  std::string program;  // empty: an argv names its own file
  std::string search_path;
  std::vector<std::string> bind_ro;
  std::string rootfs;
  Guest guest;
  Workspace workspace;
  Resources resources;
  Image image;
  std::vector<std::string> endpoints;
  bool reuse = false;
  json::object extra;
  BB_SDK_FIELDS {
    visit("slug", self.slug);
    visit("agent", self.agent);
    visit("label", self.label);
    visit("version", self.version);
    visit("state_dir", self.state_dir);
    visit("detached", self.detached);
    visit("program", self.program);
    visit("search_path", self.search_path);
    visit("bind_ro", self.bind_ro);
    visit("rootfs", self.rootfs);
    visit("guest", self.guest);
    visit("workspace", self.workspace);
    visit("resources", self.resources);
    visit("image", self.image);
    visit("endpoints", self.endpoints);
    visit("reuse", self.reuse);
  }
};

struct Plan {
  static constexpr std::string_view schema = "bot-bottle.plan/1";
  std::string slug;
  std::string backend;
  std::string state_dir;
  std::string wire = "socket";
  std::vector<std::string> summary;  // lines of the preflight
  std::vector<std::string> warnings;
  std::vector<std::uint32_t> control_peer_uids;
  json::object data;
  json::object extra;
  BB_SDK_FIELDS {
    visit("slug", self.slug);
    visit("backend", self.backend);
    visit("state_dir", self.state_dir);
    visit("wire", self.wire);
    visit("summary", self.summary);
    visit("warnings", self.warnings);
    visit("control_peer_uids", self.control_peer_uids);
    visit("data", self.data);
  }
};

struct Sidecar {
  static constexpr std::string_view schema = "bot-bottle.sidecar/1";
  std::string slug;
  std::string control;  // absolute path of control.sock
  std::optional<std::int64_t> pid;
  json::object extra;
  BB_SDK_FIELDS {
    visit("slug", self.slug);
    visit("control", self.control);
    visit("pid", self.pid);
  }
};

struct LaunchInputs {
  static constexpr std::string_view schema = "bot-bottle.launch/1";
  std::string ca_pem;
  json::object extra;
  BB_SDK_FIELDS { visit("ca_pem", self.ca_pem); }
};

/// Names the bottle in every later call. `remove` may get the plan instead (after a failed launch): the fields that
/// both have are the ones it may rely on, and `extra` then holds the plan's others.
struct Bottle {
  static constexpr std::string_view schema = "bot-bottle.bottle/1";
  static constexpr bool accepts(std::string_view other) { return other == Plan::schema; }
  std::string slug;
  std::string backend;
  std::string state_dir;
  StringMap endpoints;  // "egress" → "127.0.0.1:9099"
  json::object data;
  json::object extra;
  BB_SDK_FIELDS {
    visit("slug", self.slug);
    visit("backend", self.backend);
    visit("state_dir", self.state_dir);
    visit("endpoints", self.endpoints);
    visit("data", self.data);
  }
};

/// The guest's environment is exactly `env`.
struct ExecRequest {
  static constexpr std::string_view schema = "bot-bottle.exec/1";
  std::vector<std::string> argv;
  StringMap env;
  std::string cwd;
  std::string user = "agent";  // or "root"
  bool tty = false;
  std::uint32_t rows = 24;
  std::uint32_t columns = 80;
  std::int64_t timeout_ms = 0;                        // 0: none
  std::uint64_t max_output = std::uint64_t{1} << 20;  // bytes per stream
  json::object extra;
  BB_SDK_FIELDS {
    visit("argv", self.argv);
    visit("env", self.env);
    visit("cwd", self.cwd);
    visit("user", self.user);
    visit("tty", self.tty);
    visit("rows", self.rows);
    visit("columns", self.columns);
    visit("timeout_ms", self.timeout_ms);
    visit("max_output", self.max_output);
  }
};

struct ExecResult {
  static constexpr std::string_view schema = "bot-bottle.exec-result/1";
  int code = 0;     // exit code, or 128 + signal
  std::string out;  // "stdout"; any bytes: what is not UTF-8 is replaced when it is sent
  std::string err;  // "stderr"
  bool truncated = false;
  json::object extra;
  BB_SDK_FIELDS {
    visit("code", self.code);
    visit("stdout", self.out);
    visit("stderr", self.err);
    visit("truncated", self.truncated);
  }
};

struct Attach {
  static constexpr std::string_view schema = "bot-bottle.attach/1";
  std::vector<std::string> argv;
  StringMap env;
  json::object extra;
  BB_SDK_FIELDS {
    visit("argv", self.argv);
    visit("env", self.env);
  }
};

struct CopyRequest {
  static constexpr std::string_view schema = "bot-bottle.copy/1";
  std::string source;
  std::string dest;
  bool recursive = false;
  std::optional<std::uint32_t> mode;
  json::object extra;
  BB_SDK_FIELDS {
    visit("source", self.source);
    visit("dest", self.dest);
    visit("recursive", self.recursive);
    visit("mode", self.mode);
  }
};

struct RunningBottle {
  std::string slug;
  std::string agent;
  std::string label;
  std::string started_at;          // RFC 3339
  std::string status = "running";  // or "degraded"
  std::vector<std::string> services;
  std::string state_dir;
  BB_SDK_FIELDS {
    visit("slug", self.slug);
    visit("agent", self.agent);
    visit("label", self.label);
    visit("started_at", self.started_at);
    visit("status", self.status);
    visit("services", self.services);
    visit("state_dir", self.state_dir);
  }
};

struct Bottles {
  static constexpr std::string_view schema = "bot-bottle.bottles/1";
  std::vector<RunningBottle> bottles;
  json::object extra;
  BB_SDK_FIELDS { visit("bottles", self.bottles); }
};

struct OrphanItem {
  std::string
      kind;  // "process", "cgroup", "directory", "mount", "socket", "container", "network", "volume", "image", …
  std::string what;
  std::string slug;
  BB_SDK_FIELDS {
    visit("kind", self.kind);
    visit("what", self.what);
    visit("slug", self.slug);
  }
};

struct Orphans {
  static constexpr std::string_view schema = "bot-bottle.orphans/1";
  std::vector<OrphanItem> items;
  json::object extra;
  BB_SDK_FIELDS { visit("items", self.items); }
};

struct Snapshot {
  static constexpr std::string_view schema = "bot-bottle.snapshot/1";
  std::string kind;
  std::string ref;
  std::uint64_t size = 0;  // bytes
  json::object extra;
  BB_SDK_FIELDS {
    visit("kind", self.kind);
    visit("ref", self.ref);
    visit("size", self.size);
  }
};

struct DeployKeyRequest {
  static constexpr std::string_view schema = "bot-bottle.deploy-key-request/1";
  std::string repo_url;
  std::string title;
  bool read_only = true;
  std::string token_name;  // ask the secret service for it
  std::string key_id;      // remove_key only; empty: every key with that title
  std::string api_url;     // where the forge's API is; empty: what follows from repo_url
  std::string ca_file;     // PEM, instead of the system's roots; empty: those
  json::object extra;
  BB_SDK_FIELDS {
    visit("repo_url", self.repo_url);
    visit("title", self.title);
    visit("read_only", self.read_only);
    visit("token_name", self.token_name);
    visit("key_id", self.key_id);
    visit("api_url", self.api_url);
    visit("ca_file", self.ca_file);
  }
};

/// Without the private key, which leaves on a descriptor.
struct DeployKey {
  static constexpr std::string_view schema = "bot-bottle.deploy-key/1";
  std::string key_id;
  std::string public_key;
  std::string fingerprint;
  json::object extra;
  BB_SDK_FIELDS {
    visit("key_id", self.key_id);
    visit("public_key", self.public_key);
    visit("fingerprint", self.fingerprint);
  }
};

}  // namespace bot_bottle::sdk
