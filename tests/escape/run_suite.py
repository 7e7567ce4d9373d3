#!/usr/bin/env python3
"""Runs one group of `bottle-attack suite` in real bottles and checks what the host saw. See README.md."""
import argparse
import json
import pathlib
import threading
import time

from arena import Accounts, Arena, Skip, finish, parse_lines

MIB = 1 << 20


class Neighbour:
    """A second bottle that has to stay usable while the first one misbehaves."""

    def __init__(self, arena):
        self.arena, self.slow, self.answers, self.ending = arena, [], 0, threading.Event()
        arena.write_manifest([], name="neighbour", command=["sleep", "100000"])
        started = arena.bot_bottle("start", "neighbour", "--label", "neighbour", "--detach", "--yes", timeout=60)
        if started.returncode != 0:
            raise RuntimeError("the neighbour does not start: " + started.stderr.strip())
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()

    def _ask(self):
        while not self.ending.is_set():
            begin = time.monotonic()
            done = self.arena.bot_bottle("exec", "neighbour", "--", self.arena.attack_inside, "suite", "--json", "--only", "1.1.1", timeout=30)
            lines = parse_lines(done.stdout)
            self.answers += 1
            if [line["verdict"] for line in lines] != ["blocked"]:
                self.slow.append("after %.1f s: %s %s" % (time.monotonic() - begin, lines, done.stderr.strip()[-300:]))
            self.ending.wait(0.5)

    def stop(self):
        self.ending.set()
        self.thread.join()
        stopped = self.arena.bot_bottle("stop", "--rm", "neighbour", timeout=60)
        if stopped.returncode != 0:
            self.slow.append("stop: " + stopped.stderr.strip())
        return self.slow


def events_of(arena, slug):
    done = arena.bot_bottle("logs", slug, "--json", timeout=60)
    events = []
    for line in done.stdout.splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            pass
    return done, events


def check_events(group, events, say):
    kinds = {(event.get("kind"), event.get("level")) for event in events}
    if group == "2":
        names = [str(event.get("host", event.get("name", ""))) for event in events if event.get("kind") == "dns"]
        if not any("denied.example.com" in name for name in names):
            say("no DNS attempt appears as an event (%d events, kinds %s)" % (len(events), sorted(str(kind) for kind in kinds)))
    if group in ("1", "3") and not any(level == "block" for _, level in kinds):
        say("no refusal appears as an event")
    if group == "3" and not any(kind == "dlp" for kind, _ in kinds):
        say("no DLP finding appears as an event")


def check_sightings(lines, events, say):
    """Each canary that an attempt carried is named by an event."""
    seen = {event.get("rule") for event in events if event.get("event") == "canary_seen"}
    for subject, names in {"3.40": ("aws-access-key-id", "aws-secret-access-key"), "3.41": ("netrc-password",), "3.42": ("npm-token",)}.items():
        for name in names if any(line["id"].startswith(subject + ".") for line in lines) else ():
            if "canary:" + name not in seen:
                say("no event says that the canary %s was seen, only %s" % (name, sorted(map(str, seen))))


def known_gaps():
    text = (pathlib.Path(__file__).parent / "known_gaps.txt").read_text()
    return dict(line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))


def check_gaps(build, account, gaps, failures):
    """Makes the known gaps apart, so that everything else is measured with a clean origin."""
    arena = Arena(build, account)
    try:
        arena.write_manifest(["--only", ",".join(gaps)])
        done = arena.bot_bottle("run", "escape", "--label", "escape", "--rm", timeout=300)
        lines = {line["id"]: line for line in parse_lines(done.stdout)}
        for gap, reason in gaps.items():
            verdict = lines[gap]["verdict"] if gap in lines else "not made"
            if verdict == "escaped":
                print("KNOWN GAP %-8s %s: %s" % (gap, lines[gap]["attempt"], reason))
            else:
                failures.append("[%s] %s is a known gap and %s: correct known_gaps.txt" % (account.name, gap, verdict))
    finally:
        arena.close()


def check_homes(build, account, failures):
    """What fills the home may be refused, or the bottle may be ended for it (spec: enforced); each in a bottle of its own."""
    limits = {"disk": 256 * MIB}
    for attempt in ("7.3.1", "7.3.2"):
        arena = Arena(build, account)
        try:
            arena.write_manifest(["--only", attempt, "--resources"], limits)
            done = arena.bot_bottle("run", "escape", "--label", "escape", "--keep", timeout=200)
            lines = parse_lines(done.stdout)
            log = "".join(path.read_text(errors="replace") for path in (arena.home / ".bot-bottle/state/escape/logs").glob("*"))
            ended = not lines and done.returncode != 0 and "disk" in log
            print("[%s] %s: %s" % (account.name, attempt, "the bottle was ended" if ended else lines))
            if not ended and [line["verdict"] for line in lines] != ["blocked"]:
                failures.append("[%s] %s: %s %s" % (account.name, attempt, lines, done.stderr.strip()[-500:]))
            arena.bot_bottle("stop", "--rm", "escape", timeout=60)
            failures.extend("[%s] %s left behind: %s" % (account.name, attempt, left) for left in arena.wait_for_nothing_left())
        finally:
            arena.close()


