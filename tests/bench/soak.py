#!/usr/bin/env python3
"""soak.py [SECONDS] [--rate N] [--seed N]: one sidecar under mixed traffic for SECONDS (600); judges leaks, never time.

Works at a modest rate, so that it may run beside other work. Ends with "N passed, N failed". BB_BUILD_DIR names the build
(build/release). The last minute and a half is silence: what was opened has to be closed again."""
import argparse
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "integration" / "egress"))
import soak_traffic  # noqa: E402,F401: registers its kinds
import soak_trouble  # noqa: E402,F401
import soak_world as traffic  # noqa: E402
import soak_verdict as verdict  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BB_BUILD_DIR", TOP / "build" / "release"))
WORKERS = 4
SAMPLE_EVERY = 2.0
POOL_KEEPS = 60  # seconds: idle upstream connections
MAX_LOG = 64 << 20  # where the sidecar rotates (sidecar/egress/event_log.cpp)


def sample(w, begin):
    status = pathlib.Path(f"/proc/{w.process.pid}/status").read_text()
    value = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if ":" in line and len(line.split()) > 1}
    return time.monotonic() - begin, int(value["VmRSS"]), len(os.listdir(f"/proc/{w.process.pid}/fd")), int(value["Threads"])


class Soak:
    def __init__(self, w, rate, seed):
        self.w, self.rate, self.seed = w, rate, seed
        self.right, self.wrong, self.texts = collections.Counter(), collections.Counter(), []
        self.stop, self.lock, self.next_due = threading.Event(), threading.Lock(), 0.0

    def take_turn(self):
        """Waits for the next instant at which something is due; a machine that is behind skips, it does not catch up."""
        with self.lock:
            now = time.monotonic()
            self.next_due = max(self.next_due + 1 / self.rate, now)
            due = self.next_due
        return not self.stop.wait(due - now)

    def do(self, function, hands, dice):
        try:
            function(hands, dice)
            outcome = self.right
        except Exception as error:  # noqa: BLE001: anything unexpected is an answer that was not right
            outcome = self.wrong
            if len(self.texts) < 20:
                self.texts.append(f"{function.__name__}: {type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}")
            hands.close()
        with self.lock:
            outcome[function.__name__] += 1

    def work(self, number):
        hands, dice = traffic.Hands(self.w), random.Random(self.seed * 1000 + number)
        functions, weights = zip(*traffic.KINDS)
        for function in functions:  # each of them early, so that nothing has its first time while memory is judged
            if self.take_turn():
                self.do(function, hands, dice)
        while self.take_turn():
            self.do(dice.choices(functions, weights)[0], hands, dice)
        hands.close()

    def run(self, seconds):
        threads = [threading.Thread(target=self.work, args=(number,)) for number in range(WORKERS)]
        begin, samples = time.monotonic(), []
        for thread in threads:
            thread.start()
        try:
            while time.monotonic() - begin < seconds:
                self.stop.wait(SAMPLE_EVERY)
                if self.w.process.poll() is not None:
                    break
                samples.append(sample(self.w, begin))
                traffic.forget(self.w)
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()
        return samples


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.25)
    return condition()


