"""`agent_provider.config: copy` with the real Claude Code: the host's configuration is made by the real program, and what the guest
has of it is asked of the real program. Every credential of the host's is looked for in everything that the bottle has."""
import json
import os
import pathlib
import secrets
import subprocess
import unittest

from harness import CLAUDE_BIN, AcceptanceTest

ORDINARY_USER = 65533


class Tests(AcceptanceTest):
    def setUp(self):
        self.assertTrue((CLAUDE_BIN / "claude").exists(), "Claude Code is not installed: ./run test does that")

    def secret(self, shape="{}"):
        self.secrets.append(shape.format(secrets.token_hex(16)))
        return self.secrets[-1]

    def host_claude(self, home, *arguments):
        result = subprocess.run([str(CLAUDE_BIN / "claude"), *arguments], capture_output=True, text=True, timeout=60, cwd=home.workspace,
                                env={**home.environment, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1"})
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def write(self, home, path, text):
        file = home.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def a_persons_claude(self, user=None):
        """A home in which somebody has worked with Claude Code for a while, and with credentials in every place that has one."""
        home = self.home(user)
        self.secrets = []
        market = home.top / "market"
        self.write(home, "market/.claude-plugin/marketplace.json", json.dumps(
            {"name": "mine", "owner": {"name": "me"}, "plugins": [{"name": "greet", "source": "./greet", "description": "Greets"}]}))
        self.write(home, "market/greet/.claude-plugin/plugin.json", '{"name": "greet", "version": "1.0.0", "description": "Greets"}')
        self.write(home, "market/greet/commands/hello.md", "---\ndescription: hello\n---\nGreet from the plugin.\n")
        self.write(home, "market/greet/.mcp.json", json.dumps(
            {"mcpServers": {"greeter": {"command": "sh", "args": ["-c", "true"], "env": {"GREET_TOKEN": self.secret()}}}}))
        self.host_claude(home, "plugin", "marketplace", "add", str(market))
        self.host_claude(home, "plugin", "install", "greet@mine")
        tool = self.write(home, ".claude/skills/review/tool.sh", "#!/bin/sh\necho tool\n")
        tool.chmod(0o755)
        self.host_claude(home, "mcp", "add", "--scope", "user", "files", "-e", "API_KEY=" + self.secret(), "-e", "MODE=fast", "--", str(tool), "--token",
                         self.secret(), "--port", "8080")
        self.host_claude(home, "mcp", "add", "--scope", "user", "--transport", "http", "web", "https://mcp.example.com/mcp", "--header",
                         "Authorization: Bearer " + self.secret(), "--header", "X-Team: " + self.secret())
        self.host_claude(home, "mcp", "add", "--scope", "user", "elsewhere", "--", str(home.top / "bin" / "server"))
        self.host_claude(home, "mcp", "add", "--scope", "local", "local", "--", "node", str(home.workspace / "server.js"))
        state = json.loads((home.top / ".claude.json").read_text())
        state["oauthAccount"] = {"emailAddress": "me@example.com", "accessToken": self.secret("sk-ant-oat01-{}")}
        state["primaryApiKey"] = self.secret("sk-ant-api03-{}")
        state["mcpServers"]["by-url"] = {"type": "sse", "url": "https://me:" + self.secret() + "@mcp.example.com/sse?api_key=" + self.secret()}
        (home.top / ".claude.json").write_text(json.dumps(state))
        self.write(home, ".claude/.credentials.json", json.dumps({"claudeAiOauth": {"accessToken": self.secret("sk-ant-oat01-{}"), "refreshToken": self.secret("sk-ant-ort01-{}")}}))
        settings = json.loads((home.top / ".claude/settings.json").read_text())
        settings.update({"theme": "light", "apiKeyHelper": f"echo {self.secret()}", "permissions": {"allow": ["Bash(make:*)"]},
                         "env": {"GITHUB_TOKEN": self.secret("ghp_{}"), "EDITOR": "vi", "HTTPS_PROXY": "http://me:" + self.secret() + "@proxy.example.com:3128"},
                         "hooks": {"Stop": [{"hooks": [{"type": "command", "command": f"curl -H 'Authorization: Bearer {self.secret()}' https://example.com"}]}]}})
        self.write(home, ".claude/settings.json", json.dumps(settings))
        self.write(home, ".claude/agents/reviewer.md", f"---\nname: reviewer\ndescription: Reviews\n---\nRun {home.top}/.claude/skills/review/tool.sh first.\n")
        self.write(home, ".claude/agents/leaky.md", f"---\nname: leaky\ndescription: Has a token\n---\nUse {self.secret('ghp_{}')} for the API.\n")
        self.write(home, ".claude/skills/review/SKILL.md", "---\nname: review\ndescription: How we review\n---\nLook twice.\n")
        self.write(home, ".claude/CLAUDE.md", "We write short sentences.\n")
        self.write(home, ".claude/projects/-old/talk.jsonl", json.dumps({"text": self.secret()}))
        outside = self.write(home, "outside/private.md", self.secret() + "\n")
        (home.top / ".claude/agents/link.md").symlink_to(outside)
        (home.top / ".claude/skills/linked").symlink_to(outside.parent)
        home.bottle("dev", "backend: local\nagent_provider: {template: claude, config: copy}")
        home.agent("coder", "bottle: dev", "You are careful.\n")
        home.own(home.top)
        return home

    def bottle_files(self, home, slug):
        """path → bytes of everything that is the bottle's: its home, and what the core wrote down about it."""
        return {path: path.read_bytes() for path in home.state(slug).rglob("*") if path.is_file() and not path.is_symlink()}

    def everything_but_credentials(self, user):
        home = self.a_persons_claude(user)
        before = {path: path.stat().st_mtime_ns for path in (home.top / ".claude").rglob("*") if path.is_file() and not path.is_symlink()}
        started = home.run("start", "coder", "--label", "box", "--detach", "--yes", check=0)

        def inside(*argv):
            return home.run("exec", "box", "--", *argv, check=0, timeout=90).stdout
        # What came over, as the program itself sees it.
        servers = inside("claude", "mcp", "list")
        for name in ("files:", "web:", "elsewhere:", "local:", "supervise:", "plugin:greet:greeter:"):
            self.assertRegex(servers, rf"(?m)^{name}")
        self.assertNotIn("by-url", servers, "without its address it is no server")
        self.assertIn("/home/agent/.claude/skills/review/tool.sh", servers)
        self.assertIn("node /workspace/server.js", servers)
        self.assertRegex(inside("claude", "plugin", "list"), r"greet@mine\n(.*\n)*.*✔ enabled")
        self.assertEqual(inside("cat", "/home/agent/.claude/agents/reviewer.md"),
                         "---\nname: reviewer\ndescription: Reviews\n---\nRun /home/agent/.claude/skills/review/tool.sh first.\n")
        self.assertEqual(inside("/home/agent/.claude/skills/review/tool.sh"), "tool\n")
        self.assertIn("Look twice", inside("cat", "/home/agent/.claude/skills/review/SKILL.md"))
        self.assertIn("short sentences", inside("cat", "/home/agent/.claude/CLAUDE.md"))
        self.assertIn("Greet from the plugin", inside("sh", "-c", "cat ~/.claude/plugins/marketplaces/mine/greet/commands/hello.md"))
        settings = json.loads(inside("cat", "/home/agent/.claude/settings.json"))
        self.assertEqual((settings["theme"], settings["env"], settings["permissions"]), ("light", {"EDITOR": "vi"}, {"allow": ["Bash(make:*)"]}))
        self.assertIn("box", settings["statusLine"]["command"], "the bottle's own")
        state = json.loads(inside("cat", "/home/agent/.claude.json"))
        self.assertEqual(state["mcpServers"]["files"]["env"], {"MODE": "fast"})
        self.assertEqual(state["mcpServers"]["files"]["args"], ["--token", "removed-by-bot-bottle", "--port", "8080"])
        # What did not: nowhere in the bottle, nowhere in what was written down about it.
        files = self.bottle_files(home, "box")
        self.assertGreater(len(files), 20)
        for secret in self.secrets:
            for path, content in files.items():
                self.assertNotIn(secret.encode(), content, path)
        self.assertEqual(inside("sh", "-c", "ls -A ~/.claude | grep -E 'credentials|^projects$|history' | wc -l").strip(), "0")
        for name in ("link.md", "leaky.md", "linked"):
            self.assertFalse([path for path in files if name in path.parts[-2:]], name)
        # Everything that stayed outside is named, and no value is.
        for told in ("settings.json: apiKeyHelper", "settings.json: env.GITHUB_TOKEN", "env.HTTPS_PROXY", "mcpServers.files: env.API_KEY",
                     "mcpServers.files: args[1]", "mcpServers.web: headers.Authorization", "mcpServers.web: headers.X-Team", "mcpServers.by-url: url", "mcpServers.by-url is left out",
                     "agents/leaky.md", "agents/link.md", "skills/linked", "mcpServers.greeter.env.GREET_TOKEN", "which is not in the bottle",
                     "hooks.Stop[0].hooks[0].command"):
            self.assertIn(told, started.stderr)
        for secret in self.secrets:
            self.assertNotIn(secret, started.stdout + started.stderr)
        after = {path: path.stat().st_mtime_ns for path in (home.top / ".claude").rglob("*") if path.is_file() and not path.is_symlink()}
        self.assertEqual(before, after, "the host's own files were not touched")
        home.run("stop", "--rm", "box", check=0)

    def test_everything_but_credentials_comes_over_as_root(self):
        self.everything_but_credentials(None)

    def test_everything_but_credentials_comes_over_as_an_ordinary_user(self):
        self.everything_but_credentials(ORDINARY_USER)

    def test_the_preflight_says_what_comes_over_and_what_does_not(self):
        home = self.a_persons_claude()
        shown = home.run("start", "coder", "--dry-run", check=0).stdout
        self.assertIn("copied from ~/.claude: settings, CLAUDE.md, 1 subagent, 1 skill, 1 plugin, 4 MCP servers", shown)
        self.assertIn("apiKeyHelper hands out credentials and stays outside", shown)
        self.assertEqual(home.slugs(), [])

    def test_fresh_is_the_default_and_copies_nothing(self):
        home = self.a_persons_claude()
        home.bottle("dev", "backend: local\nagent_provider: {template: claude}")
        home.run("start", "coder", "--label", "box", "--detach", "--yes", check=0)
        self.assertEqual(home.run("exec", "box", "--", "sh", "-c", "ls -A ~/.claude", check=0).stdout.split(), ["settings.json"])
        home.run("stop", "--rm", "box", check=0)

    def test_what_is_not_json_is_refused_by_name_and_nothing_starts(self):
        home = self.a_persons_claude()
        for name, text in ((".claude/settings.json", '{"env": {'), (".claude.json", "[" * 100000), (".claude/settings.json", "null")):
            kept = (home.top / name).read_text()
            (home.top / name).write_text(text)
            result = home.run("run", "coder", "-p", "hi", check=1)
            self.assertIn(f"~/{name} is not a JSON object", result.stderr)
            self.assertIn("next: repair it, or start without it: agent_provider.config: fresh", result.stderr)
            self.assertEqual(home.slugs(), [])
            (home.top / name).write_text(kept)

    def test_a_provider_that_cannot_copy_says_so(self):
        home = self.home()
        home.bottle("dev", 'backend: local\nagent_provider: {template: command, command: ["true"], config: copy}')
        home.agent("coder", "bottle: dev")
        self.assertIn("cannot copy your configuration", home.run("run", "coder", check=1).stderr)


if __name__ == "__main__":
    unittest.main()
