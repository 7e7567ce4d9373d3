"""Plugins by strangers: what `plugin new` writes builds from the installed SDK alone and passes, the documented provider and backend
have the promised sizes and work for real, and a whole stranger's path."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import check_report
from harness import BUILD, SOURCE, AcceptanceTest, wait_until
from plugin_kit import EXAMPLES, Kit

sys.path.insert(0, str(SOURCE / "tests" / "fakes"))
from certificates import make_ca, make_leaf  # noqa: E402
from origin import Origin  # noqa: E402

ORDINARY_USER = 65533
ONE_SYMBOL = SOURCE / "tests" / "gates" / "one_symbol.sh"
KEY = "AIza-key-of-the-operator-0123456789"


def must_work():
    return os.environ.get("CI") == "true" or os.environ.get("BB_MUST_WORK") == "1"


class Tests(AcceptanceTest):
    def new(self, kind, language, user=None):
        home = self.home(user)
        kit = Kit(self, home)
        name = f"my-{kind}"
        said = home.run("plugin", "new", name, "--kind", kind, "--lang", language, check=0)
        self.assertIn("next: ", said.stderr)
        source = home.workspace / name
        self.assertEqual(sorted(said.stdout.split()), sorted(str(path.relative_to(home.workspace)) for path in source.rglob("*") if path.is_file()))
        return kit, source, name

    def new_with_cmake(self, kind, language):
        kit, source, name = self.new(kind, language)
        directory = kit.build(source)
        subprocess.run(["sh", ONE_SYMBOL, directory / f"{name}.so"], check=True)
        # The one in C++ is whole, though not for root; that in C says that it cannot run yet.
        self.conforms(kit.home, directory, name, kind == "provider" or language == "cpp" and os.geteuid() != 0)

    def conforms(self, home, directory, name, whole):
        """A provider, or a backend that works; one that says that it is not available has everything but a bottle's life asked."""
        lines = self.check(home, directory, 0)
        if whole:
            self.assertEqual(check_report.faults({"checks": lines}, name if "backend" in name else None), [])
        else:
            self.assertEqual([line["check"] for line in lines if line["outcome"] != "passed"], [f"backend:{name}: the life of a bottle"])

    def new_with_cargo(self, kind):
        if shutil.which("cargo") is None:
            self.assertFalse(must_work(), "cargo is not installed: ./run packages does that")
            print("SKIPPED: cargo is not installed")
            return
        kit, source, name = self.new(kind, "rust")
        kit.run("cargo", "test", "--offline", "--quiet", "--manifest-path", source / "Cargo.toml")
        directory = source / "plugins" / name
        subprocess.run(["sh", ONE_SYMBOL, directory / f"{name}.so"], check=True)
        self.conforms(kit.home, directory, name, kind == "provider")

    def test_new_provider_in_cpp(self):
        self.new_with_cmake("provider", "cpp")

    def test_new_backend_in_cpp(self):
        self.new_with_cmake("backend", "cpp")

    def test_new_provider_in_c(self):
        self.new_with_cmake("provider", "c")

    def test_new_backend_in_c(self):
        self.new_with_cmake("backend", "c")

    def test_new_provider_in_rust(self):
        self.new_with_cargo("provider")

    def test_new_backend_in_rust(self):
        self.new_with_cargo("backend")

    def test_new_takes_names_and_places_that_are_odd(self):
        home = self.home()
        kit = Kit(self, home)
        # The template's own word in the name; a directory that a shell would take apart. The command that is told works as it is.
        said = home.run("plugin", "new", "toy-box", "--kind", "backend", "--dir", "my plugins here", check=0)
        self.assertNotIn("toy-box-box", (home.workspace / "my plugins here" / "plugin.cpp").read_text())
        command = next(line for line in said.stderr.splitlines() if line.startswith("next: ")).removeprefix("next: ").replace("=SDK", f"={kit.prefix}")
        kit.run("sh", "-c", command)
        self.assertTrue((home.workspace / "my plugins here" / "build" / "plugins" / "toy-box" / "toy-box.so").exists())

    def subject(self, home, name, kind="provider", library=None):
        """A plugin of tests/abi/bad as a directory."""
        directory = home.workspace / name
        directory.mkdir(mode=0o755)
        shutil.copy(BUILD / "tests" / "abi" / f"{library or name}.so", directory / "it.so")
        (directory / "plugin.toml").write_text(f'name = "subject"\nversion = "1.0.0"\nabi = "1.0"\nprovides = ["{kind}:subject"]\n'
                                               'description = "under test"\nlibrary = "it.so"\n')
        return directory

    def check(self, home, plugin, code):
        result = home.run("plugin", "check", plugin, "--json", timeout=110)
        document = json.loads(result.stdout)
        self.assertEqual(result.returncode, code, [line for line in document["checks"] if line["outcome"] == "failed"])
        return document["checks"]

    def test_check_passes_every_built_in(self):
        """As an ordinary user and as root. A backend whose program is absent says so, and passes what can be asked."""
        directories = sorted(path.parent.name for path in (SOURCE / "plugins").glob("*/plugin.toml"))
        self.assertGreaterEqual(len(directories), 10)
        for user in (ORDINARY_USER, None):
            home = self.home(user)
            for name in directories:
                lines = self.check(home, name, 0)
                said = {line["check"]: line["detail"] for line in lines}
                self.assertTrue(said, name)
                kind, _, what = name.replace("deploykey", "deploy-key").rpartition("-")
                life = said.get(f"backend:{what}: the life of a bottle")
                if kind == "backend" and life is None:
                    self.assertIn(f"backend:{what}: the self-test passes", said)
                elif kind == "backend":
                    self.assertRegex(life, "^it is not available here: .")
                    self.assertEqual([line["check"] for line in lines if line["outcome"] == "not_run"], [f"backend:{what}: the life of a bottle"])
                elif kind == "provider":
                    self.assertIn(f"provider:{what}: plan (interactive) holds no secret", said)
                else:
                    self.assertIn(f"deploy-key:{what}: an address that names no repository is a failure", said)
                if name == "backend-local":
                    self.assertEqual(check_report.faults({"checks": lines}, what), [], "this one works everywhere here")
                elif kind != "backend":
                    self.assertEqual(check_report.faults({"checks": lines}), [])

    def test_an_attacker_that_never_ran_has_proved_nothing(self):
        """One that is not there, one that runs nowhere, and one that runs on this machine and not in the bottle: each driver of the suite
        has to see it, and no output may call it passed."""
        program = f"#!/bin/sh\n[ ! -e /run/bottle ] || exit 127\nexec {self.ATTACKER} \"$@\"\n"
        for text, why in ((None, "is not installed"), ("#!/bin/sh\nexit 127\n", "does not run on this machine"), (program, "in this bottle (code 127)")):
            with self.subTest(why):
                prefix = self.prefix_with_attacker(text)
                done = self.conformance(prefix)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertRegex(done.stdout, f"(?m)^not_run +backend:local: {check_report.ATTACKS}  bottle-attack .*{re.escape(why)}")
                self.assertIn(f"FAULT backend:local: {check_report.ATTACKS}: not_run", done.stdout)
                self.assertNotRegex(done.stdout, "(?m)^failed ")
        said = subprocess.run([prefix / "bin" / "bot-bottle", "plugin", "check", "backend-local"], capture_output=True, text=True,
                              env=self.home().environment, stdin=subprocess.DEVNULL, timeout=110)
        self.assertEqual(said.returncode, 0, said.stdout)
        self.assertRegex(said.stderr, r"\b\d+ checks, 0 failed, 1 not run\b")
        self.assertRegex(said.stdout, f"(?m)^backend:local: {check_report.ATTACKS} +not run +bottle-attack ")

    def test_what_an_attacker_has_to_try_is_not_asked_of_its_copy_in_the_bottle(self):
        """One that lists nothing there, and reports one attempt."""
        report = '{"id": "5.1.1", "verdict": "blocked"}'
        done = self.conformance(self.prefix_with_attacker(
            f"#!/bin/sh\nif [ -e /run/bottle ]; then case $* in *--list*) ;; *) echo '{report}' ;; esac; exit 0; fi\nexec {self.ATTACKER} \"$@\"\n"))
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout, f"(?m)^failed +backend:local: {check_report.ATTACKS}  [0-9]+ attempts were not reported")

    ATTACKER = BUILD / "libexec" / "bot-bottle" / "bottle-attack"

    def prefix_with_attacker(self, text):
        """The built tree with another program in the attacker's place, or none."""
        prefix = pathlib.Path(tempfile.mkdtemp(prefix="bb-prefix-"))
        self.addCleanup(shutil.rmtree, prefix)
        for name in ("bin", "libexec", "lib/bot-bottle", "share"):
            shutil.copytree(BUILD / name, prefix / name)
        replaced = prefix / self.ATTACKER.relative_to(BUILD)
        replaced.unlink()
        if text is not None:
            replaced.write_text(text)
            replaced.chmod(0o755)
        return prefix

    def conformance(self, prefix):
        return subprocess.run([sys.executable, SOURCE / "tests" / "docker" / "conformance.py", "local"], capture_output=True, text=True,
                              env={**os.environ, "BB_BUILD_DIR": str(prefix)}, stdin=subprocess.DEVNULL, timeout=110)

    def test_check_outlives_a_plugin_that_dies_hangs_leaves_or_prints(self):
        home = self.home()
        for name, rule, words in (("crashes", "plan (interactive) fits its schema", "died of SIGSEGV"),
                                  ("aborts", "describe fits its schema", "died of SIGABRT"),
                                  ("exits", "describe fits its schema", "ended with status 0"),
                                  ("closes_all", "describe fits its schema", "closed descriptors"),
                                  ("lingers", "describe fits its schema", "died of SIGABRT"),
                                  ("hangs", "describe fits its schema", "did not return within 10 s")):
            failed = [line for line in self.check(home, self.subject(home, name), 1) if not line["passed"]]
            self.assertEqual(len(failed), 1, failed)
            self.assertIn(rule, failed[0]["check"])
            self.assertIn(words, failed[0]["detail"])
        self.check(home, self.subject(home, "prints"), 0)  # and the answer is JSON still
        wait_until("nothing to be left of them", lambda: not home.own_processes(), 10)

    def test_ctrl_c_ends_a_check_that_hangs_with_its_child(self):
        home = self.home()
        running = home.popen("plugin", "check", self.subject(home, "hangs"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True)
        wait_until("the child to hang", lambda: len(home.own_processes()) >= 2)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=8)
        self.assertNotEqual(running.returncode, 0, said)
        wait_until("nothing to be left", lambda: not home.own_processes(), 10)

    def test_a_strangers_directory_holds_nothing_up_and_writes_nothing_to_the_terminal(self):
        home = self.home()
        contrib = home.root / "contrib"
        contrib.mkdir(mode=0o755)
        names = {}
        for kind in ("pipe", "zero", "library-pipe", "library-directory", "writable", "escapes", "up"):
            path = self.subject(home, kind, library="good")
            names[kind] = contrib / (kind if kind != "escapes" else "bad\x1b[2Jname")
            path.rename(names[kind])
        (names["pipe"] / "plugin.toml").unlink()
        os.mkfifo(names["pipe"] / "plugin.toml")
        (names["zero"] / "plugin.toml").unlink()
        (names["zero"] / "plugin.toml").symlink_to("/dev/zero")
        (names["library-pipe"] / "it.so").unlink()
        os.mkfifo(names["library-pipe"] / "it.so")
        (names["library-directory"] / "it.so").unlink()
        (names["library-directory"] / "it.so").mkdir()
        names["writable"].chmod(0o777)
        with (names["escapes"] / "plugin.toml").open("a") as file:
            file.write('"a\\u001b[2Jb" = 1\n')
        (names["up"] / "plugin.toml").write_text((names["up"] / "plugin.toml").read_text().replace('"subject"', '"../../x"'))
        for command in (["plugin", "list"], ["list", "providers"], ["doctor"], *(["plugin", "check", str(path)] for path in names.values()),
                        *(["plugin", "trust", str(path)] for path in names.values())):
            result = home.run(*command, timeout=30)
            self.assertNotIn("\x1b", result.stdout + result.stderr)
            if command[0] == "plugin" and command[1] != "list":
                self.assertNotEqual(result.returncode, 0, command)
        listed = json.loads(home.run("plugin", "list", "--json", check=0).stdout)["plugins"]
        states = [plugin["state"] for plugin in listed if plugin["location"] == "contrib"]
        self.assertEqual(len(states), len(names))
        self.assertLessEqual(set(states), {"refused", "shadowed"})  # two call themselves "subject"
        self.assertFalse((home.root / "trust.toml").exists())

    def test_trust_tells_when_a_plugin_comes_before_a_built_in(self):
        home = self.home()
        (home.root / "contrib").mkdir(mode=0o755)
        path = self.subject(home, "good")
        (path / "plugin.toml").write_text((path / "plugin.toml").read_text().replace("provider:subject", "provider:claude"))
        path.rename(home.root / "contrib" / "subject")
        said = home.run("plugin", "trust", "subject", check=0).stderr
        self.assertIn("offers provider:claude and comes before provider-claude", said)

    def test_new_refuses_what_it_would_spoil(self):
        home = self.home()
        (home.workspace / "mine").mkdir()
        for arguments, code, words in ((("mine", "--kind", "provider"), 1, "is there already"),
                                       (("no_such", "--kind", "provider"), 2, "a-z, 0-9 and -"),
                                       (("../up", "--kind", "provider"), 2, "a-z, 0-9 and -"),
                                       (("crate", "--kind", "provider", "--lang", "rust"), 2, "word of the build tools"),
                                       (("local", "--kind", "backend"), 1, "backend-local"),
                                       (("other", "--kind", "backend", "--dir", "not/there"), 1, "cannot make"),
                                       (("other", "--kind", "freezer"), 2, "--kind"),
                                       (("mut", "--kind", "provider", "--lang", "rust"), 2, "word of the build tools"),
                                       (("", "--kind", "provider"), 2, "a-z, 0-9 and -"),
                                       (("x" * 41, "--kind", "provider"), 2, "at most 40"),
                                       (("other", "--kind", "provider", "--lang", "go"), 2, "--lang"),
                                       (("other",), 2, "--kind")):
            result = home.run("plugin", "new", *arguments)
            self.assertEqual(result.returncode, code, (arguments, result.stderr))
            self.assertIn(words, result.stderr)
            self.assertIn("next: ", result.stderr)
        self.assertEqual([path.name for path in home.workspace.iterdir()], ["mine"], "nothing was written")

    def test_the_documented_plugins_have_the_promised_sizes(self):
        for name, most in (("provider-gemini", 60), ("backend-toy", 200)):
            lines = sum(len(path.read_text().splitlines()) for path in (EXAMPLES / name).iterdir() if path.suffix in (".cpp", ".hpp", ".c", ".h", ".sh"))
            self.assertLessEqual(lines, most, name)

    def test_the_toy_shows_nothing_writable_below_what_it_shows_read_only(self):
        script = re.search(r'R"sh\((.*?)\)sh"', (EXAMPLES / "backend-toy" / "plugin.cpp").read_text(), re.S)[1]
        root, source = (pathlib.Path(tempfile.mkdtemp(prefix="bb-toy-", dir="/tmp")) for _ in range(2))
        for path in (root, source):
            self.addCleanup(shutil.rmtree, path, ignore_errors=True)
            path.chmod(0o777)
        begin, _ = script.split("mount --rbind /proc proc")
        enter = f"""{begin}
for place in shown shown/below 'shown/with a \\ in it'; do
  if touch "./$place/made" 2>/dev/null; then echo "$place is writable"; else echo "$place is not"; fi
done
touch ./written/below/made && echo "what may be written is"
"""
        # The outer one stands for a host with something mounted there; the inner one is the toy's, where such mounts are locked.
        outer = """mkdir "$1/below" "$1/with a \\ in it"
for place in "$1/below" "$1/with a \\ in it"; do mount -t tmpfs -o mode=777 below "$place"; done
exec unshare --user --map-root-user --mount sh -c "$3" sh "$2" 0 "" ro "$1" /shown rw "$1" /written --"""
        done = subprocess.run(["setpriv", f"--reuid={ORDINARY_USER}", f"--regid={ORDINARY_USER}", "--clear-groups"] * (os.geteuid() == 0) +
                              ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", outer, "sh", source, root, enter],
                              capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        self.assertEqual(done.stdout.splitlines(), ["shown is not", "shown/below is not", "shown/with a \\ in it is not", "what may be written is"],
                         done.stderr)

    def test_a_gemini_like_provider_works_with_a_key_that_it_never_saw(self):
        home = self.home()
        kit = Kit(self, home)
        directory = kit.example("provider-gemini")
        checked = home.run("plugin", "check", directory)
        self.assertEqual(checked.returncode, 0, checked.stdout)
        kit.install(directory)
        home.run("plugin", "trust", "provider-gemini", check=0)
        ca = make_ca(home.top)
        api = Origin(*make_leaf(home.top, ["generativelanguage.googleapis.com"]))
        program = home.top / "bin" / "gemini"
        program.parent.mkdir()
        program.write_text("""#!/bin/sh
# Stands for Gemini CLI: the prompt on standard input, the key from its variable, one request, the answer.
[ "$1" = --yolo ] || exit 64
cat ~/.gemini/GEMINI.md >&2
exec curl -sS -H "x-goog-api-key: $GEMINI_API_KEY" --data-binary @- https://generativelanguage.googleapis.com/echo
""")
        program.chmod(0o755)
        home.environment["PATH"] = f"{program.parent}:{home.environment['PATH']}"
        home.environment["GEMINI_KEY"] = KEY
        home.bottle("dev", f"""
backend: local
agent_provider: {{template: gemini, auth_token: GEMINI_KEY}}
egress:
  upstream_ca: {ca}
  hosts: {{generativelanguage.googleapis.com: "127.0.0.1:{api.port}"}}
""")
        home.agent("coder", "bottle: dev", "You are careful.\n")
        result = home.run("run", "coder", "-p", "say hello", check=0)
        self.assertIn("say hello", result.stdout)
        self.assertIn("You are careful.", result.stderr)
        self.assertEqual([request.header("x-goog-api-key") for request in api.requests], [KEY], "the sidecar put it on")
        self.assertEqual(api.requests[0].body, b"say hello")
        self.assertNotIn(KEY, result.stdout, "and what the server reflected was scrubbed")

    def test_a_strangers_path_from_plugin_new_to_a_bottle_of_its_backend(self):
        kit, source, name = self.new("backend", "cpp", ORDINARY_USER)
        home = kit.home
        directory = kit.build(source)
        self.assertEqual(check_report.faults({"checks": self.check(home, directory, 0)}, name), [], "the whole life of a bottle, and the attacker in it")
        kit.install(directory)
        home.command_agent("worker", ["sh", "-c", "id -u; cat given; echo made > made; cat"])
        (home.workspace / "given").write_text("given\n")
        refused = home.run("run", "worker", f"--backend={name}", "-p", "x")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn(f"bot-bottle plugin trust {name}", refused.stderr)
        home.run("plugin", "trust", name, check=0)
        result = home.run("run", "worker", f"--backend={name}", "-p", "the prompt", check=0)
        self.assertEqual(result.stdout, "1000\ngiven\nthe prompt")
        self.assertFalse((home.workspace / "made").exists(), "the workspace is a copy")
        # And one that stays: start, look, exec, stop.
        home.command_agent("sleeper", ["sleep", "600"])
        home.run("start", "sleeper", f"--backend={name}", "--label", "toy", "--detach", "--yes", check=0)
        listed = json.loads(home.run("list", "active", "--json", check=0).stdout)
        self.assertIn(name, json.dumps(listed))
        inside = home.run("exec", "toy", "--", "sh", "-c", "cat /proc/net/dev | wc -l; curl -sS https://api.example.com/ 2>&1; ls /home /root 2>&1")
        self.assertIn("403", inside.stdout, "egress is the way out, and it denies")
        self.assertTrue(inside.stdout.startswith("3\n"), inside.stdout)
        self.assertNotIn(str(home.top), inside.stdout)
        home.run("stop", "toy", check=0)
        wait_until("nothing to be left running", lambda: not home.own_processes(), 30)

    def test_the_guides_commands_work_as_they_are_typed(self):
        blocks = re.findall(r"```sh\n(.*?)```", (SOURCE / "docs" / "plugins.md").read_text(), re.S)
        script = next(block for block in blocks if "plugin new my-box" in block)
        home = self.home(ORDINARY_USER)
        kit = Kit(self, home)
        del kit.environment["BOT_BOTTLE_HOME"]  # the guide means ~/.bot-bottle
        kit.environment["CMAKE_PREFIX_PATH"] = str(kit.prefix)  # stands for /usr, where CMake looks by itself
        begun = time.monotonic()
        said = kit.run("sh", "-exc", "umask 002\n" + script)  # where a user's group may write, what is built still may be used
        print(f"from plugin new to bot-bottle stop: {time.monotonic() - begun:.1f} s")
        for words in ("41 checks, 0 failed, 0 not run", "hello from inside", "uid=1000(agent)", "stopped hello"):
            self.assertIn(words, said)
        wait_until("nothing to be left running", lambda: not home.own_processes(), 30)

    def test_a_bottle_that_leaks_is_stopped_by_its_self_test(self):
        kit, source, name = self.new("backend", "cpp", ORDINARY_USER)
        home = kit.home
        plugin = source / "plugin.cpp"
        text = plugin.read_text()
        self.assertIn('"--net"', text)
        plugin.write_text(text.replace('"--net"', '""'))  # the bottle stays in the host's network
        directory = kit.build(source, test=False)
        checked = home.run("plugin", "check", directory)
        self.assertEqual(checked.returncode, 1, checked.stdout)
        kit.install(directory)
        home.run("plugin", "trust", name, check=0)
        home.command_agent("worker", ["true"])
        result = home.run("run", "worker", f"--backend={name}", "-p", "x")
        self.assertNotEqual(result.returncode, 0)
        wait_until("nothing to be left running", lambda: not home.own_processes(), 30)


if __name__ == "__main__":
    unittest.main()
