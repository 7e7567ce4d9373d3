"""An agent asks, the operator answers: the real Claude Code, and curl for the same request before and after."""
import json
import os
import pathlib
import secrets
import ssl
import subprocess
import sys
import threading
import unittest
import http.server

from harness import CLAUDE_BIN, AcceptanceTest, Fake, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
from certificates import make_ca, make_leaf  # noqa: E402

ORDINARY_USER = 65533
ASK = """import json, sys, urllib.request
def say(message, session=None):
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    if session: headers["mcp-session-id"] = session
    answer = urllib.request.urlopen(urllib.request.Request("http://supervise:9100/mcp", json.dumps(message).encode(), headers))
    return answer.headers.get("mcp-session-id"), answer.read().decode()
session, _ = say({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}})
print(say({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": sys.argv[1], "arguments": json.loads(sys.argv[2])}}, session)[1])
"""


class Origin:
    """A TLS server on loopback that answers everything with 200."""

    def __init__(self, directory, host):
        directory.mkdir(exist_ok=True)
        self.ca = make_ca(str(directory))
        certificate, key = make_leaf(str(directory), [host], "leaf")

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

            def do_GET(self):
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Tests(AcceptanceTest):
    def pending(self, home):
        def look():
            out = home.run("supervise", "--once", "--json").stdout
            return json.loads(out)["proposals"] if out else []
        return wait_until("a proposal", look, 60)[0]

    def loop(self, user):
        home = self.home(user)
        origin = Origin(home.top / "origin", "api.example.com")
        self.addCleanup(origin.close)
        get = "curl -sS -o /dev/null -w 'status=%{http_code}\\n' https://api.example.com/v1/x"
        script = (f"cat > ask.py; {get}; python3 ask.py egress-block '" +
                  json.dumps({"host": "api.example.com", "justification": "the task",
                              "matches": [{"methods": ["GET"], "paths": [{"type": "prefix", "value": "/v1"}]}]}) +
                  f"'; {get}")
        home.command_agent("asks", ["sh", "-c", script],
                           f"egress:\n  upstream_ca: {origin.ca}\n  hosts: {{api.example.com: '127.0.0.1:{origin.port}'}}\n")
        run = home.popen("run", "asks", "-p", ASK, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.kill)
        proposal = self.pending(home)
        self.assertEqual(proposal["kind"], "egress-block")
        home.run("supervise", "approve", proposal["id"], check=0)
        out, err = run.communicate(timeout=60)
        lines = out.splitlines()
        self.assertEqual(lines[0], "status=000", out + err)  # curl: the proxy said 403 to CONNECT
        self.assertIn("approved", out)
        self.assertEqual(lines[-1], "status=200", out + err)

    def test_what_was_blocked_passes_after_the_approval_as_root(self):
        self.loop(None)

    def test_what_was_blocked_passes_after_the_approval_as_an_ordinary_user(self):
        self.loop(ORDINARY_USER)

    def test_local_refuses_another_image_by_name(self):
        home = self.home()
        home.command_agent("asks", ["sh", "-c", "cat > ask.py; python3 ask.py capability-block '" +
                                    json.dumps({"packages": ["jq"], "justification": "j"}) + "'"])
        out = home.run("run", "asks", "-p", ASK, check=0).stdout
        self.assertIn("builds no images", out)
        self.assertIn('"isError":true', out)

    def test_a_bottle_without_supervise_has_nobody_to_ask(self):
        home = self.home()
        home.command_agent("asks", ["sh", "-c", "getent hosts supervise; curl -s http://127.0.0.1:9100/mcp; echo code=$?"],
                           "supervise: false\n")
        self.assertEqual(home.run("run", "asks", "-p", "x", check=0).stdout, "code=7\n")

    def claude(self, prompt):
        self.assertTrue((CLAUDE_BIN / "claude").exists(), "Claude Code is not installed: ./run test does that")
        home = self.home()
        token = "sk-ant-oat01-" + secrets.token_urlsafe(40)
        token_file = home.top / "token"
        token_file.write_text(token)
        self.api = Fake("model_api_anthropic.py", home.top, "--token-file", token_file)
        self.addCleanup(self.api.close)
        ca = home.top / "api-ca.pem"
        ca.write_bytes(pathlib.Path(self.api.ca).read_bytes())
        home.bottle("dev", f"""
backend: local
agent_provider: {{template: claude, auth_token: TEST_CLAUDE_TOKEN}}
egress:
  upstream_ca: {ca}
  hosts: {{api.anthropic.com: "127.0.0.1:{self.api.port}"}}
  routes: []
""")
        home.agent("coder", "bottle: dev", "You are careful.\n")
        home.environment["TEST_CLAUDE_TOKEN"] = token
        run = home.popen("run", "coder", "-p", prompt, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.kill)
        return home, run

    def test_claude_code_asks_waits_and_gets_the_operators_answer(self):
        home, run = self.claude('use mcp__supervise__ask-operator {"question": "Which colour?", "choices": ["red", "blue"]}')
        proposal = self.pending(home)
        self.assertEqual(proposal["change"]["question"], "Which colour?")
        self.assertIsNone(run.poll(), "the call waits")
        socket = home.state(home.slugs()[0]) / "control" / "control.sock"
        call(socket, {"call": "answer", "proposal": proposal["id"], "hash": proposal["hash"], "decision": "approve",
                      "by": "ann", "text": "blue"})
        out, err = run.communicate(timeout=60)
        self.assertIn('"message":"blue"', json.loads(out)["result"], err)

    def test_claude_code_asks_for_a_route_and_hears_the_approval(self):
        home, run = self.claude('use mcp__supervise__egress-block {"host": "api.example.com", "justification": "j"}')
        proposal = self.pending(home)
        home.run("supervise", "approve", proposal["id"], check=0)
        out, err = run.communicate(timeout=60)
        self.assertIn("approved: send the request again", json.loads(out)["result"], err)

    def test_claude_code_lists_the_server_as_connected(self):
        home, run = self.claude('use mcp__supervise__ask-operator {"question": "Wait?"}')
        proposal = self.pending(home)
        slug = home.slugs()[0]
        listed = home.run("exec", slug, "--", "claude", "mcp", "list", timeout=90).stdout
        self.assertRegex(listed, r"supervise: http://supervise:9100/mcp \(HTTP\) - .*Connected")
        home.run("supervise", "reject", proposal["id"], "--reason", "no", check=0)
        out, err = run.communicate(timeout=60)
        self.assertIn("rejected by the operator: no", json.loads(out)["result"], err)


def call(path, request):
    import socket
    with socket.socket(socket.AF_UNIX) as control:
        directory = os.open(path.parent, os.O_PATH)
        try:
            control.connect(f"/proc/self/fd/{directory}/{path.name}")
        finally:
            os.close(directory)
        control.sendall(json.dumps({"id": 1, **request}).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            data += control.recv(65536)
    reply = json.loads(data)
    assert "ok" in reply, reply
    return reply["ok"]


if __name__ == "__main__":
    unittest.main()
