"""What a person sees of start and resume in a terminal (tmux, 80 columns): pickers, label, preflight, progress, title, tint, the end.

BB_UPDATE_SCREENS=1 writes the captures of docs/screens.md anew: look at the difference before it is committed."""
import json
import os
import re
import shlex
import signal
import subprocess
import unittest

from harness import BUILD, SOURCE, AcceptanceTest, Terminal, wait_until

DOCUMENT = SOURCE / "docs" / "screens.md"
SGR_COLOR = re.compile(r"\x1b\[[0-9;]*(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|[34]8;[25])[0-9;]*m")
ROUTES = "egress:\n  routes:\n    - host: api.example.com\n    - {host: files.example.com, auth: {scheme: Bearer, token_ref: FILES_TOKEN}}\n"
BUILD_SAYS = ["Step 4/9 : RUN apt-get update", "Get:1 http://deb.example.com bookworm InRelease [151 kB]",
              "Get:2 http://deb.example.com bookworm/main amd64 Packages [8786 kB]", "Fetched 8937 kB in 1s (8100 kB/s)",
              "Reading package lists...", "Step 5/9 : RUN npm install --global some-agent", "added 312 packages in 14s",
              "Step 6/9 : COPY settings.json /etc/agent/"]


class Tests(AcceptanceTest):
    def world(self, argv=("sh", "-c", "echo hello; exit 3"), extra=""):
        home = self.home()
        home.environment["FILES_TOKEN"] = "a-token-of-the-operator"
        home.command_agent("fixer", list(argv), ROUTES + "env:\n  EDITOR: vi\n" + extra)
        home.agent("reviewer", "bottle: fixer")
        home.agent("tester", "bottle: [")
        (home.workspace / ".git").mkdir()
        (home.workspace / ".bot-bottle" / "agents").mkdir(parents=True)
        (home.workspace / ".bot-bottle" / "agents" / "helper.md").write_text("---\nbottle: fixer\n---\nYou help.\n")
        return home

    def terminal(self, home, *arguments, columns=80, rows=24, env=None, argv=None):
        terminal = Terminal(argv or home.argv(*arguments), home.top, {**home.environment, **(env or {})}, columns, rows, cwd=home.workspace)
        self.addCleanup(terminal.close)
        return terminal

    def fits(self, terminal, columns=80):
        """No line was wrapped by the terminal: joined lines are no longer than the screen's."""
        joined = terminal.tmux("capture-pane", "-p", "-J").rstrip().split("\n")
        self.assertLessEqual(max(map(len, joined)), columns, "\n".join(joined))

    def keep(self, name, terminal, home, after=None):
        """The screen (what stands below the line with `after`) is as the documentation shows it."""
        text = terminal.screen().rstrip()
        if after:
            text = text[text.index("\n", text.index(after)) + 1:]
        text = re.sub(r"\d+s ago", "5s ago", re.sub(r"\d+\.\ds\b", "0.1s", text)).replace("\nEXIT=", "\n$ echo $?\n")
        if name != "build":  # which steps take long enough to be shown is the machine's
            text = re.sub(r"(?m)^✓ .*\n", "", text)
        text = re.sub("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]", "⠹", text)
        text = text.replace(str(home.top), "~").replace("~/home/", "~/.bot-bottle/")
        text = re.sub(r"\d+\.\d [KM]iB", "4.0 KiB", "\n".join(line.rstrip() for line in text.split("\n")))
        fence = re.compile(rf"(<!-- {name} -->\n```text\n).*?(\n```)", re.DOTALL)
        document = DOCUMENT.read_text()
        found = fence.search(document)
        self.assertIsNotNone(found, f"docs/screens.md has no {name}")
        if os.environ.get("BB_UPDATE_SCREENS"):
            DOCUMENT.write_text(fence.sub(lambda match: match.group(1) + text + match.group(2), document))
        else:
            self.assertEqual(text, found.group(0).split("```text\n", 1)[1].rsplit("\n```", 1)[0], name)

    def test_start_without_an_agent_asks_for_all_that_is_needed(self):
        home = self.world(("sh", "-c", "echo hello; echo notes > ~/notes; exit 3"))
        home.run("run", "reviewer", check=3)  # the rules are compiled once
        home.run("stop", "--rm", *home.slugs(), check=0)
        terminal = self.terminal(home, "start")
        terminal.wait_for("Esc leaves")
        self.keep("agent", terminal, home)
        terminal.type("test")
        terminal.wait_for("broken:")
        self.keep("broken", terminal, home)
        terminal.key("Enter")
        terminal.key("C-u")
        terminal.wait_for("bottle fixer, command, 2 routes", 10)
        terminal.type("fix")
        terminal.wait_for("1 of 4")
        terminal.key("Enter")
        terminal.wait_for("label:")
        terminal.type("Issue 42")
        terminal.wait_for("but this could: issue-42")
        self.fits(terminal)
        terminal.key("Enter")  # is not taken
        terminal.key("C-u")
        terminal.type("issue-42")
        terminal.key("Right")
        terminal.key("Right")
        terminal.key("Right")
        terminal.key("Right")
        terminal.wait_for("blue")
        terminal.wait_for("issue-42 (fixer)")
        self.keep("label", terminal, home)
        self.assertRegex(terminal.tmux("capture-pane", "-e", "-p"), SGR_COLOR)
        terminal.key("Enter")
        terminal.wait_for("Start it? [y/N]")
        self.fits(terminal)
        self.keep("preflight", terminal, home)
        terminal.tmux("clear-history")
        terminal.type("y")
        terminal.key("Enter")
        screen = terminal.wait_for("EXIT=3")
        self.assertIn("the agent ended with code 3; kept as issue-42", screen)
        self.assertRegex(screen, r"workspace \d+\.\d KiB, home \d+\.\d KiB")
        self.assertIn("bot-bottle resume issue-42", screen)
        self.keep("end", terminal, home, after="Start it?")
        self.assertTrue(terminal.terminal_was_restored())
        metadata = json.loads((home.state("issue-42") / "metadata.json").read_text())
        self.assertEqual((metadata["label"], metadata["color"], metadata["agent"]), ("issue-42", "blue", "fixer"))
        shown = home.run("list", check=0).stderr
        self.assertIn("issue-42  fixer, started", shown)
        self.assertIn("the agent ended with code 3", shown)

    def test_escape_ctrl_c_and_no_leave_every_question_in_order(self):
        home = self.world()
        for steps, key, code in (([], "Escape", 3), ([], "C-c", 3), (["fix", "Enter"], "Escape", 3), (["fix", "Enter"], "C-c", 3),
                                 (["fix", "Enter", "Enter"], "C-c", 1), (["fix", "Enter", "Enter"], "Enter", 3)):
            with self.subTest(steps=steps, key=key):
                terminal = self.terminal(home, "start")
                terminal.wait_for("agent:")
                for step, seen in zip(steps, ("agent: fix", "label:", "[y/N]")):
                    terminal.key(step) if step == "Enter" else terminal.type(step)
                    terminal.wait_for(seen)
                terminal.key(key)
                screen = terminal.wait_for(f"EXIT={code}")
                self.assertIn("error: ", screen)
                self.assertNotIn("Esc leaves", screen, "the question is gone from the screen")
                self.assertTrue(terminal.terminal_was_restored())
                terminal.close()
                for name in ("stty.before", "stty.after"):
                    (home.top / name).unlink()
        self.assertEqual(home.slugs(), [])

    def test_a_signal_that_ends_a_question_leaves_the_terminal_as_it_was(self):
        home = self.world()
        for arguments, seen in ((["start"], "agent:"), (["start", "fixer", "--label", "taken"], "label:")):
            (home.root / "state" / "taken").mkdir(parents=True, exist_ok=True)
            terminal = self.terminal(home, *arguments)
            terminal.wait_for(seen)
            wait_until("raw mode", lambda: "-icanon" in self.stty(terminal))
            pid, = [pid for pid, line in home.own_processes().items() if line.startswith(str(home.program))]
            os.kill(pid, signal.SIGTERM)
            terminal.wait_for("EXIT=")
            self.assertTrue(terminal.terminal_was_restored())
            terminal.close()
            for name in ("stty.before", "stty.after"):
                (home.top / name).unlink()

    def stty(self, terminal):
        tty = terminal.tmux("display-message", "-p", "#{pane_tty}").strip()
        return subprocess.run(["stty", "-a", "-F", tty], capture_output=True, text=True).stdout

    def test_without_a_terminal_nothing_is_asked(self):
        home = self.world()
        result = home.run("start", check=2)
        self.assertIn("'start' needs an AGENT", result.stderr)
        self.assertIn("next: bot-bottle list agents", result.stderr)
        (home.root / "state" / "taken").mkdir(parents=True)
        result = home.run("start", "fixer", "--label", "taken", check=1)
        self.assertIn("a bottle named 'taken' exists", result.stderr)
        self.assertIn("choose another --label", result.stderr)

    def test_no_colour_where_none_is_wanted(self):
        home = self.world()
        for env, options in (({"NO_COLOR": "1"}, []), ({}, ["--no-color"])):
            terminal = self.terminal(home, *options, "start", env=env)
            screens = []
            for key, seen in (("", "Esc leaves"), ("test", "broken:"), ("C-u", "agent:"), ("fix", "agent: fix"),
                              ("Enter", "label:"), ("Right", "red"), ("Enter", "[y/N]")):
                if key:
                    terminal.key(key) if key in ("C-u", "Enter", "Right") else terminal.type(key)
                terminal.wait_for(seen)
                screens.append(terminal.tmux("capture-pane", "-e", "-p"))
            for screen in screens:
                self.assertNotRegex(screen, SGR_COLOR)
            terminal.close()

    def test_a_label_in_use_is_asked_for_again(self):
        home = self.world()
        (home.root / "state" / "taken").mkdir(parents=True)
        terminal = self.terminal(home, "start", "fixer", "--label", "taken")
        screen = terminal.wait_for("label: taken")
        self.assertIn("a bottle named 'taken' exists", screen)
        self.keep("clash", terminal, home)
        terminal.key("Enter")
        terminal.type("-2")
        terminal.wait_for("label: taken-2")
        terminal.key("Enter")
        terminal.wait_for("bottle id  taken-2")
        terminal.key("Enter")
        terminal.wait_for("EXIT=3")

    def test_a_label_that_is_lost_in_a_race_is_asked_for_again(self):
        home = self.world()
        terminal = self.terminal(home, "start", "fixer", "--label", "race")
        terminal.wait_for("[y/N]")
        # Both looked, one reserves while the other reads.
        home.run("run", "fixer", "--label", "race", check=3)
        terminal.type("y")
        terminal.key("Enter")
        screen = terminal.wait_for("label: race")
        self.assertIn("a bottle named 'race' exists", screen)
        terminal.type("r")
        terminal.wait_for("label: racer")
        terminal.key("Enter")
        self.assertIn("kept as racer", terminal.wait_for("EXIT=3"))
        self.assertEqual(home.slugs(), ["race", "racer"])
        other = json.loads((home.state("race") / "metadata.json").read_text())
        self.assertTrue(other["headless"], "the winner's state is its own")

    def test_ctrl_c_during_the_launch_undoes_and_says_what(self):
        home = self.world(extra="post_init:\n  - [sleep, '60']\n")
        terminal = self.terminal(home, "start", "fixer", "--label", "early", "--yes")
        terminal.wait_for("provision")
        terminal.key("C-c")
        screen = terminal.wait_for("EXIT=1")
        self.assertIn("undone: the bottle, the sidecar, the state", screen)
        self.assertIn("Ctrl-C", screen)
        self.keep("undone", terminal, home)
        self.assertTrue(terminal.terminal_was_restored())
        self.assertEqual(home.slugs(), [])
        self.assertEqual([line for line in home.own_processes().values() if "bottle" in line and "tmux" not in line and "early" in line
                          and "sh -c" not in line], [])

    def test_the_progress_display_has_steps_a_window_and_a_rate(self):
        home = self.world()
        pipe = home.top / "pipe"
        os.mkfifo(pipe)
        terminal = self.terminal(home, argv=["sh", "-c", f"{shlex.quote(str(BUILD / 'tests' / 'progress_show'))} < {pipe}"])
        with open(pipe, "w") as orders:
            def order(text):
                orders.write(text + "\n")
                orders.flush()
            order("begin rules status")
            terminal.wait_for("rules")
            order("end done")
            terminal.wait_for("✓ rules")
            order("begin image log")
            for number, line in enumerate(BUILD_SAYS):
                order(f"update {280 + number * 20} {line}")
            screen = terminal.wait_for(BUILD_SAYS[-1])
            self.assertIn("42%", screen)
            self.assertNotIn(BUILD_SAYS[1], screen)
            self.assertIn("│ " + BUILD_SAYS[2], screen)
            self.assertIn("✓ rules", screen, "what is done stays above")
            self.keep("build", terminal, home)
            order("update 420 Step 29/30 \x1b[2J\x1b]0;owned\x07" + "x" * 200)
            screen = terminal.wait_for("Step 29/30")
            self.assertIn("│ Step 29/30 \\x1b[2J\\x1b]0;owned", screen)
            self.assertIn("✓ rules", screen)
            self.assertNotIn("owned", terminal.tmux("display-message", "-p", "#{pane_title}"))
            self.fits(terminal)
            terminal.resize(40, 12)
            wait_until("narrow lines", lambda: terminal.screen().count("Step 29/30") == 1)
            terminal.resize(80, 24)
            order("end done")
            screen = terminal.wait_for("✓ image")
            self.assertNotIn("Step", screen.split("✓ image")[1], "the window is gone")
            order("begin bottle status")
            order("update 1001 copying the workspace: 620.0 MiB, 310.0 MiB/s, 1204 entries")
            terminal.wait_for("310.0 MiB/s")
            order("end failed")
            terminal.wait_for("✗ bottle")
        terminal.wait_for("EXIT=0")

    def test_title_and_tint_are_the_labels_and_are_put_back_on_every_way_out(self):
        home = self.world(("sh", "-c", "echo ready; read line; kill -9 $$"))
        for ending in ("exit", "agent killed", "SIGTERM", "SIGHUP"):
            with self.subTest(ending):
                terminal = self.terminal(home, "start", "fixer", "--label", "tinted", "--color", "blue", "--yes")
                terminal.wait_for("ready")
                look = lambda: terminal.tmux("display-message", "-p", "#{pane_title}|#{pane_bg}").strip()
                wait_until("title and tint", lambda: look() == "tinted (fixer)|#0a1430")
                if ending == "agent killed":
                    terminal.key("Enter")
                elif ending == "exit":
                    terminal.key("C-c")
                else:
                    pid, = [pid for pid, line in home.own_processes().items() if line.startswith(str(home.program) + " start")]
                    os.kill(pid, getattr(signal, ending))
                terminal.wait_for("EXIT=")
                wait_until(f"the operator's own title and colours, not {look()}", lambda: "tinted" not in look() and look().endswith("|default"))
                self.assertTrue(terminal.terminal_was_restored())
                terminal.close()
                for name in ("stty.before", "stty.after"):
                    (home.top / name).unlink()
                home.run("stop", "--rm", "tinted")

    def test_a_killed_bot_bottle_loses_nothing_and_resume_goes_on(self):
        home = self.world(("sh", "-c", "cat ~/notes 2>/dev/null; echo work > ~/notes; echo ready; read line"))
        terminal = self.terminal(home, "start", "fixer", "--label", "crash", "--yes")
        terminal.wait_for("ready")
        pid, = [pid for pid, line in home.own_processes().items() if line.startswith(str(home.program) + " start")]
        os.kill(pid, signal.SIGKILL)
        terminal.wait_for("EXIT=137")
        terminal.close()
        # At once: the bottle may still be about to end.
        terminal = self.terminal(home, "resume", "crash", "--yes")
        terminal.wait_for("work")
        terminal.wait_for("ready")
        terminal.key("Enter")
        terminal.wait_for("EXIT=0")
        self.assertEqual(home.slugs(), [], "it ended well: nothing is kept")

    def test_list_says_what_a_crash_left_and_how_to_go_on(self):
        home = self.world(("sh", "-c", "echo ready; read line"))
        home.run("run", "fixer", "--label", "half", env={"BOT_BOTTLE_TEST_KILL_AT": "bottle"}, check=-signal.SIGKILL)
        terminal = self.terminal(home, "start", "fixer", "--label", "crash", "--yes")
        terminal.wait_for("ready")
        pid, = [pid for pid, line in home.own_processes().items() if line.startswith(str(home.program) + " start")]
        os.kill(pid, signal.SIGKILL)
        terminal.wait_for("EXIT=137")
        terminal.close()
        wait_until("its end", lambda: json.loads(home.run("list", "--json", check=0).stdout)["bottles"] == [])
        terminal = self.terminal(home, "list")
        screen = terminal.wait_for("EXIT=0")
        self.assertIn("crash  fixer, started", screen)
        self.assertIn("bot-bottle ended before the agent did", screen)
        self.assertIn("kept (bot-bottle resume SLUG)", screen)
        self.assertIn("left by launches that were killed: half (bot-bottle cleanup)", screen)
        self.fits(terminal)
        self.keep("list", terminal, home)
        home.run("cleanup", "--yes", check=0)
        self.assertEqual(home.slugs(), ["crash"])


if __name__ == "__main__":
    unittest.main()
