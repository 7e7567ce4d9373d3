"""The real Codex in a bottle, as any command, against a fake of its API, with a key that it must never see.

Codex 0.169.0 asks for a WebSocket first and falls back to POST with server-sent events when it gets none.
"""
import hashlib
import json
import pathlib
import secrets
import subprocess
import sys
import unittest

from harness import CLAUDE_BIN, FAKES, AcceptanceTest, wait_until

sys.path.insert(0, str(FAKES))
from certificates import make_ca, make_leaf  # noqa: E402
from model_api_openai import ModelApi  # noqa: E402

PACKAGES = CLAUDE_BIN.parent / "@openai"
HOST, PLACEHOLDER = "api.openai.com", "egress-placeholder"
EXEC = ["node", str(PACKAGES / "codex" / "bin" / "codex.js"), "exec", "--json", "--skip-git-repo-check",
        "--dangerously-bypass-approvals-and-sandbox", "say hello"]
BY_ENVIRONMENT = f"env:\n  CODEX_API_KEY: {PLACEHOLDER}\n"
BY_FILE = "post_init:\n  - " + json.dumps(
    f"""mkdir -p ~/.codex && echo '{{"OPENAI_API_KEY": "{PLACEHOLDER}"}}' > ~/.codex/auth.json""") + "\n"


class Tests(AcceptanceTest):
    def setUp(self):
        self.assertTrue((PACKAGES / "codex").exists(), "Codex is not installed: ./run test does that")

    def codex(self, argv, login=BY_ENVIRONMENT, **options):
        """A home with the agent `coder` in front of the fake API; the key is in the operator's environment alone."""
        self.world = self.home()
        self.key = "sk-proj-" + secrets.token_urlsafe(40)
        ca = make_ca(str(self.world.top))
        self.api = ModelApi(*make_leaf(str(self.world.top), [HOST]), self.key, **options)
        self.addCleanup(self.api.close)
        egress = {"upstream_ca": ca, "hosts": {HOST: f"127.0.0.1:{self.api.port}"},
                  "routes": [{"host": HOST, "auth": {"scheme": "Bearer", "token_ref": "TEST_OPENAI_KEY"}}]}
        self.world.command_agent("coder", argv, f"local:\n  bind_ro: [{PACKAGES}]\n{login}egress: {json.dumps(egress)}\n")
        self.world.environment["TEST_OPENAI_KEY"] = self.key
        return self.world

    def assert_answered(self, output):
        events = [json.loads(line) for line in output.splitlines()]
        said = [event["item"]["text"] for event in events if event["type"] == "item.completed"
                and event["item"]["type"] == "agent_message"]
        self.assertEqual(said, ['heard: "say hello"'])
        self.assertEqual(events[-1]["type"], "turn.completed")

    def assert_key_injected(self):
        self.assertTrue(self.api.requests)
        for request in self.api.requests:
            self.assertEqual(request["headers"]["authorization"], "Bearer " + self.key)
            self.assertNotIn(PLACEHOLDER, json.dumps(request), "the placeholder left the bottle")

    def headless(self, **options):
        """What the API saw as (protocol, method), and the client's own log."""
        home = self.codex(EXEC, **options)
        result = home.run("run", "coder", check=0, timeout=200)
        self.assert_answered(result.stdout)
        self.assert_key_injected()
        self.assertNotIn(self.key, result.stdout + result.stderr)
        self.assertEqual(home.slugs(), [], "exit 0 removes the state")
        return [(request["protocol"], request["method"]) for request in self.api.requests], result.stderr

    def test_over_http1_events_arrive_when_websocket_is_refused(self):
        seen, _ = self.headless(protocols=("http/1.1",), websocket=False)
        self.assertIn(("http/1.1", "POST"), seen)
        self.assertNotIn("h2", dict(seen))

    def test_over_http2_events_arrive_on_both_sides_of_the_sidecar(self):
        seen, log = self.headless(protocols=("h2", "http/1.1"), websocket=False,
                                  login=BY_FILE + "env:\n  RUST_LOG: h2=debug,warn\n")
        self.assertIn(("h2", "POST"), seen)
        self.assertNotIn(("http/1.1", "POST"), seen)
        self.assertIn("h2::", log, "Codex itself speaks HTTP/2 with the sidecar")

    def test_over_websocket_one_connection_carries_the_turn(self):
        seen, _ = self.headless()
        self.assertIn(("websocket", "MESSAGE"), seen)
        self.assertEqual([entry for entry in seen if entry[0] != "websocket"], [("http/1.1", "GET")], "no fallback")

    def test_it_asks_through_mcp_waits_and_gets_the_operators_answer(self):
        ask = 'use mcp__supervise__ask_operator {"question": "Which colour?", "choices": ["red", "blue"]}'
        home = self.codex([*EXEC[:-1], "-c", 'mcp_servers.supervise.url="http://supervise:9100/mcp"',
                           "-c", "mcp_servers.supervise.tool_timeout_sec=86400", ask])
        run = home.popen("run", "coder", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.kill)

        def proposals():
            self.assertIsNone(run.poll(), "Codex has ended without having asked")
            out = home.run("supervise", "--once", "--json").stdout
            return json.loads(out)["proposals"] if out else []
        proposal = wait_until("a proposal", proposals, 100)[0]
        self.assertEqual(proposal["change"], {"question": "Which colour?", "choices": ["red", "blue"]})
        home.run("supervise", "answer", proposal["id"], "blue", check=0)
        out, err = run.communicate(timeout=100)
        self.assertEqual(run.returncode, 0, err)
        events = [json.loads(line) for line in out.splitlines()]
        calls = [event["item"] for event in events
                 if event["type"] == "item.completed" and event["item"]["type"] == "mcp_tool_call"]
        self.assertEqual([(call["server"], call["tool"], call["status"]) for call in calls],
                         [("supervise", "ask-operator", "completed")], out)
        said = [event["item"]["text"] for event in events
                if event["type"] == "item.completed" and event["item"]["type"] == "agent_message"]
        self.assertTrue(said[-1].startswith("got: ") and "blue" in said[-1], said)

    def test_the_real_key_is_nowhere_inside_while_codex_waits_for_its_answer(self):
        home = self.codex(["sh", "-c", "cat > /dev/null"])
        home.run("start", "coder", "--label", "hunt", "--detach", "--yes", check=0)
        self.api.may_answer.clear()
        codex = home.popen("exec", "hunt", "--", *EXEC, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(codex.kill)
        wait_until("Codex to ask", lambda: self.api.requests and self.api.requests[-1]["protocol"] == "websocket", 100)
        # The key goes to the probe as a hash of its first half: the probe itself must not bring it in.
        half = self.key[:24].encode()
        probe = pathlib.Path(__file__).with_name("token_probe.py").read_text()
        found = home.run("exec", "hunt", "--", "python3", "-", str(len(half)), hashlib.sha256(half).hexdigest(),
                         hashlib.sha256(PLACEHOLDER.encode()).hexdigest(), "sk-proj-", input=probe, timeout=110, check=0)
        report = json.loads(found.stdout)
        self.assertEqual(report["found"], [])
        self.assertTrue(report["control"], "the probe finds what is there: the placeholder")
        self.api.may_answer.set()
        self.assert_answered(codex.communicate(timeout=100)[0])
        self.assert_key_injected()


if __name__ == "__main__":
    unittest.main()
