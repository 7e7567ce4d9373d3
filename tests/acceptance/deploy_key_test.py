"""Deploy keys that plugins make and revoke, with a bottle's life around them: a FAKE forge (tests/fakes/forge.py), and a
real sshd that takes exactly the keys that the forge has."""
import json
import pathlib
import socket
import subprocess
import sys
import unittest

from harness import AcceptanceTest, Fake, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration" / "git_gate"))
from upstreams import Repositories, Sshd  # noqa: E402


class Tests(AcceptanceTest):
    TOKEN = "forge-token-abcdef0123456789"

    def world(self, provider="gitea", token=TOKEN, agent=("sh",), user=None):
        home = self.home(user)
        repositories = Repositories(home.top / "upstream")
        repositories.make("team/app")
        sshd = Sshd(home.top)
        self.addCleanup(sshd.stop)
        forge = Fake("forge.py", home.top, "--state", home.top / "forge", "--token", self.TOKEN, "--repository",
                     f"{str(repositories.root)[1:]}/team/app", "--repository", "team/app", "--authorized-keys", sshd.authorized)
        self.addCleanup(self.forge_is_empty, home, forge)
        version = {"gitea": "v1", "github": "v3", "gitlab": "v4"}[provider]
        home.environment["FORGE_TOKEN"] = token
        home.forge, home.sshd, home.repositories = forge, sshd, repositories
        url = sshd.url(repositories.root / "team" / "app.git", "root")
        home.url = url
        home.bottle("git", f"backend: local\nagent_provider:\n  template: command\n  command: {json.dumps(list(agent))}\n"
                    f"egress: {{upstream_ca: {forge.ca}}}\ngit:\n  user: {{name: Agent, email: agent@example.com}}\n"
                    f"git-gate:\n  repos:\n    app:\n      url: {url}\n      host_key: \"{sshd.host_key}\"\n"
                    f"      key: {{provider: {provider}, token: FORGE_TOKEN, api: \"https://localhost:{forge.port}/api/{version}\"}}\n")
        home.agent("git", 'bottle: "git"')
        return home

    def forge_is_empty(self, home, forge):
        """At the end of every test, whatever it was about: no key at the forge, and none that sshd would take."""
        forge.close()
        self.assertEqual(self.keys(home), [], "a key is left at the forge")
        self.assertEqual(home.sshd.authorized.read_text(), "")

    def keys(self, home):
        return json.loads((home.top / "forge" / "keys.json").read_text())

    def faults(self, home, **faults):
        (home.top / "forge" / "faults.json").write_text(json.dumps(faults))

    def records(self, home):
        directory = home.root / "deploy-keys"
        return sorted(path.name for path in directory.iterdir()) if directory.exists() else []

    def life(self, provider):
        home = self.world(provider)
        script = f"set -e; git clone -q {home.url} w; cd w; echo x > x; git add x; git commit -qm x; " \
                 "git push -q origin HEAD:refs/heads/agent/x; cat /proc/self/environ | tr '\\0' '\\n'"
        result = home.run("run", "git", "--label", "keyed", "-p", script, check=0)
        self.assertIn("refs/heads/agent/x", home.repositories.refs("team/app"))
        self.assertEqual(self.keys(home), [], "the key is gone with the bottle")
        self.assertEqual(self.records(home), [])
        methods = [request["method"] for request in home.forge.requests()]
        self.assertEqual(methods, ["POST", "DELETE"])
        self.assertNotIn(self.TOKEN, result.stdout + result.stderr)

    def test_a_gitea_key_lives_as_long_as_its_bottle(self):
        self.life("gitea")

    def test_a_github_key_lives_as_long_as_its_bottle(self):
        self.life("github")

    def test_a_gitlab_key_lives_as_long_as_its_bottle(self):
        self.life("gitlab")

    def test_a_detached_bottle_has_its_key_until_stop(self):
        home = self.world(agent=["sleep", "600"])
        home.run("start", "git", "--detach", "--yes", "--label", "held", check=0)
        keys = self.keys(home)
        self.assertEqual(len(keys), 1)
        self.assertEqual(keys[0]["title"], f"bot-bottle held {socket.gethostname()}")
        self.assertFalse(keys[0]["read_only"])
        home.run("stop", "held", check=0)
        self.assertEqual(self.keys(home), [])
        self.assertFalse((home.state("held") / "git-gate" / "app" / "identity").exists(), "the private key is wiped")
        home.run("resume", "held", "--detach", "--yes")
        home.run("stop", "--rm", "held")
        self.assertEqual(self.keys(home), [])

    def test_a_launch_that_fails_takes_its_key_back(self):
        home = self.world()
        text = (home.root / "bottles" / "git.md").read_text()
        (home.root / "bottles" / "git.md").write_text(text.replace("egress:", "post_init: [[\"false\"]]\negress:"))
        result = home.run("run", "git", "-p", "true")
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual([request["method"] for request in home.forge.requests()], ["POST", "DELETE"])
        self.assertEqual(self.keys(home), [])
        self.assertEqual(self.records(home), [])

    def test_a_key_that_cannot_be_removed_is_loud_and_cleanup_retries(self):
        home = self.world()
        self.faults(home, DELETE=500)
        result = home.run("run", "git", "--label", "stuck", "-p", "true")
        self.assertNotEqual(result.returncode, 0, "the agent's code was 0")
        self.assertIn("could not be removed", result.stderr)
        self.assertIn("bot-bottle stuck", result.stderr)
        self.assertEqual([request["method"] for request in home.forge.requests()], ["POST"] + ["DELETE"] * 4)
        self.assertEqual(len(self.keys(home)), 1)
        self.assertNotEqual(home.run("cleanup", "--yes").returncode, 0)
        self.faults(home)
        shown = home.run("cleanup", "--yes", check=0)
        self.assertIn("deploy key", shown.stdout)
        self.assertEqual(self.keys(home), [])
        self.assertEqual(self.records(home), [])

    def test_a_key_that_is_gone_already_is_no_error(self):
        home = self.world(agent=["sleep", "600"])
        home.run("start", "git", "--detach", "--yes", "--label", "held", check=0)
        (home.top / "forge" / "keys.json").write_text("[]")
        home.sshd.authorized.write_text("")
        home.run("stop", "--rm", "held", check=0)
        self.assertEqual(self.records(home), [])

    def test_what_the_forge_refuses_is_told_and_nothing_starts(self):
        for faults, token, text in (({}, "wrong-token-0123456789", "is not valid"), ({"POST": 403}, self.TOKEN, "may not manage"),
                                    ({"POST": 404}, self.TOKEN, "no such repository"), ({"POST": 503}, self.TOKEN, "503")):
            home = self.world(token=token)
            self.faults(home, **faults)
            result = home.run("run", "git", "-p", "true")
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(text, result.stderr)
            self.assertNotIn(token, result.stderr)
            self.assertEqual(self.keys(home), [])
            self.assertEqual(home.slugs(), [])

    def test_a_slow_forge_is_given_up_and_no_key_stays(self):
        home = self.world()
        self.faults(home, POST="slow")
        result = home.run("run", "git", "-p", "true", timeout=110)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("the forge did not answer in time", result.stderr)
        self.assertEqual(self.records(home), [])
        self.assertEqual(home.slugs(), [])

    def test_a_forge_that_is_slow_once_does_not_keep_the_key(self):
        # The bottle is at its end and the forge does not answer; it is asked again.
        home = self.world(agent=["sleep", "600"])
        home.run("start", "git", "--detach", "--yes", "--label", "held", check=0)
        self.faults(home, DELETE="slow")
        stop = home.popen("stop", "--rm", "held", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(stop.kill)
        wait_until("the first question", lambda: [r for r in home.forge.requests() if r["method"] == "DELETE"], 60)
        self.faults(home)
        out, err = stop.communicate(timeout=100)
        self.assertEqual(stop.returncode, 0, out + err)
        self.assertEqual([r["method"] for r in home.forge.requests()], ["POST", "DELETE", "DELETE"])
        self.assertEqual(self.records(home), [])

    def test_a_forge_that_is_gone_is_told_and_cleanup_follows_when_it_is_back(self):
        home = self.world(agent=["sleep", "600"])
        home.run("start", "git", "--detach", "--yes", "--label", "held", check=0)
        self.faults(home, DELETE=401)
        result = home.run("stop", "--rm", "held")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("FORGE_TOKEN is not valid", result.stderr)
        self.assertEqual(len(self.keys(home)), 1)
        self.faults(home)
        home.run("cleanup", "--yes", check=0)
        self.assertEqual(self.records(home), [])

    def test_a_key_whose_answer_was_lost_is_found_by_its_title(self):
        home = self.world()
        self.faults(home, POST="lost")
        self.assertNotEqual(home.run("run", "git", "-p", "true").returncode, 0)
        self.assertEqual(self.keys(home), [])
        self.assertEqual(self.records(home), [])

    def test_kill_9_leaves_a_record_that_cleanup_follows(self):
        home = self.world(agent=["sleep", "600"])
        run = home.popen("run", "git", "--label", "killed", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until("the key", lambda: self.keys(home), 30)
        wait_until("the agent", lambda: any("sleep 600" in line for line in home.own_processes().values()), 30)
        run.kill()
        run.wait()
        self.assertEqual(len(self.records(home)), 1)
        home.run("cleanup", "--yes", "--all", check=0, timeout=120)
        self.assertEqual(self.keys(home), [])
        self.assertEqual(self.records(home), [])
        self.assertEqual(home.slugs(), [])


if __name__ == "__main__":
    unittest.main()
