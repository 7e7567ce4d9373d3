"""diff, cp and sync: what comes out of a bottle, and that nothing that the agent wrote runs on the host unasked."""
import json
import os
import pathlib
import signal
import subprocess
import unittest

from harness import AcceptanceTest, Terminal

ORDINARY_USER = 65533


class Tests(AcceptanceTest):
    def box(self, files, user=None, git=False):
        home = self.home(user)
        for name, text in files.items():
            path = home.workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        if git:
            self.git(home, "init", "-q", "-b", "main")
            self.git(home, "add", "-A")
            self.git(home, "commit", "-q", "-m", "first")
        home.own(home.workspace)
        home.command_agent("shell", ["sh"])
        home.run("start", "shell", "--label", "box", "--detach", "--yes", check=0)
        return home

    def git(self, home, *arguments):
        return subprocess.run(["git", "-C", home.workspace, "-c", "user.name=Op", "-c", "user.email=op@example.com",
                               "-c", "safe.directory=*", *arguments], check=True, capture_output=True, text=True).stdout

    def inside(self, home, script):
        return home.run("exec", "box", "--", "sh", "-c", script, check=0).stdout

    def sync(self, home, *arguments, check=0):
        return json.loads(home.run("sync", "box", "--json", *arguments, check=check).stdout)

    def leftovers(self, home):
        return [path for path in home.workspace.rglob(".bot-bottle*")] + [home.state("box") / "sync"] * (
            home.state("box") / "sync").exists()

    def there_and_back(self, user):
        home = self.box({"edit": "one\n", "gone": "x", "keep": "k", "d/deep": "x"}, user)
        self.inside(home, "echo two > edit; rm gone; rm -r d; mkdir new; echo n > new/file; ln -s file new/link; ln -s /etc/passwd out")
        shown = home.run("diff", "box", check=0).stdout
        self.assertIn("-one\n+two\n", shown)
        self.assertIn("--- a/gone", shown)
        home.run("stop", "box", check=0)
        self.assertEqual(home.run("diff", "box", check=0).stdout, shown, "a stopped bottle has the same to show")
        result = self.sync(home, "--yes")
        self.assertEqual(result["done"], ["d/deep", "edit", "gone", "new/file", "new/link"])
        self.assertEqual(sorted(str(path.relative_to(home.workspace)) for path in home.workspace.rglob("*")),
                         ["edit", "keep", "new", "new/file", "new/link"])
        self.assertEqual((home.workspace / "edit").read_text(), "two\n")
        self.assertEqual({path.lstat().st_uid for path in home.workspace.rglob("*")}, {home.workspace.stat().st_uid})
        self.assertEqual(self.sync(home, "--yes")["changes"], [], "nothing is left to bring")
        self.assertEqual(self.leftovers(home), [])

    def test_a_workspace_comes_back_as_root(self):
        self.there_and_back(None)

    def test_a_workspace_comes_back_as_an_ordinary_user(self):
        self.there_and_back(ORDINARY_USER)

    def test_G1_G5_yes_never_covers_what_runs_by_itself(self):
        home = self.box({"Makefile": "all:\n", "src/a.c": "int a;\n"}, git=True)
        self.inside(home, "echo evil >> Makefile; echo 'int b;' > src/a.c; mkdir -p .vscode .github/workflows .claude; echo x > .vscode/tasks.json; "
                          "echo x > .github/workflows/ci.yml; echo x > .claude/settings.json; echo x > .envrc; echo x > package.json; "
                          "echo x > .git/hooks/pre-commit; printf '[core]\\n\\tfsmonitor = touch /tmp/bb-owned\\n' >> .git/config; "
                          "echo x > .gitattributes; echo x > .mcp.json; echo 'echo hi' > tool; chmod +x tool; ln -s .git/hooks hooks")
        result = self.sync(home, "--yes", check=3)
        self.assertEqual(result["done"], ["src/a.c"])
        gated = {item["path"] for item in result["refused"]}
        self.assertEqual(gated, {"Makefile", ".vscode/tasks.json", ".github/workflows/ci.yml", ".claude/settings.json", ".envrc", "package.json",
                                 ".git/hooks/pre-commit", ".git/config", ".gitattributes", ".mcp.json", "tool", "hooks"})
        for path in gated - {"Makefile", ".git/config"}:
            self.assertFalse(os.path.lexists(home.workspace / path), path)
        self.assertEqual((home.workspace / "Makefile").read_text(), "all:\n")
        self.assertNotIn("fsmonitor", (home.workspace / ".git/config").read_text())
        result = self.sync(home, "--yes", "--allow-autorun", "Makefile", "--allow-autorun", "tool", check=3)
        self.assertEqual(result["done"], ["Makefile", "tool"])
        self.assertEqual((home.workspace / "Makefile").read_text(), "all:\nevil\n")
        self.assertTrue(os.access(home.workspace / "tool", os.X_OK))
        self.assertFalse((home.workspace / ".envrc").exists())

    def test_each_file_that_runs_by_itself_is_asked_for(self):
        home = self.box({"a": "a\n"})
        self.inside(home, "echo b > a; echo x > .envrc; echo x > Makefile")
        terminal = Terminal(home.argv("sync", "box"), home.top, home.environment, cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.wait_for("Bring 1 change into")
        terminal.type("y")
        terminal.key("Enter")
        terminal.wait_for(".envrc  [runs by itself: shell environment]")
        terminal.wait_for("Bring it over?")
        terminal.type("n")
        terminal.key("Enter")
        terminal.wait_for("Makefile  [runs by itself: build file]")
        terminal.type("y")
        terminal.key("Enter")
        terminal.wait_for("EXIT=3")
        self.assertEqual((home.workspace / "a").read_text(), "b\n")
        self.assertTrue((home.workspace / "Makefile").exists())
        self.assertFalse((home.workspace / ".envrc").exists())

    def test_what_the_operator_changed_meanwhile_is_not_overwritten(self):
        home = self.box({"both": "base\n", "mine": "base\n", "theirs": "base\n"})
        self.inside(home, "echo agent > both; echo agent > theirs")
        (home.workspace / "both").write_text("operator\n")
        (home.workspace / "mine").write_text("operator\n")
        result = self.sync(home, "--yes", check=3)
        self.assertEqual(result["done"], ["theirs"])
        self.assertEqual([(item["path"], item["conflict"]) for item in result["refused"]], [("both", "you changed it, too")])
        self.assertEqual((home.workspace / "both").read_text(), "operator\n")
        self.assertEqual((home.workspace / "mine").read_text(), "operator\n")
        self.assertEqual(self.sync(home, "--yes", "--overwrite", "both")["done"], ["both"])
        self.assertEqual((home.workspace / "both").read_text(), "agent\n")

    def test_hostile_names_and_text_are_escaped_and_arrive_as_they_are(self):
        home = self.box({})
        self.inside(home, "printf x > \"$(printf 'a\\nb')\"; printf x > \"$(printf '\\033]0;owned\\007')\"; printf x > -rf; "
                          "printf x > \"$(printf '\\377\\376')\"; printf x > \"$(printf '\\342\\200\\256gnp')\"; printf 'l\\033[2Jx\\r\\n' > text; "
                          "echo A > Case; echo a > case; mkfifo pipe")
        for arguments in (("diff", "box"), ("diff", "box", "--json"), ("sync", "box", "--dry-run")):
            shown = home.run(*arguments, check=0).stdout
            for bad in ("\x1b", "\x07", "\r", "\u202e"):
                self.assertNotIn(bad, shown, arguments)
        self.assertEqual(len(self.sync(home, "--yes")["done"]), 8)
        names = sorted(os.listdir(os.fsencode(home.workspace)))
        self.assertEqual(names, sorted([b"a\nb", b"\x1b]0;owned\x07", b"-rf", b"\xff\xfe", "\u202egnp".encode(), b"text", b"Case", b"case"]))

    def test_the_agents_commits_come_as_refs_and_nothing_of_its_repository_runs(self):
        home = self.box({"a": "a\n"}, git=True)
        owned = home.top / "owned"
        evil = f"touch {owned}"
        self.inside(home, "git config user.name Agent; git config user.email agent@example.com; echo b > a; git commit -qam 'the work'; "
                          "git checkout -q -b feature; echo c > c; git add c; git commit -qm more; git repack -qad; echo d > d; git add d; "
                          f"git commit -qm loose; printf '%s' '#!/bin/sh\n{evil}\n' | tee .git/hooks/post-checkout .git/hooks/reference-transaction "
                          f".git/hooks/pre-auto-gc > /dev/null; chmod +x .git/hooks/*; "
                          f"git config core.fsmonitor '{evil}'; git config core.alternateRefsCommand '{evil}'; git config uploadpack.packObjectsHook '{evil}'; "
                          f"git config core.sshCommand '{evil}'; echo '{home.top}/secret' > .git/objects/info/alternates; "
                          "cp .git/HEAD '.git/refs/heads/-evil' 2>/dev/null; git rev-parse feature > '.git/refs/heads/--upload-pack=x'; "
                          "git rev-parse feature > \".git/refs/heads/$(printf 'x\\nnext: forged')\"; true")
        tip = self.inside(home, "GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.fsmonitor GIT_CONFIG_VALUE_0=false git rev-parse feature").strip()
        head = self.git(home, "rev-parse", "HEAD")
        index = (home.workspace / ".git/index").read_bytes()
        result = self.sync(home, "--yes", check=3)
        self.assertEqual({ref["name"] for ref in result["refs"]}, {"refs/bot-bottle/box/main", "refs/bot-bottle/box/feature"})
        self.assertNotIn("\nnext: forged", home.run("sync", "box", "--yes", check=3).stderr, "D7: a branch's name is no line of ours")
        self.assertEqual(self.git(home, "rev-parse", "bot-bottle/box/feature").strip(), tip)
        self.assertEqual(self.git(home, "log", "--format=%s", "bot-bottle/box/feature"), "loose\nmore\nthe work\nfirst\n")
        self.git(home, "fsck", "--strict")
        self.assertEqual(self.git(home, "rev-parse", "HEAD"), head, "the operator's branch stays where it is")
        self.assertEqual((home.workspace / ".git/index").read_bytes(), index)
        self.assertFalse(owned.exists(), "G1: something of the agent's repository ran on the host")
        self.assertEqual(sorted(path.name for path in (home.workspace / ".git/hooks").iterdir() if not path.name.endswith(".sample")), [])
        self.assertEqual(self.leftovers(home), [])

    def test_G1_what_the_operators_own_git_runs_from_the_tree_is_asked_for(self):
        home = self.box({"tools/hooks/pre-commit": "#!/bin/sh\n", "tools/clean.py": "pass\n", "more.ini": "\n", "sub/x": "x\n"}, git=True)
        self.git(home, "config", "core.hooksPath", "tools/hooks")
        self.git(home, "config", "filter.own.clean", "python3 ./tools/clean.py %f")
        self.git(home, "config", "include.path", "../more.ini")
        self.inside(home, "echo 'touch /tmp/owned' >> tools/hooks/pre-commit; echo evil >> tools/clean.py; echo evil >> more.ini; echo y > sub/x; echo y > tools/x")
        result = self.sync(home, "--yes", check=3)
        self.assertEqual(result["done"], ["sub/x", "tools/x"])
        self.assertEqual({item["path"]: item["autorun"] for item in result["refused"]},
                         {"tools/hooks/pre-commit": "named by git's core.hookspath", "tools/clean.py": "named by git's filter.own.clean",
                          "more.ini": "named by git's include.path"})

    def test_a_malformed_object_does_not_enter_the_repository(self):
        home = self.box({"a": "a\n"}, git=True)
        # A tree that would write ".git/config" at checkout.
        self.inside(home, "git config user.name A; git config user.email a@example.com; blob=$(echo evil | git hash-object -w --stdin); "
                          "inner=$(printf '100644 blob %s\\tconfig\\n' $blob | git mktree); "
                          "tree=$(printf '040000 tree %s\\t.git\\n' $inner | git mktree); "
                          "git update-ref refs/heads/evil $(git commit-tree -m evil $tree)")
        result = home.run("sync", "box", "--yes", check=1)
        self.assertIn("were not fetched", result.stderr)
        self.assertNotIn("bot-bottle", self.git(home, "for-each-ref"))

    def test_kill_9_while_files_are_put_in_place(self):
        for step in ("sync-staged", "sync-renamed"):
            home = self.box({"a": "a\n", "b": "b\n"})
            self.inside(home, "echo x > a; echo y > b")
            result = home.run("sync", "box", "--yes", env={"BOT_BOTTLE_TEST_KILL_AT": step})
            self.assertEqual(result.returncode, -signal.SIGKILL, result.stderr)
            self.assertIn((home.workspace / "a").read_text(), ("a\n", "x\n"))
            self.assertIn((home.workspace / "b").read_text(), ("b\n", "y\n"))
            home.run("cleanup", "--yes", check=0)
            self.assertEqual([path.name for path in home.workspace.rglob(".bot-bottle*")], [], step)
            code = 0 if step == "sync-staged" else None
            home.run("sync", "box", "--yes", "--overwrite", "*", check=code or 0)
            self.assertEqual((home.workspace / "a").read_text() + (home.workspace / "b").read_text(), "x\ny\n")
            self.assertEqual(self.leftovers(home), [])
            home.run("stop", "--rm", "box", check=0)

    def test_a_mounted_workspace_has_nothing_to_bring(self):
        home = self.home(ORDINARY_USER)
        home.command_agent("shell", ["sh"], "workspace:\n  mode: mount\n")
        home.run("start", "shell", "--label", "box", "--detach", "--yes", check=0)
        self.assertIn("your own tree", home.run("sync", "box", check=1).stderr)

    def test_cp_takes_files_out_and_in_and_follows_no_link(self):
        home = self.box({})
        victim = home.top / "victim"
        victim.write_text("mine")
        out = home.top / "out"
        out.mkdir()
        (out / "link").symlink_to(victim)
        self.inside(home, "echo r > report; mkdir -p d/e; echo x > d/e/f; ln -s /etc/passwd d/leak; ln -s e/f d/fine; echo evil > link")
        home.run("cp", "box:report", str(home.top / "copy"), check=0)
        self.assertEqual((home.top / "copy").read_text(), "r\n")
        home.run("cp", "box:d", str(out), check=0)
        self.assertEqual((out / "d/e/f").read_text(), "x\n")
        self.assertFalse(os.path.lexists(out / "d/leak"))
        self.assertEqual(os.readlink(out / "d/fine"), "e/f")
        home.run("cp", "box:/workspace/link", str(out), check=0)
        self.assertEqual(victim.read_text(), "mine", "H1: a link at the destination is replaced, not written through")
        self.assertEqual((out / "link").read_text(), "evil\n")
        home.run("cp", str(victim), "box:in/here", check=0)
        self.assertEqual(self.inside(home, "cat in/here; stat -c %u in/here"), "mine1000\n")
        home.run("cp", str(victim), "box:", check=0)
        self.assertEqual(self.inside(home, "cat victim"), "mine")
        self.assertIn("SLUG:PATH", home.run("cp", "a", "b", check=2).stderr)
        self.assertNotEqual(home.run("cp", "box:/etc/passwd", str(out)).returncode, 0)
        self.assertNotEqual(home.run("cp", "box:../../etc/passwd", str(out)).returncode, 0)


if __name__ == "__main__":
    unittest.main()
