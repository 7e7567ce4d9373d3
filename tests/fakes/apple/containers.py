"""The verbs of a container: create, run, start, stop, kill, delete, list, inspect, exec, cp, export, logs, prune."""
import os
import pathlib
import re
import shutil
import signal
import stat
import sys
import time

from apple import guest, images, shapes
from apple.errors import Failure, Usage
from apple.store import write_json

UNITS = {"K": 10, "M": 20, "G": 30, "T": 40, "P": 50}


def memory_of(text):
    match = re.fullmatch(r"(\d+)([KMGTP]?)[bB]?", text, re.IGNORECASE)
    if not match:
        raise Usage(f"invalid memory value {text}", "container create [<options>] <image>")
    size = int(match[1]) << UNITS.get(match[2].upper(), 0)
    if size < 200 << 20:
        raise Failure(f"memory must be at least 200 MiB: {text}")
    return size


def volumes(store, arguments):
    """(virtiofs mounts, socket relays) of -v and --mount."""
    mounts, sockets = [], []
    for text in arguments.many("volume"):
        parts = text.split(":")
        if len(parts) < 2 or "/" not in parts[0]:
            raise Failure("fake: named and anonymous volumes are not imitated")
        options = parts[2].split(",") if len(parts) > 2 else []
        if not os.path.exists(parts[0]):
            raise Failure(f"path '{parts[0]}' does not exist")
        if stat.S_ISSOCK(os.stat(parts[0]).st_mode):
            if os.path.realpath(parts[0]) != parts[0]:
                raise Failure(f"path '{parts[0]}' is not a real path (issue 357)")
            sockets.append({"host": parts[0], "guest": parts[1]})
        else:
            mounts.append({"type": {"virtiofs": {}}, "source": parts[0], "destination": parts[1], "options": options})
    for text in arguments.many("mount"):
        fields = dict(part.partition("=")[::2] for part in text.split(","))
        if not os.path.isdir(fields.get("source", "")):
            raise Failure(f"path '{fields.get('source')}' is not a directory")
        mounts.append({"type": {"virtiofs": {}}, "source": fields["source"], "destination": fields["target"],
                       "options": ["ro"] if "readonly" in fields else []})
    for text in arguments.many("publish-socket"):
        host = text.split(":")[0]
        if os.path.exists(host):
            if stat.S_ISSOCK(os.stat(host).st_mode):
                raise Failure(f"host socket {host} already exists and may be in use")
            os.unlink(host)  # as the real one does
    return mounts, sockets


def networks(store, arguments):
    asked = [text.split(",")[0] for text in arguments.many("network")]
    if store.macos < 26 and [name for name in asked if name != "default"]:
        raise Failure("non-default network configuration requires macOS 26 or newer")
    if "none" in asked and store.version >= (1, 1):
        if len(asked) > 1:
            raise Usage("no other networks may be created along with none", "container create [<options>] <image>")
        return []
    known = store.networks()
    for name in asked:
        if name not in known:
            raise Failure(f"network {name} not found")
    return asked or ["default"]


def labels(arguments):
    found = {}
    for text in arguments.many("label"):
        parts = text.split("=")
        if len(parts) > 2:
            raise Failure(f"invalid label format {text}")
        found[parts[0]] = parts[1] if len(parts) == 2 else ""
    return found


def environment_of(arguments):
    entries = {}
    for text in arguments.many("env"):
        name, equals, value = text.partition("=")
        if equals or name in os.environ:
            entries[name] = value if equals else os.environ[name]
    return [f"{name}={value}" for name, value in entries.items()]


