"""A private world for escape tests: installed tree, home, secrets, origin, canaries; and what the host saw.

Used by run_suite.py and mutations.py. Standard library only.
"""
import base64
import codecs
import hashlib
import json
import os
import pathlib
import pwd
import re
import secrets
import shutil
import stat
import string
import subprocess
import sys
import tempfile
import time

ORIGIN = "origin.example.com"
DENIED = "denied.example.com"
PLAIN = "plain.example.com"
GUARDED = "guarded.example.com"
VAULT = "vault.example.com"
ALPHABET = string.ascii_letters + string.digits


class Skip(Exception):
    """The machine cannot run this; BB_MUST_WORK=1 makes it a failure."""


def random_text(size):
    return "".join(secrets.choice(ALPHABET) for _ in range(size))


class Account:
    """Who runs bot-bottle. `uid` None: whoever runs the test."""

    def __init__(self, name, uid=None, gid=None):
        self.name, self.uid, self.gid = name, uid, gid

    def demote(self):
        if self.uid is None:
            return None
        uid, gid = self.uid, self.gid

        def become():
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)

        return become


class Accounts:
    """root and an ordinary user when the test is root; else only the one it is."""

    def __init__(self, which):
        self.made = None
        self.list = []
        me = pwd.getpwuid(os.getuid()).pw_name if os.getuid() != 0 else "root"
        if which in ("both", "self") or os.getuid() != 0:
            self.list.append(Account(me))
        if which in ("both", "ordinary") and os.getuid() == 0:
            self.list.append(self._ordinary())

    def _ordinary(self):
        name = "bb-escape-%d" % os.getpid()
        if shutil.which("useradd"):
            done = subprocess.run(["useradd", "--no-create-home", "--shell", "/usr/sbin/nologin", name], capture_output=True, text=True)
            if done.returncode == 0:
                self.made = name
                entry = pwd.getpwnam(name)
                return Account(name, entry.pw_uid, entry.pw_gid)
        for entry in pwd.getpwall():
            if 1000 <= entry.pw_uid < 60000:
                return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
        raise Skip("there is no ordinary user and useradd cannot make one")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.made:
            subprocess.run(["userdel", self.made], capture_output=True)


class Helper:
    """bottle-attack origin or canary; ends when its standard input closes."""

    def __init__(self, arena, kind, *extra):
        self.log = arena.host_dir / (kind + ".log")
        port_file = arena.host_dir / (kind + ".json")
        self.process = subprocess.Popen(
            [str(arena.attack), kind, "--log", str(self.log), "--port-file", str(port_file), *extra],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not port_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("bottle-attack %s did not start" % kind)
            time.sleep(0.01)
        self.ports = json.loads(port_file.read_text())

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=20)


def copy_tree(source, target):
    shutil.copytree(source, target, symlinks=True)
    for path in [target, *target.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if stat.S_ISDIR(mode) or mode & 0o100 else 0o644)


class Wall:
    """Where the bottle runs: local, or a container on the docker tests' engine (tests/docker/engine.py)."""
    RUNTIMES = {"runc": ("runc", "socket"), "runc-address": ("runc", "address"), "runsc": ("runsc", "socket"), "runsc-address": ("runsc-net", "address")}

    def __init__(self, name, build):
        self.name = name
        self.is_docker = name != "local"
        self.engine = None
        if not self.is_docker:
            return
        self.runtime, self.wire = self.RUNTIMES[name]
        record = pathlib.Path(build) / "docker-engine.json"
        if not record.exists():
            raise Skip("the tests' container engine does not run: tests/docker/engine.py start BUILD")
        self.engine = json.loads(record.read_text())
        if "runsc" in name and not self.engine["runsc"]:
            raise Skip("runsc is not installed")

    def docker(self, *arguments):
        return subprocess.run(["/usr/bin/docker", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "DOCKER_HOST": "unix://" + self.engine["socket"]})

    def image(self, arena):
        """A directory whose Dockerfile puts the attacker and what it loads on top of Debian."""
        root = arena.home / ".bot-bottle/bottles/image"
        root.mkdir()
        files = [str(arena.attack)]
        for line in subprocess.run(["ldd", str(arena.attack)], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines():
            files.extend(word for word in line.split() if word.startswith("/"))
        for name in files:
            target = root / "files" / (name.lstrip("/") if name != str(arena.attack) else "usr/local/bin/bottle-attack")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, target)
        (root / "Dockerfile").write_text("FROM debian:12-slim\nCOPY files/usr/ /usr/\nCOPY files/lib/ /usr/lib/\nUSER 1000\n")
        (root / "files/lib").mkdir(exist_ok=True)
        return root / "Dockerfile"


