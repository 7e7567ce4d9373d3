"""What the tests of provider-codex share: the real Codex in front of fakes of its APIs, with an API key or a ChatGPT login that it must
never see."""
import hashlib
import json
import pathlib
import secrets
import sys

from harness import CLAUDE_BIN, FAKES, AcceptanceTest, codex_directory

sys.path.insert(0, str(FAKES))
from certificates import make_ca, make_leaf  # noqa: E402
from codex_login import Login  # noqa: E402
from model_api_openai import ModelApi  # noqa: E402

PLACEHOLDER = "egress-placeholder"
PROMPT = "You are careful."


class CodexTest(AcceptanceTest):
    def setUp(self):
        self.assertTrue((CLAUDE_BIN / "codex").exists(), "Codex is not installed: ./run test does that")

    def codex(self, user=None, extra="", login="auth_token: TEST_OPENAI_KEY", **options):
        """A home with the agent `coder` and an API key, which is in the operator's environment alone."""
        self.key = "sk-proj-" + secrets.token_urlsafe(40)
        home = self.bottled(self.home(user), "api.openai.com", login, extra, token=self.key, **options)
        home.environment["TEST_OPENAI_KEY"] = self.key
        return home

    def logged_in(self, user=None, extra="", seconds=864000, login=None, **options):
        """A home with the agent `coder`, whose operator is logged in with ChatGPT."""
        home = self.home(user)
        self.login = login or Login(seconds)
        self.login.write(home.top / ".codex")
        home = self.bottled(home, "chatgpt.com", "forward_host_credentials: true", extra, token=self.login.access_token,
                            account=self.login.account, prefix="/backend-api/codex", **options)
        home.own(home.top)
        return home

    def bottled(self, home, host, auth, extra="", backend="backend: local", address="127.0.0.1", **options):
        home.environment["PATH"] = f"{codex_directory(home.user)}:/usr/local/bin:/usr/bin:/bin"
        ca = make_ca(str(home.top))
        self.api = ModelApi(*make_leaf(str(home.top), [host]), address=address, **options)
        self.addCleanup(self.api.close)
        egress = {"log": 2, "upstream_ca": ca, "hosts": {host: f"{address}:{self.api.port}"}, "routes": []}
        home.bottle("dev", f"{backend}\nagent_provider:\n  template: codex\n  {auth}\n{extra}egress: {json.dumps(egress)}\n")
        home.agent("coder", "bottle: dev", PROMPT + "\n")
        return home

    def said(self, output):
        """The agent's messages in the events of `codex exec --json`, of which the last ends the turn."""
        events = [json.loads(line) for line in output.splitlines()]
        self.assertEqual(events[-1]["type"], "turn.completed", output)
        return [event["item"]["text"] for event in events if event["type"] == "item.completed" and event["item"]["type"] == "agent_message"]

    def assert_injected(self, token, account=None):
        self.assertTrue(self.api.requests)
        for request in self.api.requests:
            self.assertEqual(request["headers"]["authorization"], "Bearer " + token)
            self.assertEqual(request["headers"].get("chatgpt-account-id"), account)
            self.assertNotIn("cookie", request["headers"])
            self.assertNotIn(PLACEHOLDER, json.dumps(request), "the placeholder left the bottle")

    def hunt(self, home, slug, private, known):
        """No value of `private` is inside, in the memory of what runs there, or in the operator's state. `known` is inside."""
        wanted = []
        for name, value in private.items():
            # It goes to the probe as a hash of a part: the probe itself must not bring it in. The begin of a JWT is no secret.
            part = (value[-60:-30] if value.startswith("eyJ") else value[:max(16, min(24, len(value) // 2))]).encode()
            wanted.append((str(len(part)), hashlib.sha256(part).hexdigest(), part[:8].decode()))
        (length, digest, begin), *further = wanted
        control = hashlib.sha256(known[:18].encode()).hexdigest()
        probe = pathlib.Path(__file__).with_name("token_probe.py").read_text()
        found = home.run("exec", slug, "--", "python3", "-", length, digest, control, begin, *(word for triple in further for word in triple),
                         input=probe, timeout=110, check=0)
        report = json.loads(found.stdout)
        self.assertEqual(report["found"], [])
        self.assertTrue(report["control"], "the probe finds what is there")
        self.assertGreater(report["files"], 10, "the probe did look")
        for path in home.root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                for name, value in private.items():
                    self.assertNotIn(value.encode(), content, f"the {name} is on disk: {path}")