# gVisor's own processes are in the bottle's control groups: what is too much for the limit ends the bottle, where Linux refuses it
# or kills the bomb alone. Each of these has a bottle of its own, so that the others have one.
ENDS_THE_BOTTLE = ("7.1.1", "7.1.2")
LIMITS = {"pids": 256, "memory": 512 * MIB}


def check_bombs(build, account, wall, failures):
    for attempt in ENDS_THE_BOTTLE:
        arena = Arena(build, account, wall)
        try:
            arena.write_manifest(["--only", attempt, "--resources"], LIMITS)
            neighbour = Neighbour(arena)
            done = arena.bot_bottle("run", "escape", "--label", "escape", "--keep", timeout=60)
            failures.extend("[%s] %s: the neighbour was not responsive %s" % (account.name, attempt, text) for text in neighbour.stop())
            lines = parse_lines(done.stdout)
            ended = not lines and done.returncode == 125 and "the bottle has ended" in done.stderr
            print("[%s] %s: %s; the neighbour answered %d times" % (account.name, attempt, "the bottle was ended" if ended else lines, neighbour.answers))
            if not ended and [line["verdict"] for line in lines] != ["blocked"]:
                failures.append("[%s] %s: %s %s" % (account.name, attempt, lines, done.stderr.strip()[-500:]))
            stopped = arena.bot_bottle("stop", "--rm", "escape", timeout=60)
            if stopped.returncode != 0:
                failures.append("[%s] %s: bot-bottle stop --rm: %s" % (account.name, attempt, stopped.stderr.strip()))
            failures.extend("[%s] %s left behind: %s" % (account.name, attempt, left) for left in arena.wait_for_nothing_left())
        finally:
            arena.close()


# What a wall does not have, each with its reason: these attempts are left out there, and said to be.
ENGINE = {
    "1.25.2": "pid 1's own exec socket is an abstract one of the bottle's network namespace: it runs programs as the agent, for the agent",
    "5.3.29": "the engine lays /dev/null over it: it opens, and is empty",
    "5.3.30": "an empty directory of a read-only /sys",
    "5.21.3": "an engine's containers are in the host's user namespace unless it remaps uids (userns-remap)",
}
GVISOR = {
    **ENGINE,
    "5.5.14": "gVisor's own /dev/fuse: a device of the sandbox's kernel, none of the host's",
    "5.5.15": "gVisor's own /dev/net/tun, likewise",
    "5.5.37": "the same two",
    "5.5.38": "a node of the sandbox's own kernel: it leads to no device of the host's",
    "5.5.39": "likewise",
    "5.5.40": "likewise",
    "5.20": "gVisor does not protect a bottle's first process from its own uid: the agent can read what has no secret, and end its own bottle",
}
GVISOR.update({
    "1.20.20": "gVisor's stack waits where Linux says at once that there is no way; no packet has an interface to leave by",
    "1.23.2": "there is one interface, lo, to bind to",
    "1.23.3": "the sandbox's own stack: nothing of the host's is set",
    "5.22.5": "gVisor knows no ambient capabilities",
    "5.22.14": "priorities and locked memory of the sandbox's own kernel; the host's are its control group's",
    "5.31.7": "refused as an unknown file",
    "5.33.5": "refused as EIO",
    "5.34.5": "gVisor runs no i386 programs: the call is answered EBADF",
})
ADDRESS = {"1.21.2": "the address wire is an interface; its one route is the self-test's to judge"}
GVISOR_ADDRESS = {**GVISOR, **ADDRESS, "1.23.2": "there is one interface besides lo, and one route, by it"}
del GVISOR_ADDRESS["1.20.20"]  # with its own interface the stack says at once that there is no way
NOT_APPLICABLE = {"runc": ENGINE, "runc-address": {**ENGINE, **ADDRESS}, "runsc": GVISOR, "runsc-address": GVISOR_ADDRESS}


