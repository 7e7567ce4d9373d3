#!/usr/bin/env python3
"""A container engine of the tests' own: `engine.py start|stop BUILD`. See README.md.

Private in everything: socket, data, bridge, process id; stopped by that id. Its images are made here, because none can be
pulled: Debian by debootstrap (kept in the build tree's parent, so that it is made once), imported under the name that the
Dockerfiles use.
"""
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib



def bridge_of(build):
    """A bridge of the build tree's own: two trees may be tested at once. Its name and its address on it."""
    number = zlib.crc32(str(pathlib.Path(build).resolve()).encode()) % 250
    return "bbtest%d" % number, "172.31.%d.1" % number


RUNSC = "/usr/bin/runsc"
# Debian's runsc takes every network namespace of a newer kernel for the host's, by a file in /proc/sys/net, and refuses its own
# stack there; what hides the file from it mends that (docs/internals.md, gVisor).
WRAPPER = """#!/bin/sh
exec unshare --mount --propagation slave -- sh -c 'mount -t tmpfs -o ro,size=4k none /proc/sys/net && exec %s "$@"' runsc "$@"
""" % RUNSC


def runtimes(runtime_directory):
    """runsc without a network (the socket wire), with its own stack (the address wire; and as this machine may refuse it), on the
    host's sockets."""
    if not os.path.exists(RUNSC):
        return {}
    wrapper = pathlib.Path(runtime_directory) / "own-stack" / "runsc"
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(WRAPPER)
    wrapper.chmod(0o755)
    return {
        "runsc": {"path": RUNSC, "runtimeArgs": ["--network=none", "--fsgofer-host-uds", "--oci-seccomp", "--platform=ptrace"]},
        "runsc-net": {"path": str(wrapper), "runtimeArgs": ["--oci-seccomp", "--platform=ptrace"]},
        "runsc-refused": {"path": RUNSC, "runtimeArgs": ["--oci-seccomp", "--platform=ptrace"]},
        "runsc-host": {"path": RUNSC, "runtimeArgs": ["--network=host", "--oci-seccomp", "--platform=ptrace"]},
    }


# Room for one network.
LAST_OF_POOL = "bb-last-of-the-pool"
NO_POOL = ("--default-address-pool", "base=192.168.251.0/29,size=29")


def record(build):
    return pathlib.Path(build) / "docker-engine.json"


def facts(build):
    """Socket, gateway and runtimes of the running test engine; None when there is none."""
    path = record(build)
    return json.loads(path.read_text()) if path.exists() else None


def run(*argv, **options):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError("%s: exit %d\n%s" % (" ".join(argv), done.returncode, done.stdout[-4000:]))
    return done.stdout


def debian(build):
    """A root file system of Debian 12, made once for all build trees of a checkout."""
    cache = pathlib.Path(build).resolve().parent / "docker-cache"
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / "debian-12.tar"
    with open(cache / "debian-12.lock", "w") as lock:  # two tests may ask at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            make_debian(cache, archive)
    return archive


