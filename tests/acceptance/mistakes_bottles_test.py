"""A new user's mistakes with bottles: names that are none, what does not run, what an agent does that nobody expected. See mistakes.py."""
import os
import signal
import subprocess
import unittest

from harness import Terminal, wait_until
from mistakes import MistakesTest

SHELL = "agent_provider: {template: command, command: [bash]}\nbackend: local\n"


class Tests(MistakesTest):
    def running(self, label="box", extra=""):
        person = self.person()
        person.bottle("first", SHELL + extra)
        person.agent("hello", "bottle: first")
        if label:
            self.tried(person, f"bot-bottle start hello --label {label} --detach --yes", "start", "hello", "--label", label, "--detach", "--yes", code=0, asks=None, say=False)
            self.show(f"A bottle runs: {label}\n")
        return person

    def agent_runs(self, argv, extra=""):
        person = self.person()
        person.command_agent("hello", argv, extra)
        return person

    def test_a_bottle_that_is_not_there(self):
        person = self.running()
        for verb, rest in (("attach", []), ("exec", ["--", "true"]), ("logs", []), ("sync", []), ("diff", []), ("stop", []), ("resume", []),
                           ("commit", []), ("fork", []), ("unfreeze", [])):
            self.tried(person, " ".join(["bot-bottle", verb, "bxo", *rest]), verb, "bxo", *rest, code=1)
        self.tried(person, "bot-bottle cp bxo:a .", "cp", "bxo:a", ".", code=1)
        self.tried(person, "bot-bottle check bxo GET https://example.com/", "check", "bxo", "GET", "https://example.com/", code=1)
        self.tried(person, "bot-bottle attach", "attach", code=2)
        self.tried(person, "bot-bottle stop", "stop", code=2)
        self.assertEqual(person.slugs(), ["box"])
        self.as_recorded("A bottle that is not there")

    def test_a_bottle_that_does_not_run(self):
        person = self.agent_runs(["sh", "-c", "exit 7"])
        self.tried(person, "bot-bottle run hello --label box", "run", "hello", "--label", "box", code=7, asks=None)
        self.tried(person, "bot-bottle attach box", "attach", "box", code=1)
        self.tried(person, "bot-bottle exec box -- true", "exec", "box", "--", "true", code=1)
        self.tried(person, "bot-bottle commit box", "commit", "box", code=1)
        self.tried(person, "bot-bottle check box GET https://example.com/", "check", "box", "GET", "https://example.com/", code=1)
        self.tried(person, "bot-bottle unfreeze box", "unfreeze", "box", code=1)
        self.tried(person, "bot-bottle fork box", "fork", "box", code=1)
        self.tried(person, "bot-bottle stop box", "stop", "box", code=0, asks=None)
        self.assertEqual(person.slugs(), ["box"], "a failed bottle is kept")
        self.as_recorded("A bottle that ended and was kept")

    def test_a_bottle_that_runs(self):
        person = self.running()
        self.tried(person, "bot-bottle start hello --label box --yes", "start", "hello", "--label", "box", "--yes", code=1)
        self.tried(person, "bot-bottle resume box --yes", "resume", "box", "--yes", code=1)
        self.assertEqual(person.run("exec", "box", "--", "echo", "unharmed").stdout, "unharmed\n")
        self.as_recorded("A label that is in use; resume of what runs")

    def test_a_command_that_is_not_in_the_bottle(self):
        person = self.running()
        self.tried(person, "bot-bottle exec box -- cargo build", "exec", "box", "--", "cargo-of-tomorrow", "build", code=127, asks=None)
        self.tried(person, "bot-bottle exec box", "exec", "box", code=2)
        self.tried(person, "bot-bottle exec box ls -l", "exec", "box", "ls", "-l", code=2)
        self.tried(person, "bot-bottle exec box --user postgres -- id", "exec", "box", "--user", "postgres", "--", "id", code=2)
        self.as_recorded("exec of what is not there, or without --")

    def test_an_agent_program_that_is_not_installed(self):
        person = self.agent_runs(["coder-of-tomorrow", "--go"])
        self.tried(person, "bot-bottle run hello --rm", "run", "hello", "--rm", code=127, asks=None)
        self.tried(person, "bot-bottle run hello --label box", "run", "hello", "--label", "box", code=127, asks=None)
        self.tried(person, "", "stop", "--rm", "box", code=0, asks=None, say=False)
        person.write(".bot-bottle/bottles/first.md", "---\nbackend: local\nagent_provider: {template: claude}\n---\n")
        person.agent("claude", "bottle: first")
        self.tried(person, "bot-bottle run claude -p hi", "run", "claude", "-p", "hi", code=1, env={"PATH": "/usr/bin:/bin"})
        self.nothing_was_made(person)
        self.as_recorded("The agent's program is not installed")

    def test_an_agent_that_ends_at_once(self):
        person = self.agent_runs(["sh", "-c", "echo cannot read my settings >&2; exit 1"])
        self.tried(person, "bot-bottle run hello --label box", "run", "hello", "--label", "box", code=1, asks=None)
        self.tried(person, "bot-bottle logs box", "logs", "box", code=0, asks=None)
        self.tried(person, "bot-bottle stop --rm box", "stop", "--rm", "box", code=0, asks=None)
        self.nothing_was_made(person)
        self.as_recorded("The agent ends at once")

    def test_run_without_a_prompt_and_a_prompt_that_is_no_file(self):
        person = self.person()
        person.bottle("first", "backend: local\nagent_provider: {template: claude}")
        person.agent("coder", "bottle: first")
        person.write("app/big.txt", "x" * 2_000_000)
        self.tried(person, "bot-bottle run coder", "run", "coder", code=1)
        self.tried(person, "bot-bottle run coder -p ''", "run", "coder", "-p", "", code=1)
        self.tried(person, "bot-bottle run coder -p @task.md", "run", "coder", "-p", "@task.md", code=1)
        self.tried(person, "bot-bottle run coder -p @big.txt", "run", "coder", "-p", "@big.txt", code=1)
        self.tried(person, "bot-bottle run coder -p - < /dev/null", "run", "coder", "-p", "-", code=1)
        self.tried(person, "bot-bottle run", "run", code=2)
        self.nothing_was_made(person)
        self.as_recorded("run without a prompt; a prompt file that is not there")

    def test_start_without_a_terminal(self):
        person = self.agent_runs(["sh"])
        self.tried(person, "bot-bottle start hello < /dev/null", "start", "hello", code=0, asks=None)
        self.tried(person, "bot-bottle supervise < /dev/null", "supervise", code=2)
        self.tried(person, "bot-bottle cleanup < /dev/null", "cleanup", code=0, asks=None)
        self.as_recorded("Without a terminal")

    def test_a_question_of_the_bottle_that_nobody_answers(self):
        person = self.agent_runs(["sh", "-c", "echo $CITY"], 'env: {CITY: "?Which city"}\n')
        self.tried(person, "bot-bottle run hello", "run", "hello", code=1)
        self.tried(person, "bot-bottle run hello --env CITY=Bern", "run", "hello", "--env", "CITY=Bern", code=0, asks=None)
        self.tried(person, "bot-bottle run hello --env CTIY=Bern", "run", "hello", "--env", "CTIY=Bern", code=1)
        self.nothing_was_made(person)
        self.as_recorded("A question of the bottle, and nobody to answer it")

    def test_a_host_that_is_blocked(self):
        person = self.running(extra="egress:\n  routes: [{host: api.example.com, matches: [{methods: [GET], paths: [{type: prefix, value: /v1/}]}]}]\n")
        self.show("What the agent sees:\n")
        for typed in ("curl -sS https://pypi.example.com/simple/", "curl -sS https://api.example.com/v2/users", "curl -s http://192.0.2.7/",
                      "getent hosts pypi.example.com || echo no address"):
            self.tried(person, f"bot-bottle exec box -- sh -c '{typed}'", "exec", "box", "--", "sh", "-c", typed, code=None, asks=None)
        self.show("What you see:\n")
        wait_until("the events to be on disk", lambda: sum(event["level"] == "block" for event in person.events("box")) >= 3)
        self.tried(person, "bot-bottle logs box --kind egress", "logs", "box", "--kind", "egress", code=0, asks=None)
        self.tried(person, "bot-bottle check box GET https://pypi.example.com/simple/", "check", "box", "GET", "https://pypi.example.com/simple/", code=3, asks=None)
        self.tried(person, "bot-bottle check box POST https://api.example.com/v1/x", "check", "box", "POST", "https://api.example.com/v1/x", code=3, asks=None)
        self.tried(person, "bot-bottle check box GET pypi.example.com", "check", "box", "GET", "pypi.example.com", code=3, asks=None)
        self.tried(person, "bot-bottle check box GET ftp://pypi.example.com/", "check", "box", "GET", "ftp://pypi.example.com/", code=2)
        self.tried(person, "bot-bottle check --agent hello FETCH https://api.example.com/", "check", "--agent", "hello", "FETCH", "https://api.example.com/", code=3, asks=None)
        self.as_recorded("A host that is blocked: what the agent sees, and what you see")

    def test_supervise_with_nothing_to_answer(self):
        person = self.running()
        self.tried(person, "bot-bottle supervise --once", "supervise", "--once", code=0, asks=None)
        self.tried(person, "bot-bottle supervise approve k3x9p2ab", "supervise", "approve", "k3x9p2ab", code=1)
        self.tried(person, "bot-bottle supervise approve", "supervise", "approve", code=2)
        self.tried(person, "bot-bottle supervise reject k3x9p2ab", "supervise", "reject", "k3x9p2ab", code=1)
        self.tried(person, "bot-bottle supervise approve k3x9p2ab --for soon", "supervise", "approve", "k3x9p2ab", "--for", "soon", code=2)
        self.tried(person, "bot-bottle stop box", "stop", "box", code=0, asks=None)
        self.tried(person, "bot-bottle supervise --once", "supervise", "--once", code=0, asks=None)
        self.tried(person, "bot-bottle audit", "audit", code=0, asks=None)
        self.tried(person, "bot-bottle audit box", "audit", "box", code=1)
        self.as_recorded("supervise, and nothing waits; an id that is none")

    def test_two_starts_at_once(self):
        person = self.agent_runs(["sleep", "3"])
        both = [person.popen("run", "hello", "--label", "one", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        errors = [process.communicate(timeout=60)[1] for process in both]
        self.assertEqual(sorted(process.returncode for process in both), [0, 1], errors)
        self.show("$ bot-bottle run hello --label one &\n$ bot-bottle run hello --label one")
        lost = [text for process, text in zip(both, errors) if process.returncode == 1][0]
        self.show(self.settled(lost) + "\n[exit 1]\n")
        self.nothing_was_made(person)
        self.as_recorded("Two starts of one label at once")

    def test_ctrl_c_while_it_starts(self):
        person = self.agent_runs(["sleep", "60"], "post_init: [\"echo started > /workspace/started; sleep 60\"]\n")
        process = person.popen("run", "hello", "--label", "box", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until("post_init to run", lambda: list(person.root.glob("state/box/backend/workspace/started")))
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
        self.show("$ bot-bottle run hello --label box\n^C")
        self.show(self.settled(errors) + f"\n[exit {process.returncode}]\n")
        self.assertEqual(process.returncode, 1)
        self.nothing_was_made(person)
        self.as_recorded("Ctrl-C while it starts")

    def test_a_post_init_that_fails(self):
        person = self.agent_runs(["true"], "post_init: [\"echo nobody wrote setup.sh >&2; exit 4\"]\n")
        self.tried(person, "bot-bottle run hello", "run", "hello", code=1, env={"PATH": "/usr/bin:/bin"})
        self.nothing_was_made(person)
        self.as_recorded("A command of post_init fails")

    def test_cp_and_sync_that_go_nowhere(self):
        person = self.running()
        person.write("app/notes.txt", "mine\n")
        self.tried(person, "bot-bottle cp box:report.pdf .", "cp", "box:report.pdf", ".", code=1)
        self.tried(person, "bot-bottle cp report.pdf box:", "cp", "report.pdf", "box:", code=1)
        self.tried(person, "bot-bottle cp a b", "cp", "a", "b", code=2)
        self.tried(person, "bot-bottle cp box:../../etc/passwd .", "cp", "box:../../etc/passwd", ".", code=1)
        self.tried(person, "bot-bottle diff box", "diff", "box", code=0, asks=None)
        self.tried(person, "bot-bottle sync box", "sync", "box", code=0, asks=None)
        self.assertEqual((person.workspace / "notes.txt").read_text(), "mine\n")
        self.as_recorded("cp of what is not there; sync without a change")


if __name__ == "__main__":
    unittest.main()