def run_group(build, account, group, only, first, failures, wall="local"):
    def say(text):
        failures.append("[%s] %s" % (account.name, text))

    arena = Arena(build, account, wall)
    try:
        arguments = ["--only", only or ("7.1,7.2" if group == "7" else group)]
        gaps = {gap: reason for gap, reason in known_gaps().items() if not only and gap.split(".")[0] == group}
        absent = {id: reason for id, reason in NOT_APPLICABLE.get(wall, {}).items() if id.split(".")[0] == group}
        for id, reason in absent.items():
            print("NOT APPLICABLE on %s: %s: %s" % (wall, id, reason))
        apart = ENDS_THE_BOTTLE if group == "7" and not only and wall.startswith("runsc") else ()
        if gaps or absent or apart:
            arguments += ["--skip", ",".join([*gaps, *absent, *apart])]
        limits = None
        if group == "7":
            arguments.append("--resources")
            limits = {**LIMITS, **({} if arena.wall.is_docker else {"disk": 256 * MIB})}
        arena.write_manifest(arguments, limits)
        neighbour = Neighbour(arena) if group == "7" else None
        done = arena.bot_bottle("run", "escape", "--label", "escape", "--keep", timeout=800)
        while group == "7" and not parse_lines(done.stdout) and (refused := [name for name in limits if "resources.%s" % name in done.stderr]):
            # Without a delegated cgroup an asked limit has to be refused by name, and this was it (spec 08).
            print("[%s] %s" % (account.name, done.stderr.strip().splitlines()[0]))
            limits = {name: value for name, value in limits.items() if name not in refused}
            arena.write_manifest(arguments, limits)
            done = arena.bot_bottle("run", "escape", "--label", "escape", "--keep", timeout=800)
        if neighbour:
            for text in neighbour.stop():
                say("the neighbour was not responsive " + text)
            print("[%s] the neighbour answered %d times" % (account.name, neighbour.answers))
        lines = parse_lines(done.stdout)
        expected = arena.expected(arguments, limits)
        for line in lines:
            if line["verdict"] != "blocked":
                say("{verdict} {id} {guard}: {attempt} [{detail}]".format(**line))
        if [line["id"] for line in lines] != expected:
            say("%d of %d attempts reported; bot-bottle run returned %d: %s" % (len(lines), len(expected), done.returncode, done.stderr.strip()[-2000:]))
        logs, events = events_of(arena, "escape")
        if logs.returncode != 0:
            say("bot-bottle logs: " + logs.stderr.strip())
        else:
            check_events(group, events, say)
            check_sightings(lines, events, say)
        for found in arena.what_origin_got_wrong():
            say("the origin got " + found)
        for contact in arena.what_canaries_saw():
            say("a canary was touched: " + contact)
        if group in ("1", "3") and arena.injected() == 0:
            say("no request reached the origin with the injected credential: nothing was tested")
        for found in arena.secrets_on_disk():
            say("on disk: " + found)
        for name, secret in (("injected", arena.token), ("stolen", arena.stolen)):
            if secret in done.stdout + done.stderr + logs.stdout:
                say("the %s secret is in what bot-bottle printed" % name)
        stopped = arena.bot_bottle("stop", "--rm", "escape", timeout=60)
        if stopped.returncode != 0:
            say("bot-bottle stop --rm: " + stopped.stderr.strip())
        for left in arena.wait_for_nothing_left():
            say("left behind: " + left)
        print("[%s] group %s: %d attempts, %d blocked, %d requests at the origin" % (
            account.name, group, len(lines), sum(line["verdict"] == "blocked" for line in lines), len(arena.origin.lines())))
        if apart:
            check_bombs(build, account, wall, failures)
        if group == "7" and not only and not arena.wall.is_docker:
            check_homes(build, account, failures)
        if gaps and first and not arena.wall.is_docker:
            check_gaps(build, account, gaps, failures)
    finally:
        arena.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--group", required=True, help="1, 2, 3, 5, 6 or 7; several with commas between")
    parser.add_argument("--only", help="instead of the whole group: ids, comma between")
    parser.add_argument("--wall", default="local", choices=["local", "runc", "runc-address", "runsc", "runsc-address"])
    parser.add_argument("--as", dest="who", default="both", choices=["both", "self", "ordinary"])
    options = parser.parse_args()
    failures, skipped = [], []
    try:
        # Who may speak to an engine is root: there is no other account to try.
        with Accounts("self" if options.wall != "local" else options.who) as accounts:
            for account in accounts.list:
                for group in options.group.split(","):
                    run_group(options.build, account, group, options.only, account is accounts.list[0], failures, options.wall)
    except Skip as reason:
        skipped.append(str(reason))
    finish(failures, skipped)


if __name__ == "__main__":
    main()