def make_debian(cache, archive):
    # On the cache's own disk: a file system in memory may be mounted without devices. debootstrap mounts /proc in it and leaves it
    # there when it is in use at that moment: in a mount namespace of its own, which ends with it.
    root = pathlib.Path(tempfile.mkdtemp(prefix="debootstrap-", dir=cache))
    try:
        run("unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(root))
        run("tar", "-C", str(root), "--one-file-system", "--exclude=./var/cache/apt/archives/*.deb", "--exclude=./var/lib/apt/lists/*", "-cf",
            str(archive) + ".new", ".")
        os.rename(str(archive) + ".new", archive)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def start_daemon(data, runtime_directory, extra=(), bridge=""):
    """dockerd, ready to answer: its process and its socket. For tests that need another engine than the common one."""
    runtime_directory = pathlib.Path(runtime_directory)
    socket = runtime_directory / "docker.sock"
    config = runtime_directory / "daemon.json"
    config.write_text(json.dumps({"runtimes": runtimes(runtime_directory)}))
    log = open(runtime_directory / "dockerd.log", "ab")
    process = subprocess.Popen(
        ["/usr/sbin/dockerd", "--config-file", str(config), "--data-root", str(data), "--exec-root", str(runtime_directory / "exec"),
         "--pidfile", str(runtime_directory / "pid"), "-H", "unix://" + str(socket), "--bridge", bridge, *extra],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + 60
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("dockerd does not start:\n" + (runtime_directory / "dockerd.log").read_text()[-2000:])
        if answers(socket):
            return process, socket
        time.sleep(0.05)


def answers(socket):
    try:
        return docker(socket, "version", check=False, timeout=5).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def docker(socket, *arguments, check=True, **options):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "DOCKER_HOST": "unix://" + str(socket)}
    return subprocess.run(["/usr/bin/docker", *arguments], check=check, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment, **options)


def end_process(pid, seconds=40):
    """SIGTERM to one process by its id, SIGKILL when that does not help."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    return
            except ChildProcessError:
                if not os.path.exists("/proc/%d" % pid):
                    return
            time.sleep(0.02)


def make_bridge(bridge, gateway):
    """With an address of its own, as the engine gives its docker0. A bridge without one takes the lowest of its ports': it changes when
    a container comes or goes, and all others send to the old one until they ask again (wire_test)."""
    if not os.path.exists("/sys/class/net/" + bridge):
        run("ip", "link", "add", "name", bridge, "type", "bridge")
    run("ip", "link", "set", bridge, "address", "02:42:" + ":".join("%02x" % int(octet) for octet in gateway.split(".")))
    subprocess.run(["ip", "addr", "add", gateway + "/24", "dev", bridge], stderr=subprocess.DEVNULL)
    run("ip", "link", "set", bridge, "up")


def start(build):
    if os.getuid() != 0:
        print("SKIP a container engine of the tests' own needs root")
        return 77
    for program in ("/usr/sbin/dockerd", "/usr/bin/docker", "/usr/sbin/debootstrap"):
        if not os.path.exists(program):
            print("SKIP %s is not installed" % program)
            return 77
    stop(build)
    archive = debian(build)
    bridge, gateway = bridge_of(build)
    make_bridge(bridge, gateway)
    data = pathlib.Path(build).resolve() / "docker-data"
    runtime_directory = pathlib.Path(tempfile.mkdtemp(prefix="bb-docker-"))
    process, socket = start_daemon(data, runtime_directory, NO_POOL, bridge=bridge)
    # Its one network: from here on the engine has no address pool to give, and no test needs one (fleet_test).
    docker(socket, "network", "create", LAST_OF_POOL, check=False)
    record(build).write_text(json.dumps({"pid": process.pid, "socket": str(socket), "gateway": gateway, "bridge": bridge, "runtime_directory": str(runtime_directory),
                                         "runsc": os.path.exists(RUNSC)}))
    if docker(socket, "image", "inspect", "debian:12-slim", check=False).returncode != 0:
        docker(socket, "import", str(archive), "debian:12-slim")
    return 0


def make_node_image(socket):
    """A stand-in for node:22-slim, under its name: Debian with this machine's node and npm (whatever version they have) and the
    user that the real one has. npm is told of this machine's own authorities: the network may need them. False: no node here."""
    if docker(socket, "image", "inspect", "node:22-slim", check=False).returncode == 0:
        return True
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return False
    context = pathlib.Path(tempfile.mkdtemp(prefix="bb-node-"))
    try:
        shutil.copy(os.path.realpath(node), context / "node")
        shutil.copytree(pathlib.Path(os.path.realpath(npm)).parent.parent, context / "npm", symlinks=True)
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", context / "authorities.crt")
        (context / "npmrc").write_text("cafile=/usr/local/etc/authorities.crt\n")
        (context / "Dockerfile").write_text(
            "FROM debian:12-slim\nCOPY node /usr/local/bin/node\nCOPY npm /usr/local/lib/node_modules/npm\n"
            "COPY authorities.crt npmrc /usr/local/etc/\n"
            "RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm && useradd --create-home --uid 1000 --shell /bin/bash node\n")
        docker(socket, "build", "-t", "node:22-slim", str(context))
    finally:
        shutil.rmtree(context, ignore_errors=True)
    return True


def end_left_behind(runtime_directory):
    """A runsc whose start failed stays with its shim, though the engine has forgotten the container. By their process ids."""
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        program = os.path.basename(line[0])
        if program.startswith((b"containerd-shim", b"runsc")) and any(str(runtime_directory).encode() + b"/" in word for word in line):
            try:
                os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                pass


def stop(build):
    found = facts(build)
    if not found:
        return 0
    # By its process id, and only if that is still what was started.
    try:
        line = pathlib.Path("/proc/%d/cmdline" % found["pid"]).read_bytes()
    except OSError:
        line = b""
    if found["socket"].encode() in line:
        for name in docker(found["socket"], "ps", "-aq", check=False).stdout.split():
            docker(found["socket"], "rm", "-f", "-v", name, check=False)
        docker(found["socket"], "network", "rm", LAST_OF_POOL, check=False)  # or its bridge stays on the machine
        end_process(found["pid"])
    end_left_behind(found["runtime_directory"])
    subprocess.run(["ip", "link", "del", found["bridge"]], stderr=subprocess.DEVNULL)
    shutil.rmtree(found["runtime_directory"], ignore_errors=True)
    record(build).unlink()
    return 0


if __name__ == "__main__":
    verb, tree = sys.argv[1:]
    code = {"start": start, "stop": stop}[verb](tree)
    if code == 77 and (os.environ.get("BB_MUST_WORK") == "1" or os.environ.get("CI") == "true"):
        code = 1
    sys.exit(code)
