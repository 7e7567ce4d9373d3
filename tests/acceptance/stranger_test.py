"""A stranger's path on a machine that has never seen bot-bottle: init → start a command agent → a blocked request → approve → the
same request passes → sync → stop, as an ordinary user. `python3 stranger_test.py whole` (./run stranger) begins earlier: git clone
and ./run demo, with everything that apt brings and a release build."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

from harness import BUILD, SOURCE, Fake, Terminal, wait_until
from stranger import Machine, run_packages

# What an agent's MCP client says: initialize, then the call, which waits for the operator.
ASK = """say() { curl -s "$@" http://supervise:9100/mcp -H 'content-type: application/json' -H 'accept: application/json, text/event-stream'; }
session=$(say -D - -o /dev/null -d '%s' | tr -d '\\r' | sed -n 's/^[Mm]cp-[Ss]ession-[Ii]d: //p')
say -H "mcp-session-id: $session" -d '%s'
""" % (json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "sh", "version": "1"}}}),
       json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "egress-block", "arguments": {
           "host": "api.example.com", "matches": [{"methods": ["GET"], "paths": [{"type": "prefix", "value": "/v1/"}]}],
           "justification": "The build reads the list of models."}}}))


def path_of_a_stranger(machine, directory, say=lambda text: None):
    """Every step as a person types it; the origin is a fake on loopback, named by a pin."""
    api = Fake("model_api_anthropic.py", directory, "--host", "api.example.com")
    terminal = None
    try:
        machine.write("/home/me/api-ca.pem", pathlib.Path(api.ca).read_text())
        machine.write("/home/me/project/notes.txt", "mine\n")
        machine.run("sh", "-c", "cd project && git init -q && git config user.email me@example.com && git config user.name me && git add -A && git commit -qm one")

        out = machine.run("bot-bottle", "init", "--yes").stdout
        assert "wrote ~/.bot-bottle/agents/hello.md" in out, out
        say("init: a first bottle and agent")
        doctor = machine.run("bot-bottle", "doctor", code=None)
        assert "local" in doctor.stdout, doctor.stdout + doctor.stderr
        bottle = machine.root / "home/me/.bot-bottle/bottles/first.md"
        text = bottle.read_text()
        # The one edit: where the name leads, because here is no such host.
        machine.write("/home/me/.bot-bottle/bottles/first.md", text.replace(
            "egress:\n", f"egress:\n  upstream_ca: ~/api-ca.pem\n  hosts: {{api.example.com: \"127.0.0.1:{api.port}\"}}\n"))
        assert "0 errors" in machine.run("bot-bottle", "config", "check").stderr

        terminal = Terminal(machine.argv("bot-bottle", "start", "hello", "--label", "first", cwd="/home/me/project"), directory, dict(os.environ), 110, 40)
        terminal.wait_for("[y/N]")
        preflight = terminal.screen()
        assert "nothing: no route is allowed" in preflight, preflight
        terminal.type("y")
        terminal.key("Enter")
        terminal.wait_for("/workspace$")
        say("start: the preflight, yes, and a prompt inside")
        terminal.type("clear; curl -sS https://api.example.com/v1/models; echo blocked=$?")
        terminal.key("Enter")
        terminal.wait_for("blocked=56")
        assert api.requests() == [], "nothing left before it was approved"
        say("a request: blocked")
        assert "no route for api.example.com" in machine.run("bot-bottle", "check", "first", "GET", "https://api.example.com/v1/models", code=3).stdout

        machine.write("/home/me/project/ask.sh", ASK)
        machine.run("bot-bottle", "cp", "ask.sh", "first:ask.sh", cwd="/home/me/project")
        (machine.root / "home/me/project/ask.sh").unlink()
        terminal.type("clear; sh ask.sh > answer; rm ask.sh; grep -c approved answer; echo asked=$?")
        terminal.key("Enter")
        try:
            asked = wait_until("the request to be shown", lambda: json.loads(
                machine.run("bot-bottle", "supervise", "--once", "--json").stdout)["proposals"])
        except AssertionError as error:
            raise AssertionError(f"{error}\n{terminal.screen()}") from None
        shown = machine.run("bot-bottle", "supervise", "--once").stdout
        assert "api.example.com" in shown, shown
        machine.run("bot-bottle", "supervise", "approve", asked[0]["id"], "--hash", asked[0]["hash"])
        terminal.wait_for("asked=0")
        say("approve: " + asked[0]["id"])
        terminal.type("clear; curl -sS -o models.json -w 'status=%{http_code}\\n' https://api.example.com/v1/models; rm answer")
        terminal.key("Enter")
        terminal.wait_for("status=200")
        assert [request["path"] for request in api.requests()] == ["/v1/models"], api.requests()
        terminal.type("clear; curl -sS -o /dev/null -w 'status=%{http_code}\\n' -X POST https://api.example.com/v1/models")
        terminal.key("Enter")
        terminal.wait_for("status=403")
        say("the same request passes; another on the same host does not")

        machine.run("bot-bottle", "sync", "first", "--yes", cwd="/home/me/project")
        assert "data" in json.loads((machine.root / "home/me/project/models.json").read_text())
        assert (machine.root / "home/me/project/notes.txt").read_text() == "mine\n"
        say("sync: its file is here")
        assert "egress" in machine.run("bot-bottle", "logs", "first").stdout
        machine.run("bot-bottle", "stop", "first")
        terminal.wait_for("EXIT=")
        assert "nothing runs" in machine.run("bot-bottle", "list").stdout + machine.run("bot-bottle", "list").stderr
        assert "1 decision" in machine.run("bot-bottle", "audit").stdout or "approve" in machine.run("bot-bottle", "audit").stdout
        machine.run("bot-bottle", "stop", "--rm", "first")
        machine.run("bot-bottle", "cleanup", "--yes")
        say("stop: nothing runs, nothing is left")
    finally:
        if terminal is not None:
            terminal.close()
        api.close()


class Tests(unittest.TestCase):
    def test_a_strangers_path_from_init_to_stop(self):
        if os.getuid() != 0:
            self.assertNotEqual(os.environ.get("CI"), "true", "a machine of its own needs root")
            self.skipTest("SKIPPED: a machine of its own needs root")
        machine = Machine([*run_packages(), "curl"])
        self.addCleanup(machine.close)
        machine.install(BUILD)
        with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as directory:
            path_of_a_stranger(machine, directory)


def whole():
    """With the clone, what apt brings and the release build; prints how long each step took."""
    began = last = time.monotonic()

    def say(text):
        nonlocal last
        now = time.monotonic()
        print(f"{now - began:7.1f} s (+{now - last:5.1f})  {text}", flush=True)
        last = now
    machine = Machine([])
    try:
        machine.as_root("sh", "-c", "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends git curl ca-certificates", timeout=600)
        say("a Debian 12 with git, curl and an account")
        bundle = machine.root / "srv" / "bot-bottle.git"
        subprocess.run(["git", "clone", "-q", "--bare", str(SOURCE), str(bundle)], check=True)
        machine.as_root("git", "clone", "-q", "-b", subprocess.run(["git", "-C", SOURCE, "branch", "--show-current"], capture_output=True, text=True).stdout.strip(),
                        "/srv/bot-bottle.git", "/opt/src")
        say("git clone")
        demo = machine.as_root("sh", "-c", "cd /opt/src && ./run demo", timeout=3600)
        assert "ESCAPED" not in demo.stdout and demo.stdout.count("blocked") > 50, demo.stdout[-3000:]
        say("./run demo: packages, release build, " + demo.stdout.strip().splitlines()[-1])
        (machine.root / "opt/bot-bottle").symlink_to("/opt/src/build/release")
        with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as directory:
            path_of_a_stranger(machine, directory, say)
        print("the stranger's path is whole")
    finally:
        machine.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["whole"]:
        whole()
    else:
        unittest.main()
