#!/usr/bin/env python3
"""git-gate's figures beside their bars (spec 05): pushes, fetches, clones. Prints; never fails a build.

    git_gate.py [push] [fetch] [clones] [findings]

The upstream is a real sshd on loopback. With BB_GITLEAKS=PROGRAM gitleaks is timed on the same range and its findings
are compared; without it these lines are left out. One figure is the median of RUNS (worst in brackets), wall time of git."""
import json
import os
import pathlib
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "integration" / "git_gate"))
from harness import GateWorld, git, token  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BB_BUILD_DIR", SOURCE / "build" / "release"))
PROGRAM = str(BUILD / "libexec" / "bot-bottle" / "bot-bottle-sidecar")
SHARE = str(BUILD / "share" / "bot-bottle")
GITLEAKS = os.environ.get("BB_GITLEAKS")
RUNS = 5
WORDS = ("return value if not item for each line in the parser state table buffer index count length open close read write "
         "error token stream offset header field name type static const void int string vector map begin end size").split()


def code(generator, octets):
    """Text that looks like a program, and nothing like a secret."""
    lines = []
    size = 0
    while size < octets:
        line = "  " * generator.randrange(4) + " ".join(generator.choices(WORDS, k=generator.randrange(3, 12))) + ";"
        lines.append(line)
        size += len(line) + 1
    return "\n".join(lines) + "\n"


def shown(samples, unit="ms"):
    return f"{statistics.median(samples):8.1f} {unit} (worst {max(samples):.1f})"


