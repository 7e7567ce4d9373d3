"""Archives of `docker save`, pulls from a registry, and the one Smolfile that is imitated."""
import hashlib
import json
import os
import tarfile
import tomllib
import urllib.error
import urllib.request

from smolvm_parts.store import Failure

SMOLFILE_KEYS = {"image", "entrypoint", "cmd", "env", "workdir", "cpus", "memory", "net", "gpu", "gpu_vram", "storage", "overlay", "ports", "volumes",
                 "init", "network", "auth", "dev", "artifact", "pack", "health", "restart", "service"}


def is_local(reference):
    return reference.startswith(("/", "./", "../")) or reference == "-" or reference.endswith((".tar", ".tar.gz", ".tgz"))


def read_smolfile(path, record):
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise Failure(f"config operation failed: load smolfile: {error}") from None
    for key in values:
        if key not in SMOLFILE_KEYS:
            raise Failure(f"config operation failed: load smolfile: unknown field `{key}`")
    if set(values) - {"entrypoint", "cmd"}:
        raise Failure("fake: only entrypoint and cmd of a Smolfile are imitated")
    record["entrypoint"] = values.get("entrypoint", [])
    record["cmd"] = values.get("cmd", record["cmd"])


def prepare_root(store, name):
    root = store.directory(name) / "rootfs"
    for part in ("proc", "dev", "sys", "tmp", "run", "etc", "root", "var", "usr"):
        (root / part).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    return root


def finish_root(store, name, config):
    root = store.directory(name) / "rootfs"
    # An image without a /usr gets this machine's: no test needs a distribution's root file system for it.
    is_bare = not any((root / "usr").iterdir())
    if is_bare:
        for part in ("bin", "sbin", "lib", "lib64"):
            if os.path.islink("/" + part) and not os.path.lexists(root / part):
                (root / part).symlink_to(os.readlink("/" + part))
    inner = config.get("config", {})
    store.update(name, bare=is_bare, image_user=inner.get("User") or "", image_env=[text.split("=", 1) for text in inner.get("Env") or []],
                 image_entrypoint=(inner.get("Entrypoint") or []) + (inner.get("Cmd") or []))


def unpack_archive(store, name, record):
    if not os.path.isfile(record["image"]):
        raise Failure(f"config operation failed: image: {record['image']}: No such file or directory")
    root = prepare_root(store, name)
    try:
        with tarfile.open(record["image"]) as archive:
            [manifest] = json.load(archive.extractfile("manifest.json"))
            config = json.load(archive.extractfile(manifest["Config"]))
            ids = config["rootfs"]["diff_ids"]
            if len(ids) != len(manifest["Layers"]):
                raise Failure("storage operation failed: import image: manifest and config disagree on layers")
            for layer, digest in zip(manifest["Layers"], ids):
                with archive.extractfile(layer) as part:
                    if "sha256:" + hashlib.file_digest(part, "sha256").hexdigest() != digest:
                        raise Failure(f"storage operation failed: import image: layer {layer} is not {digest}")
                with archive.extractfile(layer) as part, tarfile.open(fileobj=part) as content:
                    content.extractall(root, numeric_owner=True)
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise Failure(f"storage operation failed: import image: {error}") from None
    finish_root(store, name, config)


def pull(store, name, record):
    """Inside the guest, so only from where its allow-list leads."""
    registry, _, rest = record["image"].partition("/")
    host = registry.rpartition(":")[0] or registry
    if not record["network"] or (record["allowed_cidrs"] is not None and host + "/32" not in record["allowed_cidrs"]):
        raise Failure(f"agent operation failed: pull: {record['image']}: connection refused by egress policy")
    for variable in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        if os.environ.get(variable):  # of the caller's environment, and used in the guest
            raise Failure(f"agent operation failed: pull: {record['image']}: proxy {os.environ[variable]}: connection refused by egress policy")
    repository, _, tag = rest.rpartition(":")

    def get(path):
        request = urllib.request.Request(f"http://{registry}/v2/{repository}/{path}", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.read()

    def blob(digest):
        data = get(f"blobs/{digest}")
        if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
            raise Failure(f"agent operation failed: pull: {digest} is not what was sent")
        return data

    root = prepare_root(store, name)
    try:
        manifest = json.loads(get(f"manifests/{tag}"))
        config = json.loads(blob(manifest["config"]["digest"]))
        for layer in manifest["layers"]:
            import io
            with tarfile.open(fileobj=io.BytesIO(blob(layer["digest"]))) as content:
                content.extractall(root, numeric_owner=True)
    except (OSError, urllib.error.URLError, ValueError, KeyError, tarfile.TarError) as error:
        raise Failure(f"agent operation failed: pull: {record['image']}: {error}") from None
    finish_root(store, name, config)
