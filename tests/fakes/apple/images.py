"""build and the image verbs. A Dockerfile is followed as far as tests need it: FROM, ADD, COPY and LABEL; RUN is written down, not run."""
import io
import json
import os
import pathlib
import shlex
import sys
import time

from apple import shapes
from apple.errors import Failure, Usage

DOCKERFILE_LIMIT = 16 * 1024


def normalised(reference):
    """With the default registry and tag, as everywhere in the tool."""
    first = reference.split("/")[0]
    if "/" not in reference:
        reference = "docker.io/library/" + reference
    elif "." not in first and ":" not in first and first != "localhost":
        reference = "docker.io/" + reference
    return reference if ":" in reference.rsplit("/", 1)[-1] else reference + ":latest"


def find(store, reference):
    """Looked up here first; only a miss is pulled. This registry has everything but what ends in .invalid."""
    name = normalised(reference)
    images = store.images()
    if name not in images:
        store.log(["(pull)", name])
        if name.split("/")[0].endswith(".invalid"):
            raise Failure(f"failed to resolve {name} (cause: \"hostname could not be resolved\")")
        with store.locked():
            images = store.images()
            images[name] = make_image("host", [], {}, "pulled " + name)
            store.set_images(images)
    return name, images[name]


def make_image(base, layers, labels, content):
    import hashlib  # here, because few calls need it and each start would pay
    digest = hashlib.sha256(json.dumps([base, layers, labels, content]).encode()).hexdigest()
    return {"base": base, "layers": layers, "labels": labels, "digest": "sha256:" + digest, "size": 1000, "created": shapes.now()}


def instructions(text):
    current = ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("#") or (not line and not current):
            continue
        current += (" " if current else "") + line.removesuffix("\\").strip()
        if not line.endswith("\\"):
            word, _, rest = current.partition(" ")
            yield word.upper(), rest.strip()
            current = ""


def add_layer(store, content):
    import hashlib
    name = hashlib.sha256(content).hexdigest()
    path = store.root / "layers" / name
    if not path.exists():
        path.write_bytes(content)
    return name


def layer_of(context, source, target, is_add):
    import tarfile
    path = context / source
    if not path.resolve().is_relative_to(context):
        raise Failure(f"forbidden path outside the build context: {source}")
    if not path.exists():
        raise Failure(f'failed to compute cache key: "/{source}": not found')
    if is_add and path.is_file() and tarfile.is_tarfile(path):
        if target != "/":
            raise Failure("fake: an archive is unpacked at / only")
        return path.read_bytes()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        inside = target.lstrip("/") + (path.name if target.endswith("/") else "")
        archive.add(path, arcname=inside or ".", filter=lambda item: item.replace(uid=0, gid=0, uname="", gname=""))
    return out.getvalue()


