"""What goes wrong: killed at each step, a dead engine, a failing build, a full disk, two launches of one slug."""
import signal
import shutil
import subprocess
import tempfile
import unittest

from docker_harness import BUILD, FACTS, DockerTest, docker, engine, json, os, pathlib, setUpModule, wait_until  # noqa: F401

STEPS = ("secrets", "state", "rules", "image", "sidecar", "bottle", "self-test", "provision", "attach")


class Tests(DockerTest):
    def test_kill_9_at_every_step_leaves_nothing_that_cleanup_does_not_remove(self):
        home = self.docker_home()
        home.docker_agent("agent", ["sh", "-c", "echo up"])
        for step in STEPS:
            with self.subTest(step):
                done = home.run("run", "agent", "--label", "victim", env={"BOT_BOTTLE_TEST_KILL_AT": step}, timeout=120)
                self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
                if step == "attach":  # an agent ran: its work stays until somebody says --all
                    home.run("cleanup", "--yes", check=0)
                    self.assertEqual(home.slugs(), ["victim"])
                self.nothing_stays(home, *(["--all"] if step == "attach" else []))
        # And the same label works again at once.
        home.run("run", "agent", "--label", "victim", check=0, timeout=120)

    def test_kill_9_of_a_fork_at_every_step_leaves_nothing_that_cleanup_does_not_remove(self):
        home = self.docker_home()
        home.docker_agent("agent", ["sleep", "600"])
        home.run("start", "agent", "--label", "cold", "--detach", "--yes", check=0, timeout=120)
        home.run("exec", "cold", "--", "sh", "-c", "echo one > ~/file", check=0)
        home.run("commit", "cold", check=0, timeout=60)
        home.run("stop", "cold", check=0)
        own = home.left()
        for step in ("state", "image", "sidecar", "bottle", "self-test", "provision"):
            with self.subTest(step):
                done = home.run("fork", "cold", "-n", "2", env={"BOT_BOTTLE_TEST_KILL_AT": step}, timeout=120)
                self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
                home.run("cleanup", "--yes", check=0)
                self.assertEqual(home.slugs(), ["cold"])
                self.assertEqual(home.left(), own, "what the frozen bottle has, and nothing else")
        fork, = home.run("fork", "cold", check=0, timeout=120).stdout.split()
        self.assertEqual(home.run("exec", fork, "--", "sh", "-c", "cat ~/file").stdout, "one\n")
        home.run("stop", "--rm", fork, "cold", check=0)
        self.assertEqual((home.left(), home.slugs()), ([], []))

    def test_a_sidecar_that_dies_at_once_is_told_with_its_last_words(self):
        home = self.docker_home()
        home.docker_agent("agent", ["sleep", "600"])
        home.run("start", "agent", "--label", "whole", "--detach", "--yes", check=0, timeout=120)
        tag = docker("inspect", "-f", "{{.Config.Image}}", home.container("sidecar")).stdout.strip()
        home.run("stop", "--rm", "whole", check=0)
        with tempfile.TemporaryDirectory() as context:
            whole = docker("inspect", "-f", "{{.Id}}", tag).stdout.strip()
            # Another program under the sidecar's name, which does not know its options.
            pathlib.Path(context, "Dockerfile").write_text("FROM %s\nCOPY bottle-init /bin/bot-bottle-sidecar\n" % tag)
            shutil.copy(BUILD / "libexec/bot-bottle/bottle-init", context)
            docker("build", "-t", tag, context)
            try:
                done = home.run("run", "agent", timeout=120)
                # And not: was not ready after 10 s.
                self.assertIn("ended while it started", done.stderr)
                self.assertIn("unknown option --state", done.stderr)
            finally:
                docker("tag", whole, tag)
        self.nothing_stays(home)

    def test_launches_and_cleanups_race_and_every_launch_that_says_so_runs(self):
        home = self.docker_home()
        home.docker_agent("agent", ["sleep", "600"])
        home.run("run", "agent", "--dry-run", timeout=60)
        for attempt in range(3):
            slugs = ["young%d%d" % (attempt, i) for i in range(3)]
            launches = [home.popen("start", "agent", "--label", slug, "--detach", "--yes", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                        for slug in slugs]
            while any(process.poll() is None for process in launches):
                sweeps = [home.popen("cleanup", "--yes", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
                for process in sweeps:
                    said = process.communicate(timeout=60)[1]
                    self.assertEqual(process.returncode, 0, said)
            for slug, process in zip(slugs, launches):
                said = process.communicate()[1]
                self.assertEqual(process.returncode, 0, said)
                self.assertEqual(home.run("exec", slug, "--", "echo", "here").stdout, "here\n", said)
            home.run("stop", "--rm", *slugs, check=0)
            self.nothing_stays(home)

    def test_a_failure_at_every_step_leaves_nothing(self):
        home = self.docker_home()
        home.docker_agent("agent", ["sh", "-c", "echo up"])
        for step in ("sidecar", "bottle", "self-test", "provision"):
            with self.subTest(step):
                done = home.run("run", "agent", "--label", "victim", env={"BOT_BOTTLE_TEST_FAIL_AT": step}, timeout=120)
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(home.left(), [])
                self.assertEqual(home.slugs(), [])

    def test_kill_9_while_the_agent_runs_ends_both_containers(self):
        home = self.docker_home()
        home.docker_agent("agent", ["sh", "-c", "echo up; sleep 600"])
        process = home.popen("run", "agent", "--label", "victim", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.assertEqual(process.stdout.readline(), b"up\n")
        process.kill()
        process.wait()
        process.stdout.close()
        # Its work stays until somebody says --all.
        wait_until("the end to be seen", lambda: json.loads(home.run("list", "--json", check=0).stdout)["bottles"] == [], 30)
        home.run("cleanup", "--yes", check=0)
        self.assertEqual(home.slugs(), ["victim"])
        self.nothing_stays(home, "--all")

    def test_a_build_that_fails_says_why_and_leaves_nothing(self):
        home = self.docker_home()
        home.docker_agent("agent", ["true"])
        (home.image / "Dockerfile").write_text("FROM debian:12-slim\nRUN echo the reason >&2; exit 3\n")
        # A build's own containers have no label of ours; those that have are other tests', and come and go.
        unlabelled = ("ps", "-a", "--format", '{{.ID}}{{with .Label "bot-bottle.managed"}} ours{{end}}')
        before = [line for line in docker(*unlabelled).stdout.splitlines() if " " not in line]
        done = home.run("run", "agent", timeout=120)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("cannot be built", done.stderr)
        self.assertIn("the reason", done.stderr)
        self.assertEqual(home.left(), [])
        self.assertEqual(home.slugs(), [])
        self.assertEqual(sorted(line for line in docker(*unlabelled).stdout.splitlines() if " " not in line), sorted(before))

    def test_two_launches_of_one_slug_give_one_bottle(self):
        home = self.docker_home()
        home.docker_agent("agent", ["sleep", "600"])
        home.run("run", "agent", "--dry-run", timeout=60)
        launches = [home.popen("start", "agent", "--label", "one", "--detach", "--yes", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                    for _ in range(3)]
        outcomes = [(process.communicate(timeout=120)[0], process.returncode) for process in launches]
        running = [one for one in json.loads(home.run("list", "--json", check=0).stdout)["bottles"]]
        # A taken label gets a number: what may not happen is two bottles of one slug, or a broken one.
        self.assertEqual(len({one["slug"] for one in running}), len(running))
        self.assertEqual(sum(code == 0 for _, code in outcomes), len(running), outcomes)
        self.assertTrue(all(one["status"] == "running" for one in running), running)
        for one in running:
            home.run("stop", "--rm", one["slug"], check=0)
        self.nothing_stays(home)

    def test_cleanup_beside_a_start_takes_nothing_of_it(self):
        home = self.docker_home()
        home.docker_agent("agent", ["sleep", "600"])
        process = home.popen("start", "agent", "--label", "young", "--detach", "--yes", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while process.poll() is None:
            home.run("cleanup", "--yes", timeout=60)
        self.assertEqual(process.wait(), 0, process.stdout.read())
        process.stdout.close()
        self.assertEqual(home.run("exec", "young", "--", "echo", "here").stdout, "here\n")
        home.run("stop", "--rm", "young", check=0)
        self.nothing_stays(home)

    def own_engine(self, data):
        """Another engine than the common one, to be ill-treated; on its bridge."""
        directory = pathlib.Path(tempfile.mkdtemp(prefix="bb-docker-"))
        process, socket = engine.start_daemon(data, directory, ["--iptables=false"], bridge=FACTS["bridge"])
        self.addCleanup(lambda: __import__("shutil").rmtree(directory, ignore_errors=True))
        return process, socket, directory

    def test_an_engine_that_dies_in_a_launch_is_an_error_and_cleanup_is_whole_afterwards(self):
        data = pathlib.Path(tempfile.mkdtemp(prefix="bb-docker-data-", dir="/var/tmp"))
        process, socket, directory = self.own_engine(data)
        try:
            engine.docker(socket, "import", str(engine.debian(engine_build())), "debian:12-slim")
            home = self.docker_home(socket=socket)
            home.docker_agent("agent", ["sh", "-c", "echo up; sleep 600"])
            home.run("run", "agent", "--dry-run", check=0)
            said = open(home.top / "said", "w+")
            self.addCleanup(said.close)
            running = home.popen("run", "agent", "--label", "victim", stdout=subprocess.PIPE, stderr=said, text=True)
            self.assertEqual(running.stdout.readline(), "up\n")
            process.kill()
            process.wait()
            # Its containerd outlives it and holds its database; the machine's end would have taken both.
            engine.end_process(int((directory / "exec/containerd/containerd.pid").read_text()), 5)
            running.communicate(timeout=60)
            self.assertNotEqual(running.returncode, 0, (home.top / "said").read_text())
            again, _ = engine.start_daemon(data, directory, ["--iptables=false"], bridge=FACTS["bridge"])
            process = again
            home.run("cleanup", "--yes", "--all", check=0, timeout=60)
            self.assertEqual(home.left(), [])
            self.assertEqual(home.slugs(), [])
        finally:
            engine.end_process(process.pid)
            for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
                if line.split()[4].startswith(str(data)):
                    subprocess.run(["umount", "-l", line.split()[4]], check=False, stderr=subprocess.DEVNULL)
            subprocess.run(["rm", "-rf", str(data)], check=False)

    def test_a_full_disk_is_an_error_and_leaves_nothing(self):
        data = pathlib.Path(tempfile.mkdtemp(prefix="bb-docker-data-", dir="/var/tmp"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=330m", "tmpfs", str(data)], check=True)
        process, socket, _ = self.own_engine(data)
        try:
            engine.docker(socket, "import", str(engine.debian(engine_build())), "debian:12-slim")
            home = self.docker_home(socket=socket)
            with open(home.workspace / "large", "wb") as large:
                for _ in range(400):
                    large.write(os.urandom(1 << 20))
            home.docker_agent("agent", ["true"])
            done = home.run("run", "agent", timeout=120)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("space", done.stderr)
            self.assertEqual(home.left(), [])
            home.run("cleanup", "--yes", "--all", check=0)
            self.assertEqual(home.slugs(), [])
        finally:
            engine.end_process(process.pid)
            subprocess.run(["umount", "-l", str(data)], check=False)
            subprocess.run(["rm", "-rf", str(data)], check=False)


def engine_build():
    from docker_harness import BUILD
    return BUILD


if __name__ == "__main__":
    unittest.main()
