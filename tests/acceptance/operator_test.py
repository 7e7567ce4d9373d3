"""Supervise with real bottles on the local backend: an agent asks, the operator answers, what was approved is what passes."""
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

from harness import AcceptanceTest, Terminal, wait_until
from supervise_test import Origin

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from supervise_world import AGENT, load_run, python_argv  # noqa: E402

ORDINARY_USER = 65533


class Tests(AcceptanceTest):
    def asking_bottle(self, home, label, script, extra=""):
        home.command_agent("asker", python_argv(AGENT + script), extra)
        process = home.popen("run", "asker", "-p", "x", "--label", label, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        return process

    def pending(self, home):
        return json.loads(home.run("supervise", "--once", "--json", check=0).stdout)["proposals"]

    def screen(self, home, columns=100, rows=30, inside_tmux=False):
        argv = home.argv("supervise")
        if not inside_tmux:
            argv = ["env", "-u", "TMUX", "-u", "TMUX_PANE", *argv]
        terminal = Terminal(argv, home.top, home.environment, columns, rows, cwd=home.workspace)
        self.addCleanup(terminal.close)
        return terminal

    def blocked_asked_approved_and_the_retry_passes(self, user):
        home = self.home(user)
        origin = Origin(home.top / "origin", "api.example.com")
        self.addCleanup(origin.close)
        extra = (f"egress:\n  upstream_ca: {origin.ca}\n  hosts: {{api.example.com: '127.0.0.1:{origin.port}'}}\n"
                 "  routes:\n    - host: other.example.com\n")
        script = """
print("first", get("https://api.example.com/v1/models"))
print("answer", ask("egress-block", {"host": "api.example.com", "justification": "to list models"}))
print("then", get("https://api.example.com/v1/models"))
"""
        terminal = self.screen(home)
        terminal.wait_for("nothing is asked")
        agent = self.asking_bottle(home, "loop", script, extra)
        terminal.wait_for("proposals (1)")
        terminal.key("Enter")
        terminal.wait_for("end of")
        shown = terminal.screen()
        self.assertIn("to list models", shown)
        self.assertIn("+ ", shown)

        def approved():
            if "api.example.com" in terminal.screen():
                terminal.type("a")
            return agent.poll() is not None
        wait_until("the agent's end", approved, 30)
        out, err = agent.communicate(timeout=30)
        self.assertIn("first 403", out, err)
        self.assertIn("then 200", out, err)
        # The bottle is gone, what was decided is not.
        self.assertEqual(home.slugs(), [])
        entries = json.loads(home.run("audit", "loop", "--json", check=0).stdout)["entries"]
        self.assertEqual([entry["decision"] for entry in entries], ["approve", "apply"])
        self.assertIn("api.example.com", entries[0]["after"])
        home.run("audit", "verify", check=0)

    def test_blocked_asked_approved_and_the_retry_passes_as_root(self):
        self.blocked_asked_approved_and_the_retry_passes(None)

    def test_blocked_asked_approved_and_the_retry_passes_as_an_ordinary_user(self):
        self.blocked_asked_approved_and_the_retry_passes(ORDINARY_USER)

    def test_a_question_gets_its_answer_and_a_no_its_reason(self):
        home = self.home()
        script = """
print("one", ask("ask-operator", {"question": "which colour?", "choices": ["red", "blue"]}))
print("two", ask("egress-block", {"host": "evil.example.com", "justification": "x"}))
"""
        agent = self.asking_bottle(home, "asks", script)
        one = wait_until("a question", lambda: self.pending(home))[0]
        self.assertEqual(one["kind"], "ask-operator")
        home.run("supervise", "answer", one["id"], "blue", check=0)
        two = wait_until("a wish", lambda: self.pending(home))[0]
        home.run("supervise", "reject", two["id"], "--reason", "not that host", check=0)
        out, err = agent.communicate(timeout=30)
        self.assertIn("blue", out.split("two")[0], err)
        self.assertIn("not that host", out.split("two")[1], err)
        decisions = [entry["decision"] for entry in json.loads(home.run("audit", "asks", "--json", check=0).stdout)["entries"]]
        self.assertEqual(decisions, ["approve", "apply", "reject"])

    def test_a_session_opens_in_a_pane_that_follows_and_survives_the_screen(self):
        home = self.home()
        home.command_agent("shell", ["sh", "-c", "echo session of $BOT_BOTTLE_SLUG; hostname; cat"])
        for label in ("one", "two"):
            home.run("start", "shell", "--label", label, "--detach", "--yes", check=0)
        terminal = self.screen(home, 200, 50, inside_tmux=True)
        terminal.wait_for("two")
        terminal.key("Tab")
        terminal.key("Enter")

        def panes():
            return terminal.tmux("list-panes", "-a", "-F", "#{window_index} #{pane_id} #{pane_start_command}").strip().split("\n")
        wait_until("a pane for 'one'", lambda: any("attach one" in pane for pane in panes()))
        own = next(pane.split()[1] for pane in panes() if "attach" not in pane)

        # Keys go to the screen by its pane: the session takes the focus a moment after its pane is there.
        def keys(*names):
            terminal.tmux("send-keys", "-t", own, *names)
        keys("j", "Enter")
        wait_until("a pane for 'two' beside", lambda: any("attach two" in pane and pane.startswith("0 ") for pane in panes()))
        wait_until("'one' is put away, alive", lambda: any("attach one" in pane and not pane.startswith("0 ") for pane in panes()))
        keys("k")
        wait_until("'one' is shown again", lambda: any("attach one" in pane and pane.startswith("0 ") for pane in panes()))
        keys("q")
        wait_until("the screen's end", lambda: "EXIT=0" in terminal.tmux("capture-pane", "-p", "-t", own))
        self.assertEqual(sum("attach" in pane for pane in panes()), 2, "q leaves everything running")
        self.assertEqual(len(home.slugs()), 2)

    def test_outside_of_tmux_the_screen_is_handed_over_and_comes_back(self):
        home = self.home()
        home.command_agent("shell", ["sh", "-c", "printf 'a session\\033[?1000h\\033[31m\\n'; read line; echo got $line; exit 3"])
        home.run("start", "shell", "--label", "one", "--detach", "--yes", check=0)
        terminal = self.screen(home)
        terminal.wait_for("running")
        terminal.key("Tab")
        terminal.key("Enter")
        terminal.wait_for("a session")
        self.assertNotIn("bot-bottle supervise", terminal.screen())
        terminal.type("hello")
        terminal.key("Enter")
        screen = terminal.wait_for("the session in one ended with 3")
        self.assertTrue(screen.startswith(" bot-bottle supervise"))
        terminal.type("x")
        terminal.wait_for("stop one? y/N")
        terminal.type("y")
        terminal.wait_for("stop one: stopped one")
        terminal.wait_for("preserved")
        terminal.type("q")
        terminal.wait_for("EXIT=0")
        self.assertTrue(terminal.terminal_was_restored())

    def test_n_chooses_shows_the_preflight_and_starts(self):
        home = self.home()
        home.command_agent("shell", ["sh", "-c", "cat"])
        home.command_agent("writer", ["sh", "-c", "cat"])
        terminal = self.screen(home)
        terminal.wait_for("no bottle; n starts one")
        terminal.type("n")
        terminal.wait_for("writer")
        terminal.type("wri")
        terminal.key("Enter")
        terminal.wait_for("a name is made of the agent's")
        terminal.key("Enter")
        terminal.wait_for("[y/N]")
        terminal.type("y")
        terminal.key("Enter")
        screen = terminal.wait_for("a bottle was started")
        self.assertIn("writer-", terminal.wait_for("running"))
        terminal.key("Tab")
        terminal.type("c")
        terminal.wait_for("commit writer-")
        terminal.type("q")
        terminal.wait_for("EXIT=0")
        self.assertEqual(len(home.slugs()), 1, screen)

    def test_hundreds_of_proposals_are_answered_once_while_the_screen_is_open(self):
        bottles, each = 20, int(os.environ.get("BB_LOAD_EACH", "20"))
        result = load_run(self.home(), bottles, each, Terminal)
        print(json.dumps({key: value for key, value in result.items() if key != "approve"}), file=sys.stderr)
        self.assertEqual(result["told"], bottles * each, result["failures"])
        self.assertEqual(result["approve"], {id: 1 for id in result["approve"]}, "each once")
        self.assertEqual(len(result["approve"]), bottles * each)
        self.assertEqual(result["applied"], bottles * each)
        self.assertTrue(result["whole"], result)
        # Flat: what the first half needed is what the second half needs.
        self.assertLess(result["screen_kib_end"], result["screen_kib_half"] * 1.25 + 4096, result)


if __name__ == "__main__":
    unittest.main()
