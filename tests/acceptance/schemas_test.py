"""Every verb that prints JSON prints what docs/schemas says: each is run for real, and none is forgotten."""
import json
import re
import subprocess
import sys
import pathlib
import unittest

import schemas
from harness import SOURCE, AcceptanceTest, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from supervise_world import AGENT, python_argv  # noqa: E402

ASKS = """
import threading
session = open_session()
questions = [("egress-block", {"host": f"n{i}.example.com", "justification": "j"}) for i in range(3)]
questions.append(("ask-operator", {"question": "which?", "choices": ["red", "blue"]}))
threads = [threading.Thread(target=lambda one=one: print(ask(*one))) for one in questions]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def open_objects(schema, path=""):
    """Objects that name members and would take others too."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("additionalProperties") is not False:
            yield path
        for key, value in schema.items():
            yield from open_objects(value, f"{path}/{key}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from open_objects(value, f"{path}/{number}")


class Tests(AcceptanceTest):
    def verbs_with_json(self, home, verb=()):
        """All ways to a verb whose help shows --json, as completion and help name them."""
        words = [line.split("\t")[0] for line in home.run("__complete", "zsh", *verb, "").stdout.splitlines()[1:]]
        for word in words:
            shown = home.run(*verb, word, "--help").stdout
            if not re.match(r"(?s).*\nusage: bot-bottle " + " ".join((*verb, word)) + "( |\n)", shown):
                continue  # a value, not a verb
            if "--json" in shown:
                yield (*verb, word)
            if not verb:
                yield from self.verbs_with_json(home, (word,))

    def test_every_verb_with_json_is_held_against_its_schema(self):
        home = self.home()
        ran = set()

        def run(*arguments, codes=(0,), **options):
            result = home.run(*arguments, "--json", **options)
            self.assertIn(result.returncode, codes, f"{arguments}\n{result.stdout}\n{result.stderr}")
            self.assertTrue(result.stdout.strip(), arguments)
            ran.add(tuple(arguments))
            return list(schemas.documents(result.stdout)) if arguments[0] != "logs" else result.stdout.splitlines()

        home.environment["EXAMPLE_TOKEN"] = "t-" + "0a1b2c" * 5
        home.command_agent("shell", ["sh"], """egress:
  log: 2
  routes:
    - host: a.example.com
      auth: {scheme: Bearer, token_ref: EXAMPLE_TOKEN}
      plain: true
      limits: {requests_per_minute: 5}
      matches:
        - {methods: [GET], paths: [{type: regex, value: "/v1/.*"}], headers: [{name: x-team, value: blue}]}
    - {host: b.example.com, tls: passthrough}
    - {host: c.example.com, git: {fetch: true}, on_unscannable: pass, dlp: {outbound_detectors: [known_secrets]}}
  hosts: {b.example.com: 192.0.2.7}
resources: {memory: 512MiB, pids: 64, cpus: 1}
env: {GIVEN: literal, MY_TOKEN: "x${HOME}"}
""")
        home.command_agent("asks", python_argv(AGENT + ASKS))
        home.command_agent("fails", ["sh", "-c", "curl -s https://evil.example.com/; exit 3"])
        (home.workspace / "file").write_text("mine\n")
        (home.workspace / "secret.txt").write_text("key = glpat-" + "Zx81" * 5 + "\n")
        for what in ("active", "agents", "bottles", "backends", "providers", "plugins"):
            run("list", what)
        run("info", "shell")
        run("config", "check")
        run("config", "show")
        run("doctor", codes=(0, 4))
        run("demo", "--only", "1", codes=(0, 1), timeout=110)
        run("plugin", "list")
        run("plugin", "info", "backend-local")
        run("plugin", "check", "provider-command")
        run("scan", "secret.txt", codes=(1,))
        run("start", "shell", "--dry-run")
        [result] = run("run", "fails", "--label", "failed", codes=(3,))
        self.assertEqual((result["code"], result["egress"]["blocked"], result["preserved"]), (3, 1, True))
        [started] = run("start", "shell", "--label", "box", "--detach", "--yes")
        self.assertEqual(started["slug"], "box")
        home.run("exec", "box", "--", "sh", "-c", "echo theirs > file; echo new > new; echo x > .envrc;"
                                                  "curl -s https://evil.example.com/; getent hosts e.example.com; true")
        run("info", "box")
        run("check", "box", "GET", "https://a.example.com/v1/x", codes=(3,))
        run("check", "box", "GET", "https://c.example.com/")
        run("check", "--agent", "shell", "GET", "https://d.example.com/", codes=(3,))
        run("routes", "show", "box")
        run("routes", "add", "box", "d.example.com")
        run("routes", "rm", "box", "d.example.com")
        file = home.top / "routes.toml"
        file.write_text("routes = []\n")
        run("routes", "edit", "box", "--file", file)
        repository = home.top / "repository"
        subprocess.run(["sh", "-ec", f"git init -q -b main {repository}; cd {repository}; git config user.name a; git config user.email a@example.com;"
                        "echo one > file; git add file; git commit -q -m one"], check=True)
        home.run("start", "shell", "--label", "tree", "--worktree", "--cwd", repository, "--detach", "--yes", check=0)
        home.run("exec", "tree", "--", "sh", "-c", "echo two > two", check=0)
        run("sync", "tree", "--yes")
        run("worktree", "list")
        run("worktree", "show", "tree")
        run("worktree", "merge", "tree", "--yes")
        home.run("stop", "tree", check=0)
        run("unfreeze", "box")
        run("diff", "box")
        run("commit", "box")
        run("fork", "box", "-n", "2")
        run("sync", "box", "--yes", codes=(0, 1, 3))
        wait_until("events on disk", lambda: any(event["kind"] == "dns" for event in home.events("box")))
        self.assertGreater(len(run("logs", "box")), 5)
        run("list")
        process = home.popen("run", "asks", "-p", "x", "--label", "asker", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        pending = wait_until("four proposals", lambda: (lambda all: all if len(all) == 4 else None)(
            json.loads(home.run("supervise", "--once", "--json").stdout)["proposals"]), 60)
        run("supervise", "--once")
        ids = [one["id"] for one in pending if one["kind"] == "egress-block"]
        [question] = [one["id"] for one in pending if one["kind"] == "ask-operator"]
        change = home.top / "change.json"
        change.write_text(json.dumps({"host": "narrower.example.com", "matches": [{"methods": ["GET"]}]}))
        run("supervise", "approve", ids[0], "--for", "10m")
        run("routes", "show", "asker")
        run("supervise", "reject", ids[1], "--reason", "no")
        run("supervise", "modify", ids[2], "--file", change)
        run("supervise", "answer", question, "blue")
        process.communicate(timeout=60)
        run("audit")
        run("audit", "verify")
        home.run("stop", "box", check=0)
        run("list")
        run("resume", "failed", "-p", "x", codes=(3,))
        run("cleanup", "--dry-run")

        wanted = set(self.verbs_with_json(home))
        seen = {one[:length] for one in ran for length in (1, 2)}
        self.assertEqual({verb for verb in wanted if verb not in seen}, set(), "verbs with --json that this test does not run")
        self.assertEqual(set(schemas.schemas()) - home.schemas_seen, {"common"}, "schemas that no output was held against")

    def test_a_member_that_a_schema_does_not_know_is_an_error(self):
        for name, schema in schemas.schemas().items():
            with self.subTest(name):
                self.assertEqual(list(open_objects(schema)), [])
                self.assertEqual(schema["$schema"], "https://json-schema.org/draft/2020-12/schema")
        document = json.loads(self.home().run("list", "plugins", "--json", check=0).stdout)
        document["plugins"][0]["surprise"] = 1
        with self.assertRaisesRegex(AssertionError, "surprise"):
            schemas.check_document(document)
        with self.assertRaises(AssertionError):
            schemas.check_document({"schema": "bot-bottle.nothing/1"})
        with self.assertRaises(AssertionError):
            schemas.check_document({"schema": "bot-bottle.plugins/2", "plugins": []})

    def test_each_verb_with_json_names_a_schema_that_the_sources_print(self):
        printed = set()
        for path in [*(SOURCE / "core" / "cli").glob("*.cpp"), *(SOURCE / "core" / "plan").glob("preflight.cpp"),
                     *(SOURCE / "sidecar" / "scan").glob("*.cpp")]:
            printed |= set(re.findall(r'"schema"(?:\]\s*=|,)\s*"bot-bottle\.([a-z-]+)/1"', path.read_text()))
        printed -= {"copy"}  # a document for a plugin
        self.assertEqual(printed - set(schemas.schemas()), set())


if __name__ == "__main__":
    unittest.main()
