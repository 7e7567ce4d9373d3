#!/usr/bin/env python3
"""Start-up and memory figures of the built release, beside their bars. Prints a table; never fails a build.

Each figure is the median (and the worst) of --runs runs of the whole process, on this machine, now."""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "acceptance"))
os.environ.setdefault("BB_BUILD_DIR", str(pathlib.Path(__file__).resolve().parents[2] / "build" / "release"))
from harness import Home, wait_until  # noqa: E402


def timed(home, *arguments, env=None):
    started = time.perf_counter()
    result = home.run(*arguments, env=env, check=0)
    return (time.perf_counter() - started) * 1000, result


def floor(runs):
    """What starting any process from this script costs: to be read beside the figures."""
    samples = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(["/bin/true"], capture_output=True)
        samples.append((time.perf_counter() - started) * 1000)
    return samples


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    runs = parser.parse_args()
    rows = []

    def row(name, samples, bar):
        rows.append({"what": name, "median": round(statistics.median(samples), 1), "worst": round(max(samples), 1), "bar": bar})

    home = Home()
    try:
        row("/bin/true from this script, ms", floor(runs.runs), None)
        row("bot-bottle --help, ms", [timed(home, "--help")[0] for _ in range(runs.runs)], 10)
        for number in range(500):
            home.agent(f"agent{number:03}", "bottle: dev")
        row("list agents (500), ms", [timed(home, "list", "agents")[0] for _ in range(runs.runs)], 10)
        home.command_agent("yes", ["true"])
        timed(home, "run", "yes")  # warm: the compiled rules are cached
        whole, after = [], []
        for _ in range(runs.runs):
            elapsed, result = timed(home, "run", "yes", "-v")
            whole.append(elapsed)
            steps = dict(re.findall(r"^([a-z-]+) +([0-9.]+) ms$", result.stderr, re.M))
            after.append(sum(float(steps[step]) for step in ("bottle", "self-test", "provision", "attach", "undo")))
        row("run of `true`, ms", whole, 120)
        row("  of it after the sidecar is up, ms", after, 60)
        home.command_agent("sleep", ["sleep", "100"])
        home.run("start", "sleep", "--label", "idle", "--detach", "--yes", check=0)
        pids = wait_until("the sidecar", lambda: [pid for pid, line in home.own_processes().items()
                                                 if line.split()[0].endswith("bot-bottle-sidecar")])
        row("sidecar idle RSS, MiB", [resident_mib(pid) for pid in pids], 15)
        home.run("stop", "idle", check=0)
    finally:
        home.close()
    if runs.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{'':40} {'median':>8} {'worst':>8} {'bar':>6}")
    for entry in rows:
        print(f"{entry['what']:40} {entry['median']:8} {entry['worst']:8} {entry['bar'] or '':>6}")


if __name__ == "__main__":
    main()
