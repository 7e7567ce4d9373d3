"""The JSON of both generations: before 1.0.0 (top-level strings, dates as numbers) and since."""
import datetime
import json

EPOCH = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def seconds_since_2001(text):
    return (datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) - EPOCH).total_seconds()


def container(store, name):
    configuration = {key: value for key, value in store.configuration(name).items() if not key.startswith("_")}
    state = store.shown_state(name)
    started = store.state(name).get("startedDate") if state == "running" else None
    networks = []
    if state == "running":
        networks = [{"network": entry["network"], "hostname": name, "ipv4Address": "192.168.64.2/24", "ipv4Gateway": "192.168.64.1"}
                    for entry in configuration["networks"]]
    if store.version < (1, 0):
        configuration.pop("creationDate", None)
        document = {"configuration": configuration, "networks": networks, "status": state}
        if started:
            document["startedDate"] = seconds_since_2001(started)
        return document
    document = {"configuration": configuration, "id": name, "status": {"networks": networks, "state": state}}
    if started:
        document["status"]["startedDate"] = started
    return document


def image(store, reference, entry):
    descriptor = {"digest": entry["digest"], "mediaType": "application/vnd.oci.image.index.v1+json", "size": entry["size"]}
    config = {"architecture": "arm64", "os": "linux", "config": {"Labels": entry["labels"], "Env": ["PATH=/usr/bin:/bin"]},
              "rootfs": {"type": "layers", "diff_ids": []}}
    variants = [{"platform": {"os": "linux", "architecture": "arm64"}, "digest": entry["digest"], "size": entry["size"], "config": config}]
    if store.version < (1, 0):
        return {"name": reference, "index": descriptor, "variants": variants}
    return {"configuration": {"creationDate": entry["created"], "descriptor": descriptor, "name": reference},
            "id": entry["digest"].removeprefix("sha256:"), "variants": variants}


def network(store, name, entry):
    settings = {"name": name, "mode": entry["mode"], "labels": entry["labels"], "options": {}, "plugin": "container-network-vmnet"}
    status = {"ipv4Subnet": "192.168.64.0/24", "ipv4Gateway": "192.168.64.1"}
    if store.version < (1, 0):
        return {"id": name, "state": "running", "config": settings, "status": status}
    return {"id": name, "configuration": settings, "status": status}


def compact(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def pretty(value):
    return json.dumps(value, indent=2, sort_keys=True) if value else "[\n\n]"
