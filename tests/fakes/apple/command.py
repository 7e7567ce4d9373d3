"""From words to a verb; what is the same for all of them."""
import sys
import time

from apple import arguments, containers, guest, images, shapes
from apple.errors import Down, Failure, Usage, report
from apple.store import Store, read_json, write_json


def system_status(store, found):
    if store.fault("status") == "hang":
        time.sleep(3600)
    down = read_json(store.root / "fake.json", {}).get("down")
    if found.get("format") == "json":
        print(shapes.compact({"status": "unregistered" if down else "running", "appRoot": "" if down else str(store.root), "installRoot": "",
                              "apiServerVersion": "" if down else f"container-apiserver version {store.version_text} (build: release)",
                              "apiServerCommit": "", "apiServerBuild": "", "apiServerAppName": "" if down else "container-apiserver"}))
    else:
        print("apiserver is not running and not registered with launchd" if down else "apiserver is running")
    return 1 if down else 0


def system_set(down):
    def verb(store, found):
        if not down and not (found.get("enable-kernel-install") or found.get("disable-kernel-install")) and not sys.stdin.readline():
            raise Failure("failed to read user input")  # the question about the kernel
        write_json(store.root / "fake.json", {**read_json(store.root / "fake.json", {}), "down": down})
        return 0
    return verb


def system_version(store, found):
    rows = [{"appName": "container", "buildType": "release", "commit": "fake", "version": store.version_text}]
    if found.get("format") == "json":
        print(shapes.compact(rows))
    else:
        print("COMPONENT  VERSION  BUILD  COMMIT\ncontainer", store.version_text, "release fake")
    return 0


def network_create(store, found):
    [name] = found.rest or [""]
    with store.locked():
        networks = store.networks()
        if name in networks or name == "none":
            raise Failure(f"network {name} already exists")
        labels = dict(text.partition("=")[::2] for text in found.many("label"))
        networks[name] = {"mode": "hostOnly" if found.get("internal") else "nat", "labels": labels}
        store.set_networks(networks)
    print(name)
    return 0


def network_delete(store, found):
    with store.locked():
        networks = store.networks()
        for name in found.rest:
            if name not in networks or name == "default":
                raise Failure(f'failed to delete one or more networks: ["{name}"]')
            if any(name in [entry["network"] for entry in store.configuration(other).get("networks", [])] for other in store.names()):
                raise Failure(f'delete failed for one or more networks: ["{name}"]')
            del networks[name]
            print(name)
        store.set_networks(networks)
    return 0


def network_list(store, found):
    networks = store.networks()
    names = found.rest or list(networks)
    for name in names:
        if name not in networks and store.version >= (1, 0):
            raise Failure(f"network not found: {name}")
    known = [shapes.network(store, name, networks[name]) for name in names if name in networks]
    if found.get("quiet"):
        print("\n".join(names))
    else:
        print(shapes.compact(known) if found.get("format") == "json" else shapes.pretty(known))
    return 0


VERBS = {
    "create": containers.create_verb, "run": containers.run, "start": containers.start, "stop": containers.stop, "kill": containers.kill,
    "delete": containers.delete, "list": containers.listing, "inspect": containers.inspect, "exec": containers.execute, "copy": containers.copy,
    "export": containers.export, "logs": containers.logs, "prune": containers.prune, "build": images.build,
    "image list": images.listing, "image inspect": images.inspect, "image delete": images.delete, "image tag": images.tag, "image save": images.save,
    "image pull": lambda store, found: bool(images.find(store, found.rest[0])) - 1, "image prune": lambda store, found: 0,
    "network create": network_create, "network delete": network_delete, "network list": network_list, "network inspect": network_list,
    "network prune": lambda store, found: 0,
    "system status": system_status, "system start": system_set(False), "system stop": system_set(True), "system version": system_version,
}
PASSES_REST = ("create", "run", "exec")
NEEDS_NO_SERVICE = ("system status", "system start", "system stop", "system version")


def find_verb(store, words):
    words = list(words)
    if words and (words[0] in arguments.GROUPS or arguments.SYNONYMS.get(words[0]) in arguments.GROUPS):
        group = arguments.SYNONYMS.get(words[0], words[0])
        if group == "network" and store.macos < 26:
            raise Usage(f"Plugin 'container-{group}' not found.")
        verb = group + " " + (words[1] if len(words) > 1 else "")
        words = words[2:]
    else:
        verb, words = (words[0], words[1:]) if words else ("", [])
    verb = arguments.SYNONYMS.get(verb, verb)
    if verb not in VERBS or store.version < arguments.SINCE.get(verb, (0,)):
        raise Usage(f"Plugin 'container-{verb}' not found.")
    return verb, words


def main(root, words):
    store = Store(root)
    if words[:1] == ["--fake-helper"]:
        return guest.keep(store, words[1])
    store.log(words)
    if words == ["--version"]:
        if store.fault("version") == "hang":
            time.sleep(3600)
        print(f"container CLI version {store.version_text} (build: release, commit: fake)")
        return 0
    try:
        verb, words = find_verb(store, words)
        found = arguments.parse(verb, words, store.version, verb in PASSES_REST)
        if verb not in NEEDS_NO_SERVICE and (store.settings.get("down") or store.fault("service") == "xpc"):
            raise Down()
        return VERBS[verb](store, found)
    except Failure as failure:
        return report(failure)
