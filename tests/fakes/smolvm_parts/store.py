"""What is kept: the data base at smolvm's own place, machine directories, and the faults that a test has asked for."""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import sqlite3


class Failure(Exception):
    """`Error: TEXT` on standard error, exit code 1."""


class Usage(Exception):
    """clap's complaint, exit code 2."""


def home(variable, otherwise):
    return pathlib.Path(os.environ.get(variable) or pathlib.Path(os.environ["HOME"]) / otherwise)


class Store:
    def __init__(self, root):
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.version_text = self.settings().get("version", "1.9.3")
        self.version = tuple(int(part) for part in self.version_text.split("-")[0].split("."))
        self.database = home("XDG_DATA_HOME", ".local/share") / "smolvm/server/smolvm.db"
        self.machines = home("XDG_CACHE_HOME", ".cache") / "smolvm/vms"

    def settings(self):
        with contextlib.suppress(FileNotFoundError):
            return json.loads((self.root / "fake.json").read_text())
        return {}

    def set(self, **values):
        with self.locked():
            fresh = self.root / f".fake.{os.getpid()}"
            fresh.write_text(json.dumps({**self.settings(), **values}))
            fresh.rename(self.root / "fake.json")

    def is_before(self, *version):
        return self.version < version

    def log(self, words):
        with open(self.root / "calls.jsonl", "a") as file:
            file.write(json.dumps(words) + "\n")

    @contextlib.contextmanager
    def locked(self):
        with open(self.root / "lock", "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def fault(self, verb):
        """What shall go wrong with this call: a word, or nothing. A list has one word a call."""
        with self.locked():
            settings = self.settings()
            planned = settings.get("faults", {}).get(verb)
            if not isinstance(planned, list):
                return planned or ""
            word = planned.pop(0) if planned else ""
            fresh = self.root / f".fake.{os.getpid()}"
            fresh.write_text(json.dumps(settings))
            fresh.rename(self.root / "fake.json")
            return word

    # Records

    def connect(self):
        self.database.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.database, timeout=15)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS vms(name TEXT PRIMARY KEY, data BLOB)")
        return connection

    def records(self):
        with contextlib.closing(self.connect()) as connection:
            return {name: json.loads(data) for name, data in connection.execute("SELECT name, data FROM vms")}

    def record(self, name):
        record = self.records().get(name)
        if record is None:
            raise Failure(f"vm not found: {name}")
        return record

    def insert(self, name, record):
        with contextlib.closing(self.connect()) as connection:
            try:
                connection.execute("INSERT INTO vms VALUES (?, ?)", (name, json.dumps(record).encode()))
            except sqlite3.IntegrityError:
                more = "" if self.is_before(1, 0) else " or is being created"
                raise Failure(f"config operation failed: create machine: machine '{name}' already exists{more}") from None
            connection.commit()

    def update(self, name, **values):
        with contextlib.closing(self.connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute("SELECT data FROM vms WHERE name = ?", (name,)).fetchone()
            if row:
                connection.execute("UPDATE vms SET data = ? WHERE name = ?", (json.dumps({**json.loads(row[0]), **values}).encode(), name))
            connection.commit()

    def forget(self, name):
        with contextlib.closing(self.connect()) as connection:
            connection.execute("DELETE FROM vms WHERE name = ?", (name,))
            connection.commit()

    def directory(self, name):
        return self.machines / hashlib.sha256(name.encode()).hexdigest()[:16]
