"""The "virtual machine": bwrap with namespaces of its own and no network, kept by a process that outlives the command.

Host sockets (`-v HOST.sock:GUEST.sock`) are relayed as streams, by bytes, as the vsock relay does: no datagrams, no descriptors, no peer's uid.
"""
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import signal
import sys

from apple import shapes
from apple.errors import Failure

libc = ctypes.CDLL(None, use_errno=True)
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "LINUX_IMMUTABLE",
                "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT",
                "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE",
                "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"]
DEFAULT = ["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP", "NET_BIND_SERVICE",
           "SYS_CHROOT", "KILL", "AUDIT_WRITE"]


def capabilities(configuration):
    """Drop ALL, then what is added, then single drops."""
    plain = [[name.upper().removeprefix("CAP_") for name in configuration[key]] for key in ("capAdd", "capDrop")]
    kept = set() if "ALL" in plain[1] else set(DEFAULT)
    kept |= set(CAPABILITIES) if "ALL" in plain[0] else set(plain[0])
    return sorted(kept - (set(plain[1]) - {"ALL"}))


def make_root(store, name, image):
    """The container's disk. An image that is not `scratch` and not built here looks like this machine's /usr."""
    root = store.directory(name) / "rootfs"
    for part in ("proc", "dev", "sys", "tmp", "run", "etc", "root", "var"):
        (root / part).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    if image["base"] == "host":
        (root / "usr").mkdir(exist_ok=True)
        for part in ("bin", "sbin", "lib", "lib64"):
            if os.path.islink("/" + part):
                (root / part).symlink_to(os.readlink("/" + part))
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\nagent:x:1000:\n")
        (root / "etc/ssl").mkdir()
    import tarfile  # here and below: few calls need them and each start would pay
    for layer in image["layers"]:
        with tarfile.open(store.root / "layers" / layer) as archive:
            archive.extractall(root, numeric_owner=True)


def write_names(root, configuration):
    """At each start, as root, through whatever is there: resolv.conf of the DNS settings, hosts of the container's own name."""
    with contextlib.suppress(OSError):
        if configuration.get("dns"):
            (root / "etc/resolv.conf").write_text("".join(f"nameserver {ip}\n" for ip in configuration["dns"]["nameservers"]))
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n")


def pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(1)


def carry(client, host):
    import socket
    import threading
    upstream = socket.socket(socket.AF_UNIX)
    with client, upstream:
        with contextlib.suppress(OSError):
            upstream.connect(host)
            back = threading.Thread(target=pump, args=(upstream, client), daemon=True)
            back.start()
            pump(client, upstream)
            back.join()


def accept_all(listener, host):
    import threading
    while True:
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            threading.Thread(target=carry, args=(client, host), daemon=True).start()


def relay_sockets(store, name, configuration):
    import socket
    import threading
    if store.version < (1, 1):
        return  # accepted and without effect (reported for 1.0.0)
    for entry in configuration["_sockets"]:
        place = store.directory(name) / "rootfs" / entry["guest"].lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        parent = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
        listener.bind(f"/proc/self/fd/{parent}/{place.name}")
        listener.listen(128)
        os.close(parent)
        os.chmod(place, os.stat(entry["host"]).st_mode & 0o777)  # root's, with the host's bits
        threading.Thread(target=accept_all, args=(listener, entry["host"]), daemon=True).start()


