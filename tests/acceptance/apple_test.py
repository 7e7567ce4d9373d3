"""The apple backend on tests/fakes/container: what a person sees, and what the tool is told.

The fake runs its guests in bwrap without a network, so that a bottle here is a real one: bottle-init, the relay, the sidecar.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import unittest

import check_report
from harness import BUILD, FAKES, AcceptanceTest, Home, Terminal, wait_until

sys.path.insert(0, str(FAKES))
from certificates import make_ca, make_leaf  # noqa: E402
from origin import Origin  # noqa: E402

PATIENCE = 120
RULES = BUILD / "tests" / "apple-rules"
OPEN, CLOSED = "api.example.com", "closed.example.com"
MANAGED = "bot-bottle.managed=true"
PS = """#!/usr/bin/env python3
import json, pathlib
print("    1 /sbin/launchd")
for path in (pathlib.Path(__file__).parent / "container.state" / "containers").glob("[!.]*/state.json"):
    try:
        state = json.loads(path.read_text())
    except FileNotFoundError:
        continue  # deleted meanwhile
    if state.get("state") != "stopped" and pathlib.Path("/proc", str(state.get("guest"))).exists():
        print(state["guest"], f"/opt/container-runtime-linux start --root {path.parent} --uuid {path.parent.name}")
