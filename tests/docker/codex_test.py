"""The real Codex in a docker bottle of the provider's own Dockerfile, with a forwarded ChatGPT login, against a fake of its API: a turn, then
resumed with its conversation continued. What is not real: the API, the login, and the base image of that name (engine.py,
make_node_image)."""
import json
import unittest

from docker_harness import FACTS, DockerTest, docker, engine, setUpModule  # noqa: F401
from codex_harness import PLACEHOLDER, CodexTest
from codex_login import Login


class Tests(DockerTest, CodexTest):
    def setUp(self):
        self.assertTrue(engine.make_node_image(FACTS["socket"]), "node and npm are not installed: ./run test does that")

    def test_a_forwarded_login_answers_resumes_and_is_nowhere_inside(self):
        home = self.docker_home()
        self.login = Login()
        self.login.write(home.top / ".codex")
        # A sidecar in a container reaches its bridge, and no loopback of the host's.
        self.bottled(home, "chatgpt.com", "forward_host_credentials: true", backend="backend: docker\ndocker: {runtime: runc}",
                     address=FACTS["gateway"], token=self.login.access_token, account=self.login.account, prefix="/backend-api/codex")
        first = home.run("run", "coder", "--label", "box", "--keep", "-p", "remember the word plum", check=0, timeout=560)
        self.assertEqual(self.said(first.stdout), ['heard: "remember the word plum"'])
        self.assert_injected(self.login.access_token, self.login.account)
        home.run("resume", "box", "--detach", "--yes", check=0, timeout=120)
        self.assertIn("Logged in using ChatGPT", home.run("exec", "box", "--", "codex", "login", "status", check=0).stderr)
        self.assertIn(PLACEHOLDER, home.run("exec", "box", "--", "cat", "/home/agent/.codex/auth.json", check=0).stdout)
        everything = home.run("exec", "box", "--", "sh", "-c", "{ cat /proc/[0-9]*/environ; find /home /tmp /workspace -type f -size -4M "
                              "-exec cat {} +; } 2>/dev/null | LC_ALL=C tr -c '[:print:]' '[\\n*]'", check=0).stdout
        self.assertIn("remember the word plum", everything, "the search knows what is there")
        containers = [docker("inspect", home.container(part)).stdout for part in ("agent", "sidecar")]
        for name, value in self.login.private().items():
            self.assertNotIn(value, everything, name)
            for document in containers:
                self.assertNotIn(value, document, name)
        home.run("stop", "box", check=0, timeout=60)
        again = home.run("resume", "box", "--yes", "-p", "which word", check=0, timeout=120)
        self.assertEqual(self.said(again.stdout), ['heard: "remember the word plum" | "which word"'])
        home.run("stop", "--rm", "box", timeout=60)
        self.assertEqual((home.left(), home.slugs()), ([], []))


if __name__ == "__main__":
    unittest.main()
