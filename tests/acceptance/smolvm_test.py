"""The smolvm backend: what a person sees, and what the program is told.

On tests/fakes/smolvm, whose guests run in bwrap without a network, so that a bottle here is a real one: bottle-init, the relay, the sidecar.
Where there is /dev/kvm and a real smolvm on PATH, the conformance suite runs on that one as well, and says so.
"""
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import unittest

import check_report
import holds_back
from harness import BUILD, FAKES, AcceptanceTest, Home, Terminal, wait_until

sys.path.insert(0, str(FAKES))
from certificates import make_ca, make_leaf  # noqa: E402
from origin import Origin  # noqa: E402

PATIENCE = 120
OPEN, CLOSED = "api.example.com", "closed.example.com"
SOCKET_WIRE, ADDRESS_WIRE = "1.9.3", ("0.8.0", "1.1.2")


def add(archive, name, data=b"", **values):
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    for key, value in values.items():
        setattr(entry, key, value)
    archive.addfile(entry, io.BytesIO(data))


def make_image(path):
    """An archive as `docker save` makes them; its user is not root and it would run something by itself."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as content:
        for name in ("etc", "etc/ssl", "home", "home/agent"):
            add(content, name, type=tarfile.DIRTYPE, mode=0o755)
        add(content, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000::/home/agent:/bin/sh\n", mode=0o644)
        add(content, "etc/group", b"root:x:0:\nagent:x:1000:\n", mode=0o644)
        add(content, "home/agent/.given", b"of the image\n", mode=0o644)
        for name in ("home/agent/.local", "home/agent/.local/bin"):
            add(content, name, type=tarfile.DIRTYPE, mode=0o755)
        add(content, "home/agent/.local/bin/claude", holds_back.PROGRAM.encode(), mode=0o755)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"User": "agent", "Entrypoint": ["/bin/false"], "Env": ["IMAGE=yes"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]}}).encode()
    with tarfile.open(path, "w") as archive:
        add(archive, "a/layer.tar", layer.getvalue())
        add(archive, "config.json", config)
        add(archive, "manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["agent:1"], "Layers": ["a/layer.tar"]}]).encode())


class SmolvmHome(Home):
    def __init__(self, version=SOCKET_WIRE):
        super().__init__()
        self.bin = self.top / "bin"
        self.bin.mkdir()
        self.program_link = self.bin / "smolvm"
        self.program_link.symlink_to(FAKES / "smolvm")
        self.data = self.bin / "smolvm.state"
        self.data.mkdir()
        self.set(version=version)
        make_image(self.top / "image.tar")
        (self.top / "kvm").touch()
        self.environment.update(PATH=f"{self.bin}:{self.environment['PATH']}", BOT_BOTTLE_SMOLVM_IMAGE=str(self.top / "image.tar"),
                                BB_KVM_DEVICE=str(self.top / "kvm"))

    def set(self, **settings):
        path = self.data / "fake.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**before, **settings}))

    def tool(self, *arguments, input="", check=True):
        return subprocess.run([str(self.program_link), *arguments], capture_output=True, text=True, timeout=60, check=check, input=input,
                              env=self.environment)

    def calls(self, verb=None):
        path = self.data / "calls.jsonl"
        calls = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [call for call in calls if verb is None or call[1:2] == [verb]]

    def machines(self):
        return json.loads(self.tool("machine", "ls", "--json").stdout)

    def states(self):
        return {machine["name"]: machine["state"] for machine in self.machines()}

    def smolvm_agent(self, name, argv, extra=""):
        self.bottle(name, f"backend: smolvm\nagent_provider:\n  template: command\n  command: {json.dumps(argv)}\n{extra}")
        self.agent(name, f'bottle: "{name}"')

    def start(self, name="agent", argv=("sleep", "1000"), extra="", label="box"):
        self.smolvm_agent(name, list(argv), extra)
        self.run("start", name, "--label", label, "--detach", "--yes", check=0, timeout=PATIENCE)
        [machine] = self.machines()
        return machine

    def close(self):
        self.set(faults={}, unreachable=False)
        super().close()


class Tests(AcceptanceTest):
    def setUp(self):
        if os.geteuid() != 0:
            self.assertNotEqual(os.environ.get("CI"), "true", "the fake's guests need root")
            print("SKIPPED: the fake's guests need root", file=sys.stderr)
            self.skipTest("the fake's guests need root")

    def smolvm_home(self, **options):
        home = SmolvmHome(**options)
        self.addCleanup(home.close)
        return home

    def row(self, home, **env):
        report = json.loads(home.run("doctor", "--json", env=env).stdout)
        return next(json.dumps(fact) for fact in report["facts"] if fact["name"] == "smolvm")

    def check_plugin(self, home):
        done = subprocess.run([str(BUILD / "bin/bot-bottle"), "plugin", "check", str(BUILD / "lib/bot-bottle/plugins/backend-smolvm"), "--json"],
                              env=home.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE * 2)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(check_report.faults(json.loads(done.stdout), "smolvm", check_report.OWN_KERNEL), [])

    def conformance_on(self, version):
        home = self.smolvm_home(version=version)
        self.check_plugin(home)
        self.assertEqual((home.machines(), home.own_processes()), ([], {}))
        self.assert_told_well(home)
        wires = {"--mount-socket" in call for call in home.calls("create")}, {"--allow-cidr" in call for call in home.calls("create")}
        self.assertEqual(wires, ({version >= "1.7"}, {version < "1.7"}))

    def test_the_conformance_suite_passes_on_the_socket_wire(self):
        self.conformance_on(SOCKET_WIRE)

    def test_the_conformance_suite_passes_on_the_first_socket_wire_without_labels(self):
        self.conformance_on("1.7.0")

    def test_the_conformance_suite_passes_on_the_address_wire_of_0_8_0(self):
        self.conformance_on("0.8.0")

    def test_the_conformance_suite_passes_on_the_last_address_wire(self):
        self.conformance_on("1.1.2")

    def test_the_conformance_suite_passes_on_a_real_smolvm(self):
        program = shutil.which("smolvm")
        if program is None or not os.access("/dev/kvm", os.R_OK | os.W_OK):
            print("SKIPPED: no real smolvm and /dev/kvm here: the suite runs on the fake alone", file=sys.stderr)
            self.skipTest("no real smolvm and /dev/kvm here")
        home = self.smolvm_home()
        home.environment["PATH"] = f"{pathlib.Path(program).parent}:/usr/local/bin:/usr/bin:/bin"
        for name in ("BOT_BOTTLE_SMOLVM_IMAGE", "BB_KVM_DEVICE"):
            home.environment.pop(name)
        if "BOT_BOTTLE_SMOLVM_IMAGE" in os.environ:  # else docker builds one
            home.environment["BOT_BOTTLE_SMOLVM_IMAGE"] = os.environ["BOT_BOTTLE_SMOLVM_IMAGE"]
        self.check_plugin(home)

    def assert_told_well(self, home):
        """What holds for every call that was made."""
        for call in home.calls("create"):
            self.assertNotIn("--from", call, "up to 1.7.7 it drops the allow-list without a word")
            self.assertNotIn("--net", call)
            self.assertNotIn("--volume", call)
        self.assertEqual([call for call in home.calls("delete") if "-f" not in call], [], "else it asks, and says Cancelled with code 0")
        self.assertEqual([call for call in home.calls("exec") if "-i" not in call or "--" not in call or "-e" in call], [])

    def go_through_the_sidecar(self, version):
        home = self.smolvm_home(version=version)
        top = str(home.top)
        ca = make_ca(top)
        origin = Origin(*make_leaf(top, [OPEN, CLOSED]))
        self.addCleanup(origin.close)
        egress = {"upstream_ca": ca, "hosts": {host: f"127.0.0.1:{origin.port}" for host in (OPEN, CLOSED)},
                  "routes": [{"host": OPEN, "auth": {"scheme": "Bearer", "token_ref": "TEST_TOKEN"}}]}
        (home.workspace / "given").write_text("given\n")
        # A service of this machine that no bottle may see.
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]
        script = (f"cat given ~/.given; id -u; curl -sS 'https://{OPEN}/echo?first'; curl -sS -o /dev/null -w 'closed %{{http_connect}}\\n' https://{CLOSED}/;"
                  f"curl -sS --noproxy '*' -m 5 http://127.0.0.1:{port}/ >/dev/null 2>&1; echo direct $?;"
                  "cat /etc/resolv.conf; echo made > made; echo told >&2; exit 7")
        home.smolvm_agent("agent", ["sh", "-c", script], f"egress: {json.dumps(egress)}\n")
        # What of the operator's environment a tool would use for itself must not get to it (the fake pulls through a proxy as smolvm does).
        stray = {"HTTPS_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1", "TMPDIR": str(home.top / "gone")}
        done = home.run("run", "agent", "--rm", env={"TEST_TOKEN": "tok-that-must-stay-outside", **stray}, timeout=PATIENCE)
        self.assertEqual(done.returncode, 7, done.stdout + done.stderr)
        self.assertTrue(done.stdout.startswith("given\nof the image\n1000\n"), done.stdout)
        self.assertIn("told\n", done.stderr)
        self.assertIn("GET /echo?first", done.stdout)
        self.assertEqual([request.header("authorization") for request in origin.requests], ["Bearer tok-that-must-stay-outside"])
        self.assertNotIn("tok-that-must-stay-outside", done.stdout + done.stderr + (home.data / "calls.jsonl").read_text())
        self.assertIn("closed 403", done.stdout)
        self.assertIn("direct 7\n", done.stdout, "curl's code for a connection that is refused")
        self.assertIn("nameserver 127.0.0.1", done.stdout)
        self.assertFalse((home.workspace / "made").exists(), "the workspace is a copy")
        self.assertEqual((home.machines(), home.slugs(), home.own_processes()), ([], [], {}))
        self.assert_told_well(home)
        return home

    def test_the_agent_reaches_what_is_open_and_nothing_else_on_the_socket_wire(self):
        home = self.go_through_the_sidecar(SOCKET_WIRE)
        [create] = home.calls("create")
        self.assertNotIn("--allow-cidr", create)
        mounted = [create[i + 1].rpartition("/")[2] for i, word in enumerate(create) if word == "--mount-socket"]
        self.assertEqual(mounted, ["egress.sock", "supervise.sock", "life.sock"])

    def test_the_agent_reaches_what_is_open_and_nothing_else_on_the_address_wire(self):
        home = self.go_through_the_sidecar("1.1.2")
        [create] = home.calls("create")
        allowed = create[create.index("--allow-cidr") + 1]
        self.assertRegex(allowed, r"^127\.77\.\d+\.\d+/32$")
        self.assertNotIn("--mount-socket", create)

    def test_what_an_address_without_ports_opens_is_named(self):
        listener = socket.create_server(("0.0.0.0", 0))
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]
        script = ("a=$(tr '\\0' '\\n' </proc/1/cmdline | sed -n 's/.*tcp:\\(127[.0-9]*\\):9099/\\1/p' | head -n 1);"
                  f"curl -sS --noproxy '*' -m 2 http://$a:{port}/ >/dev/null 2>&1; echo $?")
        home = self.smolvm_home(version="0.8.0")
        home.smolvm_agent("agent", ["sh", "-c", script])
        done = home.run("run", "agent", "--rm", timeout=PATIENCE)
        self.assertEqual(done.stdout, "28\n", "it was connected, and nobody answered: a limit of that wire")
        shown = " ".join(home.run("start", "agent", "--dry-run", check=0).stdout.split())
        self.assertRegex(shown, rf"listens on all addresses \(ports [0-9, ]*\b{port}\b")
        home.set(version=SOCKET_WIRE)
        done = home.run("run", "agent", "--rm", timeout=PATIENCE)
        self.assertNotEqual(done.stdout, "28\n")
        self.assertNotIn("all addresses", home.run("start", "agent", "--dry-run", check=0).stdout)

    def test_that_an_address_is_every_local_user_s_is_said(self):
        home = self.smolvm_home(version="1.1.2")
        home.smolvm_agent("agent", ["true"])
        words = "other users of this machine can use this bottle's way out, with its credentials"
        self.assertIn(words, " ".join(home.run("start", "agent", "--dry-run", check=0).stdout.split()))
        home.set(version=SOCKET_WIRE)
        self.assertNotIn("other users", " ".join(home.run("start", "agent", "--dry-run", check=0).stdout.split()))

    def test_a_home_is_never_a_build_context(self):
        home = self.smolvm_home()
        home.environment.pop("BOT_BOTTLE_SMOLVM_IMAGE")
        said = home.top / "docker.said"
        docker = home.bin / "docker"
        # A fake of docker's program: it says what it got, and that it failed.
        docker.write_text(f'#!/bin/sh\nfor a; do f=$b; b=$a; [ "$f" = --file ] && cat "$a" >>{said}; done\n'
                          f'[ "$1" = build ] && find "$b" -mindepth 1 >>{said}\necho fake docker >&2\nexit 1\n')
        docker.chmod(0o755)
        recipe = home.root.parent / "Dockerfile"
        recipe.write_text("FROM scratch\nCOPY . /all\n")
        home.smolvm_agent("agent", ["true"], f"  dockerfile: {recipe}\n")
        refused = home.run("run", "agent", timeout=PATIENCE)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("copies from its directory, which holds", refused.stderr)
        self.assertFalse(said.exists())
        recipe.write_text("FROM scratch\nRUN true\n")
        failed = home.run("run", "agent", timeout=PATIENCE)
        self.assertIn("fake docker", failed.stderr)
        self.assertEqual(said.read_text(), recipe.read_text(), "the text that was read, and an empty directory")

    def test_a_fork_does_not_get_root_s_files_by_a_hard_link(self):
        home = self.smolvm_home()
        machine = home.start()
        # As root, for where this machine's kernel forbids it to the agent (fs.protected_hardlinks); a guest's need not.
        home.tool("machine", "exec", "--name", machine["name"], "-i", "--", "ln", "/etc/passwd", "/home/agent/mine")
        home.run("commit", "box", check=0, timeout=PATIENCE)
        home.run("fork", "box", "-n", "1", check=0, timeout=PATIENCE)
        [fork] = [slug for slug in home.slugs() if slug != "box"]
        self.assertEqual(home.run("exec", fork, "--", "stat", "-c", "%u %h", "/etc/passwd", "/home/agent/mine", check=0).stdout, "0 1\n1000 1\n")
        for slug in (fork, "box"):
            home.run("stop", slug, "--rm", check=0, timeout=PATIENCE)
        self.assertEqual((home.machines(), home.own_processes()), ([], {}))

    def test_a_snapshot_s_image_goes_with_the_launch_and_stays_nowhere(self):
        for version in (SOCKET_WIRE, "0.8.0"):
            home = self.smolvm_home(version=version)
            home.start()
            cache = home.root / "cache/smolvm"
            before = sorted(path.name for path in cache.iterdir())
            marker = f"of-this-snapshot-{os.urandom(8).hex()}"
            home.run("exec", "box", "--", "sh", "-c", f"echo {marker} > ~/kept", check=0)
            home.run("commit", "box", check=0, timeout=PATIENCE)
            home.run("stop", "box", check=0, timeout=PATIENCE)
            home.run("resume", "box", "--detach", "--yes", check=0, timeout=PATIENCE)
            self.assertEqual(home.run("exec", "box", "--", "cat", "/home/agent/kept", check=0).stdout, marker + "\n")
            self.assertEqual(list((home.state("box") / "backend").glob("**/*.tar*")), [], "what is in the machine now lies there once more")
            self.assertEqual(sorted(path.name for path in cache.iterdir()), before)
            home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
            self.assertEqual(sorted(path.name for path in cache.iterdir()), before)
            holders = [path for path in home.root.rglob("*") if path.is_file() and marker.encode() in path.read_bytes()]
            self.assertEqual(holders, [])

    def test_what_a_killed_resume_left_of_a_snapshot_goes_with_the_bottle(self):
        home = self.smolvm_home()
        home.start()
        home.run("commit", "box", check=0, timeout=PATIENCE)
        home.run("stop", "box", check=0, timeout=PATIENCE)
        cached = sorted((home.root / "cache/smolvm").iterdir())

        def kill_a_resume():
            home.run("resume", "box", "--detach", "--yes", env={"BOT_BOTTLE_TEST_KILL_AT": "image"}, check=-signal.SIGKILL, timeout=PATIENCE)
            left = [path for path in home.root.rglob("*.tar*") if path not in cached and "frozen" not in path.parts]
            self.assertEqual([path.relative_to(home.state("box")).parts[0] for path in left], ["backend"], left)

        kill_a_resume()
        (home.state("box") / "backend/snapshot/image.tar.0a1b2c3d").write_text("killed while it was written")
        kill_a_resume()  # one, however often
        home.run("resume", "box", "--detach", "--yes", check=0, timeout=PATIENCE)
        home.run("commit", "box", check=0, timeout=PATIENCE)
        home.run("stop", "box", check=0, timeout=PATIENCE)
        kill_a_resume()
        home.run("cleanup", "--all", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual(sorted(home.root.rglob("*.tar*")), [path for path in cached if path.name != ".lock"])
        self.assertEqual((home.machines(), home.slugs(), home.own_processes()), ([], [], {}))

    def test_a_machine_that_is_gone_is_made_anew_from_its_image(self):
        home = self.smolvm_home()
        machine = home.start()
        home.run("stop", "box", check=0, timeout=PATIENCE)
        home.tool("machine", "delete", "--name", machine["name"], "-f")
        shutil.rmtree(home.root / "cache/smolvm")
        home.run("resume", "box", "--detach", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual(home.states(), {machine["name"]: "running"})
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)

    def refused_freeze(self, home, fault):
        home.set(faults={"tar": [fault]})
        failed = home.run("commit", "box", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        frozen = home.state("box") / "frozen"
        self.assertEqual(list(frozen.iterdir()) if frozen.exists() else [], [], fault)
        return failed.stderr

    def test_a_cut_archive_is_no_snapshot(self):
        home = self.smolvm_home()
        home.start()
        self.assertIn("cut short", self.refused_freeze(home, "cut"))
        self.assertIn("connection to VM lost", self.refused_freeze(home, "lost"), "behind 5 MiB of warnings")
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)

    def test_a_file_s_name_does_not_forbid_a_freeze(self):
        home = self.smolvm_home()
        home.start()
        home.run("exec", "box", "--", "sh", "-c", "echo mine > 'Error: x'", check=0)
        home.set(faults={"tar": ["grew: ./workspace/Error: x"]})
        home.run("commit", "box", check=0, timeout=PATIENCE)
        home.run("stop", "box", check=0, timeout=PATIENCE)
        home.run("resume", "box", "--detach", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual(home.run("exec", "box", "--", "cat", "Error: x", check=0).stdout, "mine\n")
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)

    def test_an_allow_list_that_did_not_stick_ends_the_launch(self):
        home = self.smolvm_home(version="0.8.0")
        home.smolvm_agent("agent", ["true"])
        home.set(faults={"create": "drop-allow-list"})
        refused = home.run("run", "agent", timeout=PATIENCE)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("dropped the allow-list", refused.stderr)
        self.assertEqual(home.calls("start"), [], "it never ran")
        self.assertEqual((home.machines(), home.own_processes()), ([], {}))
        for fault, word in (("widen-allow-list", "1.1.1.1/32"), ("add-host", "another allow-list")):
            home.set(faults={"create": fault})
            refused = home.run("run", "agent", timeout=PATIENCE)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(word, refused.stderr)
            self.assertEqual(home.calls("start"), [], "it never ran")
            self.assertEqual((home.machines(), home.own_processes()), ([], {}))
        # Stored, and not held: only a look from inside tells.
        home.set(faults={"tsi": "ignore-allow-list"})
        refused = home.run("run", "agent", timeout=PATIENCE)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("does not hold", refused.stderr)
        self.assertEqual((home.machines(), home.own_processes()), ([], {}))

    def test_a_machine_with_a_network_of_its_own_never_gets_an_agent(self):
        for version in (SOCKET_WIRE, "0.8.0"):
            home = self.smolvm_home(version=version)
            home.smolvm_agent("agent", ["touch", "/workspace/ran"])
            home.set(faults={"network": "leak"})
            refused = home.run("run", "agent", timeout=PATIENCE)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("an interface besides lo", refused.stderr)
            self.assertEqual((home.machines(), home.own_processes()), ([], {}))

    def test_a_program_that_hangs_is_given_up_in_time(self):
        home = self.smolvm_home()
        home.smolvm_agent("agent", ["true"])
        for verb in ("create", "start", "ls"):
            home.set(faults={verb: ["hang"]})
            failed = home.run("run", "agent", env={"BB_TOOL_DEADLINES": f"{verb}=700"}, timeout=PATIENCE)
            self.assertNotEqual(failed.returncode, 0, verb)
            self.assertIn(f"smolvm machine {verb} did not end", failed.stderr)
            self.assertEqual((home.machines(), home.slugs(), home.own_processes()), ([], [], {}), verb)
        home.set(faults={"exec": ["hang"]})
        failed = home.run("run", "agent", env={"BB_TOOL_DEADLINES": "exec=700"}, timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("smolvm machine exec did not end", failed.stderr)
        self.assertEqual((home.machines(), home.own_processes()), ([], {}))
        home.start()
        home.set(faults={"stop": ["hang"]})
        failed = home.run("stop", "box", env={"BB_TOOL_DEADLINES": "stop=700"}, timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("smolvm machine stop did not end", failed.stderr)
        self.assertEqual(home.slugs(), ["box"], "it may run: nobody says that it does not")
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        self.assertEqual((home.machines(), home.own_processes()), ([], {}))

    def test_a_process_that_an_old_version_leaves_is_ended(self):
        home = self.smolvm_home(version="1.1.2")
        home.smolvm_agent("agent", ["true"])
        home.set(faults={"start": ["fail"]})
        failed = home.run("run", "agent", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("did not become ready", failed.stderr)
        self.assertEqual((home.machines(), home.own_processes()), ([], {}), "issue 582: no record names it")
        machine = home.start()
        home.set(faults={"stop": ["linger"]})
        home.run("stop", "box", check=0, timeout=PATIENCE)
        self.assertEqual(home.states(), {machine["name"]: "stopped"})
        # Issue 787: it would hold its disk. (Init reaps it when it comes to it.)
        wait_until("its process to be gone", lambda: not pathlib.Path(f"/proc/{machine['pid']}").exists(), 15)
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        self.assertEqual((home.machines(), home.own_processes()), ([], {}))

    def test_a_machine_that_does_not_answer_is_stopped_and_comes_back(self):
        home = self.smolvm_home()
        machine = home.start()
        home.run("exec", "box", "--", "sh", "-c", "echo mine > kept", check=0)
        home.set(unreachable=True)
        failed = home.run("exec", "box", "--", "true", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("is not running", failed.stderr)
        home.run("stop", "box", check=0, timeout=PATIENCE)
        home.set(unreachable=False)
        self.assertEqual(home.states(), {machine["name"]: "stopped"})
        home.run("resume", "box", "--detach", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual(home.run("exec", "box", "--", "cat", "kept", check=0).stdout, "mine\n")
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)

    def test_an_agent_that_holds_its_transcript_back_outlives_neither_stop_nor_its_time(self):
        home = self.smolvm_home()
        holds_back.check(self, home, "backend: smolvm\nagent_provider: {template: claude}\n")
        self.assertEqual(home.machines(), [])

    def test_doctor_says_why_it_cannot_be_used(self):
        home = self.smolvm_home()
        home.set(faults={"version": ["hang"]})
        self.assertIn("did not end", self.row(home, BB_TOOL_DEADLINES="--version=700"))
        self.assertIn("smolvm 1.9.3", self.row(home))
        for version in ("0.7.9", "1.1.3", "1.6.13", "2.0.0"):
            home.set(version=version)
            row = self.row(home)
            self.assertIn(f"smolvm {version}", row)
            self.assertIn("1.7", row)
        home.set(version=SOCKET_WIRE, version_line="something 7")
        self.assertIn("something 7", self.row(home))
        home.set(version_line="smolvm 1.9.3")
        self.assertIn("hardware virtualization", self.row(home, BB_KVM_DEVICE=str(home.top / "none")))
        (home.top / "kvm").unlink()
        (home.top / "kvm").mkdir()  # root may open any file; writing a directory may nobody
        home.program_link.unlink()
        self.assertIn("no program smolvm", self.row(home))
        home.smolvm_agent("agent", ["true"])
        refused = home.run("run", "agent")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("no program smolvm", refused.stderr)
        self.assertEqual(home.calls("create"), [])
        self.assertEqual(json.loads(home.run("list", "--json", check=0).stdout)["bottles"], [], "a program that is not there is no fault of list")

    def test_what_cannot_be_enforced_is_refused_by_name(self):
        home = self.smolvm_home()
        for extra, word in (("resources: {cpus: 1.5}\n", "whole processors"), ("resources: {memory: 100MiB}\n", "512MiB"),
                            ("resources: {disk: 10MiB}\n", "1GiB"), ("workspace: {mode: mount}\n", "copy")):
            home.smolvm_agent("agent", ["true"], extra)
            refused = home.run("run", "agent")
            self.assertNotEqual(refused.returncode, 0, extra)
            self.assertIn(word, refused.stderr)
        self.assertEqual(home.calls("create"), [])

    def test_stop_and_resume_keep_what_the_agent_made(self):
        for version in (SOCKET_WIRE, "0.8.0"):
            home = self.smolvm_home(version=version)
            machine = home.start()
            home.run("exec", "box", "--", "sh", "-c", "echo mine > kept; echo mine > ~/kept", check=0)
            self.assertEqual(home.run("exec", "box", "--", "wc", "-c", input="x" * 300000, check=0).stdout.strip(), "300000")
            home.run("stop", "box", check=0, timeout=PATIENCE)
            self.assertEqual(home.states(), {machine["name"]: "stopped"})
            home.run("resume", "box", "--detach", "--yes", check=0, timeout=PATIENCE)
            self.assertEqual(home.run("exec", "box", "--", "sh", "-c", "cat kept ~/kept; stat -c %u kept", check=0).stdout, "mine\nmine\n1000\n")
            self.assertEqual(len(home.calls("create")), 1, "its disk is its memory")
            home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
            self.assertEqual((home.machines(), home.own_processes()), ([], {}))
            self.assert_told_well(home)

    def test_a_link_on_the_wire_is_not_followed(self):
        home = self.smolvm_home()
        home.start()
        [create] = home.calls("create")
        mounted = [create[i + 1].rpartition(":")[0] for i, word in enumerate(create) if word == "--mount-socket"]
        for path in mounted:
            self.assertEqual(pathlib.Path(path).parent, home.state("box") / "backend/sockets")
        self.assertEqual(os.stat(home.state("box") / "backend/sockets").st_mode & 0o777, 0o700)
        # What a compromised sidecar would do to the wire's own directory changes nothing of what is mounted.
        wire = home.state("box") / "wire/egress.sock"
        wire.unlink()
        wire.symlink_to("/run/other.sock")
        self.assertEqual([pathlib.Path(path).is_symlink() for path in mounted], [False] * len(mounted))

    def test_a_terminal_is_raw_and_its_size_follows(self):
        home = self.smolvm_home()
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

    def test_the_end_of_the_operators_process_is_the_end_of_the_machine(self):
        home = self.smolvm_home()
        home.smolvm_agent("agent", ["sh", "-c", "echo here; sleep 1000"])
        process = home.popen("run", "agent", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
        self.addCleanup(process.stdout.close)
        self.assertEqual(process.stdout.readline(), "here\n")
        [machine] = home.machines()
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        wait_until("the machine to be stopped", lambda: home.states() == {machine["name"]: "stopped"}, PATIENCE)
        wait_until("everything to end", lambda: not home.own_processes(), PATIENCE)

    def test_a_program_that_fails_is_named_and_nothing_is_forgotten(self):
        home = self.smolvm_home()
        home.smolvm_agent("agent", ["true"])
        for faults, word in (({"start": "kvm"}, "kvm not available"), ({"create": "busy"}, "database is locked"),
                             ({"start": "fail"}, "did not become ready")):
            home.set(faults=faults)
            failed = home.run("run", "agent", timeout=PATIENCE)
            self.assertNotEqual(failed.returncode, 0)
            self.assertIn(word, failed.stderr)
            self.assertEqual((home.machines(), home.own_processes()), ([], {}), faults)
        home.set(faults={})
        machine = home.start()
        home.set(faults={"exec": ["lost"]})
        failed = home.run("exec", "box", "--", "true", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("connection to VM lost", failed.stderr)
        self.assertEqual(home.run("exec", "box", "--", "sh", "-c", "echo 'Error: mine' >&2; exit 1").returncode, 1, "the guest's own 1")
        home.set(faults={"stop": "noop"})
        failed = home.run("stop", "box", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("still is running", failed.stderr)
        home.set(faults={"delete": "fail"})
        failed = home.run("stop", "box", "--rm", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("is busy", failed.stderr)
        self.assertIn("box", home.slugs(), "what may still be there keeps its state")
        home.set(faults={})
        cleaned = home.run("cleanup", "--all", "--yes", check=0, timeout=PATIENCE)
        self.assertNotIn("(local)", cleaned.stdout, "its directory is the record by which the machine is found")
        self.assertEqual((home.machines(), home.slugs(), home.own_processes()), ([], [], {}), machine)

    def test_a_program_that_is_gone_does_not_make_bottles_look_ended(self):
        home = self.smolvm_home()
        machine = home.start()
        home.program_link.rename(home.bin / "elsewhere")
        self.assertIn("no program smolvm", home.run("list", check=None).stderr)
        failed = home.run("cleanup", "--all", "--yes", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("no program smolvm", failed.stderr)
        self.assertEqual(home.slugs(), ["box"], "it may run: nobody says that it does not")
        (home.bin / "elsewhere").rename(home.program_link)
        self.assertEqual(home.states(), {machine["name"]: "running"})
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        self.assertEqual((home.machines(), home.own_processes()), ([], {}))

    def test_what_is_not_ours_is_not_touched(self):
        home = self.smolvm_home()
        machine = home.start()
        foreign = machine["name"] + "9"
        # Our labels on a name that is not ours by them, and a name of our form without anything.
        for name in (foreign, "bot-bottle-other-01234567"):
            home.tool("machine", "create", "--name", name, "--image", str(home.top / "image.tar"), "--label",
                      f"bot-bottle.state={home.root}/state/gone", "--", "sleep", "1000")
            home.tool("machine", "start", "--name", name)
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        home.run("cleanup", "--all", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual(home.states(), {foreign: "running", "bot-bottle-other-01234567": "running"})
        for name in home.states():
            self.assertEqual([call for call in home.calls() if call[1:2] in (["stop"], ["delete"]) and name in call], [])
            home.tool("machine", "delete", "--name", name, "-f")

    def test_a_machine_of_our_very_name_that_is_not_ours_is_neither_used_nor_removed(self):
        home = self.smolvm_home()
        state = str(home.root / "state/box")
        name = "bot-bottle-box-" + hashlib.sha256(state.encode()).hexdigest()[:8]
        home.tool("machine", "create", "--name", name, "--image", str(home.top / "image.tar"), "--", "sleep", "1000")
        home.tool("machine", "start", "--name", name)
        home.smolvm_agent("agent", ["true"])
        refused = home.run("start", "agent", "--label", "box", "--detach", "--yes", timeout=PATIENCE)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(f"{name} is not bot-bottle's", refused.stderr)
        home.run("cleanup", "--all", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual((home.states(), home.slugs()), ({name: "running"}, []))
        home.tool("machine", "delete", "--name", name, "-f")

    def test_a_record_that_cannot_be_read_is_not_taken_for_none(self):
        home = self.smolvm_home()
        machine = home.start()
        record = home.state("box") / "backend/machine.json"
        record.write_text("{")
        listed = home.run("list", "--json", check=0).stdout
        self.assertEqual([bottle["slug"] for bottle in json.loads(listed)["bottles"]], ["box"], listed)
        failed = home.run("stop", "box", "--rm", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn(machine["name"], failed.stderr)
        self.assertIn(f"mend or delete {record}", failed.stderr)
        self.assertEqual((home.slugs(), home.states()), (["box"], {machine["name"]: "running"}))
        failed = home.run("cleanup", "--all", "--yes", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn(machine["name"], failed.stderr)
        self.assertEqual((home.slugs(), home.states()), (["box"], {machine["name"]: "running"}))
        # As the hint says: with no record it is looked for by its name, and its label says whose it is.
        record.unlink()
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        self.assertEqual((home.machines(), home.slugs(), home.own_processes()), ([], [], {}))

    def test_a_machine_that_lost_its_label_is_neither_forgotten_nor_removed(self):
        home = self.smolvm_home()
        machine = home.start()
        home.set(forget_labels=True)
        failed = home.run("stop", "box", "--rm", timeout=PATIENCE)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("has lost its label", failed.stderr)
        self.assertIn(machine["name"], failed.stderr)
        self.assertEqual((home.slugs(), home.states()), (["box"], {machine["name"]: "running"}))
        home.set(forget_labels=False)
        home.run("stop", "box", "--rm", check=0, timeout=PATIENCE)
        self.assertEqual((home.machines(), home.own_processes()), ([], {}))

    def test_a_machine_whose_state_is_gone_is_found_by_its_label(self):
        home = self.smolvm_home()
        home.start()
        home.run("stop", "box", check=0, timeout=PATIENCE)
        shutil.rmtree(home.state("box"))
        home.run("cleanup", "--yes", check=0, timeout=PATIENCE)
        self.assertEqual(home.machines(), [])


if __name__ == "__main__":
    unittest.main()
