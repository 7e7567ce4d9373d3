"""The real Claude Code in a bottle, against a fake of its API, with a token that it must never see."""
import json
import os
import pathlib
import re
import secrets
import subprocess
import unittest

from harness import CLAUDE_BIN, CONTINUED, AcceptanceTest, Fake, Terminal, processes, wait_for_transcript, wait_until

ORDINARY_USER = 65533


class Tests(AcceptanceTest):
    def setUp(self):
        self.assertTrue((CLAUDE_BIN / "claude").exists(), "Claude Code is not installed: ./run test does that")

    def claude(self, user=None):
        """A home with the agent `coder` in front of the fake API; the token is in the operator's environment alone."""
        home = self.home(user)
        self.token = "sk-ant-oat01-" + secrets.token_urlsafe(40)
        token_file = home.top / "token"
        token_file.write_text(self.token)
        self.api = Fake("model_api_anthropic.py", home.top, "--token-file", token_file)
        self.addCleanup(self.api.close)
        token_file.unlink()
        ca = home.top / "api-ca.pem"
        ca.write_bytes(pathlib.Path(self.api.ca).read_bytes())
        home.bottle("dev", f"""
backend: local
agent_provider:
  template: claude
  auth_token: TEST_CLAUDE_TOKEN
egress:
  log: 2
  upstream_ca: {ca}
  hosts:
    api.anthropic.com: 127.0.0.1:{self.api.port}
  routes: []
""")
        home.agent("coder", "bottle: dev", "You are careful.\n")
        home.environment["TEST_CLAUDE_TOKEN"] = self.token
        return home

    def headless(self, user):
        home = self.claude(user)
        result = home.run("run", "coder", "-p", "say hello", check=0, timeout=90)
        answer = json.loads(result.stdout)
        self.assertEqual(answer["result"], 'turn 1, heard: "say hello"')
        messages = [request for request in self.api.requests() if request["path"].startswith("/v1/messages")]
        self.assertTrue(messages)
        for request in self.api.requests():
            self.assertEqual({name.lower(): value for name, value in request["headers"].items()}.get("authorization"),
                             "Bearer " + self.token)
            self.assertNotIn("egress-placeholder", json.dumps(request["headers"]))
        self.assertIn("You are careful.", messages[-1]["body"], "the agent file's body is the system prompt")
        self.assertEqual(home.slugs(), [], "exit 0 removes the state")

    def test_headless_as_root_answers_with_a_token_it_never_saw(self):
        self.headless(None)

    def test_headless_as_an_ordinary_user_answers_with_a_token_it_never_saw(self):
        self.headless(ORDINARY_USER)

    def test_the_exit_code_of_a_failing_session_is_returned_and_the_state_kept(self):
        home = self.claude()
        result = home.run("run", "coder", "-p", "hello", "--", "--no-such-option", timeout=90)
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(len(home.slugs()), 1)
        self.assertIn("resume", result.stderr)

    def test_the_real_token_is_nowhere_but_in_the_sidecar(self):
        home = self.claude()
        terminal = Terminal(home.argv("start", "coder", "--label", "hunt", "--yes"), home.top, home.environment,
                            cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.wait_for("bypass permissions on")
        terminal.type("hello there")
        terminal.wait_for("hello there")
        terminal.key("Enter")
        terminal.wait_for("turn 1, heard")
        # Inside: environments, argv, every readable file and the memory of the agent's own processes. The token goes to the
        # probe as a hash of its first half and the half's length, so that the probe itself does not bring it in.
        probe = pathlib.Path(__file__).with_name("token_probe.py").read_text()
        import hashlib
        half = self.token[:24].encode()
        found = home.run("exec", "hunt", "--", "python3", "-", str(len(half)), hashlib.sha256(half).hexdigest(),
                         hashlib.sha256(b"egress-placeholder").hexdigest(), "sk-ant-oat01-", input=probe, timeout=110, check=0)
        report = json.loads(found.stdout)
        self.assertEqual(report["found"], [])
        self.assertGreater(report["files"], 50, "the probe did look")
        self.assertTrue(report["control"], "the probe finds what is there: the placeholder")
        # Outside: the process list, the state and the logs.
        token = self.token.encode()
        for pid, line in processes().items():
            self.assertNotIn(self.token, line, f"in the argv of {pid}")
        for directory, _, names in os.walk(home.root):
            for name in names:
                path = pathlib.Path(directory) / name
                if path.is_file():
                    self.assertNotIn(token, path.read_bytes(), f"on disk: {path}")
        terminal.type("/exit")
        terminal.wait_for("/exit")
        terminal.key("Enter")
        terminal.wait_for("EXIT=0")

    def test_interactive_in_a_terminal_type_answer_resize_quit_restored(self):
        home = self.claude()
        terminal = Terminal(home.argv("start", "coder", "--label", "talk", "--yes"), home.top, home.environment, 100, 30,
                            cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.wait_for("bypass permissions on")
        terminal.wait_for("(coder) in talk")  # the status line
        terminal.type("what is two plus two")
        terminal.wait_for("what is two plus two")
        terminal.key("Enter")
        terminal.wait_for('turn 1, heard: "what is two plus two"')
        terminal.resize(60, 20)
        wait_until("the program to use 60 columns", lambda: any(
            line.startswith("─" * 60) and len(line.rstrip()) == 60 for line in terminal.screen().splitlines()))
        terminal.type("/exit")
        terminal.wait_for("/exit")
        terminal.key("Enter")
        terminal.wait_for("EXIT=0")
        self.assertTrue(terminal.terminal_was_restored())

    def talk(self, home, arguments, prompt, answer):
        terminal = Terminal(home.argv(*arguments), home.top, home.environment, cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.wait_for("bypass permissions on")
        terminal.type(prompt)
        terminal.wait_for(prompt)
        terminal.key("Enter")
        terminal.wait_for(answer)
        terminal.type("/exit")
        terminal.wait_for("/exit")
        terminal.key("Enter")
        terminal.wait_for("EXIT=0")
        terminal.close()

    def test_a_resumed_bottle_continues_the_conversation_in_the_terminal(self):
        home = self.claude()
        self.talk(home, ["start", "coder", "--label", "again", "--keep", "--yes"], "remember the word plum", "turn 1, heard")
        self.talk(home, ["resume", "again", "--yes"], "which word", 'turn 2, heard: "remember the word plum" | "which word"')

    def test_a_resumed_bottle_continues_the_conversation_headless(self):
        home = self.claude()
        home.run("run", "coder", "--label", "again", "--keep", "-p", "remember the word plum", check=0, timeout=90)
        second = home.run("resume", "again", "--yes", "-p", "which word", check=0, timeout=90)
        self.assertEqual(json.loads(second.stdout)["result"], 'turn 2, heard: "remember the word plum" | "which word"')

    def test_a_frozen_bottle_continues_the_conversation_and_so_do_its_forks(self):
        home = self.claude()
        home.run("start", "coder", "--label", "cold", "--detach", "--yes", check=0)
        terminal = Terminal(home.argv("attach", "cold"), home.top, home.environment, cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.wait_for("bypass permissions on")
        terminal.type("remember the word plum")
        terminal.wait_for("remember the word plum")
        terminal.key("Enter")
        terminal.wait_for("turn 1, heard")
        wait_for_transcript(home, "cold", "turn 1, heard")
        home.run("commit", "cold", check=0)
        # It goes on while its terminal is open; what is said now is not in the snapshot.
        terminal.type("forget this")
        terminal.wait_for("forget this")
        terminal.key("Enter")
        terminal.wait_for("turn 2, heard")
        self.assertTrue(list((home.state("cold") / "transcript").rglob("*.jsonl")), "the transcript is kept")
        for path in (home.state("cold") / "frozen").rglob("*"):
            if path.is_file() and not path.is_symlink():
                self.assertNotIn(self.token.encode(), path.read_bytes(), path)
        home.run("stop", "cold", check=0)
        terminal.close()
        again = home.run("resume", "cold", "--yes", "--keep", "-p", "which word", check=0, timeout=90)
        self.assertRegex(json.loads(again.stdout)["result"], "^" + CONTINUED % "which word" + "$")
        fork, = home.run("fork", "cold", check=0).stdout.split()
        other = Terminal(home.argv("attach", fork), home.top, home.environment, cwd=home.workspace)
        self.addCleanup(other.close)
        other.wait_for("bypass permissions on")
        other.type("and which word")
        other.wait_for("and which word")
        other.key("Enter")
        wait_until("the conversation to go on", lambda: re.search(CONTINUED % "and which word", " ".join(other.screen().split())), 30)
        home.run("stop", "--rm", fork, "cold", check=0)

    def test_an_own_key_on_the_allowed_host_is_refused(self):
        """Account binding (catalogue E3): the allowed API host must not become a way out with somebody else's key."""
        home = self.claude()
        home.run("start", "coder", "--label", "bind", "--detach", "--yes", check=0)
        script = ("curl -s -o /dev/null -w '%{http_code}' -H 'x-api-key: sk-other-account-0000000000' "
                  "https://api.anthropic.com/v1/models; "
                  "curl -s -o /dev/null -w ' %{http_code}' -H 'Authorization: Bearer egress-placeholder' "
                  "https://api.anthropic.com/v1/models")
        result = home.run("exec", "bind", "--", "sh", "-c", script, check=0)
        self.assertEqual(result.stdout, "403 200")
        self.assertNotIn("sk-other-account", self.api.log.read_text())
        home.run("stop", "bind", check=0)


if __name__ == "__main__":
    unittest.main()
