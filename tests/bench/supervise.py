#!/usr/bin/env python3
"""The operator's screen with 20 real bottles: from a proposal to the screen, and what an idle screen costs.

A proposal is written by the sidecar (its journal's time) and looked for in a tmux whose screen is read without a pause; the time between
is the latency, the terminal's own and one reading (some ms) included. Idle is user and system time of the screen over IDLE seconds while nothing happens. Prints JSON.
  supervise.py [BOTTLES] [PROPOSALS] [IDLE] [RATE]   (RATE: refused requests a second and bottle beside the proposals; at most 20 proposals: so many rows has the list at 120x40)"""
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "acceptance"))
from harness import Home, Terminal  # noqa: E402
from supervise_world import AGENT, python_argv, resident_kib, screen_pid  # noqa: E402

# One question, put by a program run in the bottle; the answer is not waited for.
ASKER = AGENT + r'''
session = open_session()
ask("ask-operator", {"question": "MARKER"})
'''

# Refused requests, RATE a second for SECONDS: each is an event that the screen shows.
BUSY = AGENT + r'''
import time
end = time.monotonic() + SECONDS
while time.monotonic() < end:
    connection = http.client.HTTPConnection("127.0.0.1", int(__import__("os").environ["HTTPS_PROXY"].rsplit(":", 1)[1].strip("/")))
    connection.request("CONNECT", "denied.example.com:443")
    connection.getresponse().read()
    connection.close()
    time.sleep(1 / RATE)
'''


def refusals(home, count):
    return sum((home.state(f"b{number}") / "logs" / "events.jsonl").read_text().count("denied.example.com") for number in range(count))


def main():
    bottles, proposals, idle, rate = (int(value) for value in (sys.argv[1:] + ["20", "20", "20", "5"][len(sys.argv) - 1:])[:4])
    home = Home()
    children = []
    terminal = None
    try:
        home.command_agent("asker", ["sleep", "100000"])
        for number in range(bottles):
            home.run("start", "asker", "--label", f"b{number}", "--detach", "--yes", check=0)
        terminal = Terminal(["env", "-u", "TMUX", "-u", "TMUX_PANE", *home.argv("supervise")], home.top, home.environment, 120, 40,
                            cwd=home.workspace)
        terminal.wait_for(f"{bottles} bottles run")
        screen = screen_pid(home)
        busy = []
        if rate:
            script = python_argv(BUSY.replace("RATE", str(rate)).replace("SECONDS", str(5 + proposals)))
            busy = [home.popen("exec", f"b{number}", "--", *script, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL) for number in range(bottles)]
            children += busy
            while refusals(home, bottles) < bottles:
                assert all(one.poll() is None for one in busy), "a busy agent ended"
                time.sleep(0.1)
        latencies = []
        events, busy_since = refusals(home, bottles), time.monotonic()
        for number in range(proposals):
            slug = f"b{number % bottles}"
            marker = f"ask{number:04}x"
            journal = home.state(slug) / "supervise" / "journal.jsonl"
            asker = python_argv(ASKER.replace("MARKER", marker))
            children.append(home.popen("exec", slug, "--", *asker, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL))
            deadline = time.time() + 20
            while marker not in terminal.screen():
                assert time.time() < deadline, f"{marker} never came:\n{terminal.screen()}"
            at = time.time()
            record = next(json.loads(line) for line in journal.read_text().splitlines() if marker in line)
            latencies.append(at * 1000 - record["time_ms"])
        events = (refusals(home, bottles) - events) / (time.monotonic() - busy_since)
        for one in busy:
            assert one.poll() is None, "the events ended before the proposals"
        for one in busy:
            one.wait(60)
        time.sleep(7)  # the marks of what is new end

        def cpu():
            fields = pathlib.Path(f"/proc/{screen}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        before, began = cpu(), time.monotonic()
        time.sleep(idle)
        idle_percent = 100 * (cpu() - before) / (time.monotonic() - began)
        print(json.dumps({"bottles": bottles, "proposals": proposals, "events_per_second": round(events),
                          "latency_ms": {"median": round(statistics.median(latencies), 1), "max": round(max(latencies), 1)},
                          "idle_cpu_percent": round(idle_percent, 2), "screen_kib": resident_kib(screen),
                          "at": datetime.datetime.now().isoformat(timespec="seconds")}))
        terminal.type("q")
        terminal.wait_for("EXIT=0")
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
        if terminal:
            terminal.close()
        home.close()


if __name__ == "__main__":
    main()
