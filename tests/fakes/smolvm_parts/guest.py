"""The "microVM": bwrap with namespaces of its own and no network, kept by a detached `_boot-vm` process.

Host sockets (--mount-socket) are relayed as byte streams: no datagrams, no descriptors, no peer's uid. TSI before 1.1.3: what listens on this
machine at an address of the allow-list is listened for in the guest at the same address and carried over.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from apple.guest import CAPABILITIES, DEFAULT, accept_all, feed_input, give_network
from smolvm_parts.store import Failure

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
MOST_BUFFERED = 11 << 20
RUN = "/run"


def is_alive(pid):
    with contextlib.suppress(OSError):
        return ") Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text() and "_boot-vm" in pathlib.Path(f"/proc/{pid}/cmdline").read_text()
    return False


def end(pid):
    for number, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)


def boot(store, name):
    config = store.directory(name) / "boot-config.json"
    config.write_text(json.dumps({"name": name}))
    program = pathlib.Path(sys.argv[0]).absolute()
    # In a session of its own, with the descriptors of whoever started it closed but for its word.
    child = subprocess.Popen([sys.executable, "-S", str(program), "_boot-vm", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    said = child.stdout.readline().strip()
    if said != "ok":
        raise Failure(f"agent operation failed: start: {said or 'the VM process ended'}")
    return child.pid


def workload(store, record):
    """The machine's, from 1.0 on else the image's; or just the agent."""
    given = record["entrypoint"] + record["cmd"]
    image = record.get("image_entrypoint") if not store.is_before(1, 0) or record["source_smolmachine"] else None
    return given or image or ["/usr/bin/sleep", "1000000"]


def mount_sockets(record, run):
    import socket
    import threading
    for host, inside in record["sockets"]:
        place = run / pathlib.Path(inside).relative_to(RUN)
        place.parent.mkdir(parents=True, exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        parent = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
        listener.bind(f"/proc/self/fd/{parent}/{place.name}")
        os.close(parent)
        listener.listen(128)
        os.chmod(place, 0o700)  # root's alone
        threading.Thread(target=accept_all, args=(listener, host), daemon=True).start()


class Tsi:
    """Connections to allowed addresses end at this machine's."""

    def __init__(self, guest, allowed, counter):
        import threading
        self.guest, self.allowed, self.counter = guest, allowed, counter
        self.known = set()
        threading.Thread(target=self.watch, daemon=True).start()

    def listeners(self):
        for line in pathlib.Path("/proc/1/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            text = ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
            if fields[3] == "0A" and text == "0.0.0.0":  # an allow-list has no ports
                for allowed in self.allowed if self.allowed is not None else ["127.0.0.1/32"]:
                    yield allowed.partition("/")[0], int(port, 16)
            elif fields[3] == "0A" and text.startswith("127.") and (self.allowed is None or text + "/32" in self.allowed):
                yield text, int(port, 16)

    def watch(self):
        """In the guest's network namespace, for this thread alone: sockets stay where they were made."""
        import socket
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        other = os.open(f"/proc/{self.guest}/ns/net", os.O_RDONLY)
        rounds = 0
        while True:
            for place in set(self.listeners()) - self.known:
                listener = socket.socket()
                libc.setns(other, CLONE_NEWNET)
                with contextlib.suppress(OSError):  # the guest's own listener comes first
                    inside = socket.socket()
                    inside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    inside.bind(place)
                    inside.listen(128)
                    self.known.add(place)
                    listener = inside
                libc.setns(own, CLONE_NEWNET)
                if place in self.known:
                    self.serve(listener, place)
            rounds += 1
            fresh = self.counter.with_name("tsi.new")
            fresh.write_text(str(rounds))
            fresh.rename(self.counter)
            time.sleep(0.05)

    def serve(self, listener, place):
        import socket
        import threading
        from apple.guest import pump

        def carry(client):
            with client, contextlib.suppress(OSError), socket.create_connection(place, 5) as upstream:
                back = threading.Thread(target=pump, args=(upstream, client), daemon=True)
                back.start()
                pump(client, upstream)
                back.join()

        def accept():
            while True:
                with contextlib.suppress(OSError):
                    client, _ = listener.accept()
                    threading.Thread(target=carry, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()


def keep(store, config):
    """`_boot-vm`: from here to the machine's end. One line on standard output when it runs, or why it does not."""
    import shutil
    name = json.loads(pathlib.Path(config).read_text())["name"]
    record = store.record(name)
    directory = store.directory(name)
    run = directory / "run"
    shutil.rmtree(run, ignore_errors=True)  # a tmpfs: gone with each stop
    (directory / "init.pid").unlink(missing_ok=True)
    run.mkdir(parents=True)
    mount_sockets(record, run)
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    argv = ["bwrap", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--unshare-net", "--as-pid-1", "--die-with-parent",
            "--info-fd", str(write_end), "--hostname", name[:60], "--bind", str(directory / "rootfs"), "/"]
    if record.get("bare"):
        argv += ["--ro-bind", "/usr", "/usr"]
    argv += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", str(run), RUN, "--chdir", "/", "--clearenv", "--cap-drop", "ALL"]
    for capability in DEFAULT:
        argv += ["--cap-add", "CAP_" + capability]
    for key, value in [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), *record.get("image_env", []), *record["env"]]:
        argv += ["--setenv", key, value]
    argv += ["--", *workload(store, record)]
    with open(directory / "agent-console.log", "ab") as log:
        child = subprocess.Popen(argv, pass_fds=[write_end], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    os.close(write_end)
    with os.fdopen(read_end) as info:
        said = info.read()
    if not said:
        child.wait()
        print("the workload could not be started: " + (directory / "agent-console.log").read_text()[-300:].replace("\n", " "), flush=True)
        return 1
    guest = json.loads(said)["child-pid"]
    (directory / "init.pid").write_text(str(guest))
    if store.fault("network") == "leak" or (record["network"] and not store.is_before(1, 1, 3)):
        give_network(guest, "100.96.0.2/30", "100.96.0.1")
    if record["network"] and store.is_before(1, 1, 3):
        Tsi(guest, None if store.fault("tsi") == "ignore-allow-list" else record["allowed_cidrs"], directory / "tsi")

    def leave(*_):
        with contextlib.suppress(OSError):
            os.kill(guest, signal.SIGKILL)  # pid 1, and so all of them; bwrap reaps it (child.wait() may be what was interrupted)
        while os.path.exists(f"/proc/{guest}"):
            time.sleep(0.005)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    print("ok", flush=True)
    os.dup2(os.open("/dev/null", os.O_RDWR), 1)
    child.wait()
    # The workload is over; the machine and its agent are not.
    while True:
        signal.pause()


def become(user):
    uid, _, gid = user.partition(":")
    if uid in ("", "0", "root"):
        bits = sum(1 << CAPABILITIES.index(capability) for capability in DEFAULT)
        libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(bits, bits, 0, 0, 0, 0))
        return
    number = int(uid) if uid.isdigit() else 1000
    os.setgroups([])
    os.setresgid(*[int(gid or number)] * 3)
    os.setresuid(*[number] * 3)


def wait_for_tsi(directory):
    """Whatever listens now is known after a whole round from now."""
    counter = directory / "tsi"
    deadline = time.monotonic() + 30

    def rounds():
        with contextlib.suppress(OSError, ValueError):
            return int(counter.read_text())
        return 0

    wanted = rounds() + 2
    while rounds() < wanted and time.monotonic() < deadline:
        time.sleep(0.01)


def execute(store, name, record, argv, environment, user, interactive):
    """Joins the workload's container. Its exit code as exec's own."""
    directory = store.directory(name)
    if record["network"] and store.is_before(1, 1, 3):
        wait_for_tsi(directory)
    try:
        guest = int((directory / "init.pid").read_text())
        spaces = [os.open(f"/proc/{guest}/ns/{kind}", os.O_RDONLY) for kind in ("cgroup", "ipc", "uts", "net", "pid", "mnt")]
        if any(libc.setns(descriptor, 0) != 0 for descriptor in spaces):
            raise OSError
    except (OSError, ValueError):
        raise Failure("agent operation failed: exec: container is not running") from None
    if argv[0] == "tar" and record.get("bare"):
        argv = ["tar", "--exclude=./usr", *argv[1:]]  # this machine's, and none of the disk's
    given, feed = os.pipe()
    failed, tell = os.pipe()
    outputs = None if interactive else [os.pipe(), os.pipe()]
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.dup2(given if interactive else os.open("/dev/null", os.O_RDONLY), 0)
            for number, pair in enumerate(outputs or [], 1):
                os.dup2(pair[1], number)
            for descriptor in (given, feed, failed):
                os.close(descriptor)
            os.chdir("/")
            become(user)
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # the agent kills it when the program's connection goes
            environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **environment}
            os.execvpe(argv[0], argv, environment)
        except OSError as error:
            os.write(tell, os.strerror(error.errno).encode())
        finally:
            os._exit(127)
    os.close(tell)
    os.close(given)
    said = os.read(failed, 200).decode()
    collected = [b"", b""]
    if interactive and not said:
        feed_input(feed, child)
    if outputs:
        # Kept back until it has ended.
        import selectors
        selector = selectors.DefaultSelector()
        for index, pair in enumerate(outputs):
            os.close(pair[1])
            selector.register(pair[0], selectors.EVENT_READ, index)
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 65536)
                collected[key.data] += data
                if not data:
                    selector.unregister(key.fd)
    _, status = os.waitpid(child, 0)
    if any(len(data) > MOST_BUFFERED for data in collected) and not store.is_before(1, 0):
        raise Failure("agent operation failed: exec: command output too large")
    for number, data in enumerate(collected, 1):
        data = data[:MOST_BUFFERED]
        while data:
            data = data[os.write(number, data):]
    if said:
        raise Failure(f"agent operation failed: vm exec: failed to spawn command: {argv[0]}: {said}")
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
