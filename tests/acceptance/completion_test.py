"""Completion in the real shells, typed in a terminal; and the manual's pages as man reads them."""
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from harness import BUILD, AcceptanceTest, Terminal, wait_until

# File names of a hostile repository, and directory names of a home: what a careless script would run.
HOSTILE = ["$(touch pwned-1)", "`touch pwned-2`", "; touch pwned-3 ;", "x$(touch pwned-4)", "'; touch pwned-5; '",
           "${x:-$(touch pwned-6)}", "fi\nx; touch pwned-7", "e[$(touch pwned-8)]", "*", "~", "--help"]


class Tests(AcceptanceTest):
    def world(self):
        home = self.home()
        home.command_agent("fixer", ["true"])
        home.command_agent("strict-one", ["true"])
        agents = home.workspace / ".bot-bottle" / "agents"
        agents.mkdir(parents=True)
        for name in HOSTILE:
            (agents / f"{name}.md").write_text("---\nbottle: fixer\n---\n")
        (agents / "of-the-repository.md").write_text("---\nbottle: fixer\n---\n")
        for name in ["box-1", *HOSTILE]:
            (home.root / "state" / name).mkdir(parents=True)
        (home.workspace / "a-directory").mkdir()
        (home.workspace / "a-file").write_text("")
        # The program is looked for on $PATH alone; this one lies where a repository can put it.
        fake = home.workspace / "bot-bottle"
        fake.write_text("#!/bin/sh\ntouch pwned-by-the-program\n")
        fake.chmod(0o755)
        home.environment["PATH"] = f"{BUILD / 'bin'}:/usr/bin:/bin"
        return home

    def nothing_ran(self, home):
        self.assertEqual([path.name for path in home.top.rglob("pwned*")], [])

    def offered(self, home, *words, shell="zsh"):
        lines = home.run("__complete", shell, *words, check=0).stdout.splitlines()
        return lines[0], [line.split("\t")[0] for line in lines[1:]]

    def type_through(self, shell, argv, setup, clear="C-u"):
        home = self.world()
        terminal = Terminal(argv, home.top, home.environment, 120, 40, cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.type("PS1='> '; " + setup + "; echo se''t-up" if shell != "fish" else setup + "; echo se''t-up")
        terminal.key("Enter")
        terminal.wait_for("set-up")
        for typed, becomes in (
                ("bot-bottle unf", "bot-bottle unfreeze"),
                ("bot-bottle start fi", "bot-bottle start fixer"),
                ("bot-bottle start --yes of", "bot-bottle start --yes of-the-repository"),
                ("bot-bottle run --bottle strict", "bot-bottle run --bottle strict-one"),
                ("bot-bottle start --backend loc", "bot-bottle start --backend local"),
                ("bot-bottle start --color bright-m", "bot-bottle start --color bright-magenta"),
                ("bot-bottle start --color=bright-m", "bot-bottle start --color=bright-magenta"),
                ("bot-bottle logs bo", "bot-bottle logs box-1"),
                ("bot-bottle logs box-1 --kind egress,dl", "bot-bottle logs box-1 --kind egress,dlp"),
                ("bot-bottle list prov", "bot-bottle list providers"),
                ("bot-bottle routes sh", "bot-bottle routes show"),
                ("bot-bottle routes show bo", "bot-bottle routes show box-1"),
                ("bot-bottle completion fi", "bot-bottle completion fish"),
                ("bot-bottle check box-1 PAT", "bot-bottle check box-1 PATCH"),
                ("bot-bottle start --no-works", "bot-bottle start --no-workspace"),
                ("bot-bottle start --cwd a-d", "bot-bottle start --cwd a-directory/"),
                ("bot-bottle scan a-fi", "bot-bottle scan a-file"),
                ("bot-bottle cp box", "bot-bottle cp box-1:"),
                ("./bot-bottle start fi", "./bot-bottle start fixer")):
            with self.subTest(typed):
                terminal.type(typed)
                terminal.key("Tab")
                terminal.wait_for(becomes, 10)
            terminal.key(clear)
            terminal.type("clear")
            terminal.key("Enter")
            wait_until("a clear screen", lambda: typed not in terminal.screen())
        # All at once: what there is, and nothing of the hostile ones.
        for typed in ("bot-bottle start ", "bot-bottle logs ", "bot-bottle start $(tou", "bot-bottle start x"):
            terminal.type(typed)
            terminal.key("Tab")
            terminal.key("Tab")
            if typed == "bot-bottle start ":
                terminal.wait_for("of-the-repository", 10)
            self.assertNotIn("pwned", terminal.screen(), typed)
            terminal.key("C-c")
            terminal.type("clear")
            terminal.key("Enter")
        self.nothing_ran(home)

    def test_bash_completes_verbs_agents_bottles_and_values(self):
        self.type_through("bash", ["bash", "--norc", "--noprofile", "-i"], "source <(bot-bottle completion bash)")

    def test_zsh_completes_verbs_agents_bottles_and_values(self):
        functions = BUILD / "share/zsh/site-functions"
        self.type_through("zsh", ["zsh", "-f", "-i"], f"fpath=({functions} $fpath); autoload -U compinit; compinit -D -u")

    def test_zsh_takes_the_sourced_script_too(self):
        home = self.world()
        script = ("autoload -U compinit; compinit -D -u; source <(bot-bottle completion zsh); "
                  "print -r -- ${_comps[bot-bottle]}")
        out = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, env=home.environment, timeout=30)
        self.assertEqual(out.stdout.strip(), "_bot-bottle", out.stderr)

    def test_fish_completes_verbs_agents_bottles_and_values(self):
        self.type_through("fish", ["fish", "--no-config", "-i"],
                          "set -g fish_autosuggestion_enabled 0; bot-bottle completion fish | source")

    def test_only_names_are_offered(self):
        home = self.world()
        self.assertEqual(self.offered(home, "start", ""), ("words", ["fixer", "of-the-repository", "strict-one"]))
        self.assertEqual(self.offered(home, "logs", ""), ("words", ["box-1"]))
        # A plugin's name is what its file says.
        plugin = home.root / "contrib" / "odd"
        plugin.mkdir(parents=True)
        (plugin / "plugin.toml").write_text('name = "odd"\ndescription = "d"\nversion = "1"\nabi = "1.0"\nlibrary = "x.so"\n'
                                            'provides = ["backend:$(touch pwned-9)", "backend:fine"]\n')
        backends = self.offered(home, "start", "--backend", "")[1]
        self.assertIn("local", backends)
        self.assertNotIn("pwned", " ".join(backends))
        self.nothing_ran(home)

    def test_the_line_is_understood_as_it_will_be(self):
        home = self.world()
        other = home.top / "other"
        (other / "agents").mkdir(parents=True)
        (other / "agents" / "elsewhere.md").write_text("---\nbottle: x\n---\n")
        self.assertIn("elsewhere", self.offered(home, "--home", other, "start", "")[1])
        self.assertIn("elsewhere", self.offered(home, f"--home={other}", "start", "")[1])
        self.assertEqual(self.offered(home, "start", "fixer", "--", ""), ("files", []))
        self.assertEqual(self.offered(home, "start", "fixer", ""), ("words", []))
        self.assertEqual(self.offered(home, "stop", "box-1", ""), ("words", ["box-1"]), "as many as you like")
        self.assertEqual(self.offered(home, "check", "--agent", "fixer", "DEL"), ("words", ["DELETE"]))
        self.assertEqual(self.offered(home, "start", "--color", "=", "re", shell="bash"), ("words", ["red"]))
        self.assertEqual(self.offered(home, "start", '"fi', shell="bash"), ("words", ["fixer"]))
        self.assertEqual(self.offered(home, "cp", "bo"), ("files nospace", ["box-1:"]))
        self.assertIn("supervise", self.offered(home, "help", "s")[1])
        self.assertEqual(self.offered(home, "nonsense", "x", "--"), ("words", self.offered(home, "--")[1]))
        for verb in self.offered(home, "")[1]:
            self.assertEqual(home.run(verb, "--help").returncode, 0, verb)
            self.assertIn("--help", self.offered(home, verb, "--h")[1], verb)

    def test_a_tab_opens_no_agent_loads_no_plugin_and_starts_nothing(self):
        home = self.world()
        trace = home.top / "trace"
        for words in (["start", ""], ["start", "--backend", ""], ["logs", ""]):
            subprocess.run(["strace", "-f", "-o", trace, "-e", "trace=openat,open,execve,fork,vfork,clone,clone3",
                            *home.argv("__complete", "bash", *words)], check=True, stdout=subprocess.DEVNULL,
                           cwd=home.workspace, env=home.environment, timeout=30)
            calls = trace.read_text()
            self.assertEqual(calls.count("execve("), 1)
            self.assertNotRegex(calls, r"\b(v?fork|clone3?)\(")  # the call, not a directory of that name
            self.assertNotIn("fixer.md", calls)
            self.assertNotIn("/plugins/backend-local/backend-local.so", calls)

    def test_every_page_of_the_manual_is_clean(self):
        pages = sorted((BUILD / "share/man/man1").glob("*.1"))
        verbs = self.offered(self.world(), "")[1]
        self.assertEqual({page.stem for page in pages}, {"bot-bottle", *(f"bot-bottle-{verb}" for verb in verbs)})
        for page in pages:
            for argv in (["groff", "-ww", "-man", "-Tutf8", "-z", page], ["man", "--warnings", "-l", page]):
                result = subprocess.run(argv, capture_output=True, text=True, timeout=30,
                                        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MANWIDTH": "80", "HOME": "/nonexistent"})
                self.assertEqual((result.returncode, result.stderr), (0, ""), page)
            shown = result.stdout
            for section in ("NAME", "SYNOPSIS", "EXIT STATUS", "SEE ALSO"):
                self.assertIn(section, shown, page)

    def test_a_page_says_what_help_says(self):
        home = self.world()
        for verb, words in (("logs", ["--kind", "--since", "SLUG", "bot-bottle logs fixer-x7k2p -f"]),
                            ("routes", ["--allow-credentials", "--git-fetch"]), ("start", ["--color COLOR", "bright-magenta"])):
            shown = subprocess.run(["man", "-l", BUILD / f"share/man/man1/bot-bottle-{verb}.1"], capture_output=True, text=True,
                                   env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MANWIDTH": "100", "HOME": str(home.top)}).stdout
            for word in words:
                self.assertIn(word, shown)


if __name__ == "__main__":
    unittest.main()