def create(store, arguments):
    if not arguments.rest:
        raise Usage("Missing expected argument '<image>'", "container create [<options>] <image> [<arguments> ...]")
    if arguments.get("progress", "auto") not in ("auto", "none", "ansi", "plain", "color"):
        raise Usage(f"The value '{arguments['progress']}' is invalid for '--progress <type>'", "container create [<options>] <image>")
    if arguments.get("no-dns") and [key for key in arguments if key.startswith("dns")]:
        raise Usage("`--no-dns` cannot be used with other DNS flags", "container create [<options>] <image>")
    name = arguments.get("name") or os.urandom(16).hex()
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", name) or len(name) > 63:
        raise Failure(f"container ID {name} is not a valid container ID")
    if store.configuration(name) is not None:
        raise Failure(f"container with id {name} already exists")
    word = store.fault("create")
    if word == "hang":
        time.sleep(3600)
    attached = ["default"] if word == "attach" else networks(store, arguments)
    mounts, sockets = volumes(store, arguments)
    if mounts:
        raise Failure("fake: directory mounts are not imitated")
    reference, image = images.find(store, arguments.rest[0])
    words = arguments.rest[1:]
    executable = arguments.get("entrypoint") or (words.pop(0) if words else "/bin/sh")
    user = arguments.get("user", "0:0")
    identity = {"id": dict(zip(("uid", "gid"), (int(part) for part in user.split(":"))))} if re.fullmatch(r"\d+:\d+", user) else {
        "raw": {"userString": user}}
    configuration = {
        "id": name, "creationDate": shapes.now(), "image": {"reference": reference, "descriptor": {
            "digest": image["digest"], "mediaType": "application/vnd.oci.image.index.v1+json", "size": image["size"]}},
        "initProcess": {"executable": executable, "arguments": words, "environment": ["PATH=/usr/local/bin:/usr/bin:/bin", *environment_of(arguments)],
                        "workingDirectory": arguments.get("workdir") or arguments.get("cwd") or "/", "terminal": bool(arguments.get("tty")),
                        "user": identity, "supplementalGroups": [], "rlimits": []},
        "mounts": mounts, "networks": [{"network": entry, "options": {"hostname": name, "mtu": 1280}} for entry in attached],
        "publishedPorts": [], "publishedSockets": [], "labels": labels(arguments), "sysctls": {},
        "platform": {"os": "linux", "architecture": "arm64"},
        "resources": {"cpus": int(arguments.get("cpus", 4)), "memoryInBytes": memory_of(arguments.get("memory", "1G")), "cpuOverhead": 1},
        "runtimeHandler": "container-runtime-linux", "rosetta": False, "virtualization": False, "ssh": bool(arguments.get("ssh")),
        "readOnly": bool(arguments.get("read-only")), "useInit": bool(arguments.get("init")), "capAdd": arguments.many("cap-add"),
        "capDrop": arguments.many("cap-drop"), "_sockets": sockets, "_auto_remove": bool(arguments.get("rm") or arguments.get("remove")),
        "_base": image["base"]}
    if not arguments.get("no-dns"):
        configuration["dns"] = {"nameservers": arguments.many("dns") or ["192.168.64.1"], "searchDomains": [], "options": []}

    with store.locked():
        directory = store.directory(name)
        directory.mkdir()
        write_json(directory / "config.json", configuration)
        store.set_state(name, state="stopped")
    guest.make_root(store, name, image)
    return name


def create_verb(store, arguments):
    print(create(store, arguments))
    return 0


def run(store, arguments):
    name = create(store, arguments)
    try:
        guest.start(store, name)
    except Failure:
        store.remove(name)
        raise
    if arguments.get("detach"):
        print(name)
        return 0
    store.wait_for(name, "stopped", 3600)
    return store.state(name).get("code", 0) if store.directory(name).exists() else 0


def start(store, arguments):
    [name] = arguments.rest or [None]
    configuration = store.find(name)
    if store.fault("start") == "hang":
        time.sleep(3600)
    if store.state(name)["state"] != "running":
        for entry in configuration["_sockets"]:
            if not os.path.exists(entry["host"]):
                raise Failure(f"path '{entry['host']}' does not exist")
        guest.start(store, name)
    elif arguments.get("attach") or arguments.get("interactive"):
        raise Failure("attach is currently unsupported on already running containers")
    print(name)
    return 0


def each(store, arguments, verb):
    names = store.names() if arguments.get("all") else arguments.rest
    if not names and not arguments.get("all"):
        raise Usage("no containers specified and --all not supplied", f"container {verb} [<options>] [<container-ids> ...]")
    return names


def several(verb, names, one):
    """Aggregated failures keep the long form."""
    failed = []
    for name in names:
        try:
            one(name)
            print(name)
        except Failure as failure:
            failed.append(f'internalError: "failed to {verb} container" (cause: "{failure}")')
    if failed:
        raise Failure("\n".join(failed))
    return 0


def stop(store, arguments):
    def one(name):
        if store.configuration(name) is None:
            raise Failure(f'notFound: "container with ID {name} not found"')
        word = store.fault("stop")
        if word == "hang":
            time.sleep(3600)
        if word == "noop":
            return  # says that it has stopped it
        if word == "stopping":
            store.set_state(name, state="stopping")
            time.sleep(3600)
        if store.settings.get("crashed") or store.state(name)["state"] != "running":
            return  # idempotent; after a crash of the daemon without any effect (issue 2286)
        number = getattr(signal, "SIG" + arguments.get("signal", "TERM").upper().removeprefix("SIG"))
        store.end(name, number, float(arguments.get("time", 5)))
    return several("stop", each(store, arguments, "stop"), one)


def kill(store, arguments):
    def one(name):
        if store.configuration(name) is None:
            raise Failure(f'notFound: "container with ID {name} not found"')
        if store.fault("kill") == "hang":
            time.sleep(3600)
        if store.shown_state(name) not in ("running", "stopping"):
            raise Failure(f'invalidState: "container {name} is not running"')
        store.signal_guest(name, getattr(signal, "SIG" + arguments.get("signal", "KILL").upper().removeprefix("SIG")))
    return several("kill", each(store, arguments, "kill"), one)


