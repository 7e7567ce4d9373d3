"""`agent_provider.config: copy` with the real Codex: the host's configuration is made by the real program, and what the guest has of it is
asked of the real program. Every credential of the host's is looked for in everything that the bottle has."""
import json
import secrets
import subprocess
import unittest

from codex_harness import CodexTest


class Tests(CodexTest):
    def secret(self, shape="{}"):
        self.secrets.append(shape.format(secrets.token_hex(16)))
        return self.secrets[-1]

    def host_codex(self, home, *arguments):
        result = subprocess.run(["codex", *arguments], capture_output=True, text=True, timeout=60, cwd=home.workspace, env=home.environment)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_everything_but_credentials_comes_over(self):
        home = self.codex(login="auth_token: TEST_OPENAI_KEY\n  config: copy")
        self.secrets = [self.key]

        def write(path, text):
            file = home.top / ".codex" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        write("config.toml", f'model_verbosity = "low"\nnotify = ["/usr/bin/tell", "{self.secret()}"]\n[tui]\ntheme = "dark"\n'
                             f'[model_providers.mine]\nname = "mine"\nbase_url = "https://me:{self.secret()}@example.com/v1"\n')
        self.host_codex(home, "mcp", "add", "files", "--env", "API_KEY=" + self.secret(), "--env", "MODE=fast", "--", "sh", "-c", "true",
                        "--token", self.secret())
        self.host_codex(home, "mcp", "add", "web", "--url", "https://mcp.example.com/mcp", "--bearer-token-env-var", "WEB_TOKEN")
        write("auth.json", json.dumps({"OPENAI_API_KEY": self.secret("sk-proj-{}")}))
        write("AGENTS.md", f"Use tabs. Look at {home.workspace}/README.md first.\n")
        write("skills/review/SKILL.md", "---\nname: review\ndescription: reviews\n---\nReview it.\n")
        write("prompts/leaky.md", f"export DEPLOY_TOKEN={self.secret()}\n")
        write("history.jsonl", self.secret())
        started = home.run("start", "coder", "--label", "box", "--detach", "--yes", check=0)

        def inside(*argv):
            return home.run("exec", "box", "--", *argv, check=0).stdout
        servers = {server["name"]: server["transport"] for server in json.loads(inside("codex", "mcp", "list", "--json"))}
        self.assertEqual(set(servers), {"files", "web", "supervise"})
        self.assertEqual(servers["files"]["env"], {"MODE": "fast"})
        self.assertEqual(servers["files"]["args"], ["-c", "true", "--token", "removed-by-bot-bottle"])
        self.assertIsNone(servers["web"]["bearer_token_env_var"])
        config = inside("cat", "/home/agent/.codex/config.toml")
        self.assertIn("low", config)
        self.assertNotIn("notify", config)
        self.assertEqual(inside("cat", "/home/agent/.codex/AGENTS.md"), "Use tabs. Look at /workspace/README.md first.\n\n\nYou are careful.\n")
        everything = inside("sh", "-c", "find ~ /workspace -type f -exec cat {} +; env")
        self.assertIn("Review it.", everything)
        for secret in self.secrets:
            self.assertNotIn(secret, everything)
            self.assertNotIn(secret, started.stdout + started.stderr)
        for told in ("mcp_servers.files: env.API_KEY", "mcp_servers.files: args[3]", "mcp_servers.web: bearer_token_env_var",
                     "notify is left out", "model_providers is left out", "prompts/leaky.md"):
            self.assertIn(told, started.stderr)
        home.run("stop", "--rm", "box", check=0)


if __name__ == "__main__":
    unittest.main()
