"""What acceptance tests share: a home of their own, the fakes, a terminal in tmux, and a look at the host's processes.

Every test runs the built program as a person would. Nothing outside loopback, no fixed sleeps: `wait_until` polls with a
deadline and says what it waited for.
"""
import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import schemas

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BB_BUILD_DIR", SOURCE / "build" / "dev"))
FAKES = SOURCE / "tests" / "fakes"
CLAUDE_BIN = SOURCE / "build" / "tools" / "node_modules" / ".bin"


def wait_until(what, condition, seconds=20):
    """The condition's first true value; fails with `what` when none came in time."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def processes():
    """pid → command line of everything that runs; kernel threads left out."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes()
            if line:
                found[int(entry.name)] = line.replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return found


class Home:
    """A temporary $BOT_BOTTLE_HOME with its workspace, as root or (user=uid) as an ordinary user."""

    def __init__(self, user=None):
        # A short path: unix socket names end at 107 bytes.
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="bb-", dir="/tmp"))
        self.root = self.top / "home"
        self.workspace = self.top / "ws"
        self.user = user
        self.schemas_seen = set()
        self.program = prefix_for(user) / "bin" / "bot-bottle"
        self.environment = {"PATH": f"{claude_directory(user)}:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.top),
                            "BOT_BOTTLE_HOME": str(self.root), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        for name in ("bottles", "agents"):
            (self.root / name).mkdir(parents=True)
        self.workspace.mkdir()
        self.own(self.top)

    def own(self, path):
        if self.user is None:
            return
        for directory, names, files in os.walk(path):
            for name in [".", *files]:
                with contextlib.suppress(FileNotFoundError):  # what still runs may remove files meanwhile
                    os.lchown(os.path.join(directory, name), self.user, self.user)

    def bottle(self, name, text):
        (self.root / "bottles" / f"{name}.md").write_text(f"---\n{text.strip()}\n---\n")
        self.own(self.root)

    def agent(self, name, text, prompt=""):
        (self.root / "agents" / f"{name}.md").write_text(f"---\n{text.strip()}\n---\n{prompt}")
        self.own(self.root)

    def command_agent(self, name, argv, extra=""):
        self.bottle(name, f"backend: local\nagent_provider:\n  template: command\n  command: {json.dumps(argv)}\n{extra}")
        self.agent(name, f'bottle: "{name}"')

    def argv(self, *arguments):
        prefix = []
        if self.user is not None:
            prefix = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--"]
        return [*prefix, str(self.program), *map(str, arguments)]

    def run(self, *arguments, input="", env=None, timeout=60, check=None):
        """CompletedProcess with text; `check` is the exit code that must come."""
        result = subprocess.run(self.argv(*arguments), input=input, capture_output=True, text=True, timeout=timeout,
                                cwd=self.workspace, env={**self.environment, **(env or {})})
        if check is not None and result.returncode != check:
            raise AssertionError(f"{arguments}: exit {result.returncode}, not {check}\n--- stdout\n{result.stdout}\n"
                                 f"--- stderr\n{result.stderr}\n{self.logs()}")
        self.schemas_seen.update(schemas.check_output(arguments, result.stdout))
        return result

    def popen(self, *arguments, env=None, **options):
        return subprocess.Popen(self.argv(*arguments), cwd=self.workspace, env={**self.environment, **(env or {})}, **options)

    def slugs(self):
        state = self.root / "state"
        return sorted(path.name for path in state.iterdir() if not path.name.startswith(".")) if state.exists() else []

    def state(self, slug):
        return self.root / "state" / slug

    def events(self, slug):
        path = self.state(slug) / "logs" / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def logs(self):
        """What the state directories' logs say, for a failure's message."""
        text = ""
        for path in sorted((self.root / "state").glob("*/logs/*")) if (self.root / "state").exists() else []:
            text += f"--- {path.relative_to(self.root)}\n" + path.read_text(errors="replace")[-3000:]
        return text

    def own_processes(self):
        """Processes of this home's bottles: whatever names its directory by argv, environment, open file or mount.

        What runs in a sandbox has a clean argv and environment, but its mounts come from here."""
        mine = {}
        needle = str(self.top)
        own_mounts = os.readlink("/proc/self/ns/mnt")
        for pid, line in processes().items():
            if pid == os.getpid():
                continue
            with contextlib.suppress(OSError):
                base = pathlib.Path(f"/proc/{pid}")
                texts = [line, (base / "environ").read_bytes().decode("utf-8", "replace")]
                if os.readlink(base / "ns/mnt") != own_mounts:
                    texts.append((base / "mountinfo").read_text())
                for descriptor in (base / "fd").iterdir():
                    with contextlib.suppress(OSError):
                        texts.append(os.readlink(descriptor))
                if any(needle in text for text in texts):
                    mine[pid] = line
        return mine

    def close(self):
        with contextlib.suppress(Exception):
            for slug in self.slugs():
                self.run("stop", slug, timeout=20)
        for pid in self.own_processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.top, ignore_errors=True)


_prefixes = {}


# Claude Code 2.1.197 shows an answer before it writes it, and under load writes the answer before the question. A session that continues
# such a transcript takes the last line, the question, for the end of the conversation, and adds a sentence of its own.
CONTINUED = r'turn [23], heard: "remember the word plum"( \| "Continue from where you left off\.")? \| "%s"'