def delete(store, arguments):
    def one(name):
        configuration = store.configuration(name)
        if configuration is None:
            raise Failure(f'notFound: "container with ID {name} not found"')
        word = store.fault("delete")
        if word == "hang":
            time.sleep(3600)
        if configuration.get("unreadable") or word == "bundle":
            raise Failure(f'internalError: "failed to load bundle {store.directory(name)}/config.json"')
        state = store.shown_state(name)
        if state == "stopping":
            raise Failure(f'invalidState: "container {name} is stopping and can not be deleted"')
        if state == "running" and not arguments.get("force"):
            raise Failure(f'invalidState: "container {name} is running and can not be deleted"')
        if store.state(name)["state"] == "running":
            store.end(name)
        store.remove(name)
    names = each(store, arguments, "delete")
    if arguments.get("all") and not arguments.get("force"):
        names = [name for name in names if store.shown_state(name) != "running"]
    return several("delete", names, one)


def listing(store, arguments):
    if store.fault("list") == "hang":
        time.sleep(3600)
    names = [name for name in store.names() if not store.configuration(name).get("unreadable")
             and (arguments.get("all") or store.shown_state(name) == "running")]
    if arguments.get("quiet"):
        for name in names:
            print(name)
    elif arguments.get("format") == "json":
        print(shapes.compact([shapes.container(store, name) for name in names]))
    elif arguments.get("format") in (None, "table"):
        print("ID  IMAGE  OS  ARCH  STATE  ADDR")
        for name in names:
            print(name, store.configuration(name)["image"]["reference"], "linux arm64", store.shown_state(name))
    else:
        raise Usage(f"The value '{arguments['format']}' is invalid for '--format <format>'", "container list [<options>]")
    return 0


def inspect(store, arguments):
    if not arguments.rest:
        raise Usage("Missing expected argument '<container-ids> ...'", "container inspect <container-ids> ...")
    found = []
    for name in arguments.rest:
        if store.configuration(name) is not None:
            found.append(shapes.container(store, name))
        elif store.version >= (1, 0):
            raise Failure(f"container not found: {name}")
    print(shapes.pretty(found))
    return 0


def execute(store, arguments):
    if len(arguments.rest) < 2:
        raise Usage("Missing expected argument '<arguments> ...'", "container exec [<options>] <container-id> <arguments> ...")
    name, *argv = arguments.rest
    configuration = store.find(name)
    if store.shown_state(name) != "running":
        raise Failure(f"container {name} is not running")
    word = store.fault("exec")
    if word == "hang":
        time.sleep(3600)
    if word == "xpc":
        raise Failure("XPC connection error: Connection interrupted")
    if arguments.get("tty"):
        if arguments.get("interactive") and not sys.stdin.isatty():
            raise Failure("the input device is not a TTY")
        raise Failure("fake: -t is not imitated")
    process = configuration["initProcess"]
    # Only appended: a name of the container's own stays first, and getenv(3) finds that.
    environment = process["environment"] + environment_of(arguments)
    user = arguments.get("user") or (f"{arguments['uid']}:{arguments.get('gid', arguments['uid'])}" if "uid" in arguments else None)
    if user is None:
        user = "{uid}:{gid}".format(**process["user"]["id"])
    directory = arguments.get("workdir") or arguments.get("cwd") or process["workingDirectory"]
    code = guest.execute(store, name, argv, environment, directory, user, bool(arguments.get("interactive")))
    if code is None:
        raise Failure(f'internalError: "failed to find target executable {argv[0]}"')
    return code if code >= 0 else 128 - code


def copy(store, arguments):
    """Between the host and a running container; its paths are `ID:/absolute`."""
    if len(arguments.rest) != 2 or sum(":" in part for part in arguments.rest) != 1:
        raise Failure("exactly one of source and destination must be a container path")
    source, target = arguments.rest
    name, _, inside = (source if ":" in source else target).partition(":")
    store.find(name)
    if store.state(name)["state"] != "running":
        raise Failure(f"container {name} is not running")
    place = store.directory(name) / "rootfs" / inside.lstrip("/")
    if store.fault("cp") == "hang" or (":" in source and not place.exists()):
        time.sleep(3600)  # a path that is not there hung, and wedged the container (issue 1927)
    paths = (place, pathlib.Path(target)) if ":" in source else (pathlib.Path(source), place)
    (shutil.copytree if paths[0].is_dir() else shutil.copyfile)(*paths)
    print(target)
    return 0


def export(store, arguments):
    [name] = arguments.rest
    store.find(name)
    if store.version < (1, 0) and store.state(name)["state"] == "running":
        raise Failure(f"container {name} is running")
    import tarfile  # here, because few calls need it and each start would pay
    output = arguments.get("output")
    with (open(output, "wb") if output else os.fdopen(os.dup(1), "wb")) as out, tarfile.open(fileobj=out, mode="w|") as archive:
        archive.add(store.directory(name) / "rootfs", arcname=".")
    return 0


def logs(store, arguments):
    [name] = arguments.rest
    store.find(name)
    path = store.directory(name) / "log"
    sys.stdout.write(path.read_text() if path.exists() else "")
    return 0


def prune(store, _arguments):
    """Everything that is stopped, whoever made it."""
    for name in store.names():
        if store.shown_state(name) == "stopped":
            store.remove(name)
            print(name)
    return 0