def give_network(pid, address, gateway):
    """An interface of the machine with a route to everywhere: what a tool attaches that was not told not to. (It ends nowhere.)"""
    import subprocess
    for words in (["link", "add", "eth0", "type", "veth", "peer", "name", "host0"], ["addr", "add", address, "dev", "eth0"],
                  ["link", "set", "host0", "up"], ["link", "set", "eth0", "up"], ["route", "add", "default", "via", gateway]):
        subprocess.run(["nsenter", "--target", str(pid), "--net", "ip", *words], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def keep(store, name):
    """The helper of one container: from here to its end. One line on standard output when it runs, or why it does not."""
    import subprocess
    configuration = store.configuration(name)
    root = store.directory(name) / "rootfs"
    write_names(root, configuration)
    relay_sockets(store, name, configuration)
    process = configuration["initProcess"]
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    argv = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--as-pid-1", "--die-with-parent", "--info-fd",
            str(write_end), "--unshare-net", "--hostname", name[:60], "--bind", str(root), "/"]
    if configuration["_base"] == "host":
        argv += ["--ro-bind", "/usr", "/usr"]
    argv += ["--proc", "/proc", "--dev", "/dev", "--chdir", process["workingDirectory"], "--clearenv", "--cap-drop", "ALL"]
    if store.version >= (1, 2):
        argv += ["--ro-bind", "/proc/sys", "/proc/sys"]  # and masked paths, which nothing here asks for
    for capability in capabilities(configuration):
        argv += ["--cap-add", "CAP_" + capability]
    for entry in process["environment"]:
        argv += ["--setenv", *entry.split("=", 1)]
    argv += ["--", process["executable"], *process["arguments"]]
    log = open(store.directory(name) / "log", "ab")
    child = subprocess.Popen(argv, pass_fds=[write_end], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    os.close(write_end)
    with os.fdopen(read_end) as info:
        said = info.read()
    if not said:
        child.wait()
        store.set_state(name, state="stopped")
        print("the virtual machine could not be made: " + (store.directory(name) / "log").read_text()[-300:], flush=True)
        return 1
    if configuration["networks"] or store.fault("network") == "leak":
        give_network(json.loads(said)["child-pid"], "192.168.64.2/24", "192.168.64.1")
    store.set_state(name, state="running", guest=json.loads(said)["child-pid"], helper=os.getpid(), startedDate=shapes.now())
    print("ok", flush=True)
    os.close(1)
    code = child.wait()
    with store.locked():
        if not store.directory(name).exists():
            return 0
        if configuration["_auto_remove"]:
            store.remove(name)
        elif store.state(name)["state"] != "stopping":
            store.set_state(name, state="stopped", guest=0, code=code if code >= 0 else 128 - code)
    return 0


def start(store, name):
    """Starts the helper in a session of its own and waits for its word."""
    import subprocess
    helper = subprocess.Popen([sys.executable, str(pathlib.Path(__file__).resolve().parents[1] / "container"), "--fake-helper", name],
                              env={**os.environ, "FAKE_CONTAINER_STATE": str(store.root)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    said = helper.stdout.readline().strip()
    if said != "ok":
        raise Failure(f"failed to bootstrap container {name} (cause: \"{said}\")")


def become(user, kept):
    uid, _, gid = user.partition(":")
    if int(uid) != 0:
        os.setgroups([])
        os.setresgid(*[int(gid or uid)] * 3)
        os.setresuid(*[int(uid)] * 3)
        return
    bits = sum(1 << CAPABILITIES.index(capability) for capability in kept)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(bits, bits, 0, 0, 0, 0)
    libc.capset(header, data)


def feed_input(into, child):
    """The tool's own standard input, which it makes non-blocking for everybody who has it, on to the guest's, until the guest ends.
    (No thread: in another process's namespaces there can be none.)"""
    import select
    end = os.pidfd_open(child)
    for descriptor in (0, into):
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_NONBLOCK)
    data, is_open = b"", True
    while True:
        readable, _, _ = select.select([end] + [0] * (is_open and not data), [into] * bool(data), [])
        if end in readable:
            return
        with contextlib.suppress(BlockingIOError):
            try:
                if data:
                    data = data[os.write(into, data):]
                elif is_open and 0 in readable:
                    data = os.read(0, 65536)
                    is_open = bool(data)
            except BrokenPipeError:
                data, is_open = b"", False
        if not is_open and into >= 0:
            os.close(into)
            into = -1


def execute(store, name, argv, environment, directory, user, interactive):
    """A process beside pid 1, in its namespaces. Its exit code; None when there is no such program."""
    guest = store.state(name)["guest"]
    kept = capabilities(store.configuration(name))
    spaces = [os.open(f"/proc/{guest}/ns/{kind}", os.O_RDONLY) for kind in ("cgroup", "ipc", "uts", "net", "pid", "mnt")]
    given, feed = os.pipe()
    failed, tell = os.pipe()
    for descriptor in spaces:
        if libc.setns(descriptor, 0) != 0:
            raise Failure(f"container {name} is not running")
        os.close(descriptor)
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.dup2(given if interactive else os.open("/dev/null", os.O_RDONLY), 0)
            os.chdir(directory)
            become(user, kept)
            paths = [argv[0]] if "/" in argv[0] else [f"{part}/{argv[0]}" for part in first(environment, "PATH").split(":")]
            texts = (ctypes.c_char_p * (len(argv) + 1))(*[text.encode() for text in argv], None)
            # A dictionary could not hold what the tool does: the same name twice.
            variables = (ctypes.c_char_p * (len(environment) + 1))(*[text.encode() for text in environment], None)
            for path in paths:
                libc.execve(path.encode(), texts, variables)
        finally:
            os.write(tell, b"x")
            os._exit(127)
    os.close(tell)
    os.close(given)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda received, _frame: os.kill(child, received))
    missing = os.read(failed, 1)
    if interactive and not missing:
        feed_input(feed, child)
    _, status = os.waitpid(child, 0)
    return None if missing else os.waitstatus_to_exitcode(status)


def first(environment, name):
    return next((entry.split("=", 1)[1] for entry in environment if entry.startswith(name + "=")), "/usr/bin:/bin")
