"""The documents hold what they say: every relative link leads somewhere, every `bot-bottle …` that a reader may type is a command line,
every manifest in a recipe is one."""
import functools
import os
import pathlib
import re
import shlex
import subprocess
import unittest

from harness import SOURCE, AcceptanceTest

VARIABLES = ("CLAUDE_TOKEN", "GITHUB_TOKEN", "OPENAI_API_KEY", "PROXY_LOGIN", "EXAMPLE_TOKEN")


def documents():
    listed = subprocess.run(["git", "-C", SOURCE, "ls-files", "-co", "--exclude-standard", "*.md"], capture_output=True, text=True, check=True).stdout.split("\n")
    return [SOURCE / name for name in listed if name and not name.startswith("tests/unit/")]


@functools.cache
def anchors(path):
    """As GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.M)}


def command_lines(text):
    """What begins with bot-bottle in shell blocks, in code within lines, and after `next:`; optional parts are taken, of alternatives the first."""
    candidates = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.replace("\\\n", " ").splitlines()]
    candidates += re.findall(r"(?<!`)`(bot-bottle [^`]*)`", re.sub(r"```.*?```", "", text, flags=re.S))
    candidates += re.findall(r"^next: (bot-bottle .*)$", text, re.M)
    for line in candidates:
        line = re.sub(r"\s+#.*$", "", line).split(";")[0]
        for part in re.split(r"&&|\|\|| \| |>", re.sub(r"\[([^][|]*)(\|[^][]*)?\]", r"\1", line)):
            found = re.search(r"(?:^|\s)(bot-bottle\s.*)$", part)
            if found:
                yield found[1].strip()


class Tests(AcceptanceTest):
    def test_every_relative_link_leads_somewhere(self):
        broken, seen = [], 0
        for document in documents():
            text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if re.match(r"[a-z]+:", target):
                    continue
                seen += 1
                path, _, anchor = target.partition("#")
                file = (document.parent / path).resolve() if path else document
                if not file.exists():
                    broken.append(f"{document.relative_to(SOURCE)}: {target}")
                elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                    broken.append(f"{document.relative_to(SOURCE)}: {target}: no such heading")
        self.assertEqual(broken, [])
        self.assertGreater(seen, 30)

    def test_every_command_line_is_one(self):
        home = self.home()
        bad, seen = [], set()
        texts = [(path, path.read_text()) for path in [*documents(), *(SOURCE / "tests/acceptance/mistakes").glob("*.txt")]]
        for document, text in texts:
            for line in command_lines(text):
                if line in seen:
                    continue
                seen.add(line)
                try:
                    words = shlex.split(line)[1:]
                except ValueError:
                    continue  # prose that was cut in the middle of a quotation
                if not words or words[0].isupper():  # "bot-bottle SLUG HOST" is how a key is called
                    continue
                if len(words) == 1:  # a verb that is only spoken of
                    words.append("--help")
                result = subprocess.run(home.argv(*words), capture_output=True, text=True, timeout=20, cwd=home.workspace, stdin=subprocess.DEVNULL,
                                        env={**home.environment, "BOT_BOTTLE_TEST_PARSE_ONLY": "1"})
                if result.returncode != 0:
                    bad.append(f"{document.relative_to(SOURCE)}: {line}\n  {result.stderr.splitlines()[0] if result.stderr else ''}")
        self.assertEqual(bad, [], "\n".join(bad))
        self.assertGreater(len(seen), 60)

    def test_every_manifest_of_a_recipe_is_one(self):
        seen = 0
        for recipe in sorted((SOURCE / "docs/recipes").glob("*.md")):
            home = self.home()
            (home.top / "corp-root.pem").write_text("")
            home.agent("coder", "bottle: claude")
            home.bottle("claude", "agent_provider: {template: claude}")
            for kind, name, text in re.findall(r"`~/\.bot-bottle/(agents|bottles)/([a-z-]+)\.md`:\n\n```markdown\n(.*?)```", recipe.read_text(), re.S):
                (home.root / kind / f"{name}.md").write_text(text)
                seen += 1
            for block in re.findall(r"```yaml\n(.*?)```", recipe.read_text(), re.S):
                home.bottle("piece", block)
                seen += 1
            result = home.run("config", "check", env={name: "value:of-a-variable" for name in VARIABLES})
            self.assertEqual(result.returncode, 0, f"{recipe.name}\n{result.stdout}{result.stderr}")
            for agent in (home.root / "agents").glob("*.md"):
                shown = home.run("start", agent.stem, "--dry-run", "--backend", "local", env={name: "value:of-a-variable" for name in VARIABLES})
                if "was not found on your PATH" not in shown.stderr:  # aider, codex
                    self.assertEqual(shown.returncode, 0, f"{recipe.name}: {agent.stem}\n{shown.stderr}")
        self.assertGreater(seen, 10)


if __name__ == "__main__":
    unittest.main()
