"""Kill -9 of the CLI at every step of a launch: nothing stays that `cleanup` does not remove, and `list` tells the truth.

What an agent worked in stays until `cleanup --all`."""
import json
import pathlib
import signal
import subprocess
import unittest

from harness import AcceptanceTest, wait_until

ORDINARY_USER = 65533


def cgroups_of(slug):
    return [str(path) for path in pathlib.Path("/sys/fs/cgroup").rglob(f"*{slug}*")]


def mounts(home):
    """On the host, of this home: others' come and go meanwhile."""
    return [line for line in pathlib.Path("/proc/self/mountinfo").read_text().split("\n") if str(home.top) in line]


class Tests(AcceptanceTest):
    """The names are the launch's own steps (core/launch); the test hook kills right after the step."""

    def kill_at(self, step, user=None):
        home = self.home(user)
        home.command_agent("agent", ["sh", "-c", "echo up; exit 0"])
        result = home.run("run", "agent", "--label", "victim", env={"BOT_BOTTLE_TEST_KILL_AT": step})
        self.assertEqual(result.returncode, -signal.SIGKILL, f"the hook did not fire at {step}: {result.stderr}")
        if step == "attach":
            self.agents_work_stays(home)
        self.nothing_stays(home, step)

    def kill_while_running(self, user):
        home = self.home(user)
        home.command_agent("agent", ["sh", "-c", "echo up; sleep 600"])
        process = home.popen("run", "agent", "--label", "victim", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.assertEqual(process.stdout.readline(), b"up\n")
        process.kill()
        process.wait()
        process.stdout.close()
        self.agents_work_stays(home)
        # The label's next agent must end by itself.
        home.command_agent("agent", ["sh", "-c", "echo up"])
        self.nothing_stays(home, "the agent's run")

    def agents_work_stays(self, home):
        """An agent ran in it: a crash of ours loses nothing of it until somebody says --all."""
        wait_until("everything to end", lambda: not home.own_processes(), 15)
        home.run("cleanup", "--yes", check=0)
        self.assertEqual(home.slugs(), ["victim"])
        shown = home.run("list", check=0).stderr
        self.assertIn("victim", shown)
        self.assertIn("bot-bottle ended before the agent did", shown)
        self.assertIn("bot-bottle resume", shown)

    def nothing_stays(self, home, step):
        wait_until(f"everything to end after kill -9 at {step}", lambda: not home.own_processes(), 15)
        self.assertEqual(json.loads(home.run("list", "--json", check=0).stdout)["bottles"], [])
        agent_ran = step in ("attach", "the agent's run")
        home.run("cleanup", "--yes", *(["--all"] if agent_ran else []), check=0)
        self.assertEqual(home.slugs(), [], f"state after cleanup, killed at {step}")
        self.assertEqual(home.own_processes(), {})
        self.assertEqual(cgroups_of("victim"), [])
        self.assertEqual(mounts(home), [])
        # And the same label works again at once.
        home.run("run", "agent", "--label", "victim", check=0)

    def test_kill_9_after_secrets_as_root(self):
        self.kill_at("secrets")

    def test_kill_9_after_state_as_root(self):
        self.kill_at("state")

    def test_kill_9_after_rules_as_root(self):
        self.kill_at("rules")

    def test_kill_9_after_image_as_root(self):
        self.kill_at("image")

    def test_kill_9_after_sidecar_as_root(self):
        self.kill_at("sidecar")

    def test_kill_9_after_bottle_as_root(self):
        self.kill_at("bottle")

    def test_kill_9_after_self_test_as_root(self):
        self.kill_at("self-test")

    def test_kill_9_after_provision_as_root(self):
        self.kill_at("provision")

    def test_kill_9_after_attach_as_root(self):
        self.kill_at("attach")

    def test_kill_9_after_secrets_as_an_ordinary_user(self):
        self.kill_at("secrets", ORDINARY_USER)

    def test_kill_9_after_state_as_an_ordinary_user(self):
        self.kill_at("state", ORDINARY_USER)

    def test_kill_9_after_rules_as_an_ordinary_user(self):
        self.kill_at("rules", ORDINARY_USER)

    def test_kill_9_after_image_as_an_ordinary_user(self):
        self.kill_at("image", ORDINARY_USER)

    def test_kill_9_after_sidecar_as_an_ordinary_user(self):
        self.kill_at("sidecar", ORDINARY_USER)

    def test_kill_9_after_bottle_as_an_ordinary_user(self):
        self.kill_at("bottle", ORDINARY_USER)

    def test_kill_9_after_self_test_as_an_ordinary_user(self):
        self.kill_at("self-test", ORDINARY_USER)

    def test_kill_9_after_provision_as_an_ordinary_user(self):
        self.kill_at("provision", ORDINARY_USER)

    def test_kill_9_after_attach_as_an_ordinary_user(self):
        self.kill_at("attach", ORDINARY_USER)

    def test_kill_9_while_the_agent_runs_as_root(self):
        self.kill_while_running(None)

    def test_kill_9_while_the_agent_runs_as_an_ordinary_user(self):
        self.kill_while_running(ORDINARY_USER)


if __name__ == "__main__":
    unittest.main()
