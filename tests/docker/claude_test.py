"""The real Claude Code in a docker bottle of the provider's own Dockerfile, against a fake of its API: a turn, then commit, resume and
fork with its conversation continued. What is not real: the API, and the base image of that name (engine.py, make_node_image)."""
import re
import secrets
import unittest

from docker_harness import FACTS, DockerTest, Terminal, docker, engine, json, pathlib, setUpModule  # noqa: F401
from harness import CONTINUED, Fake, wait_for_transcript, wait_until


class Tests(DockerTest):
    def claude(self):
        """A home with the agent `coder`; the token is in the operator's environment alone."""
        self.assertTrue(engine.make_node_image(FACTS["socket"]), "node and npm are not installed: ./run test does that")
        home = self.docker_home()
        self.token = "sk-ant-oat01-" + secrets.token_urlsafe(40)
        token_file = home.top / "token"
        token_file.write_text(self.token)
        # A sidecar in a container reaches its bridge, and no loopback of the host's.
        self.api = Fake("model_api_anthropic.py", home.top, "--token-file", token_file, "--address", FACTS["gateway"])
        self.addCleanup(self.api.close)
        token_file.unlink()
        ca = home.top / "api-ca.pem"
        ca.write_bytes(pathlib.Path(self.api.ca).read_bytes())
        home.bottle("dev", f"""
backend: docker
docker: {{runtime: runc}}
agent_provider:
  template: claude
  auth_token: TEST_CLAUDE_TOKEN
egress:
  log: 2
  upstream_ca: {ca}
  hosts:
    api.anthropic.com: {FACTS["gateway"]}:{self.api.port}
  routes: []
""")
        home.agent("coder", "bottle: dev", "You are careful.\n")
        home.environment["TEST_CLAUDE_TOKEN"] = self.token
        return home

    def test_a_headless_turn_with_a_token_it_never_saw(self):
        home = self.claude()
        result = home.run("run", "coder", "-p", "say hello", check=0, timeout=560)
        self.assertEqual(json.loads(result.stdout)["result"], 'turn 1, heard: "say hello"')
        requests = self.api.requests()
        self.assertTrue([request for request in requests if request["path"].startswith("/v1/messages")])
        for request in requests:
            self.assertEqual({name.lower(): value for name, value in request["headers"].items()}.get("authorization"),
                             "Bearer " + self.token)
        self.assertEqual((home.left(), home.slugs()), ([], []))

    def test_a_frozen_bottle_continues_the_conversation_and_so_do_its_forks(self):
        home = self.claude()
        home.run("start", "coder", "--label", "cold", "--detach", "--yes", check=0, timeout=560)
        terminal = Terminal(home.argv("attach", "cold"), home.top, home.environment, cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.wait_for("bypass permissions on", 60)
        terminal.type("remember the word plum")
        terminal.wait_for("remember the word plum")
        terminal.key("Enter")
        terminal.wait_for("turn 1, heard")
        wait_for_transcript(home, "cold", "turn 1, heard")
        home.run("commit", "cold", check=0, timeout=120)
        # It goes on while its terminal is open; what is said now is not in the snapshot.
        terminal.type("forget this")
        terminal.wait_for("forget this")
        terminal.key("Enter")
        terminal.wait_for("turn 2, heard")
        self.nothing_secret_is_in_the_snapshot()
        home.run("stop", "cold", check=0)
        terminal.close()
        again = home.run("resume", "cold", "--yes", "--keep", "-p", "which word", check=0, timeout=120)
        self.assertRegex(json.loads(again.stdout)["result"], "^" + CONTINUED % "which word" + "$")
        fork, = home.run("fork", "cold", check=0, timeout=120).stdout.split()
        other = Terminal(home.argv("attach", fork), home.top, home.environment, cwd=home.workspace)
        self.addCleanup(other.close)
        other.wait_for("bypass permissions on", 60)
        other.type("and which word")
        other.wait_for("and which word")
        other.key("Enter")
        wait_until("the conversation to go on", lambda: re.search(CONTINUED % "and which word", " ".join(other.screen().split())), 30)
        home.run("stop", "--rm", fork, "cold", check=0, timeout=60)
        other.close()
        self.assertEqual((home.left(), home.slugs()), ([], []))

    def nothing_secret_is_in_the_snapshot(self):
        image, = [name for name in docker("images", "--format", "{{.Repository}}:{{.Tag}}", "bot-bottle/snapshot").stdout.split()
                  if name.startswith("bot-bottle/snapshot:cold.")]
        for text in (docker("image", "inspect", image).stdout, docker("history", "--no-trunc", image).stdout):
            self.assertNotIn(self.token, text)
        layer = pathlib.Path(json.loads(docker("image", "inspect", image).stdout)[0]["GraphDriver"]["Data"]["UpperDir"])
        files = [path for path in layer.rglob("*") if path.is_file() and not path.is_symlink()]
        self.assertTrue([path for path in files if b"remember the word plum" in path.read_bytes()], "the search knows what is there")
        for path in files:
            self.assertNotIn(self.token.encode(), path.read_bytes(), path)


if __name__ == "__main__":
    unittest.main()