def children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def sidecar_seconds(world):
    """User and system time of the sidecar and of what it has waited for."""
    fields = pathlib.Path(f"/proc/{world.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(value) for value in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def many_commits(world, work, commits=1000, octets=50_000):
    generator = random.Random(1)
    stream = []
    for i in range(commits):
        text = code(generator, octets)
        stream.append(f"commit refs/heads/agent/many\nmark :{i + 1}\ncommitter A <a@example.com> {1700000000 + i} +0000\n"
                      f"data 7\nchange\n" + (f"from :{i}\n" if i else "from refs/remotes/origin/main^0\n") +
                      f"M 644 inline src/d{i % 37}/f{i}.c\ndata {len(text)}\n{text}\n")
    world.git("fast-import", "--quiet", cwd=work, input="".join(stream))


def push():
    with GateWorld(PROGRAM, SHARE) as world:
        work = world.clone()
        many_commits(world, work)
        before = sidecar_seconds(world)
        began = time.perf_counter()
        world.push(work, "origin", "agent/many", timeout=300)
        gate = time.perf_counter() - began
        cpu = sidecar_seconds(world) - before
        scanned = [event for event in world.events() if event["event"] == "push_scanned"][-1]
        print(f"of that, walking and scanning {scanned['bytes_in'] / 1e6:.1f} MB:         {scanned['ms'] / 1000:6.2f} s")
        direct_environment = {"HOME": "/nonexistent", "GIT_SSH_COMMAND":
                              f"ssh -F none -i {world.sshd.directory}/client -o StrictHostKeyChecking=no -o LogLevel=ERROR "
                              "-o UserKnownHostsFile=/dev/null"}
        # An upstream of its own, which has none of it.
        fresh = world.top / "fresh.git"
        git("clone", "-q", "--bare", world.upstream.seed("app"), fresh)
        began = time.perf_counter()
        git("push", "-q", world.sshd.url(fresh), "agent/many", cwd=work, env=direct_environment)
        direct = time.perf_counter() - began
        print(f"push of 1,000 commits, 50 MB, through the gate:  {gate:6.2f} s (sidecar and its git: {cpu:.2f} s of CPU)")
        print(f"  direct over ssh, to an upstream without them:  {direct:6.2f} s; added: {gate - direct:.2f} s")
        if GITLEAKS:
            before = children_seconds()
            began = time.perf_counter()
            subprocess.run([GITLEAKS, "git", "--no-banner", "--log-level", "error", "--log-opts", "origin/main..agent/many",
                            str(work)], check=False, capture_output=True)
            wall = time.perf_counter() - began
            print(f"  gitleaks on the same range:                    {wall:6.2f} s ({children_seconds() - before:.2f} s of CPU)")
            print(f"  ratio (bar 0.50), scan against scan:           {scanned['ms'] / 1000 / wall:6.2f}")
            print(f"  ratio, whole push against gitleaks' scan:      {gate / wall:6.2f}")


def fetch():
    with GateWorld(PROGRAM, SHARE) as world:
        work = world.clone()
        seed = world.upstream.seed("app")
        key = f"ssh -F none -i {world.sshd.directory}/client -o StrictHostKeyChecking=no -o LogLevel=ERROR -o UserKnownHostsFile=/dev/null"
        bare = {"HOME": "/nonexistent", "GIT_SSH_COMMAND": key}
        direct, gate, local = [], [], []
        for i in range(RUNS * 2):
            git("commit", "-q", "--allow-empty", "-m", f"c{i}", cwd=seed)
            git("push", "-q", "origin", "main", cwd=seed)
            world.git("update-ref", "-d", "refs/remotes/origin/main", cwd=work)
            time.sleep(2.05)
            world.git("ls-remote", world.url)  # from here on the mirror is fresh
            began = time.perf_counter()
            world.git("fetch", "-q", "origin", cwd=work)
            gate.append((time.perf_counter() - began) * 1000)
            world.git("update-ref", "-d", "refs/remotes/origin/main", cwd=work)
            began = time.perf_counter()
            git("fetch", "-q", world.url, "+refs/heads/*:refs/remotes/origin/*", cwd=work, env=bare)
            direct.append((time.perf_counter() - began) * 1000)
            world.git("update-ref", "-d", "refs/remotes/origin/main", cwd=work)
            began = time.perf_counter()
            git("fetch", "-q", str(world.upstream.root / "app.git"), "+refs/heads/*:refs/remotes/origin/*", cwd=work, env=bare)
            local.append((time.perf_counter() - began) * 1000)
        print(f"fetch of one commit, direct over ssh:            {shown(direct)}")
        print(f"fetch of one commit, from a directory:           {shown(local)}")
        print(f"fetch of one commit, through the fresh gate:     {shown(gate)}")
        print(f"  added to the fetch over ssh (bar 50 ms):       {statistics.median(gate) - statistics.median(direct):8.1f} ms")


class Watch:
    """The largest memory of a process, and of it with its children (proportional shares), every 50 ms."""

    def __init__(self, pid):
        self.pid, self.own, self.all, self.ended = pid, 0.0, 0.0, False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    @staticmethod
    def pss(pid):
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            return int(re.search(r"Pss_Anon:\s+(\d+)", text).group(1)) / 1024
        except OSError:
            return 0.0

    def run(self):
        while not self.ended:
            own = self.rss(self.pid)
            below = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout.split("\n")[1:]
            tree, wanted = {}, [self.pid]
            for line in below:
                if line:
                    child, parent = map(int, line.split())
                    tree.setdefault(parent, []).append(child)
            total = own
            while wanted:
                for child in tree.get(wanted.pop(), []):
                    total += self.pss(child)
                    wanted.append(child)
            self.own, self.all = max(self.own, own), max(self.all, total)
            time.sleep(0.05)

    @staticmethod
    def rss(pid):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024

    def end(self):
        self.ended = True
        self.thread.join()


def clones():
    with GateWorld(PROGRAM, SHARE) as world:
        seed = world.upstream.seed("app")
        for i in range(100):
            (seed / f"noise{i}").write_bytes(os.urandom(2 << 20))
        git("add", "-A", cwd=seed)
        git("-c", "core.compression=0", "commit", "-qm", "noise", cwd=seed)
        git("push", "-q", "origin", "main", cwd=seed)
        world.git("ls-remote", world.url)
        watch = Watch(world.process.pid)
        before = watch.rss(world.process.pid)
        began = time.perf_counter()
        joins = [world.in_background(world.clone, f"c{i}", "--bare") for i in range(20)]
        for join in joins:
            join(300)
        took = time.perf_counter() - began
        watch.end()
        print(f"20 clones of 200 MB at a time:                   {took:6.1f} s")
        print(f"  sidecar's memory (bar 150 MiB):                {watch.own:6.1f} MiB resident, {before:.1f} before")
        print(f"  with the git processes below it:               {watch.all:6.1f} MiB (their private memory added)")


RULES = """
[[rules]]
id = "gh-like"
description = "a GitHub token"
regex = '''gh[pousr]_[0-9A-Za-z]{36}'''
keywords = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]
[[rules]]
id = "aws-like"
description = "an AWS key id"
regex = '''AKIA[A-Z2-7]{16}'''
keywords = ["akia"]
[[rules]]
id = "assigned"
description = "a password in an assignment"
regex = '''(?i)password\\s*[=:]\\s*["']([0-9a-zA-Z!@#$%^&*_-]{8,40})["']'''
secretGroup = 1
entropy = 3.0
keywords = ["password"]
"""


def findings():
    if not GITLEAKS:
        print("findings: BB_GITLEAKS is not set")
        return
    with GateWorld(PROGRAM, SHARE, {"scan": {"rules": RULES}}) as world:
        work = world.clone()
        generator = random.Random(7)
        for number in range(40):
            lines = code(generator, 3000).split("\n")
            kind = number % 4
            secret = (token()[:4] + "".join(generator.choices("abcdefghijkmnpqrstuvwxyz0123456789", k=36)) if kind == 0 else
                      "AKIA" + "".join(generator.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16)) if kind == 1 else
                      'password = "' + "".join(generator.choices("abcdefghjkmnpqrstuvwxyz0123456789!@#", k=16)) + '"' if kind == 2 else
                      'password = "aaaaaaaaaa"')
            lines.insert(generator.randrange(len(lines)), f"x = {secret}" if kind < 2 else secret)
            world.commit(work, {f"dir{number % 5}/file{number}.txt": "\n".join(lines)})
        world.push(work, check=False)
        proposal = world.pending()[0]
        ours = set()
        for fingerprint in proposal["change"]["fingerprints"]:
            _, file, rule, line = fingerprint.rsplit(":", 3)[0:1] + fingerprint.rsplit(":", 3)[1:]
            ours.add((rule, file, int(line)))
        config = world.top / "rules.toml"
        config.write_text(RULES)
        report = world.top / "report.json"
        subprocess.run([GITLEAKS, "git", "--no-banner", "--log-level", "error", "-c", str(config), "-f", "json", "-r", str(report),
                        "--log-opts", "origin/main..HEAD", str(work)], check=False, capture_output=True)
        theirs = {(one["RuleID"], one["File"], one["StartLine"]) for one in json.loads(report.read_text())}
        names = {"gh-like", "aws-like", "assigned"}
        print(f"findings by the same rules: gitleaks {len(theirs)}, ours {len({one for one in ours if one[0] in names})} "
              f"and {len({one for one in ours if one[0] not in names})} by shipped rules")
        places = {one[1:] for one in ours}
        for one in sorted(theirs - ours):
            print(f"  gitleaks alone: {one}" + ("; the place is found by a shipped rule" if one[1:] in places else ""))
        for one in sorted({one for one in ours if one[0] in names} - theirs):
            print(f"  ours alone: {one}")


def main():
    wanted = sys.argv[1:] or ["push", "fetch", "clones", "findings"]
    rules = pathlib.Path(tempfile.mkdtemp()) / "rules.db"
    subprocess.run([PROGRAM, "--compile-rules", str(rules), "--share", SHARE], check=True)
    os.environ["BB_RULES_DATABASE"] = str(rules)
    for name in wanted:
        {"push": push, "fetch": fetch, "clones": clones, "findings": findings}[name]()
    shutil.rmtree(rules.parent)


if __name__ == "__main__":
    main()
