// A complete backend from the installed SDK alone: two unshare(1), a file system of its own by pivot_root(8),
// bottle-init as pid 1. What it has not, it refuses by name: root, limits, images, mounted workspaces, freezing. Its
// filter of system calls is a list of what is known to be bad, so the kernel shows more of itself than behind
// backend-local.
#include <bot_bottle/plugin.hpp>
#include <bot_bottle/sdk/sandbox_process.hpp>

namespace sdk = bot_bottle::sdk;
namespace json = boost::json;
namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;
constexpr int lifeline_at = 3, ready_at = 4, exec_at = 5, lock_at = 6;

// ROOT UID NET (MODE FROM TO)... -- PROGRAM...: as root of a user namespace builds the file system and leaves the
// host's; then in a second one, where nothing of this can be undone, runs PROGRAM as UID. unshare waits for it with the
// lock.
constexpr const char* enter = R"sh(
set -e; root=$1 uid=$2 net=$3; shift 3
mount -t tmpfs -o mode=755,size=1m,nosuid,nodev root "$root"; cd -P "$root"
mkdir usr proc dev dev/shm dev/pts tmp old
for d in bin sbin lib lib32 lib64; do [ ! -L /$d ] || ln -s "$(readlink /$d)" $d; done
show() {
  if [ -d "$2" ]; then mkdir -p ".$3"; else mkdir -p ".${3%/*}"; : > ".$3"; fi
  mount --rbind "$2" ".$3"; [ "$1" = rw ] || only_read "$PWD$3"
}
only_read() {  # and what is mounted below it, or `ro` would hold for the top alone
  seen=
  while read -r _ _ _ _ at _; do
    case $at in *\\*) at=$(printf %b "$(printf %s "$at" | sed 's/\\/\\0/g')");; esac
    case $at in "$1" | "$1"/*) mount -o remount,bind,ro,nosuid,nodev "$at"; seen=1;; esac
  done < /proc/self/mountinfo
  [ "$seen" ] || { echo "$1 cannot be made read-only" >&2; exit 1; }
}
show ro /usr /usr
for d in tmp dev/shm; do mount -t tmpfs -o mode=1777,nosuid,nodev,size=512m tmp $d; done
for d in null zero full random urandom; do show rw /dev/$d /dev/$d; done
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
while [ "$1" != -- ]; do show "$1" "$2" "$3"; shift 3; done; shift
mount --rbind /proc proc
pivot_root . old; umount -l /old; rmdir /old; mount -o remount,bind,ro /
exec unshare --user --map-user="$uid" --map-group="$uid" $net --mount --pid --ipc --uts --cgroup --fork --kill-child \
  --keep-caps sh -ec 'exec 6>&-; mount -t proc -o nosuid,nodev,noexec proc /proc
    mount -t devpts -o newinstance,ptmxmode=666,mode=620 pts /dev/pts
    echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"' sh "$@"
)sh";

void refuse(bool asked, const std::string& what) {
  if (asked) throw sdk::Error(sdk::Status::unsupported, "the toy backend has no " + what, "use another backend");
}

class Toy final : public sdk::SocketBackend {
 public:
  sdk::Probe probe(const sdk::Call&) override {
    sdk::Probe probe;
    probe.features = {"detach"};
    if (::geteuid() == 0) {  // the agent would be the host's root wherever the kernel asks for the uid alone: /proc/sys
      probe.reason = "the toy backend does not run as root";
      probe.fix = "run bot-bottle as an ordinary user";
    }
    probe.available = probe.reason.empty();
    return probe;
  }

  sdk::Plan plan(const sdk::Call&, const sdk::Spec& spec) override {
    refuse(::geteuid() == 0, "bottles for root");
    const sdk::Resources& limits = spec.resources;
    refuse(limits.cpus || limits.memory || limits.pids || limits.disk, "resources");
    refuse(!spec.rootfs.empty(), "rootfs");
    refuse(spec.workspace.mode == "bind" || spec.workspace.mode == "mount", "mounted workspaces");
    refuse(spec.extra.contains("snapshot") || spec.extra.contains("disabled_guards"), "snapshots and test hooks");
    sdk::Plan plan{.slug = spec.slug, .backend = "toy", .state_dir = spec.state_dir};
    plan.summary = {"isolation: unshare, no network; the host's /usr, read-only"};
    plan.warnings = {"no limits, and a list of forbidden system calls instead of one of allowed ones"};
    plan.control_peer_uids = {::geteuid()};
    sdk::Spec known = spec;
    known.extra = {};  // what a later core adds is not ours to repeat
    plan.data["spec"] = sdk::to_json(known);
    return plan;
  }

  sdk::Sidecar start_sidecar(const sdk::Call& call, const sdk::Plan& plan, int config_fd, int lifeline_fd) override {
    const std::string top = "/run/sidecar/", libexec = host().path(call, "libexec");
    Words binds{"ro", "/etc", "/etc", "ro", libexec, top + "bin", "ro", host().path(call, "share"), top + "share"};
    for (const char* name : {"egress", "wire", "control", "logs", "git-gate", "supervise"}) {
      fs::create_directories(fs::path(plan.state_dir) / name);
      binds.insert(binds.end(), {"rw", plan.state_dir + "/" + name, top + "state/" + name});
    }
    Words init{top + "bin/bottle-init", "--service", "--ready-fd", std::to_string(ready_at)};
    if (lifeline_fd >= 0) init.insert(init.end(), {"--lifeline-fd", std::to_string(lifeline_at)});
    init.insert(init.end(), {"--", top + "bin/bot-bottle-sidecar", "--state", top + "state", "--share", top + "share"});
    start(call, plan, "sidecar", {std::to_string(::geteuid()), ""}, binds, init,
          {{config_fd, 0}, {lifeline_fd, lifeline_at}});
    return {.slug = plan.slug, .control = plan.state_dir + "/control/control.sock"};
  }

  sdk::Bottle launch(const sdk::Call& call, const sdk::Plan& plan, const sdk::LaunchInputs& inputs,
                     int lifeline_fd) override {
    const auto spec = sdk::parse_document<sdk::Spec>(json::serialize(plan.data.at("spec")));
    const fs::path backend = own(plan.state_dir);
    for (const char* name : {"home", "workspace"}) {
      if (!spec.reuse) sdk::remove_tree(backend / name);
      fs::create_directories(backend / name);
    }
    if (!spec.reuse && spec.workspace.mode == "copy")
      sdk::copy_tree(spec.workspace.source, backend / "workspace", sdk::Links::keep);
    sdk::write_guest_etc(backend / "etc", spec.guest, spec.endpoints, inputs.ca_pem);
    Words binds{"ro",
                backend / "etc",
                "/etc",
                "ro",
                plan.state_dir + "/wire",
                std::string(sdk::guest_wire),
                "ro",
                host().path(call, "libexec") + "/bottle-init",
                std::string(sdk::guest_init)};
    for (const std::string& path : spec.bind_ro) binds.insert(binds.end(), {"ro", path, path});
    binds.insert(binds.end(),
                 {"rw", backend / "home", spec.guest.home, "rw", backend / "workspace", spec.workspace.path});
    const sdk::OwnedFd listener(sdk::listen_for_exec(backend));
    const Words init = sdk::bottle_init_argv(spec.endpoints, {spec.guest.home, spec.workspace.path}, exec_at, ready_at,
                                             lifeline_fd < 0 ? -1 : lifeline_at);
    start(call, plan, "bottle", {std::to_string(spec.guest.uid), "--net"}, binds, init,
          {{listener.get(), exec_at}, {lifeline_fd, lifeline_at}});
    return sdk::make_bottle(plan, spec.endpoints);
  }

 private:
  /// `how`: the uid inside, and whether it has a network of its own.
  void start(const sdk::Call& call, const sdk::Plan& plan, const std::string& part, const Words& how,
             const Words& binds, const Words& program, const std::vector<sdk::ChildFd>& fds) {
    const fs::path root = own(plan.state_dir) / "root";
    fs::create_directories(root);
    sdk::ProcessRequest request;
    request.argv = {"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", enter, "sh", root};
    for (const Words& words : {how, binds, Words{"--"}, program})
      request.argv.insert(request.argv.end(), words.begin(), words.end());
    request.env = sdk::StringMap{{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}, {"LANG", "C.UTF-8"}};
    process(plan.state_dir, part)
        .start(host(), call, request, fds, ready_at, lock_at, plan.state_dir + "/logs/" + part + "-sandbox.log");
  }
};

}  // namespace

BOT_BOTTLE_PLUGIN("backend-toy", "1.0.0", "Bottles by unshare", Toy)
