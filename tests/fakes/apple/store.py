"""The data root: containers, images, networks and the faults that a test has asked for."""
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import time

from apple.errors import Failure


def read_json(path, otherwise):
    try:
        return json.loads(pathlib.Path(path).read_text())
    except FileNotFoundError:
        return otherwise


def write_json(path, value):
    path = pathlib.Path(path)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(value))
    fresh.rename(path)


class Store:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        for name in ("containers", "layers"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        self.settings = read_json(self.root / "fake.json", {})
        self.version_text = self.settings.get("version", "1.2.2")
        self.version = tuple(int(part) for part in self.version_text.split("."))
        self.macos = self.settings.get("macos", 26)

    @contextlib.contextmanager
    def locked(self):
        with open(self.root / "lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def log(self, words):
        with open(self.root / "calls.jsonl", "a") as file:
            file.write(json.dumps(words) + "\n")

    def fault(self, verb):
        """What shall go wrong with this call: a word, or nothing. {"stop": ["", "hang"]} is the second stop only."""
        with self.locked():
            settings = read_json(self.root / "fake.json", {})
            planned = settings.get("faults", {}).get(verb)
            if isinstance(planned, list):
                if not planned:
                    return ""
                word = planned.pop(0)
                write_json(self.root / "fake.json", settings)
                return word
            return planned or ""

    # Containers

    def directory(self, name):
        return self.root / "containers" / name

    def names(self):
        return sorted(path.name for path in (self.root / "containers").iterdir() if not path.name.startswith("."))

    def configuration(self, name):
        """None: there is no such container. A bundle without its config.json is there and unreadable (issue 1058)."""
        if not self.directory(name).is_dir():
            return None
        return read_json(self.directory(name) / "config.json", None) or {"id": name, "unreadable": True}

    def state(self, name):
        return read_json(self.directory(name) / "state.json", {"state": "stopped"})

    def set_state(self, name, **values):
        write_json(self.directory(name) / "state.json", {**self.state(name), **values})

    def shown_state(self, name):
        """After a crash of the daemon what runs is shown as stopped (issue 2286)."""
        state = self.state(name)["state"]
        return "stopped" if state == "running" and self.settings.get("crashed") else state

    def find(self, name):
        configuration = self.configuration(name)
        if configuration is None or configuration.get("unreadable"):
            raise Failure(f"get failed: container {name} not found")
        return configuration

    def wait_for(self, name, state, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.directory(name).exists() or self.state(name)["state"] == state:
                return True
            time.sleep(0.005)
        return False

    def signal_guest(self, name, number):
        with contextlib.suppress(ProcessLookupError, KeyError):
            os.kill(self.state(name)["guest"], number)

    def end(self, name, number=signal.SIGKILL, seconds=5.0):
        self.signal_guest(name, number)
        if not self.wait_for(name, "stopped", seconds):
            self.signal_guest(name, signal.SIGKILL)
            self.wait_for(name, "stopped", 30)

    def remove(self, name):
        directory = self.directory(name)
        gone = directory.with_name(f".{name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            directory.rename(gone)
            shutil.rmtree(gone)

    # Images, networks, volumes: one document each

    def images(self):
        return read_json(self.root / "images.json", {})

    def set_images(self, images):
        write_json(self.root / "images.json", images)

    def networks(self):
        return read_json(self.root / "networks.json", {"default": {"mode": "nat", "labels": {}}})

    def set_networks(self, networks):
        write_json(self.root / "networks.json", networks)
