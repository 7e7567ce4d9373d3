"""A fleet on one machine: N bottles of the command provider, started in parallel; how long, how much memory, all of them sound.

  fleet.py [--count 50] [--backend local|docker] [--parallel 8] [--json FILE]

Each start is a process of its own (`bot-bottle start AGENT --detach`), P at a time, as a script or xargs would do it. Memory
is PSS: what is shared among bottles is shared among their figures. docker needs the tests' engine (tests/docker/engine.py; that of
another build tree by BB_ENGINE_DIR). Never fails because of a number; fails when a bottle does.
"""
import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "acceptance"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "docker"))
from harness import Home, processes, wait_until  # noqa: E402


def pss_kib(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE).group(1))


def role_of(line):
    for role in ("bot-bottle-sidecar", "bottle-keeper", "bottle-init", "bwrap"):
        if role in line.split(" ")[0] or (role == "bottle-init" and "bottle-init" in line[:60]):
            return role
    return "agent"


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def descendants(pids):
    """Those processes and all below them."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                pass
    found = set(pids)
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return found
        found |= more


class Local:
    """Bottles of bubblewrap: processes of this home."""

    def __init__(self):
        self.home = Home()
        self.home.command_agent("idle", ["sleep", "infinity"])

    def processes(self):
        return [(role_of(line), pid) for pid, line in self.home.own_processes().items()]

    def leftovers(self):
        """What a bottle may leave on the host outside its home."""
        groups = [path for path in pathlib.Path("/sys/fs/cgroup").glob("**/bot-bottle/*") if path.is_dir() and "fleet-" in path.name]
        return {"cgroups": len(groups), "mounts": pathlib.Path("/proc/self/mountinfo").read_text().count("\n"),
                "processes": len(self.home.own_processes())}


class Docker:
    """Bottles of two containers; the engine's own process for each container (its shim) is a figure of its own."""

    def __init__(self, wire="", socket=None):
        import docker_harness
        self.home = docker_harness.DockerHome(wire=wire, socket=socket)
        self.home.docker_agent("idle", ["sleep", "infinity"])
        self.engine = docker_harness.engine

    def containers(self):
        return [line.split()[1] for line in self.home.left() if line.startswith("container")]

    def processes(self):
        lines, found = processes(), []
        for container in self.containers():
            facts = json.loads(self.engine.docker(self.home.socket, "inspect", container).stdout)[0]
            if not facts["State"]["Running"]:
                continue  # that of the warming run is kept: it did not end by itself
            for pid in descendants({facts["State"]["Pid"]}):
                found.append((role_of(lines.get(pid, "")), pid))
            found += [("engine's shim", pid) for pid, line in lines.items() if "containerd-shim" in line and facts["Id"] in line]
        return found

    def leftovers(self):
        left = collections.Counter(line.split()[0] + "s" for line in self.home.left())
        return {**{kind: left[kind] for kind in ("containers", "volumes", "networks")},
                "mounts": pathlib.Path("/proc/self/mountinfo").read_text().count("\n"), "processes": len(self.home.own_processes())}


def run_fleet(count, backend, parallel, **options):
    world = {"local": Local, "docker": Docker}[backend](**options)
    home = world.home
    try:
        before = world.leftovers()
        home.run("run", "idle", "--timeout", "1s", timeout=300)  # warm: the compiled rules, the images, the page cache

        def start(number):
            begun = time.monotonic()
            result = subprocess.run(home.argv("start", "idle", "--label", f"fleet-{number}", "--detach", "--yes"), cwd=home.workspace,
                                    env=home.environment, capture_output=True, text=True, timeout=300)
            if result.returncode != 0:
                raise RuntimeError(f"fleet-{number}: {result.stderr}")
            return time.monotonic() - begun

        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            times = list(pool.map(start, range(count)))
        all_up = time.monotonic() - begun

        listed = json.loads(home.run("list", "--json", check=0).stdout)["bottles"]
        running = [row["slug"] for row in listed if row["status"] == "running" and row["slug"].startswith("fleet-")]
        memory = collections.Counter()
        for role, pid in world.processes():
            memory[role] += pss_kib(pid)

        def is_sound(number):
            argv = json.loads((home.state(f"fleet-{number}") / "bottle.json").read_text())["selftest"]
            return home.run("exec", f"fleet-{number}", "--", *argv, timeout=120).returncode == 0

        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            sound = sum(pool.map(is_sound, range(count)))

        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            list(pool.map(lambda number: home.run("stop", "--rm", f"fleet-{number}", check=0, timeout=120), range(count)))
        stopped = time.monotonic() - begun
        home.run("cleanup", "--all", "--yes", check=0)
        left = {}

        def nothing_is_left():
            left.update({what: number - before[what] for what, number in world.leftovers().items()})
            return not any(left.values())
        with contextlib.suppress(AssertionError):
            wait_until("everything to end", nothing_is_left)
        return {"backend": backend, "count": count, "parallel": parallel, "running": len(running), "self_tests_green": sound,
                "all_up_s": round(all_up, 2), "start_median_s": round(statistics.median(times), 3),
                "start_p95_s": round(percentile(times, 0.95), 3), "stop_all_s": round(stopped, 2),
                "mib_per_bottle": {role: round(kib / 1024 / count, 2) for role, kib in sorted(memory.items())},
                "mib_per_bottle_ours": round(sum(kib for role, kib in memory.items() if role not in ("agent", "engine's shim")) / 1024 / count, 2),
                "left": {"states": len(home.slugs()), **left}}
    finally:
        home.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--backend", default="local", choices=["local", "docker"])
    parser.add_argument("--parallel", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--json")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the bottles are detached: somebody must end them
    result = run_fleet(arguments.count, arguments.backend, arguments.parallel)
    print(json.dumps(result, indent=2))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(result))
    whole = result["running"] == result["self_tests_green"] == result["count"] and not any(result["left"].values())
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