class Arena:
    def __init__(self, build, account, wall="local"):
        self.account = account
        self.wall = Wall(wall, build)
        build = pathlib.Path(build)
        for needed in ("bin/bot-bottle", "libexec/bot-bottle/bot-bottle-sidecar", "libexec/bot-bottle/bottle-init", "libexec/bot-bottle/bottle-attack"):
            if not (build / needed).exists():
                raise Skip("%s is not built" % needed)
        if not self.wall.is_docker and not shutil.which("bwrap"):
            raise Skip("bwrap is not installed")
        # An ordinary user cannot read a build tree below somebody else's home: the tests use a copy.
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="bb-escape-"))
        self.root.chmod(0o755)
        self.tree = self.root / "installed"
        self.tree.mkdir()
        for part in ("bin", "libexec", "lib/bot-bottle", "share/bot-bottle"):
            if (build / part).exists():
                (self.tree / part).parent.mkdir(parents=True, exist_ok=True)
                copy_tree(build / part, self.tree / part)
        self.attack = self.tree / "libexec/bot-bottle/bottle-attack"
        self.attack_inside = "/usr/local/bin/bottle-attack" if self.wall.is_docker else str(self.attack)
        self.host_dir = self.root / "host"  # the operator's side that no bottle may see
        self.host_dir.mkdir(mode=0o755)
        self.home = self.root / "home"
        self.work = self.root / "work"
        self.operator_file = self.root / "home" / ".ssh" / "id_ed25519"
        for directory in (self.home, self.home / ".ssh", self.work, self.home / ".bot-bottle", self.home / ".bot-bottle/bottles", self.home / ".bot-bottle/agents"):
            directory.mkdir(mode=0o700)
        self.operator_file.write_text("the operator's own key\n")
        self.dockerfile = self.wall.image(self) if self.wall.is_docker else None
        self.other_state = self.home / ".bot-bottle/state/other/metadata.json"
        self.token = random_text(40)   # injected; never in a bottle
        self.stolen = random_text(36)  # a known secret that the agent has all the same
        # A sidecar in a container reaches its bridge, and no loopback of the host's.
        self.origin_address = self.wall.engine["gateway"] if self.wall.is_docker else "127.0.0.1"
        self.origin = Helper(self, "origin", "--address", self.origin_address, "--name", ",".join((ORIGIN, DENIED, PLAIN, GUARDED, VAULT)))
        self.canary = Helper(self, "canary")
        self.ca = self.host_dir / "origin-ca.pem"
        shutil.copy(self.origin.ports["ca_file"], self.ca)
        self.ca.chmod(0o644)
        self.before = self.leftovers()

    # -- what the bottle is ---------------------------------------------------------------------------------------------

    def attack_environment(self, limits=None):
        paths = [self.operator_file, self.other_state, self.host_dir / "origin.log", self.home / ".bot-bottle/bottles/escape.md", pathlib.Path("/etc/shadow")]
        out = {
            "BB_ATTACK_ORIGIN": ORIGIN, "BB_ATTACK_DENIED": DENIED, "BB_ATTACK_PLAIN": PLAIN, "BB_ATTACK_GUARDED": GUARDED,
            "BB_ATTACK_INTERNAL": "localhost:%d" % self.origin.ports["plain_port"],
            "BB_ATTACK_STOLEN_REVERSED": self.stolen[::-1],
            "BB_ATTACK_HOST_PORTS": ",".join(str(port) for port in self.canary.ports["ports"] + [self.origin.ports["port"]]),
            "BB_ATTACK_HOST_UDP_PORTS": ",".join(str(port) for port in self.canary.ports["udp_ports"]),
            "BB_ATTACK_ABSTRACT": self.canary.ports["abstract"],
            "BB_ATTACK_HOST_PATHS": ":".join(str(path) for path in paths),
            "BB_ATTACK_SECRET_SHA256": hashlib.sha256(self.token.encode()).hexdigest(),
            "BB_ATTACK_SECRET_LENGTH": str(len(self.token)),
        }
        if self.wall.name.startswith("runsc"):
            # Under ptrace a connection takes 1 to 2 ms. The bounds that a flood runs into are the sidecar's and bottle-init's: the
            # whole 10,000 meet them on the other walls.
            out["BB_ATTACK_FLOOD"] = "3000"
        if self.account.name != "root":
            out["BB_ATTACK_OPERATOR"] = self.account.name
        for name, value in (limits or {}).items():
            out["BB_ATTACK_%s_LIMIT" % name.upper()] = str(value)
        return out

    def write_manifest(self, arguments, limits=None, name="escape", command=None):
        limits = limits or {}
        address = self.origin_address + ":%d"
        tls, plain = address % self.origin.ports["port"], address % self.origin.ports["plain_port"]
        document = {
            "backend": "docker" if self.wall.is_docker else "local",
            "agent_provider": {"template": "command", "command": command or [self.attack_inside, "suite", "--json", *arguments]},
            "supervise": False,
            "workspace": {"mode": "none"},
            "env": self.attack_environment(limits),
            "egress": {
                "log": 2,
                "upstream_ca": str(self.ca),
                "hosts": {ORIGIN: tls, DENIED: tls, VAULT: tls, GUARDED: tls, PLAIN: plain},
                "routes": [
                    {"host": ORIGIN, "auth": {"scheme": "Bearer", "token_ref": "BB_ESCAPE_TOKEN"}},
                    {"host": VAULT, "auth": {"scheme": "Bearer", "token_ref": "BB_ESCAPE_STOLEN"}},
                    {"host": GUARDED, "matches": [{"paths": [{"type": "prefix", "value": "/public/"}]}]},
                    {"host": PLAIN, "ports": [80], "plain": True},
                    {"host": "localhost", "ports": [self.origin.ports["plain_port"]], "plain": True},
                ],
            },
        }
        if self.wall.is_docker:
            document["docker"] = {"runtime": self.wall.runtime, "wire": self.wall.wire}
            document["agent_provider"]["dockerfile"] = str(self.dockerfile)
        else:
            document["local"] = {"bind_ro": [str(self.attack)]}
        if limits:
            resources = {}
            if "pids" in limits:
                resources["pids"] = limits["pids"]
            for key in ("memory", "disk"):
                if key in limits:
                    resources[key] = "%dMiB" % (limits[key] >> 20)
            document["resources"] = resources
        base = self.home / ".bot-bottle"
        # JSON is YAML's flow style.
        (base / "bottles" / (name + ".md")).write_text("---\n" + "".join("%s: %s\n" % (key, json.dumps(value)) for key, value in document.items()) + "---\n")
        (base / "agents" / (name + ".md")).write_text("---\nbottle: %s\n---\n" % name)
        if not self.other_state.exists():
            self.other_state.parent.mkdir(parents=True, mode=0o700)
            self.other_state.write_text("{}")
            (self.home / ".bot-bottle/state").chmod(0o700)
        if self.account.uid is not None:
            for path in [self.home, self.work, *self.home.rglob("*")]:
                if not path.is_symlink() and path.stat().st_uid == 0:
                    os.chown(path, self.account.uid, self.account.gid)

    def environment(self, extra=None):
        out = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.home), "USER": self.account.name, "LANG": "C.UTF-8",
               "BOT_BOTTLE_HOME": str(self.home / ".bot-bottle"), **({"DOCKER_HOST": "unix://" + self.wall.engine["socket"]} if self.wall.is_docker else {}), "BB_ESCAPE_TOKEN": self.token, "BB_ESCAPE_STOLEN": self.stolen, "XDG_CACHE_HOME": str(self.home / ".cache")}
        out.update(extra or {})
        return out

    def bot_bottle(self, *arguments, timeout=120, extra=None, wait=True):
        command = [str(self.tree / "bin/bot-bottle"), *arguments]
        settings = dict(env=self.environment(extra), cwd=self.work, stdin=subprocess.DEVNULL, preexec_fn=self.account.demote(), text=True)
        if not wait:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **settings)
        try:
            return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, errors="replace", **settings)
        except subprocess.TimeoutExpired as late:
            out = late.stdout.decode("utf-8", "replace") if isinstance(late.stdout, bytes) else late.stdout or ""
            err = late.stderr.decode("utf-8", "replace") if isinstance(late.stderr, bytes) else late.stderr or ""
            return subprocess.CompletedProcess(command, 124, out, err + "\nnot over after %d s" % timeout)

    def expected(self, arguments, limits=None):
        """What the suite must report: the same program, asked outside, with the same variables."""
        done = subprocess.run([str(self.attack), "suite", "--list", "--json", *arguments], env={**os.environ, **self.attack_environment(limits)},
                              stdout=subprocess.PIPE, text=True, check=True)
        return [json.loads(line)["id"] for line in done.stdout.splitlines()]

    # -- what the host saw ----------------------------------------------------------------------------------------------

    def leftovers(self):
        """Everything that belongs to this arena and should come and go with its bottles."""
        marker = str(self.root)
        own = {os.getpid(), getattr(getattr(self, "origin", None), "process", None) and self.origin.process.pid, getattr(getattr(self, "canary", None), "process", None) and self.canary.process.pid}
        out = set()
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) in own:
                continue
            try:
                line = pathlib.Path("/proc", entry, "cmdline").read_bytes()
                target = os.readlink("/proc/%s/exe" % entry)
            except OSError:
                continue
            if marker.encode() in line or target.startswith(marker):
                out.add("process %s %s" % (entry, line.replace(b"\0", b" ").decode("utf-8", "replace")[:120]))
        if self.wall.is_docker:
            for kind, listing in (("container", ["-aq"]), ("volume", ["-q"]), ("network", ["-q"])):
                for name in self.wall.docker(kind, "ls", *listing, "--filter", "label=bot-bottle.managed=true").stdout.split():
                    if marker in self.wall.docker(kind, "inspect", name).stdout:
                        out.add("%s %s" % (kind, name))
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            if marker in line:
                out.add("mount " + line.split()[4])
        state = self.home / ".bot-bottle/state"
        if state.exists():
            out.update("state " + name for name in os.listdir(state) if name not in ("other", ".lock"))  # the lock serialises reservations and stays
        for directory, names, _ in os.walk("/sys/fs/cgroup"):
            out.update("cgroup " + os.path.join(directory, name) for name in names if "escape" in name and "bb-escape" not in name)
        for line in pathlib.Path("/proc/net/unix").read_text().splitlines():
            if marker in line:
                out.add("socket " + line.split()[-1])
        return out

    def wait_for_nothing_left(self, seconds=10):
        deadline = time.monotonic() + seconds
        while True:
            extra = self.leftovers() - self.before
            if not extra or time.monotonic() > deadline:
                return sorted(extra)
            time.sleep(0.1)

    def disguises(self, secret):
        """The forms a secret may have on the wire; compared without regard to case."""
        data = secret.encode()
        out = {"plain": data, "reversed": data[::-1], "hex": data.hex().encode(), "rot13": codecs.encode(secret, "rot13").encode(),
               "percent": "".join("%%%02x" % octet for octet in data).encode(), "double percent": "".join("%%25%02x" % octet for octet in data).encode(),
               "base32": base64.b32encode(data).rstrip(b"=")[:-1]}
        for shift in range(3):
            # The first and last characters depend on the neighbours.
            coded = base64.b64encode(b"x" * shift + data)
            inner = coded[4 if shift else 0:].rstrip(b"=")[:-2]
            out["base64 at %d" % shift] = inner
            out["base64url at %d" % shift] = inner.replace(b"+", b"-").replace(b"/", b"_")
        for name, separator in (("spaces", b" "), ("lines", b"\n"), ("zero width", "\u200b".encode())):
            out["apart by " + name] = separator.join(bytes([octet]) for octet in data)
        return {name: form.lower() for name, form in out.items()}

    TOKENS = [re.compile(("gh" + "p_[0-9A-Za-z]{36}").encode()), re.compile(("AK" + "IA[0-9A-Z]{16}").encode()), re.compile(("xo" + "xb-[0-9]{12}-[0-9]{12}-").encode())]

    def what_origin_got_wrong(self):
        """Findings in the origin's log: secrets in any form, hosts it should never be asked for, credentials astray."""
        found = []
        for line in self.origin.lines():
            if line["event"] != "request":
                continue
            parts = [base64.b64decode(line[key]) for key in ("head", "body", "trailers")]
            for name, form in self.disguises(self.stolen).items():
                if any(form in part.lower() for part in parts):
                    # The proxy itself puts it into requests to the vault, and nowhere else.
                    found.append("the stolen secret as %s: %r" % (name, parts[0][:160]))
            for pattern in self.TOKENS:
                found.extend("a token: %r" % match.group(0)[:12] for part in parts for match in pattern.finditer(part))
            names = re.findall(rb"(?im)^host:[ \t]*([^\r\n]*)", parts[0])
            for host in [name.decode("latin-1").lower().rstrip(".") for name in names] + [line["sni"].lower()]:
                if host.split(":")[0] not in (ORIGIN, PLAIN, GUARDED, VAULT, ""):
                    found.append("asked for %s" % host)
            if self.token.encode() in b"".join(parts) and (not line["tls"] or line["sni"] != ORIGIN):
                found.append("the real credential went astray: %r" % parts[0][:160])
        return found

    def what_canaries_saw(self):
        return [line["contact"] for line in self.canary.lines()]

    def injected(self):
        """Requests that carried the real credential: none would mean that nothing was tested."""
        return sum(1 for line in self.origin.lines() if line["event"] == "request" and self.token.encode() in base64.b64decode(line["head"]))

    def secrets_on_disk(self):
        found = []
        for path in [*(self.home / ".bot-bottle").rglob("*"), *(self.home / ".cache").rglob("*")]:
            try:
                if not stat.S_ISREG(path.lstat().st_mode):
                    continue
                data = path.read_bytes()
            except OSError:
                continue
            for name, secret in (("the injected credential", self.token), ("the stolen secret", self.stolen)):
                if secret.encode() in data:
                    found.append("%s in %s" % (name, path.relative_to(self.home)))
        return found

    def close(self):
        state = self.home / ".bot-bottle/state"
        for slug in os.listdir(state) if state.exists() else []:
            if slug not in ("other", ".lock"):
                self.bot_bottle("stop", "--rm", slug, timeout=60)
        self.origin.stop()
        self.canary.stop()
        if not os.environ.get("BB_ESCAPE_KEEP"):
            shutil.rmtree(self.root, ignore_errors=True)


def parse_lines(text):
    out = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict) and "verdict" in value:
            out.append(value)
    return out


def finish(failures, skipped):
    for failure in failures:
        print("FAIL " + failure)
    for reason in skipped:
        print("SKIP " + reason)
    if failures or (skipped and (os.environ.get("BB_MUST_WORK") == "1" or os.environ.get("CI") == "true")):
        sys.exit(1)
    sys.exit(77 if skipped else 0)