"""


class AppleHome(Home):
    def __init__(self, version="1.2.2", macos="26.1"):
        super().__init__()
        self.bin = self.top / "bin"
        self.bin.mkdir()
        self.container = self.bin / "container"
        self.container.symlink_to(FAKES / "container")
        (self.bin / "sw_vers").write_text(f"#!/bin/sh\necho {macos}\n")
        (self.bin / "sw_vers").chmod(0o755)
        # A fake of macOS' ps as far as machines go: what really runs, whatever the service says.
        (self.bin / "ps").write_text(PS)
        (self.bin / "ps").chmod(0o755)
        self.data = self.bin / "container.state"
        self.data.mkdir()
        self.set(version=version, macos=int(macos.split(".")[0]))
        self.environment["BOT_BOTTLE_CONTAINER"] = str(self.container)
        # The compiled rules are the same for every home: made once for a build.
        if RULES.exists():
            shutil.copytree(RULES, self.root / "cache")

    def set(self, **settings):
        path = self.data / "fake.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**before, **settings}))

    def tool(self, *arguments, check=True):
        return subprocess.run([str(self.container), *arguments], capture_output=True, text=True, timeout=60, check=check, stdin=subprocess.DEVNULL)

    def calls(self, verb=None):
        path = self.data / "calls.jsonl"
        calls = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [call for call in calls if verb is None or call[:1] == [verb]]

    def names(self):
        return sorted(path.name for path in (self.data / "containers").iterdir() if not path.name.startswith("."))

    def state_of(self, name):
        path = self.data / "containers" / name / "state.json"
        return json.loads(path.read_text()) if path.exists() else {"state": "stopped"}  # made and never started

    def apple_agent(self, name, argv, extra=""):
        self.bottle(name, f"backend: apple\nagent_provider:\n  template: command\n  command: {json.dumps(argv)}\n{extra}")
        self.agent(name, f'bottle: "{name}"')

    def start(self, name="agent", argv=("sleep", "1000"), extra="", label="box"):
        self.apple_agent(name, list(argv), extra)
        self.run("start", name, "--label", label, "--detach", "--yes", check=0, timeout=PATIENCE)
        [container] = self.names()
        return container

    def close(self):
        self.set(down=False, faults={}, crashed=False)
        newest = max([path.stat().st_mtime for path in (BUILD / "libexec/bot-bottle/bot-bottle-sidecar", BUILD / "share/bot-bottle")])
        if RULES.exists() and RULES.stat().st_mtime < newest:
            shutil.rmtree(RULES, ignore_errors=True)
        if not RULES.exists() and list((self.root / "cache").glob("dlp-rules-*.db")):
            fresh = RULES.with_name(f"{RULES.name}.{os.getpid()}")
            shutil.copytree(self.root / "cache", fresh)
            with contextlib.suppress(OSError):
                fresh.rename(RULES)
            shutil.rmtree(fresh, ignore_errors=True)
        super().close()


class Tests(AcceptanceTest):
    def setUp(self):
        if os.geteuid() != 0:
            self.assertNotEqual(os.environ.get("CI"), "true", "the fake's guests need root")
            print("SKIPPED: the fake's guests need root", file=sys.stderr)
            self.skipTest("the fake's guests need root")

    def apple_home(self, **options):
        home = AppleHome(**options)
        self.addCleanup(home.close)
        return home

    def apple_row(self, home, **env):
        report = json.loads(home.run("doctor", "--json", env=env).stdout)
        return next(json.dumps(fact) for fact in report["facts"] if fact["name"] == "apple")

    def test_the_conformance_suite_passes(self):
        self.conformance_on("1.2.2")

    def test_the_conformance_suite_passes_on_the_oldest_that_is_driven(self):
        self.conformance_on("1.1.0")

    def conformance_on(self, version):
        home = self.apple_home(version=version)
        done = subprocess.run([str(BUILD / "bin/bot-bottle"), "plugin", "check", str(BUILD / "lib/bot-bottle/plugins/backend-apple"), "--json"],
                              env=home.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE * 2)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(check_report.faults(json.loads(done.stdout), "apple", check_report.OWN_KERNEL), [])
        self.assertEqual(home.names(), [])
        self.assert_told_well(home)

    def assert_told_well(self, home):
        """What holds for every call that was made."""
        for call in home.calls("create"):
            self.assertEqual(call[call.index("--network") + 1], "none", call)
            self.assertEqual(call[1:3], ["--progress", "none"])
        self.assertEqual([call for call in home.calls() if "prune" in call or "--all" in call and call[0] != "list"], [])
        # Nothing is asked for with exec's -e: it would stand behind what create has set, and lose.
        self.assertEqual([call for call in home.calls("exec") if "-e" in call or "--env" in call], [])

    def test_the_agent_reaches_what_is_open_through_the_sidecar_and_nothing_else(self):
        home = self.apple_home()
        top = str(home.top)
        ca = make_ca(top)
        origin = Origin(*make_leaf(top, [OPEN, CLOSED]))
        self.addCleanup(origin.close)
        egress = {"upstream_ca": ca, "hosts": {host: f"127.0.0.1:{origin.port}" for host in (OPEN, CLOSED)},
                  "routes": [{"host": OPEN, "auth": {"scheme": "Bearer", "token_ref": "TEST_TOKEN"}}]}
        (home.workspace / "given").write_text("given\n")
        script = (f"cat given; id -u; curl -sS 'https://{OPEN}/echo?first'; curl -sS -o /dev/null -w 'closed %{{http_connect}}\\n' https://{CLOSED}/;"
                  "getent hosts egress; cat /etc/resolv.conf; ls /proc/sys/net/ipv4/conf; echo made > made; echo told >&2; exit 7")
        home.apple_agent("agent", ["sh", "-c", script], f"egress: {json.dumps(egress)}\n")
        done = home.run("run", "agent", "--rm", env={"TEST_TOKEN": "tok-that-must-stay-outside"}, timeout=PATIENCE)
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertTrue(done.stdout.startswith("given\n1000\n"), done.stdout)
        self.assertIn("told\n", done.stderr)
        self.assertIn("GET /echo?first", done.stdout)
        self.assertEqual([request.header("authorization") for request in origin.requests], ["Bearer tok-that-must-stay-outside"])
        self.assertNotIn("tok-that-must-stay-outside", done.stdout + done.stderr)
        self.assertIn("closed 403", done.stdout)
        self.assertIn("nameserver 127.0.0.1", done.stdout)
        self.assertFalse((home.workspace / "made").exists(), "the workspace is a copy")
        self.assertEqual((home.names(), home.slugs(), home.own_processes()), ([], [], {}))
        self.assert_told_well(home)
        self.assertNotIn("tok-that-must-stay-outside", (home.data / "calls.jsonl").read_text())

    def test_a_machine_with_a_network_never_gets_an_agent(self):
        home = self.apple_home()
        home.apple_agent("agent", ["touch", "/workspace/ran"])
        # Attached although none was asked for: seen before it runs.
        home.set(faults={"create": "attach"})
        refused = home.run("run", "agent", timeout=PATIENCE)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("has a network", refused.stderr)
        self.assertEqual(home.calls("start"), [], "it never ran")
        # Said by nobody: only the self-test inside tells.
        home.set(faults={"network": "leak"})
        refused = home.run("run", "agent", timeout=PATIENCE)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("an interface besides lo", refused.stderr)
        self.assertEqual((home.names(), home.own_processes()), ([], {}))

    def test_a_tool_that_hangs_is_given_up_in_time(self):
        home = self.apple_home()
        home.apple_agent("agent", ["true"])
        for verb in ("build", "create", "start", "exec", "list"):
            home.set(faults={verb: ["hang"]})
            failed = home.run("run", "agent", env={"BB_TOOL_DEADLINES": f"{verb}=700"}, timeout=PATIENCE)
            self.assertNotEqual(failed.returncode, 0, verb)
            self.assertRegex(failed.stderr, f"container {verb} ?[-a-z0-9]* did not end")
            self.assertEqual((home.names(), home.slugs(), home.own_processes()), ([], [], {}), verb)
        container = home.start()
        guest = home.state_of(container)["guest"]
        home.set(faults={"stop": "hang"})
        home.run("stop", "box", "--rm", env={"BB_TOOL_DEADLINES": "stop=700"}, check=0, timeout=PATIENCE)
        self.assertEqual(home.names(), [])
        self.assertFalse(pathlib.Path(f"/proc/{guest}").exists())
        self.assertEqual([call[0] for call in home.calls() if call[0] in ("stop", "kill", "delete")][-3:], ["stop", "kill", "delete"])

    def test_what_hangs_at_every_step_is_ended_by_the_last_one(self):
        home = self.apple_home()
        container = home.start()
        guest = home.state_of(container)["guest"]
        shorter = {"BB_TOOL_DEADLINES": "stop=700,kill=700,delete=700"}
        home.set(faults={"stop": "hang", "kill": "hang", "delete": ["hang"]})
        failed = home.run("stop", "box", "--rm", env=shorter, timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("still runs after stop and kill", failed.stderr)
        failed = home.run("cleanup", "--all", "--yes", env=shorter, timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("could not be deleted", failed.stderr)
        self.assertEqual(home.slugs(), ["box"], "what may still be there keeps its state")
        home.run("cleanup", "--all", "--yes", env={"BB_TOOL_DEADLINES": "stop=700,kill=700"}, check=0, timeout=PATIENCE)
        self.assertEqual((home.names(), home.slugs(), home.own_processes()), ([], [], {}))
        self.assertFalse(pathlib.Path(f"/proc/{guest}").exists())

    def test_a_machine_that_neither_stops_nor_goes_is_named_and_kept(self):
        home = self.apple_home()
        container = home.start()
        home.set(faults={"stop": "stopping"})  # for ever
        failed = home.run("stop", "box", "--rm", env={"BB_TOOL_DEADLINES": "stop=700"}, timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn(f"{container} still runs after stop and kill", failed.stderr)
        failed = home.run("cleanup", "--all", "--yes", env={"BB_TOOL_DEADLINES": "stop=700"}, timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("can not be deleted", failed.stderr)
        self.assertEqual(home.slugs(), ["box"], "what may still be there keeps its state")
        (home.data / "containers" / container / "state.json").write_text(json.dumps({**home.state_of(container), "state": "stopped"}))
        home.set(faults={})
        home.run("cleanup", "--all", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual((home.names(), home.slugs(), home.own_processes()), ([], [], {}))

    def test_doctor_says_why_it_cannot_be_used(self):
        home = self.apple_home()
        self.assertIn("1.2.2", self.apple_row(home))
        home.set(faults={"version": ["hang"]})
        self.assertIn("did not end", self.apple_row(home, BB_TOOL_DEADLINES="--version=700"))
        home.set(faults={"status": ["hang"]})
        self.assertIn("did not end", self.apple_row(home, BB_TOOL_DEADLINES="status=700"))
        without = home.environment.pop("BOT_BOTTLE_CONTAINER")
        self.assertIn("macOS only", self.apple_row(home))
        home.environment["BOT_BOTTLE_CONTAINER"] = without
        home.set(down=True)
        self.assertIn("container system start", self.apple_row(home))
        for version in ("0.12.3", "1.0.0"):
            home.set(down=False, version=version)
            row = self.apple_row(home)
            self.assertIn(f"container {version} cannot isolate", row)
            self.assertIn("1.1 or newer", row)
        home.set(version="1.2.2", macos=15)
        (home.bin / "sw_vers").write_text("#!/bin/sh\necho 15.6\n")
        self.assertIn("macOS 15", self.apple_row(home))
        home.apple_agent("agent", ["true"])
        refused = home.run("run", "agent")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("macOS 15", refused.stderr)
        self.assertEqual(home.calls("create"), [], "nothing was made")
        (home.bin / "other").write_text("#!/bin/sh\necho container 1.9\n")
        (home.bin / "other").chmod(0o755)
        self.assertIn("is not Apple", self.apple_row(home, BOT_BOTTLE_CONTAINER=str(home.bin / "other")))

    def test_what_cannot_be_enforced_is_refused_by_name(self):
        home = self.apple_home()
        for extra, word in (("resources: {disk: 1GiB}\n", "resources.disk"), ("resources: {cpus: 1.5}\n", "whole CPUs"),
                            ("resources: {memory: 100MiB}\n", "200MiB"), ("workspace: {mode: mount}\n", "copy")):
            home.apple_agent("agent", ["true"], extra)
            refused = home.run("run", "agent")
            self.assertNotEqual(refused.returncode, 0, extra)
            self.assertIn(word, refused.stderr)
        self.assertEqual(home.calls("create"), [])

    def test_stop_resume_and_a_container_that_is_made_anew_keep_what_the_agent_made(self):
        home = self.apple_home()
        first = home.start()
        shown = json.loads(home.tool("inspect", first).stdout)[0]["configuration"]
        self.assertEqual((shown["networks"], shown["mounts"], shown["capDrop"]), ([], [], ["ALL"]))
        sockets = home.state("box") / "backend/sockets"
        self.assertTrue(stat.S_ISSOCK((sockets / "egress.sock").lstat().st_mode))
        self.assertEqual(stat.S_IMODE(sockets.lstat().st_mode), 0o700)
        self.assertEqual((sockets.lstat().st_uid, (sockets / "egress.sock").lstat().st_nlink), (os.geteuid(), 2),
                         "what is mounted is a name of the socket that the sidecar cannot change")
        home.run("exec", "box", "--", "sh", "-c", "echo mine > kept; echo mine > ~/kept; ln -s kept link", check=0)
        self.assertEqual(home.run("exec", "box", "--", "wc", "-c", input="x" * 300000, check=0).stdout.strip(), "300000")
        home.run("stop", "box", check=0, timeout=PATIENCE)
        self.assertEqual(home.state_of(first)["state"], "stopped")
        home.run("resume", "box", "--detach", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual(home.run("exec", "box", "--", "sh", "-c", "cat kept ~/kept link", check=0).stdout, "mine\n" * 3)
        self.assertEqual(len(home.calls("create")), 1, "its disk is its memory")
        home.run("stop", "box", check=0, timeout=PATIENCE)
        # Another endpoint is another set of sockets, which a container cannot get later.
        home.apple_agent("agent", ["sleep", "1000"], "supervise: false\n")
        home.run("resume", "box", "--detach", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual(len(home.calls("create")), 2)
        self.assertEqual(home.run("exec", "box", "--", "sh", "-c", "cat kept ~/kept link; stat -c %u kept", check=0).stdout, "mine\n" * 3 + "1000\n")
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        self.assert_told_well(home)

    def test_a_snapshot_is_of_one_moment_and_the_bottle_goes_on(self):
        home = self.apple_home()
        home.start()
        writer = "i=0; while :; do i=$((i+1)); for f in ~/a b; do echo $i > $f.new; mv $f.new $f; done; done"
        process = home.popen("exec", "box", "--", "sh", "-c", writer, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def value(name):
            return int(home.run("exec", "box", "--", "sh", "-c", f"cat {name} 2>/dev/null || :", check=0).stdout or 0)

        wait_until("the writer", lambda: value("b") > 0, PATIENCE)
        home.run("commit", "box", check=0, timeout=PATIENCE)
        before = value("b")
        wait_until("the writer to go on", lambda: value("b") > before, PATIENCE)
        home.run("stop", "box", check=0, timeout=PATIENCE)
        home.run("resume", "box", "--detach", "--yes", check=0, timeout=PATIENCE)
        first, second = value("~/a"), value("b")
        self.assertIn(first - second, (0, 1), "home and workspace are of different moments")
        self.assertLess(second, before)
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        self.assertNotIn("/snapshot:", home.tool("image", "list", "-q").stdout)

    def test_a_workspace_that_is_the_home_or_lies_in_it_is_kept_once(self):
        for path in ("/home/agent", "/home/agent/work"):
            home = self.apple_home()
            (home.workspace / "given").write_text("given\n")
            home.start(extra=f"workspace: {{path: {path}}}\n")
            home.run("exec", "box", "--", "sh", "-c", "echo mine > ~/kept; ln -s kept ~/link", check=0)
            home.run("commit", "box", check=0, timeout=PATIENCE)
            for how in ("from the snapshot", "carried over"):
                home.run("stop", "box", check=0, timeout=PATIENCE)
                if how == "carried over":
                    home.apple_agent("agent", ["sleep", "1000"], f"workspace: {{path: {path}}}\nsupervise: false\n")
                home.run("resume", "box", "--detach", "--yes", check=0, timeout=PATIENCE)
                shown = home.run("exec", "box", "--", "sh", "-c", f"cat ~/kept ~/link {path}/given; readlink ~/link", check=0).stdout
                self.assertEqual(shown, "mine\nmine\ngiven\nkept\n", f"{path}, {how}")
            home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)

    def test_a_terminal_is_raw_and_its_size_follows(self):
        home = self.apple_home()
        home.start(argv=["sh"])
        terminal = Terminal(home.argv("attach", "box"), home.top, home.environment, 90, 25, cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.wait_for("$", PATIENCE)
        terminal.type("stty size")
        terminal.key("Enter")
        terminal.wait_for("25 90")
        terminal.resize(70, 22)
        terminal.type("stty size")
        terminal.key("Enter")
        terminal.wait_for("22 70")
        terminal.type("exit 3")
        terminal.key("Enter")
        terminal.wait_for("EXIT=3")
        self.assertTrue(terminal.terminal_was_restored())

    def test_a_stop_without_effect_is_followed_by_kill_and_delete(self):
        home = self.apple_home()
        container = home.start()
        guest = home.state_of(container)["guest"]
        home.set(faults={"stop": "noop"})
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        self.assertEqual(home.names(), [])
        self.assertFalse(pathlib.Path(f"/proc/{guest}").exists())
        self.assertEqual([call[0] for call in home.calls() if call[0] in ("stop", "kill", "delete")][-3:], ["stop", "kill", "delete"])
        self.assertIn("--force", home.calls("delete")[-1])

    def test_what_a_crash_of_the_service_shows_as_stopped_is_ended_by_delete(self):
        home = self.apple_home()
        container = home.start()
        guest = home.state_of(container)["guest"]
        home.set(crashed=True)
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        self.assertEqual(home.names(), [])
        self.assertFalse(pathlib.Path(f"/proc/{guest}").exists(), "issue 2286: it still runs")

    def test_what_a_crash_of_the_service_shows_as_stopped_is_not_called_stopped(self):
        home = self.apple_home()
        container = home.start()
        guest = home.state_of(container)["guest"]
        home.set(crashed=True)
        os.kill(guest, signal.SIGSTOP)  # on a Mac it does not follow the sidecar's end
        stopped = home.run("stop", "box", check=0, timeout=PATIENCE)
        self.assertIn(f"its machine runs as process {guest}", stopped.stderr)
        started = len(home.calls("start"))
        failed = home.run("resume", "box", "--detach", "--yes", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn(f"its machine runs as process {guest}", failed.stderr)
        self.assertEqual(len(home.calls("start")), started, "a second machine on its disk")
        self.assertTrue(pathlib.Path(f"/proc/{guest}").exists(), "its disk is what the agent made")
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        self.assertFalse(pathlib.Path(f"/proc/{guest}").exists())

    def test_a_service_that_goes_away_is_named_and_nothing_is_forgotten(self):
        home = self.apple_home()
        container = home.start()
        home.set(down=True)
        failed = home.run("exec", "box", "--", "true", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("container system start", failed.stderr)
        home.set(down=False, faults={"exec": ["xpc"]})
        failed = home.run("exec", "box", "--", "true", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("XPC connection error", failed.stderr)
        self.assertEqual(home.run("exec", "box", "--", "echo", "again", check=0).stdout, "again\n")
        home.set(down=True)
        self.assertNotEqual(home.run("cleanup", "--all", "--yes", timeout=PATIENCE).returncode, 0)
        self.assertEqual(home.slugs(), ["box"], "it may run: nobody says that it does not")
        home.set(down=False, faults={"delete": "bundle"})
        failed = home.run("stop", "box", "--rm", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn(f"{container}/config.json", failed.stderr, "the path, to remove it by hand")
        self.assertEqual(home.slugs(), ["box"], "what may still be there keeps its state")
        self.assertTrue((home.state("box") / "backend/sockets").exists())
        home.set(faults={})
        home.run("cleanup", "--all", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual((home.names(), home.slugs()), ([], []))

    def test_a_record_that_cannot_be_read_hides_nobody_and_is_not_taken_for_none(self):
        home = self.apple_home()
        container = home.start()
        # Of another backend, whose machine may run.
        other = home.state("other") / "backend/machine.json"
        other.parent.mkdir(parents=True)
        other.write_text("{")
        metadata = json.loads((home.state("box") / "metadata.json").read_text())
        (home.state("other") / "metadata.json").write_text(json.dumps({**metadata, "slug": "other", "backend": "smolvm"}))

        def slugs():
            return [bottle["slug"] for bottle in json.loads(home.run("list", "--json", check=0).stdout)["bottles"]]

        self.assertEqual(slugs(), ["box"])
        failed = home.run("cleanup", "--yes", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn(f"mend or delete {other}", failed.stderr)
        self.assertTrue(other.exists(), failed.stderr)
        self.assertEqual(home.state_of(container)["state"], "running")
        # Its own: the labels say that it runs.
        (home.state("box") / "backend/machine.json").write_text("{")
        self.assertEqual(slugs(), ["box"])
        # And where nothing says so, it is not taken for ended.
        home.set(down=True)
        failed = home.run("cleanup", "--all", "--yes", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("backend apple: enumerate: the record of the machine", failed.stderr)
        self.assertEqual(home.slugs(), ["box", "other"])
        home.set(down=False)
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        self.assertEqual((home.names(), home.own_processes()), ([], {}))

    def test_what_is_not_ours_is_not_touched(self):
        home = self.apple_home()
        home.start()
        foreign = home.names()[0] + "-theirs"
        home.tool("create", "--name", foreign, "--network", "none", "--label", "bot-bottle.managed=yes", "--label",
                  "bot-bottle.state=" + str(home.state("box")), "--entrypoint", "sleep", "debian:12", "1000")
        home.tool("start", foreign)
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        home.run("cleanup", "--all", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual(home.names(), [foreign])
        self.assertEqual(home.state_of(foreign)["state"], "running")
        self.assertEqual([call for call in home.calls() if call[0] in ("stop", "kill", "delete") and foreign in call], [])
        home.tool("delete", "--force", foreign)
        # An image of our name that somebody else made is neither used nor removed.
        built = next(call[call.index("--tag") + 1] for call in home.calls("build") if "/agent:" in call[call.index("--tag") + 1])
        home.tool("image", "tag", "docker.io/library/debian:12", built)
        refused = home.run("start", "agent", "--label", "two", "--detach", "--yes", timeout=PATIENCE)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("is not bot-bottle's", refused.stderr)

    def test_the_end_of_the_operators_process_is_the_end_of_the_machine(self):
        home = self.apple_home()
        home.apple_agent("agent", ["sh", "-c", "echo here; sleep 1000"])
        process = home.popen("run", "agent", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        name = wait_until("the container", lambda: (home.data / "containers").exists() and next(iter(home.names()), None), PATIENCE)
        guest = wait_until("its machine", lambda: home.state_of(name).get("guest"), PATIENCE)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        wait_until("the machine to end", lambda: not pathlib.Path(f"/proc/{guest}").exists(), PATIENCE)
        # By the keeper of the lifeline as well: not every machine can follow its sidecar.
        wait_until("the tool to be told", lambda: home.calls("stop"), PATIENCE)
        wait_until("the container to be stopped", lambda: home.state_of(name)["state"] == "stopped", PATIENCE)

    def stopped_with_other_endpoints(self):
        """A container that cannot be used again, so that what the agent made is carried over from it."""
        home = self.apple_home()
        container = home.start()
        home.run("stop", "box", check=0, timeout=PATIENCE)
        home.apple_agent("agent", ["sleep", "1000"], "supervise: false\n")
        return home, container

    def test_a_container_that_is_carried_over_ends_with_the_operators_process(self):
        home, container = self.stopped_with_other_endpoints()
        home.set(faults={"exec": "hang"})
        stops = len(home.calls("stop"))
        process = home.popen("resume", "box", "--yes", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        wait_until("the old machine", lambda: home.state_of(container)["state"] == "running", PATIENCE)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        wait_until("the tool to be told", lambda: len(home.calls("stop")) > stops, PATIENCE)
        wait_until("the container to be stopped", lambda: home.state_of(container)["state"] == "stopped", PATIENCE)

    def test_what_is_carried_over_is_looked_at_before_it_runs(self):
        home, container = self.stopped_with_other_endpoints()
        starts = len(home.calls("start"))
        path = home.data / "containers" / container / "config.json"
        config = json.loads(path.read_text())
        for change, name, word in (({"networks": [{"network": "default"}]}, container, "has a network"), ({}, "another", "has the labels of the bottle")):
            path.write_text(json.dumps({**config, **change}))
            path = path.parent.rename(path.parent.with_name(name)) / "config.json"
            failed = home.run("resume", "box", "--detach", "--yes", timeout=PATIENCE)
            self.assertNotEqual(failed.returncode, 0)
            self.assertIn(word, failed.stderr)
            self.assertEqual(len(home.calls("start")), starts, "it never ran")
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)

    def test_a_dockerfile_that_does_not_build_or_is_too_long_is_said_so(self):
        home = self.apple_home()
        recipe = home.root / "bottles" / "image"
        recipe.mkdir()
        extra = "agent_provider:\n  template: command\n  command: [\"true\"]\n  dockerfile: %s\n" % (recipe / "Dockerfile")
        for text, word in (("FROM scratch\nRUN exit 1\n", "exit code: 1"), ("FROM scratch\n" + "# long\n" * 3000, "less than 16384")):
            (recipe / "Dockerfile").write_text(text)
            home.bottle("agent", "backend: apple\n" + extra)
            home.agent("agent", 'bottle: "agent"')
            failed = home.run("run", "agent", timeout=PATIENCE)
            self.assertNotEqual(failed.returncode, 0)
            self.assertIn(word, failed.stderr)
        self.assertEqual(len(home.calls("build")), 1, "the long one is refused before the builder hangs on it")
        shutil.rmtree(recipe)


if __name__ == "__main__":
    unittest.main()
