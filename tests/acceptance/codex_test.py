"""The real Codex in a bottle of its provider, against fakes of its APIs, with an API key or a forwarded ChatGPT login that it must never
see. What is not real: the model APIs, and the server that renews a login (fakes/codex_login.py); the renewing is the real program's.

Codex 0.169.0 asks for a WebSocket first and falls back to POST with server-sent events when it gets none.
"""
import base64
import json
import subprocess
import time
import unittest

from codex_harness import PLACEHOLDER, PROMPT, CodexTest
from codex_login import Login, RefreshServer
from harness import Terminal, processes, wait_until

ORDINARY_USER = 65533
READY = "Ask Codex to do anything"


class Tests(CodexTest):
    def headless(self, **options):
        """What the API saw as (protocol, method), and the client's own log."""
        home = self.codex(**options)
        result = home.run("run", "coder", "-p", "say hello", check=0, timeout=200)
        self.assertEqual(self.said(result.stdout), ['heard: "say hello"'])
        self.assert_injected(self.key)
        self.assertNotIn(self.key, result.stdout + result.stderr)
        self.assertEqual(home.slugs(), [], "exit 0 removes the state")
        return [(request["protocol"], request["method"]) for request in self.api.requests], result.stderr

    def test_over_http1_events_arrive_when_websocket_is_refused(self):
        seen, _ = self.headless(protocols=("http/1.1",), websocket=False)
        self.assertIn(("http/1.1", "POST"), seen)
        self.assertNotIn("h2", dict(seen))

    def test_over_http2_events_arrive_on_both_sides_of_the_sidecar(self):
        seen, log = self.headless(protocols=("h2", "http/1.1"), websocket=False, extra="env:\n  RUST_LOG: h2=debug,warn\n")
        self.assertIn(("h2", "POST"), seen)
        self.assertNotIn(("http/1.1", "POST"), seen)
        self.assertIn("h2::", log, "Codex itself speaks HTTP/2 with the sidecar")

    def test_over_websocket_one_connection_carries_the_turn(self):
        seen, _ = self.headless()
        self.assertIn(("websocket", "MESSAGE"), seen)
        self.assertEqual({entry for entry in seen if entry[0] != "websocket"}, {("http/1.1", "GET")}, "no fallback")
        self.assertIn(PROMPT, json.dumps([request["body"] for request in self.api.requests]), "the agent file's body is told")

    def test_it_asks_through_mcp_waits_and_gets_the_operators_answer(self):
        home = self.codex()
        ask = 'use mcp__supervise__ask_operator {"question": "Which colour?", "choices": ["red", "blue"]}'
        run = home.popen("run", "coder", "-p", ask, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
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
        said = self.said(out)
        self.assertTrue(said[-1].startswith("got: ") and "blue" in said[-1], said)

    def test_the_exit_code_of_a_failing_session_is_returned_and_the_state_kept(self):
        home = self.codex()
        result = home.run("run", "coder", "-p", "hello", "--", "--no-such-option", timeout=90)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(len(home.slugs()), 1)
        self.assertIn("resume", result.stderr)

    def talk(self, home, arguments, prompt, answer):
        terminal = Terminal(home.argv(*arguments), home.top, home.environment, cwd=home.workspace)
        self.addCleanup(terminal.close)
        self.say(terminal, prompt, answer)
        self.leave(terminal)

    def say(self, terminal, prompt, answer):
        terminal.wait_for(READY, 60)
        terminal.type(prompt)
        terminal.wait_for(prompt)
        terminal.key("Enter")
        terminal.wait_for(answer, 60)

    def leave(self, terminal):
        terminal.type("/quit")
        terminal.wait_for("/quit")
        terminal.key("Enter")
        terminal.wait_for("EXIT=0", 60)

    def test_a_forwarded_login_answers_in_a_terminal_and_is_nowhere_inside(self):
        home = self.logged_in()
        terminal = Terminal(home.argv("start", "coder", "--label", "talk", "--yes"), home.top, home.environment, 100, 30, cwd=home.workspace)
        self.addCleanup(terminal.close)
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.login.expires_at))
        self.assertIn(f"your login of ~/.codex/auth.json, which stays outside; it ends {ends}", home.run("start", "coder", "--dry-run").stdout)
        # Nothing is asked first: neither trust, nor a login, nor an update.
        self.say(terminal, "hello there", 'heard: "hello there"')
        self.assertIn("/workspace", terminal.screen(), "the status line")
        self.assertIn("talk (coder)", terminal.tmux("display-message", "-p", "#{pane_title}"), "the title has the label")
        self.assert_injected(self.login.access_token, self.login.account)
        inside = json.loads(home.run("exec", "talk", "--", "cat", "/home/agent/.codex/auth.json", check=0).stdout)
        self.hunt(home, "talk", self.login.private(), known=PLACEHOLDER)
        for pid, line in processes().items():
            for name, value in self.login.private().items():
                self.assertNotIn(value, line, f"the {name} is in the argv of {pid}")
        # What stands for the login: the true end, and nobody.
        self.assertEqual(inside["tokens"]["id_token"], inside["tokens"]["access_token"])
        self.assertEqual(claims_of(inside["tokens"]["access_token"]), {"exp": self.login.expires_at})
        self.assertEqual(inside["tokens"]["refresh_token"], PLACEHOLDER)
        self.assertIn("Logged in using ChatGPT", home.run("exec", "talk", "--", "codex", "login", "status", check=0).stderr)
        terminal.resize(60, 20)
        self.leave(terminal)
        self.assertTrue(terminal.terminal_was_restored())
        self.assertEqual(json.loads((home.top / ".codex" / "auth.json").read_text()), self.login.document(), "the host's is as it was")

    def test_headless_as_an_ordinary_user_with_a_login_that_had_expired_and_was_renewed_by_codex_itself(self):
        login = Login(seconds=-60)
        server = RefreshServer(login)
        self.addCleanup(server.close)
        old = login.access_token
        home = self.logged_in(ORDINARY_USER, login=login)
        home.environment["CODEX_REFRESH_TOKEN_URL_OVERRIDE"] = server.url
        shown = home.run("start", "coder", "--dry-run", check=0)  # a look renews nothing
        self.assertEqual(server.asked, 0)
        self.assertIn("chatgpt.com [auth:Bearer]", shown.stdout)
        self.assertIn("your login of ~/.codex/auth.json, which stays outside; it is over, and renewed at the start", shown.stdout)

        # The fake API knows the renewed token: it is made when the server is asked.
        class Renewed(str):
            def __radd__(self, other):
                return other + login.access_token
        self.api.token = Renewed()
        result = home.run("run", "coder", "-p", "say hello", check=0, timeout=200)
        self.assertEqual(server.asked, 1)
        self.assertEqual(self.said(result.stdout), ['heard: "say hello"'])
        self.assertNotEqual(login.access_token, old)
        self.assert_injected(login.access_token, login.account)
        for name, value in {**login.private(), "old token": old}.items():
            self.assertNotIn(value, result.stdout + result.stderr + shown.stdout + shown.stderr, name)
        kept = json.loads((home.top / ".codex" / "auth.json").read_text())
        self.assertEqual(kept["tokens"]["refresh_token"], login.refresh_token, "codex wrote it back")

    def test_of_two_starts_at_once_one_renews_the_login_and_both_have_it(self):
        login = Login(seconds=-60)
        server = RefreshServer(login)
        self.addCleanup(server.close)
        home = self.logged_in(login=login)
        home.environment["CODEX_REFRESH_TOKEN_URL_OVERRIDE"] = server.url
        starts = [home.popen("start", "coder", "--label", label, "--detach", "--yes", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True) for label in ("one", "two", "three")]
        for start in starts:
            self.addCleanup(start.kill)
        for start in starts:
            out, err = start.communicate(timeout=200)
            self.assertEqual(start.returncode, 0, err)
        self.assertEqual(server.asked, 1, "a refresh token that is spent twice is one that was stolen")
        kept = json.loads((home.top / ".codex" / "auth.json").read_text())
        self.assertEqual(kept["tokens"]["refresh_token"], login.refresh_token)
        self.assertEqual([entry.name for entry in (home.top / ".codex").iterdir() if "bottle" in entry.name], [])

    def test_a_login_that_cannot_be_used_is_refused_by_name_before_anything_is_made(self):
        login = Login(seconds=-60)
        server = RefreshServer(login, refuses=True)
        self.addCleanup(server.close)
        home = self.logged_in(login=login)
        home.environment["CODEX_REFRESH_TOKEN_URL_OVERRIDE"] = server.url
        file = home.top / ".codex" / "auth.json"

        def refused(message, *more, environment=None):
            result = home.run("run", "coder", "-p", "hi", env=environment, timeout=90)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(message, result.stderr)
            for text in ("codex login", *more):
                self.assertIn(text, result.stderr)
            for name, value in login.private().items():
                self.assertNotIn(value, result.stderr + result.stdout, name)
            self.assertEqual(home.slugs(), [])
        refused("has expired, and `codex` could not renew it", str(home.top / ".codex"))
        self.assertGreaterEqual(server.asked, 1)
        login.renew()
        login.write(home.top / ".codex")
        file.rename(file.with_name("elsewhere"))
        file.symlink_to("elsewhere")
        refused("is a link or no file")
        file.unlink()
        file.write_text(json.dumps(login.document())[:-20])
        refused("is not a JSON object")
        file.chmod(0o666)
        refused("can be written by others")
        file.unlink()
        refused("there is no login of Codex in " + str(file), "keyring")
        refused("there is no login of Codex in /nonexistent/auth.json", environment={"CODEX_HOME": "/nonexistent"})
        kept = login.write(home.workspace / ".codex")
        result = home.run("run", "coder", "-p", "hi", env={"CODEX_HOME": str(kept.parent)})
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(f"the workspace {home.workspace} holds the login of Codex", result.stderr)
        self.assertEqual(home.slugs(), [])
        kept.unlink()
        login.write(home.top / ".codex")
        home.bottle("dev", "backend: local\nagent_provider: {template: claude, forward_host_credentials: true}")
        self.assertIn("the provider claude cannot forward a login", home.run("run", "coder", "-p", "hi", check=1).stderr)

    def test_of_the_logins_host_only_what_a_turn_needs_is_reached_and_only_as_that_account(self):
        home = self.logged_in()
        home.run("start", "coder", "--label", "bind", "--detach", "--yes", check=0)
        token = json.loads(home.run("exec", "bind", "--", "cat", "/home/agent/.codex/auth.json", check=0).stdout)["tokens"]["access_token"]
        ours = f"-H 'Authorization: Bearer {token}'"
        api = "https://chatgpt.com/backend-api"
        asked = [(f"{ours} {api}/codex/models", "200"),
                 (f"{ours} -H 'ChatGPT-Account-Id: acc-of-somebody-else' {api}/codex/models", "200"),
                 (f"{api}/codex/models", "200"),
                 (f"{ours} {api}/conversations", "403"), (f"{ours} {api}/me", "403"), (f"{ours} {api}/wham/usage", "403"),
                 (f"{ours} {api}/codex/models/../../me", "403"), (f"{ours} -X DELETE {api}/codex/responses/x", "403"),
                 # Replaced, whatever it is: assert_injected says by what.
                 (f"-H 'Authorization: Bearer eyJhbGciOiJub25lIn0.e30.other' -H 'Cookie: session=other' {api}/codex/models", "200"),
                 (f"{ours} https://auth.openai.com/oauth/token", "000"), (f"{ours} https://api.openai.com/v1/models", "000")]
        script = "; ".join(f"curl --path-as-is -s -o /dev/null -w '%{{http_code}} ' {arguments}" for arguments, _ in asked)
        result = home.run("exec", "bind", "--", "sh", "-c", script)
        self.assertEqual(list(zip([arguments for arguments, _ in asked], result.stdout.split())), asked)
        self.assert_injected(self.login.access_token, self.login.account)
        self.assertIn("h2", [request["protocol"] for request in self.api.requests], "two headers in HTTP/2 as well")
        tools = json.loads(home.run("exec", "bind", "--", "codex", "mcp", "list", "--json", check=0).stdout)
        self.assertEqual([server["name"] for server in tools], ["supervise"])
        home.run("stop", "bind", check=0)

    def test_a_resumed_bottle_continues_the_conversation_in_the_terminal_and_headless(self):
        home = self.logged_in()
        self.talk(home, ["start", "coder", "--label", "again", "--keep", "--yes"], "remember the word plum", "heard: ")
        self.login.renew()  # another login, as after a week: the resumed bottle has it
        self.login.write(home.top / ".codex")
        self.api.token, self.api.requests = self.login.access_token, []
        self.talk(home, ["resume", "again", "--keep", "--yes"], "which word", 'heard: "remember the word plum" | "which word"')
        self.assert_injected(self.login.access_token, self.login.account)
        third = home.run("resume", "again", "--yes", "-p", "and now", check=0, timeout=90)
        self.assertEqual(self.said(third.stdout), ['heard: "remember the word plum" | "which word" | "and now"'])

    def test_the_real_key_is_nowhere_inside_while_codex_waits_for_its_answer(self):
        home = self.codex()
        home.run("start", "coder", "--label", "hunt", "--detach", "--yes", check=0)
        self.api.may_answer.clear()
        codex = home.popen("exec", "hunt", "--", "codex", "exec", "--json", "--skip-git-repo-check",
                           "--dangerously-bypass-approvals-and-sandbox", "say hello", stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(codex.kill)
        wait_until("Codex to ask", lambda: self.api.requests and self.api.requests[-1]["protocol"] == "websocket", 100)
        self.hunt(home, "hunt", {"key": self.key}, known=PLACEHOLDER)
        self.api.may_answer.set()
        self.assertEqual(self.said(codex.communicate(timeout=100)[0]), ['heard: "say hello"'])
        self.assert_injected(self.key)


def claims_of(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


if __name__ == "__main__":
    unittest.main()
