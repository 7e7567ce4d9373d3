"""init as a person meets it, and doctor with homes that are broken in every way that homes are."""
import json
import os
import socket
import subprocess
import unittest

from harness import BUILD, AcceptanceTest, Terminal

ORDINARY_USER = 65533


class Tests(AcceptanceTest):
    def doctor(self, home, *arguments, check=None):
        return json.loads(home.run("doctor", "--json", *arguments, check=check).stdout)

    def faults(self, home):
        return {fact["detail"].split(": ", 1)[-1]: fact for fact in self.doctor(home)["facts"] if fact["group"] == "home" and fact["verdict"] != "ok"}

    def test_yes_ends_in_a_bottle_that_starts(self):
        for user in (None, ORDINARY_USER):
            home = self.home(user)
            result = home.run("init", "--yes", check=0)
            self.assertIn("its walls were checked", result.stderr)
            self.assertEqual(home.slugs(), [], "what was tried is gone")
            self.assertEqual(home.own_processes(), {})
            home.run("config", "check", check=0)
            self.assertEqual(home.run("run", "hello", "--", "-c", "echo it works", check=0).stdout, "it works\n")
            again = home.run("init", "--yes", check=1)
            self.assertIn("never overwrites", again.stderr)

    def test_a_person_answers_questions_and_starts_it(self):
        home = self.home()
        (home.root / "bottles").rmdir()
        terminal = Terminal(home.argv("init"), home.top, home.environment, cwd=home.workspace)
        self.addCleanup(terminal.close)
        for question, answer in (("Name of the agent [hello]", "fixer"), ("Name of its bottle [first]", "Not A Name"), ("a name is a-z", "dev"),
                                 ("What runs in it", "nothing-like-that"), ("there is no provider", "command"), ("The program and its arguments", "sh -i"),
                                 ("Ready-made routes", "github:read no:such"), ("there is no pack 'no:such'", "api.example.com 10.0.0.1"),
                                 ("A git repository", "git@forge.example.com:team/app.git"), ("File of a deploy key", ""), ("Its host key", ""),
                                 ("What isolates it", "local"), ("Try it now", "y")):
            terminal.wait_for(question)
            terminal.type(answer)
            terminal.key("Enter")
        screen = terminal.wait_for("EXIT=0")
        self.assertIn("next: bot-bottle start fixer", screen)
        self.assertEqual(home.slugs(), [])
        bottle = (home.root / "bottles/dev.md").read_text()
        for part in ('command: ["sh", "-i"]', '- "github:read"', "- host: api.example.com", "# git-gate:", "forge.example.com:team/app.git", "backend: local"):
            self.assertIn(part, bottle)
        self.assertNotIn("10.0.0.1", bottle)
        started = Terminal(home.argv("start", "fixer", "--yes"), home.top, home.environment, cwd=home.workspace)
        self.addCleanup(started.close)
        started.wait_for("$")
        started.type("echo $BOT_BOTTLE_AGENT-$((40+2)); exit 0")
        started.key("Enter")
        started.wait_for("fixer-42")
        started.wait_for("EXIT=0")

    def test_what_is_missing_is_told_and_nothing_is_started(self):
        home = self.home()
        (home.root / "config.toml").write_text("bakend = 'local'\n")
        result = home.run("init", "--yes", check=1)
        self.assertIn("did you mean 'backend'?", result.stderr)
        self.assertIn("not ready yet", result.stderr)
        self.assertNotIn("self-test", result.stderr)

    def test_modes_that_let_others_in_are_found_and_fixed(self):
        home = self.home()
        home.bottle("b", "backend: local")
        home.root.chmod(0o777)
        (home.root / "bottles").chmod(0o777)
        (home.root / "bottles/b.md").chmod(0o666)
        report = self.doctor(home, check=4)
        self.assertFalse(report["ok"])
        self.assertEqual(sum(fact["verdict"] == "missing" for fact in report["facts"] if fact["group"] == "home"), 3)
        plain = home.run("doctor", check=4)
        self.assertIn("chmod go-w '", plain.stdout)
        self.assertIn("bot-bottle doctor --fix", plain.stderr)
        self.assertEqual(home.root.stat().st_mode & 0o777, 0o777, "looking changes nothing")
        report = self.doctor(home, "--fix", check=0)
        self.assertEqual(len(report["fixed"]), 3)
        for path, mode in ((home.root, 0o755), (home.root / "bottles", 0o755), (home.root / "bottles/b.md", 0o644)):
            self.assertEqual(path.stat().st_mode & 0o777, mode)

    def test_a_person_is_asked_before_anything_is_fixed(self):
        home = self.home()
        home.root.chmod(0o777)
        for answer, mode in (("n", 0o777), ("y", 0o755)):
            terminal = Terminal(home.argv("doctor"), home.top, home.environment, rows=50, cwd=home.workspace)
            self.addCleanup(terminal.close)
            terminal.wait_for("Fix 1 of these now?")
            terminal.type(answer)
            terminal.key("Enter")
            terminal.wait_for("EXIT=")
            self.assertEqual(home.root.stat().st_mode & 0o777, mode)

    def test_what_is_missing_or_locked_is_made_and_opened(self):
        home = self.home(ORDINARY_USER)
        (home.root / "agents").rmdir()
        (home.root / "bottles").chmod(0)
        faults = self.faults(home)
        self.assertTrue(faults["not there yet"]["can_fix"])
        self.assertEqual(faults["cannot be read and written"]["verdict"], "missing")
        self.doctor(home, "--fix", check=0)
        self.assertEqual((home.root / "agents").stat().st_mode & 0o777, 0o700)
        self.assertEqual((home.root / "bottles").stat().st_mode & 0o777, 0o700)

    def test_what_is_somebody_elses_is_told_and_never_touched(self):
        home = self.home(ORDINARY_USER)
        os.chown(home.root / "bottles", 4242, 4242)
        (home.root / "bottles").chmod(0o777)
        fault = self.faults(home)["belongs to uid 4242"]
        self.assertFalse(fault["can_fix"])
        self.assertIn("sudo chown", fault["fix"])
        self.doctor(home, "--fix", check=4)
        status = (home.root / "bottles").stat()
        self.assertEqual((status.st_uid, status.st_mode & 0o777), (4242, 0o777))

    def test_a_link_is_never_followed_by_a_fix(self):
        home = self.home()
        elsewhere = home.top / "elsewhere"
        elsewhere.mkdir()
        elsewhere.chmod(0o777)
        (home.root / "bottles").rmdir()
        (home.root / "bottles").symlink_to(elsewhere)
        (home.root / "agents").rmdir()
        (home.root / "agents").symlink_to(home.top / "nowhere")
        (home.root / "config.toml").symlink_to("/etc/passwd")
        report = self.doctor(home, "--fix", check=4)
        self.assertEqual(report["fixed"], [])
        self.assertEqual(elsewhere.stat().st_mode & 0o777, 0o777)
        details = " ".join(fact["detail"] for fact in report["facts"])
        self.assertIn("→ " + str(elsewhere), details)
        self.assertIn("a link to nothing", details)
        elsewhere.chmod(0o700)
        self.assertNotIn("elsewhere", " ".join(fact["detail"] for fact in self.doctor(home)["facts"] if fact["verdict"] != "ok"),
                         "a link to what is one's own and closed is the operator's way")

    def test_dead_sockets_go_and_living_ones_stay(self):
        home = self.home()
        home.command_agent("sleep", ["sleep", "600"])
        home.run("start", "sleep", "--label", "lives", "--detach", "--yes", check=0)
        home.run("start", "sleep", "--label", "died", "--detach", "--yes", check=0)
        home.run("stop", "died", check=0)
        dead = home.state("died") / "control/old.sock"
        for kind, path in ((socket.SOCK_STREAM, dead), (socket.SOCK_DGRAM, home.state("died") / "wire/old.sock")):
            with socket.socket(socket.AF_UNIX, kind) as one:
                one.bind(str(path))
        living = [path for path in home.state("lives").glob("*/*.sock")]
        self.assertTrue(living)
        fixed = {item["path"] for item in self.doctor(home, "--fix", check=0)["fixed"]}
        self.assertIn(str(dead), fixed)
        self.assertIn(str(home.state("died") / "wire/old.sock"), fixed)
        self.assertFalse(dead.exists())
        for path in living:
            self.assertTrue(path.exists(), path)
        home.run("exec", "lives", "--", "true", check=0)

    def test_a_plugin_is_not_trusted_by_a_fix(self):
        home = self.home()
        plugin = home.root / "contrib/evil"
        plugin.mkdir(parents=True)
        (plugin / "plugin.toml").write_text('name = "evil"\nversion = "1"\nlibrary = "evil.so"\nprovides = ["provider:evil"]\nabi = 1\n')
        (plugin / "evil.so").write_text("")
        self.doctor(home, "--fix")
        self.assertFalse((home.root / "trust.toml").exists())

    def test_a_chroot_is_named_as_the_cause(self):
        home = self.home()
        root = home.top / "root"
        script = f"mkdir -p {root}; for d in usr lib lib64 bin etc proc {BUILD.relative_to('/')}; do [ -e /$d ] || continue; " \
                 f"if [ -L /$d ]; then cp -P /$d {root}/$d; else mkdir -p {root}/$d; mount --rbind /$d {root}/$d; fi; done; mkdir -p {root}/tmp; " \
                 f"HOME=/tmp exec chroot {root} {BUILD}/bin/bot-bottle doctor"
        result = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-ec", script], capture_output=True, text=True, timeout=60,
                                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TERM": "dumb"})
        self.assertEqual(result.returncode, 4, result.stdout + result.stderr)
        self.assertIn("this is a chroot", result.stdout)
        self.assertIn("systemd-nspawn", result.stdout)

    def test_the_words_are_those_of_the_distribution(self):
        home = self.home()
        release = home.top / "release"
        for text, command in (("ID=fedora\n", "dnf install bubblewrap"), ('ID=x\nID_LIKE="arch"\n', "pacman -S bubblewrap"),
                              ("ID=alpine\n", "apk add openssh-client"), ("ID=debian\n", "apt-get install openssh-client")):
            release.write_text(text)
            shown = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-ec",
                                    f"mount --bind {release} /etc/os-release; PATH=/nonexistent exec {home.program} doctor"], capture_output=True,
                                   text=True, timeout=60, env={**home.environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
            self.assertIn(command, shown.stdout)


if __name__ == "__main__":
    unittest.main()