def prefill_log(w):
    """All but 100 KB of what a log may hold, so that every run sees it change files."""
    logs = pathlib.Path(w.state, "logs")
    logs.mkdir(mode=0o700)
    line = b'{"time":"2000-01-01T00:00:00.000Z","kind":"sidecar","level":"info","event":"filler","reason":"' + b"f" * 900 + b'"}\n'
    (logs / "events.jsonl").write_bytes(line * ((MAX_LOG - 100_000) // len(line)))
    return (logs / "events.jsonl").stat().st_size


def read_log(w, prefilled):
    """(events since the start, lines that are no event, files, whether a secret is in them)."""
    events, bad, files, secret = [], 0, 0, False
    for name in ("events.jsonl.1", "events.jsonl"):
        path = pathlib.Path(w.state, "logs", name)
        if not path.exists():
            continue
        files += 1
        data = path.read_bytes()
        data = data[prefilled:] if data[:60].find(b"2000-01-01") > 0 else data
        secret = secret or any(s.encode() in data for s in (traffic.TOKEN, traffic.OTHER_SECRET, traffic.GITHUB))
        for line in data.split(b"\n")[:-1]:
            try:
                event = json.loads(line)
                bad += not {"time", "kind", "level", "event"} <= set(event)
                events.append(event)
            except ValueError:
                bad += 1
        bad += not data.endswith(b"\n")
    return events, bad, files, secret


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=600)
    parser.add_argument("--rate", type=float, default=30, help="pieces of traffic a second, of one to eight requests each")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    program = BUILD / "libexec" / "bot-bottle" / "bot-bottle-sidecar"
    share = BUILD / "share" / "bot-bottle"
    scratch = tempfile.TemporaryDirectory(prefix="bb-soak-")
    os.environ["BB_RULES_DATABASE"] = f"{scratch.name}/rules.database"
    subprocess.run([program, "--compile-rules", os.environ["BB_RULES_DATABASE"], "--share", share], check=True)
    results = []
    with scratch, traffic.make_world(str(program), str(share)) as w:
        prefilled = prefill_log(w)
        w.start()
        begin = time.monotonic()
        _, _, fds_before, _ = sample(w, begin)
        soak = Soak(w, options.rate, options.seed)
        silence = POOL_KEEPS + 15 if options.seconds >= 300 else 0
        samples = soak.run(options.seconds - silence)
        alive = w.process.poll() is None
        results.append(("the sidecar lives", alive, "" if alive else f"it ended with {w.process.returncode}: {w.stderr()}"))
        if alive:
            results += verdict.judge(samples)
            wait_until(lambda: sample(w, begin)[2] <= fds_before, POOL_KEEPS + 30)
            _, rss, fds, _ = sample(w, begin)
            connections = w.call("status")["open_connections"]
            results.append(("descriptors are given back", fds <= fds_before, f"{fds_before} before, {fds} after"))
            results.append(("no connection stays", connections == 0, f"{connections} open"))
            blocked = w.call("status")["counters"]["blocked"]
            w.call("flush")
            events, bad, files, secret = read_log(w, prefilled)
            blocks = sum(event["level"] == "block" and event["kind"] != "dns" for event in events)
            results.append(("the event log is one object a line", bad == 0 and events != [], f"{len(events)} events, {bad} bad lines"))
            results.append(("the event log changed files once", files == 2, f"{files} files"))
            results.append(("no block is missing in the log", blocks == blocked, f"{blocks} events, {blocked} counted"))
            results.append(("no secret is in the log", not secret, ""))
            w.process.terminate()
            code = w.process.wait(15)
            results.append(("it ends when told", code == 0 and w.stderr() == "", f"code {code} {w.stderr()[:500]}"))
    print(f"{'kind of traffic':36} {'right':>8} {'wrong':>6}")
    for function, _ in traffic.KINDS:
        name = function.__name__
        print(f"{name:36} {soak.right[name]:8} {soak.wrong[name]:6}")
        results.append((f"{name} answered as expected", soak.right[name] > 0 and soak.wrong[name] == 0,
                        f"{soak.right[name]} right, {soak.wrong[name]} wrong"))
    print(f"\n{'seconds':>8} {'RSS KiB':>9} {'fds':>5} {'threads':>8}")
    for each in samples[::max(1, len(samples) // 20)]:
        print(f"{each[0]:8.0f} {each[1]:9} {each[2]:5} {each[3]:8}")
    if alive:
        print(f"{'silence':>8} {rss:9} {fds:5}\n")
    for text in soak.texts:
        print(text)
    for what, passed, text in results:
        if not passed or "answered as expected" not in what:
            print(f"{'ok  ' if passed else 'FAIL'}  {what}: {text}")
    failed = sum(not passed for _, passed, _ in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