def build(store, arguments):
    store.fault_word = store.fault("build")
    context = pathlib.Path(arguments.rest[0] if arguments.rest else ".")
    if str(context) == "-":
        raise Failure("building without a context is not supported")
    if not context.is_dir():
        raise Usage(f"context dir does not exist {context}", "container build [<options>] [<context-dir>]")
    if str(context.resolve()) != os.path.abspath(context):
        raise Failure("fake: a context path with symbolic links has been seen to transfer nothing (issue 588)")
    context = context.resolve()
    file = arguments.get("file")
    places = [pathlib.Path(file)] if file else [context / "Dockerfile", context / "Containerfile"]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise Usage(f"dockerfile does not exist at path: {places[0]}", "container build [<options>] [<context-dir>]")
    text = found.read_text()
    if len(text.encode()) >= DOCKERFILE_LIMIT:
        if store.version < (1, 0):
            time.sleep(3600)  # larger ones hung
        raise Failure("Dockerfile is larger than the 16KB limit")
    if arguments.get("progress", "auto") not in ("auto", "plain", "tty"):
        raise Usage("The value for '--progress' is invalid", "container build [<options>] [<context-dir>]")
    if store.fault_word == "hang":
        time.sleep(3600)
    image = None
    for number, (word, rest) in enumerate(instructions(text), 1):
        print(f"#{number} [{number}] {word} {rest}"[:200], file=sys.stderr)
        if word == "FROM":
            reference = rest.split()[0]
            source = None if reference == "scratch" else find(store, reference)[1]
            image = {"base": source["base"] if source else "scratch", "layers": list(source["layers"]) if source else [],
                     "labels": dict(source["labels"]) if source else {}}
        elif image is None:
            raise Failure("no build stage in current context")
        elif word in ("ADD", "COPY"):
            parts = shlex.split(rest)
            for source in parts[:-1]:
                image["layers"].append(add_layer(store, layer_of(context, source, parts[-1], word == "ADD")))
        elif word == "LABEL":
            image["labels"].update(part.split("=", 1) for part in shlex.split(rest))
        elif word == "RUN" and "exit 1" in rest:
            print(f"#{number} ERROR: process \"{rest}\" did not complete successfully: exit code: 1", file=sys.stderr)
            raise Failure(f'failed to solve: process "{rest}" did not complete successfully: exit code: 1')
        elif word not in ("RUN", "USER", "WORKDIR", "ENV", "CMD", "ENTRYPOINT", "EXPOSE", "ARG", "SHELL", "STOPSIGNAL"):
            raise Failure(f"dockerfile parse error: unknown instruction: {word}")
    if image is None:
        raise Failure("file with no instructions")
    for label in arguments.many("label"):
        key, _, value = label.partition("=")
        image["labels"][key] = value
    with store.locked():
        images = store.images()
        for tag in arguments.many("tag") or ["00000000-0000-4000-8000-000000000000"]:
            images[normalised(tag)] = make_image(image["base"], image["layers"], image["labels"], text)
            print(normalised(tag))
        store.set_images(images)
    return 0


def inspect(store, arguments):
    out = []
    for reference in arguments.rest:
        name = normalised(reference)
        entry = store.images().get(name)
        if entry is None and store.version >= (1, 0):
            raise Failure(f"image not found: {reference}")
        if entry is not None:
            out.append(shapes.image(store, name, entry))
    print(shapes.pretty(out))
    return 0


def listing(store, arguments):
    images = store.images()
    if arguments.get("quiet"):
        for name in images:
            print(name)
    elif arguments.get("format") == "json":
        print(shapes.compact([shapes.image(store, name, entry) for name, entry in images.items()]))
    else:
        for name, entry in images.items():
            print(name, entry["digest"][:19])
    return 0


def delete(store, arguments):
    with store.locked():
        images = store.images()
        for reference in arguments.rest:
            name = normalised(reference)
            if name not in images and not arguments.get("force"):
                raise Failure(f"failed to delete one or more images: [\"{reference}\"]")
            if images.pop(name, None) is not None:
                print(name)
        store.set_images(images)
    return 0


def tag(store, arguments):
    source, target = arguments.rest
    with store.locked():
        images = store.images()
        if normalised(source) not in images:
            raise Failure(f"image not found: {source}")
        images[normalised(target)] = images[normalised(source)]
        store.set_images(images)
    return 0


def save(store, arguments):
    """An OCI layout in name only: the layers and a document."""
    import tarfile
    output = arguments.get("output")
    with (open(output, "wb") if output else os.fdopen(os.dup(1), "wb")) as out, tarfile.open(fileobj=out, mode="w|") as archive:
        marker = tarfile.TarInfo("oci-layout")
        content = b'{"imageLayoutVersion":"1.0.0"}'
        marker.size = len(content)
        archive.addfile(marker, io.BytesIO(content))
        for reference in arguments.rest:
            name = normalised(reference)
            if name not in store.images():
                raise Failure(f"image not found: {reference}")
            for layer in store.images()[name]["layers"]:
                archive.add(store.root / "layers" / layer, arcname="blobs/sha256/" + layer)
            print(name, file=sys.stdout if output else sys.stderr)
    return 0
