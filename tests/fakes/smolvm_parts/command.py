"""The command line: grammar by version, and one function a verb."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

from smolvm_parts import guest, images
from smolvm_parts.store import Failure, Store, Usage

# option → (takes a value, may repeat, since, short form)
CREATE = {
    "--name": (1, 0, (1, 0, 2), "-n"), "--image": (1, 0, (0, 0, 0), "-I"), "--from": (1, 0, (0, 0, 0), ""), "--smolfile": (1, 0, (0, 0, 0), "-s"),
    "--cpus": (1, 0, (0, 0, 0), ""), "--mem": (1, 0, (0, 0, 0), ""), "--storage": (1, 0, (0, 0, 0), ""), "--overlay": (1, 0, (0, 0, 0), ""),
    "--volume": (1, 1, (0, 0, 0), "-v"), "--port": (1, 1, (0, 0, 0), "-p"), "--net": (0, 0, (0, 0, 0), ""), "--net-backend": (1, 0, (0, 0, 0), ""),
    "--allow-cidr": (1, 1, (0, 0, 0), ""), "--allow-host": (1, 1, (0, 0, 0), ""), "--outbound-localhost-only": (0, 0, (0, 0, 0), ""),
    "--env": (1, 1, (0, 0, 0), "-e"), "--workdir": (1, 0, (0, 0, 0), "-w"), "--init": (1, 1, (0, 0, 0), ""), "--ssh-agent": (0, 0, (0, 0, 0), ""),
    "--expose-socket": (1, 1, (1, 6, 4), ""), "--mount-socket": (1, 1, (1, 6, 4), ""), "--label": (1, 1, (1, 8, 0), "")}
NAME = {"--name": (1, 0, (0, 0, 0), "-n")}
GRAMMAR = {
    "create": CREATE, "start": NAME, "stop": NAME, "status": {**NAME, "--json": (0, 0, (0, 0, 0), "")},
    "ls": {"--json": (0, 0, (0, 0, 0), ""), "--verbose": (0, 0, (0, 0, 0), "-v")},
    "delete": {"--name": (1, 0, (1, 0, 2), "-n"), "--force": (0, 0, (0, 0, 0), "-f"), "--cascade": (0, 0, (1, 0, 0), "")},
    "exec": {"--name": (1, 0, (0, 0, 0), ""), "--env": (1, 1, (0, 0, 0), "-e"), "--workdir": (1, 0, (0, 0, 0), "-w"), "--timeout": (1, 0, (0, 0, 0), ""),
             "--interactive": (0, 0, (0, 0, 0), "-i"), "--tty": (0, 0, (0, 0, 0), "-t"), "--stream": (0, 0, (0, 0, 0), ""),
             "--detach": (0, 0, (1, 3, 0), "-d")},
    "data-dir": {"--name": (1, 0, (1, 0, 2), "-n")}}
POSITIONAL_BEFORE_1_0_2 = ("create", "delete", "data-dir")
TRAILING = ("exec", "create")


class Arguments(dict):
    rest = ()
    position = None

    def many(self, option):
        return self.get(option, [])


def parse(store, verb, words):
    known = {option: entry for option, entry in GRAMMAR[verb].items() if store.version >= entry[2]}
    shorts = {entry[3]: option for option, entry in known.items() if entry[3]}
    usage = f"Usage: smolvm machine {verb} [OPTIONS]"
    found = Arguments()
    words = list(words)
    while words:
        word = words.pop(0)
        if word == "--":
            if verb not in TRAILING or (verb == "create" and store.is_before(1, 0, 2)):
                raise Usage(f"error: unexpected argument '{words[0] if words else '--'}' found\n\n{usage}")
            found.rest = words
            break
        option, equals, value = word.partition("=")
        option = shorts.get(option, option)
        if not word.startswith("-"):
            if verb in POSITIONAL_BEFORE_1_0_2 and store.is_before(1, 0, 2) and found.position is None:
                found.position = word
                continue
            raise Usage(f"error: unexpected argument '{word}' found\n\n{usage}")
        if option not in known:
            raise Usage(f"error: unexpected argument '{word}' found\n\n{usage}")
        takes, repeats = known[option][:2]
        if takes and not equals:
            if not words:
                raise Usage(f"error: a value is required for '{option} <VALUE>' but none was supplied\n\n{usage}")
            value = words.pop(0)
        if not takes and equals:
            raise Usage(f"error: unexpected value '{value}' for '{option}' found; no more were expected\n\n{usage}")
        if option in found and not repeats:
            raise Usage(f"error: the argument '{option}' cannot be used multiple times\n\n{usage}")
        if repeats:
            found.setdefault(option, []).append(value)
        else:
            found[option] = value if takes else True
    if found.get("--from") and (found.get("--image") or found.get("--smolfile")):
        raise Usage(f"error: the argument '--from <PATH>' cannot be used with '--image <REF>'\n\n{usage}")
    found["name"] = found.position or found.get("--name")
    return found


def check_name(name):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}", name) or "--" in name or name.endswith("-"):
        raise Failure(f"config operation failed: create machine: machine name {name!r} is not valid")


def number(arguments, option, otherwise):
    text = arguments.get(option, otherwise)
    if text is not None and not re.fullmatch(r"\d+", str(text)):
        raise Usage(f"error: invalid value '{text}' for '{option} <N>': invalid digit found in string")
    return None if text is None else int(text)


def allow_list(store, arguments):
    cidrs = []
    for text in arguments.many("--allow-cidr"):
        if not re.fullmatch(r"\d+(\.\d+){3}(/\d+)?", text):
            raise Usage(f"error: invalid value '{text}' for '--allow-cidr <CIDR>': invalid CIDR")
        cidrs.append(text if "/" in text else text + "/32")
    if arguments.get("--outbound-localhost-only"):
        cidrs += ["127.0.0.0/8", "::1/128"]
    hosts = arguments.many("--allow-host")
    if hosts:
        raise Failure("fake: --allow-host is not imitated")
    policy = bool(cidrs)
    if store.is_before(1, 1, 3) and [text for text in cidrs if not text.startswith(("127.", "::1/"))]:
        cidrs.append("1.1.1.1/32")  # the host's name server, where the list is not loopback's alone
    backend = arguments.get("--net-backend")
    if policy and store.is_before(1, 1, 3) and backend == "virtio-net":
        raise Failure("config operation failed: --net-backend: allow-cidr/allow-host policies are not supported by the current virtio-net implementation")
    if policy and not store.is_before(1, 1, 3) and backend == "tsi":
        raise Failure("config operation failed: egress: egress policy (allow-cidr) requires the virtio-net backend; remove --net-backend tsi")
    return cidrs if policy else None


def create(store, arguments):
    name = arguments["name"] or "vm-" + os.urandom(4).hex()
    check_name(name)
    word = store.fault("create")
    if word == "hang":
        time.sleep(3600)
    if word == "busy":
        raise Failure("database operation failed: insert vm: database is locked")
    if os.environ.get("TMPDIR") and not os.path.isdir(os.environ["TMPDIR"]):
        raise Failure(f"io operation failed: {os.environ['TMPDIR']}: No such file or directory (os error 2)")
    cpus, memory = number(arguments, "--cpus", 4), number(arguments, "--mem", 8192)
    if cpus < 1 or memory < 64:
        raise Failure("config operation failed: validate resources: cpus must be at least 1 and memory at least 64 MiB")
    cidrs = allow_list(store, arguments)
    record = {"name": name, "state": "created", "pid": None, "cpus": cpus, "mem": memory, "created_at": int(time.time()),
              "storage_gb": number(arguments, "--storage", None), "overlay_gb": number(arguments, "--overlay", None),
              "network": bool(arguments.get("--net") or cidrs is not None), "allowed_cidrs": cidrs, "image": arguments.get("--image"),
              "entrypoint": [], "cmd": list(arguments.rest), "env": [text.split("=", 1) for text in arguments.many("--env") if "=" in text],
              "sockets": [], "mounts": [], "labels": dict(text.split("=", 1) for text in arguments.many("--label")), "init_completed": False,
              "source_smolmachine": None}
    for text in arguments.many("--mount-socket"):
        host, _, inside = text.rpartition(":")
        if not inside.startswith("/") or ";" in inside or "|" in inside or inside in [entry[1] for entry in record["sockets"]]:
            raise Failure(f"config operation failed: mount-socket: invalid guest path '{inside}'")
        record["sockets"].append([host, inside])
    for text in arguments.many("--volume"):
        raise Failure("fake: volumes are not imitated")
    if "--from" in arguments:
        source = pathlib.Path(arguments["--from"])
        if not source.is_file():
            raise Failure(f"config operation failed: create from .smolmachine: file not found: {source}")
        print("Extracting .smolmachine assets...")
        record["source_smolmachine"] = str(source)
        if store.is_before(1, 8, 0):
            record.update(network=False, allowed_cidrs=None)  # without a word
        if store.is_before(1, 7, 0):
            record["sockets"] = []
    if "--smolfile" in arguments:
        images.read_smolfile(arguments["--smolfile"], record)
    if word == "drop-allow-list":
        record["allowed_cidrs"] = None
    if word == "widen-allow-list":
        record["allowed_cidrs"].append("1.1.1.1/32")
    if word == "add-host":
        record["dns_filter_hosts"] = ["example.com"]
    local = images.is_local(record["image"] or "")
    if local and store.is_before(1, 1, 0):
        local = False  # taken for a registry's reference
    if record["image"] and not local and not store.is_before(1, 7, 3) and not record["network"]:
        raise Failure(f"config operation failed: create machine: image '{record['image']}' must be pulled and the machine has no network; add --net")
    record["local_image"] = local
    store.insert(name, record)
    directory = store.directory(name)
    directory.mkdir(parents=True, exist_ok=True)
    if local:
        try:
            images.unpack_archive(store, name, record)
        except Failure:
            store.forget(name)
            shutil.rmtree(directory, ignore_errors=True)
            raise
    print(f"Created machine: {name}\n  CPUs: {cpus}, Memory: {memory} MiB\n\nUse 'smolvm machine start' to start it")
    return 0


def state_of(store, record):
    """By the process, and a ping of the agent."""
    if record["pid"] and not record.get("lingers") and guest.is_alive(record["pid"]):
        return "unreachable" if store.settings().get("unreachable") else "running"
    return "stopped" if record["state"] == "running" else record["state"]


def start(store, arguments):
    name = arguments["name"] or "default"
    record = store.record(name)
    state = state_of(store, record)
    if state == "running":
        print(f"Machine '{name}' already running (PID: {record['pid']})")
        return 0
    if state == "unreachable":
        print(f"Machine '{name}' does not answer: it is started again")
        guest.end(record["pid"])
    print(f"Starting machine '{name}'…", file=sys.stderr)
    word = store.fault("start")
    if word == "hang":
        time.sleep(3600)
    if word == "kvm":
        raise Failure("kvm not available: /dev/kvm does not exist\n  enable virtualization")
    if not record["init_completed"] and record["image"] and not record["local_image"]:
        print(f"Pulling {record['image']}…", file=sys.stderr)
        images.pull(store, name, record)
    for host, _ in record["sockets"]:
        if not os.path.exists(host):
            raise Failure(f"agent operation failed: mount-socket: {host} does not exist")
    pid = guest.boot(store, name)
    (store.directory(name) / "agent.pid").write_text(f"{pid}\n")
    if word == "fail":
        # Up to 1.4.7 the process stays, and no record names it (issue 582).
        if not store.is_before(1, 4, 8):
            guest.end(pid)
        store.update(name, state="failed", pid=None)
        raise Failure("agent operation failed: start: agent did not become ready")
    settings = store.settings()
    if settings.get("unreachable"):
        store.set(unreachable=False)
    store.update(name, state="running", pid=pid, init_completed=True, lingers=False)
    print(f"Machine '{name}' running (PID: {pid})")
    return 0


def stop(store, arguments):
    name = arguments["name"] or "default"
    record = store.records().get(name)
    if record is None:
        if store.is_before(0, 8, 1):
            print(f"Machine '{name}' not found or not running")
            return 0
        raise Failure(f"vm not found: {name}")
    word = store.fault("stop")
    if word == "hang":
        time.sleep(3600)
    state = state_of(store, record)
    if state not in ("running", "unreachable"):
        print(f"Machine '{name}' is not running (state: {state})")
        return 0
    print(f"Stopping machine '{name}'...")
    if word == "linger":
        store.update(name, state="stopped", lingers=True)  # up to 1.6.13 (issue 787)
    elif word != "noop":
        guest.end(record["pid"])
        store.update(name, state="stopped")
    print(f"Stopped machine: {name}")
    return 0


def delete(store, arguments):
    name = arguments["name"]
    if name is None:
        raise Usage("error: the following required arguments were not provided:\n  <NAME>\n\nUsage: smolvm machine delete")
    record = store.record(name)
    is_running = state_of(store, record) in ("running", "unreachable")
    if is_running and not store.is_before(0, 8, 1):
        guest.end(record["pid"])  # before the question, too
        store.update(name, state="stopped")
    if not arguments.get("--force"):
        print(f"Delete machine '{name}'? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            print("Cancelled")
            return 0
    if store.fault("delete") == "fail":
        raise Failure(f"storage operation failed: delete: data directory of {name} is busy")
    store.forget(name)
    print(f"Cleaning up data directory for vm: {name}")
    shutil.rmtree(store.directory(name), ignore_errors=True)  # 0.8.0: with its process still there
    print(f"Deleted machine: {name}")
    return 0


def shape(store, record):
    shown = {"name": record["name"], "state": state_of(store, record), "cpus": record["cpus"], "memory_mib": record["mem"], "pid": record["pid"],
             "mounts": len(record["mounts"]), "ports": 0, "created_at": record["created_at"], "storage_gb": record["storage_gb"],
             "overlay_gb": record["overlay_gb"], "image": record["image"], "entrypoint": record["entrypoint"], "cmd": record["cmd"],
             "ephemeral": False, "gpu": False, "gpu_vram_mib": None, "restart_policy": "never", "restart_max_retries": 0, "restart_count": 0,
             "health_cmd": None, "health_interval_secs": None, "health_timeout_secs": None, "health_retries": None,
             "health_startup_grace_secs": None, "network": record["network"]}
    if not store.is_before(1, 0):
        shown.update(cuda=False, forkable=False, forkpoint_held=False, cuda_fork_pool_size=None, cuda_vram_limit_mib=None)
    if not store.is_before(1, 8, 0):
        shown["labels"] = {} if store.settings().get("forget_labels") else record["labels"]
    return shown


def status(store, arguments):
    name = arguments["name"] or "default"
    record = store.records().get(name)
    if record is None:
        raise Failure(f"config operation failed: machine status: machine '{name}' not found" if arguments.get("--json") else f"vm not found: {name}")
    if arguments.get("--json"):
        print(json.dumps(shape(store, record), indent=2))
        return 0
    state = state_of(store, record)
    print(f"Machine '{name}': " + (f"running (PID: {record['pid']})" if state == "running" else "not running" if store.is_before(1, 0) else state))
    return 0


def listing(store, arguments):
    word = store.fault("ls")
    if word == "hang":
        time.sleep(3600)
    if word == "busy":
        raise Failure("database not available: database is locked")
    records = store.records().values()
    if arguments.get("--json"):
        print(json.dumps([shape(store, record) for record in records], indent=2))
    elif not records:
        print("No machines found")
    for record in records if not arguments.get("--json") else []:
        print(record["name"][:18], state_of(store, record))
    return 0


def execute(store, arguments):
    name = arguments["name"]
    if not arguments.rest:
        raise Usage("error: the following required arguments were not provided:\n  <COMMAND>...\n\nUsage: smolvm machine exec [OPTIONS] -- <COMMAND>...")
    record = store.records().get(name or "default")
    if record is None:
        raise Failure(f"vm not found: {name}" if name else "agent operation failed: connect: machine 'default' not found")
    word = store.fault("exec")
    if word == "hang":
        time.sleep(3600)
    if word == "lost":
        raise Failure("agent operation failed: exec: connection to VM lost")
    if state_of(store, record) != "running":
        raise Failure(f"agent operation failed: connect: machine '{name}' is not running. Use 'smolvm machine start --name {name}' first.")
    if arguments.get("--tty") or arguments.get("--detach") or arguments.get("--timeout") or arguments.get("--stream"):
        raise Failure("fake: -t, -d, --stream and --timeout are not imitated")
    environment = dict(record.get("image_env", []))
    environment.update(record["env"])
    environment.update(text.split("=", 1) for text in arguments.many("--env") if "=" in text)
    user = record.get("image_user", "") if not store.is_before(1, 6, 0) else ""  # before 1.6.0 who joined was root
    if arguments.rest[0] == "tar" and (word := store.fault("tar")):
        return faulty_tar(word, lambda: guest.execute(store, name, record, arguments.rest, environment, user, True))
    return guest.execute(store, name, record, arguments.rest, environment, user, bool(arguments.get("--interactive")))


def faulty_tar(word, run):
    """tar of the guest, which says code 1 for what changed while it was read (GNU). `grew: NAME`: no more than that. `cut`: it stops half-way.
    `lost`: so does the connection to the machine, after more warnings than anybody keeps, and the program says so with the same code."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        os.dup2(write_end, 1)
        os._exit(run())
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        archive = stream.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    word, _, changed = word.partition(": ")
    with os.fdopen(os.dup(1), "wb") as out:
        out.write(archive if word == "grew" else archive[:len(archive) // 2])
    line = f"tar: {changed or './home/agent/log'}: file changed as we read it\n"
    sys.stderr.write(line * (5 * 1024 * 1024 // len(line) if word == "lost" else 1))
    sys.stderr.flush()
    if word == "lost":
        raise Failure("agent operation failed: exec: connection to VM lost")
    return code or 1


def data_dir(store, arguments):
    if not store.is_before(1, 0, 2):
        store.record(arguments["name"])
    print(store.directory(arguments["name"]))
    return 0


VERBS = {"create": create, "start": start, "stop": stop, "delete": delete, "rm": delete, "status": status, "ls": listing, "list": listing,
         "exec": execute, "data-dir": data_dir}


def main(root, words):
    store = Store(root)
    if words[:1] == ["_boot-vm"]:
        return guest.keep(store, words[1])
    store.log(words)
    if words in (["--version"], ["-V"]):
        if store.fault("version") == "hang":
            time.sleep(3600)
        print(store.settings().get("version_line", f"smolvm {store.version_text}"))
        return 0
    try:
        if words[:1] == ["vm"]:
            words = ["machine", *words[1:]]
        if words[:1] != ["machine"] or len(words) < 2 or words[1] not in VERBS:
            raise Usage(f"error: unrecognized subcommand '{' '.join(words[:2])}'\n\nUsage: smolvm <COMMAND>")
        verb = {"rm": "delete", "list": "ls"}.get(words[1], words[1])
        return VERBS[verb](store, parse(store, verb, words[2:]))
    except Usage as usage:
        print(f"{usage}\n\nFor more information, try '--help'.", file=sys.stderr)
        return 2
    except Failure as failure:
        print(f"Error: {failure}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    except OSError as error:
        print(f"Error: io operation failed: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, subprocess.SubprocessError) as error:
        print(f"Error: io operation failed: {error}", file=sys.stderr)
        return 128 + signal.SIGINT
