"""What a person does with a bottle on docker."""
import subprocess
import unittest

from docker_harness import DockerTest, Terminal, docker, engine, json, pathlib, setUpModule, wait_until  # noqa: F401
import holds_back

# bottle-init's exec server is an abstract socket, which the agent can reach.
HOLD_ALL_PLACES = (r'use Socket; for (1..64) { my $one; socket($one, AF_UNIX, SOCK_STREAM, 0) && connect($one, pack("S a*", AF_UNIX, "\0bot-bottle-exec")) or die; '
                   r'push @held, $one; } open(HELD, ">", "/tmp/held"); sleep 1000;')


class Tests(DockerTest):
    runtime = "runc"

    def home_of(self):
        return self.docker_home(runtime=self.runtime)

    def test_run_gives_output_streams_code_and_leaves_nothing(self):
        home = self.home_of()
        home.docker_agent("agent", ["sh", "-c", "cat; id -u; echo err >&2; exit 7"])
        done = home.run("run", "agent", "-p", "the prompt\n", "--rm", timeout=120)
        self.assertEqual((done.stdout, done.returncode), ("the prompt\n1000\n", 7), done.stderr)
        self.assertIn("err\n", done.stderr)
        self.assertEqual(home.left(), [])
        self.assertEqual(home.slugs(), [])
        self.assertEqual(home.own_processes(), {})

    def test_the_workspace_is_a_copy_with_modes_links_and_its_git(self):
        home = self.home_of()
        (home.workspace / "a dir").mkdir()
        (home.workspace / "a dir" / "run.sh").write_text("#!/bin/sh\necho ran\n")
        (home.workspace / "a dir" / "run.sh").chmod(0o755)
        (home.workspace / ("n" * 150)).write_text("long")
        (home.workspace / "link").symlink_to("a dir/run.sh")
        (home.workspace / ".git").mkdir()
        (home.workspace / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
        home.docker_agent("agent", ["sh", "-c", "pwd; ./link; cat .git/HEAD n*; readlink link; stat -c %U:%a 'a dir/run.sh'; touch new; rm link"],
                          extra="workspace: {mode: copy, path: /workspace}\n")
        done = home.run("run", "agent", check=0, timeout=120)
        self.assertEqual(done.stdout.splitlines()[:4], ["/workspace", "ran", "ref: refs/heads/main", "longa dir/run.sh"], done.stdout)
        self.assertFalse((home.workspace / "new").exists())
        self.assertTrue((home.workspace / "link").is_symlink())

    def test_a_mounted_workspace_is_the_operators_and_its_git_cannot_be_written(self):
        home = self.home_of()
        home.top.chmod(0o755)
        (home.workspace / ".git").mkdir()
        (home.workspace / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
        (home.workspace / "Makefile").write_text("all:\n")
        for path in [home.workspace, *home.workspace.rglob("*")]:
            __import__("os").chown(path, 1234, 1234)
        home.docker_agent("agent", ["sh", "-c", "echo made > made; echo x > .git/hooks; echo y >> Makefile; id -u"], extra="workspace: {mode: mount}\n")
        done = home.run("run", "agent", timeout=120, check=0)
        self.assertEqual(done.stdout.strip(), "1234")
        self.assertEqual((home.workspace / "made").read_text(), "made\n")
        self.assertEqual((home.workspace / "made").stat().st_uid, 1234)
        self.assertFalse((home.workspace / ".git" / "hooks").exists())

    def test_a_mounted_workspace_of_roots_is_refused(self):
        home = self.home_of()
        home.docker_agent("agent", ["true"], extra="workspace: {mode: mount}\n")
        done = home.run("run", "agent")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("belongs to root", done.stderr)

    def test_detached_listed_entered_copied_and_stopped(self):
        home = self.home_of()
        home.docker_agent("agent", ["sleep", "1000"])
        home.run("start", "agent", "--label", "left", "--detach", "--yes", check=0, timeout=120)
        listed = json.loads(home.run("list", "--json", check=0).stdout)["bottles"]
        self.assertEqual([(one["slug"], one["backend"], one["status"]) for one in listed], [("left", "docker", "running")], listed)
        self.assertEqual(home.run("exec", "left", "--", "sh", "-c", "echo in; exit 3").returncode, 3)
        (home.top / "given").write_text("given")
        container = home.container()
        inside = json.loads(docker("inspect", container).stdout)[0]
        self.assertEqual(inside["HostConfig"]["CapDrop"], ["ALL"])
        self.assertEqual(inside["HostConfig"]["NetworkMode"], "none")
        self.assertFalse(any(mount["Type"] == "bind" for mount in inside["Mounts"]), inside["Mounts"])
        self.assertEqual(home.run("exec", "left", "--", "cat", "/proc/1/comm").stdout, "bottle-init\n")
        home.run("stop", "--rm", "left", check=0)
        self.assertEqual(home.left(), [])
        self.nothing_stays(home)

    def test_what_was_written_is_there_after_stop_and_resume(self):
        home = self.home_of()
        home.docker_agent("agent", ["sh", "-c", "cat ~/kept 2>/dev/null || { echo first > ~/kept; exit 9; }"])
        self.assertEqual(home.run("run", "agent", "--label", "again", "--keep", timeout=120).returncode, 9)
        terminal = Terminal(home.argv("resume", "again", "--yes"), home.top, home.environment, cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.wait_for("first", 60)
        terminal.wait_for("EXIT=0", 60)
        wait_until("nothing to be left", lambda: not home.left(), 20)

    def test_a_detached_session_is_attached_to_again(self):
        home = self.home_of()
        home.docker_agent("agent", ["sh", "-c", "while true; do read line && echo got $line; done"])
        home.run("start", "agent", "--label", "away", "--detach", "--yes", check=0, timeout=120)
        for word in ("one", "two"):
            terminal = Terminal(home.argv("attach", "away"), home.top, home.environment, cwd=home.workspace)
            terminal.type(word + "\r")
            terminal.wait_for("got " + word, 60)
            terminal.close()
        home.run("stop", "--rm", "away", check=0)
        self.nothing_stays(home)

    def test_a_commit_is_resumed_as_it_was(self):
        def snapshots():
            names = docker("images", "--format", "{{.Tag}}", "bot-bottle/snapshot").stdout.split()
            return {name for name in names if name.startswith("frozen.")}
        before = snapshots()  # of a run that was killed
        home = self.home_of()
        home.docker_agent("agent", ["sh", "-c", "cat ~/kept"])
        home.run("start", "agent", "--label", "frozen", "--detach", "--yes", check=0, timeout=120)
        home.run("exec", "frozen", "--", "sh", "-c", "echo first > ~/kept; echo w > /workspace/w", check=0)
        home.run("commit", "frozen", check=0, timeout=60)
        self.assertEqual(home.run("exec", "frozen", "--", "cat", "/workspace/w").stdout, "w\n")
        self.assertEqual(len(snapshots() - before), 1)
        home.run("exec", "frozen", "--", "sh", "-c", "echo later > ~/kept")
        home.run("stop", "frozen", check=0)
        done = home.run("resume", "frozen", "-p", "x", "--yes", timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "first\n")  # from the snapshot, not what came after it
        home.run("stop", "--rm", "frozen", check=0)
        self.assertEqual((home.left(), home.slugs()), ([], []), done.stderr)
        self.assertEqual(snapshots(), before)

    def test_what_runs_in_it_cannot_read_the_program_that_relays(self):
        # Readable, a relay's /proc/PID/mem is the agent's from execve to prctl. gVisor reads as the user what it executes.
        home = self.home_of()
        home.docker_agent("agent", ["sh", "-c", "test -x /run/bottle/bin/bottle-init && test ! -r /run/bottle/bin/bottle-init"])
        home.run("run", "agent", "--label", "kept", "--keep", check=0, timeout=120)
        home.run("resume", "kept", "-p", "x", "--yes", "--rm", check=0, timeout=120)
        home.docker_agent("long", ["sleep", "1000"])
        home.run("start", "long", "--label", "cold", "--detach", "--yes", check=0, timeout=120)
        home.run("commit", "cold", check=0, timeout=60)
        home.run("fork", "cold", "--label", "warm", check=0, timeout=120)
        self.assertEqual(home.run("exec", "warm", "--", "sh", "-c", "test ! -r /run/bottle/bin/bottle-init").returncode, 0)
        home.run("stop", "--rm", "warm", "cold", check=0)

    def test_an_agent_that_holds_its_transcript_back_outlives_neither_stop_nor_its_time(self):
        home = self.home_of()
        (home.image / "claude").write_text(holds_back.PROGRAM)
        (home.image / "claude").chmod(0o755)
        (home.image / "Dockerfile").write_text("FROM debian:12-slim\nCOPY claude /usr/local/bin/claude\nUSER 1000\n")
        holds_back.check(self, home, "backend: docker\ndocker: {runtime: %s}\nagent_provider: {template: claude, dockerfile: %s}\n" % (
            self.runtime, home.image / "Dockerfile"))
        self.assertEqual(home.left(), [])

    def test_an_agent_that_holds_all_places_does_not_keep_the_operator_out(self):
        home = self.home_of()
        home.docker_agent("agent", ["sleep", "1000"])
        home.run("start", "agent", "--label", "full", "--detach", "--yes", check=0, timeout=120)
        home.run("exec", "full", "--", "sh", "-c", 'setsid perl -e "$0" </dev/null >/dev/null 2>&1 &', HOLD_ALL_PLACES, check=0)
        wait_until("it to hold them", lambda: home.run("exec", "full", "--", "test", "-e", "/tmp/held").returncode == 0, 60)
        self.assertEqual(home.run("exec", "full", "--", "echo", "in", check=0).stdout, "in\n")
        home.run("stop", "--rm", "full", check=0)

    def test_a_terminal_has_its_size_and_is_restored(self):
        home = self.home_of()
        home.docker_agent("agent", ["sh", "-c", "trap 'echo size $(stty size)' WINCH; echo size $(stty size); while true; do read line || continue; [ \"$line\" = end ] && exit 5; done"])
        terminal = Terminal(home.argv("start", "agent", "--yes", "--rm"), home.top, home.environment, cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.wait_for("size 30 100", 60)
        terminal.resize(80, 20)
        terminal.type("x\r")
        terminal.wait_for("size 20 80", 30)
        terminal.type("end\r")
        terminal.wait_for("EXIT=5", 30)
        self.assertTrue(terminal.terminal_was_restored())

    def test_what_has_no_label_is_never_touched(self):
        home = self.home_of()
        home.docker_agent("agent", ["true"])
        digest = __import__("hashlib").sha256(str(home.state("mine")).encode()).hexdigest()[:8]
        name = "bot-bottle-mine-%s-agent" % digest
        docker("create", "--name", name, "--label", "bot-bottle.slug=mine", "debian:12-slim", "true")
        self.addCleanup(docker, "rm", "-f", name, check=False)
        done = home.run("run", "agent", "--label", "mine", timeout=120)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("not bot-bottle's", done.stderr)
        home.run("cleanup", "--yes", "--all", check=0)
        self.assertEqual(docker("inspect", "-f", "{{.Name}}", name).stdout.strip(), "/" + name)
        self.assertEqual(home.left(), [])

    def test_an_image_of_our_name_without_our_label_is_refused(self):
        home = self.home_of()
        home.docker_agent("agent", ["true"])
        home.run("run", "agent", check=0, timeout=120)
        (home.image / "Dockerfile").write_text("FROM debian:12-slim\nENV OTHER=%s\n" % home.top.name)
        planned = home.run("run", "agent", "--dry-run", timeout=60).stdout
        tag = [word for word in planned.split() if word.startswith("bot-bottle/agent:")][0]
        docker("tag", "debian:12-slim", tag)
        self.addCleanup(docker, "rmi", tag, check=False)
        done = home.run("run", "agent", timeout=120)
        self.assertIn("not bot-bottle's", done.stderr)

    def test_limits_are_the_containers_own(self):
        home = self.home_of()
        home.docker_agent("agent", ["sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true"],
                          extra="resources: {memory: 256MiB, pids: 64, cpus: 0.5}\n")
        process = home.popen("start", "agent", "--label", "limited", "--detach", "--yes", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        process.communicate(timeout=120)
        container = home.container()
        # It may have ended; its configuration is what the engine enforces.
        for line in home.left():
            if line.startswith("container"):
                config = json.loads(docker("inspect", line.split()[1]).stdout)[0]
                if config["Config"]["Labels"]["bot-bottle.component"] == "agent":
                    limits = config["HostConfig"]
                    self.assertEqual((limits["Memory"], limits["PidsLimit"], limits["NanoCpus"]), (256 << 20, 64, 500000000))
                    container = line
        self.assertTrue(container)
        home.run("stop", "--rm", "limited")

    def test_a_disk_limit_is_refused_by_name(self):
        home = self.home_of()
        home.docker_agent("agent", ["true"], extra="resources: {disk: 1GiB}\n")
        self.assertIn("resources.disk", home.run("run", "agent").stderr)


if __name__ == "__main__":
    unittest.main()