def wait_for_transcript(home, slug, answer):
    """Until Claude Code's transcript has `answer` and all that led to it: a snapshot has what is on disk."""
    def is_whole():
        text = home.run("exec", slug, "--", "sh", "-c", "cat ~/.claude/projects/*/*.jsonl").stdout
        lines = text.splitlines(keepends=True)
        if answer not in text or not all(line.endswith("\n") for line in lines):
            return False
        parents = {record["uuid"]: record.get("parentUuid") for record in map(json.loads, lines) if "uuid" in record}
        return None in parents.values() and all(parent is None or parent in parents for parent in parents.values())
    wait_until("a whole transcript", is_whole, 100)


def link_or_copy(source, target):
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def prefix_for(user):
    """The built tree; for an ordinary user a readable copy, because the checkout may lie under somebody's 0700 home."""
    if user is None:
        return BUILD
    if "prefix" not in _prefixes:
        copy = pathlib.Path(tempfile.mkdtemp(prefix="bb-prefix-", dir="/tmp"))
        copy.chmod(0o755)
        for name in ("bin", "libexec", "lib/bot-bottle", "share"):
            shutil.copytree(BUILD / name, copy / name, copy_function=link_or_copy)
        _prefixes["prefix"] = copy
    return _prefixes["prefix"]


def claude_directory(user):
    if user is None or not CLAUDE_BIN.exists():
        return CLAUDE_BIN
    if "claude" not in _prefixes:
        copy = pathlib.Path(tempfile.mkdtemp(prefix="bb-claude-", dir="/tmp"))
        copy.chmod(0o755)
        shutil.copytree(CLAUDE_BIN.parent, copy / "node_modules", symlinks=True,
                        ignore=shutil.ignore_patterns("@openai"), copy_function=link_or_copy)
        _prefixes["claude"] = copy
    return _prefixes["claude"] / "node_modules" / ".bin"


def codex_directory(user):
    """Where `codex` is; for an ordinary user a readable copy."""
    if user is None or not (CLAUDE_BIN / "codex").exists():
        return CLAUDE_BIN
    if "codex" not in _prefixes:
        copy = pathlib.Path(tempfile.mkdtemp(prefix="bb-codex-", dir="/tmp"))
        copy.chmod(0o755)
        for name in ("codex", "codex-linux-x64", "codex-linux-arm64"):
            if (CLAUDE_BIN.parent / "@openai" / name).exists():
                shutil.copytree(CLAUDE_BIN.parent / "@openai" / name, copy / "node_modules" / "@openai" / name, symlinks=True,
                                copy_function=link_or_copy)
        (copy / "node_modules" / ".bin").mkdir()
        (copy / "node_modules" / ".bin" / "codex").symlink_to("../@openai/codex/bin/codex.js")
        _prefixes["codex"] = copy
    return _prefixes["codex"] / "node_modules" / ".bin"


def remove_copies():
    for path in _prefixes.values():
        shutil.rmtree(path, ignore_errors=True)
    _prefixes.clear()


class Fake:
    """A server of tests/fakes that announces itself in a port file and ends with its standard input."""

    def __init__(self, script, directory, *arguments):
        self.log = pathlib.Path(directory) / f"{script}.log"
        port_file = pathlib.Path(directory) / f"{script}.port"
        self.process = subprocess.Popen([sys.executable, str(FAKES / script), "--log", str(self.log), "--port-file",
                                         str(port_file), *map(str, arguments)], stdin=subprocess.PIPE)
        self.facts = wait_until(f"{script} to listen", lambda: port_file.exists() and json.loads(port_file.read_text()))

    @property
    def port(self):
        return self.facts["port"]

    @property
    def ca(self):
        return self.facts["ca_file"]

    def requests(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Terminal:
    """A tmux of its own: a real terminal to type into and to look at."""
    numbers = itertools.count()

    def __init__(self, argv, directory, env, columns=100, rows=30, cwd=None):
        # Each its own server: one that is about to end takes no new session.
        self.socket = pathlib.Path(directory) / f"tmux{next(self.numbers)}"
        command = " ".join("'" + str(part).replace("'", "'\\''") + "'" for part in argv)
        # What follows the program shows whether the terminal was restored: stty and a prompt.
        # A Ctrl-C that the terminal turns into a signal reaches this shell too, which must live to say so.
        script = f"trap : INT; stty -a > {directory}/stty.before; {command}; echo EXIT=$?; stty -a > {directory}/stty.after; cat"
        self.directory = pathlib.Path(directory)
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), "sh", "-c", script,
                  env=env, cwd=cwd)

    def tmux(self, *arguments, env=None, cwd=None):
        return subprocess.run(["tmux", "-S", str(self.socket), *arguments], capture_output=True, text=True, check=True,
                              timeout=20, env={**env, "LANG": "C.UTF-8"} if env else None, cwd=cwd).stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def type(self, text):
        self.tmux("send-keys", "-l", "--", text)

    def key(self, name):
        self.tmux("send-keys", name)

    def resize(self, columns, rows):
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait_for(self, text, seconds=30):
        try:
            return wait_until(f"{text!r} on the screen", lambda: text in self.screen() and self.screen(), seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- screen\n{self.screen()}") from None

    def terminal_was_restored(self):
        before = (self.directory / "stty.before").read_text()
        after = wait_until("stty after the program", lambda: (self.directory / "stty.after").exists()
                           and (self.directory / "stty.after").read_text())
        return before.split("line =")[1] == after.split("line =")[1]

    def close(self):
        with contextlib.suppress(Exception):
            self.tmux("kill-server")


class AcceptanceTest(unittest.TestCase):
    maxDiff = None

    def home(self, user=None):
        home = Home(user)
        self.addCleanup(home.close)
        return home

    @classmethod
    def tearDownClass(cls):
        remove_copies()
