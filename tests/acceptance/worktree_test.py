"""start --worktree, sync and worktree: several bottles on one repository, and a branch that holds what passed the gate alone."""
import json
import os
import signal
import subprocess
import unittest

from harness import AcceptanceTest

ORDINARY_USER = 65533
IDENTITY = "git config user.name Agent; git config user.email agent@example.com; "


class Tests(AcceptanceTest):
    def repository(self, user=None, files=None):
        home = self.home(user)
        for name, text in (files or {"a": "a\n", "d/b": "b\n", "Makefile": "all:\n"}).items():
            path = home.workspace / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        home.own(home.workspace)
        self.git(home, "init", "-q", "-b", "main")
        self.git(home, "config", "user.name", "Op")
        self.git(home, "config", "user.email", "op@example.com")
        self.git(home, "add", "-A")
        self.git(home, "commit", "-q", "-m", "first")
        home.command_agent("shell", ["sh"])
        return home

    def git(self, home, *arguments, cwd=None, check=True):
        user = [] if home.user is None else ["setpriv", f"--reuid={home.user}", f"--regid={home.user}", "--clear-groups", "--"]
        return subprocess.run([*user, "git", "-C", cwd or home.workspace, *arguments], check=check, capture_output=True, text=True,
                              env=home.environment).stdout

    def start(self, home, slug, *arguments):
        return home.run("start", "shell", "--worktree", "--label", slug, "--detach", "--yes", *arguments, check=0)

    def inside(self, home, slug, script):
        return home.run("exec", slug, "--", "sh", "-c", script, check=0).stdout

    def sync(self, home, slug, *arguments, check=0):
        return json.loads(home.run("sync", slug, "--json", "--yes", *arguments, check=check).stdout)

    def files(self, home, slug):
        return home.root / "worktrees" / slug

    def branches(self, home):
        return set(self.git(home, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").split())

    def two_at_once(self, user):
        home = self.repository(user)
        for slug in ("one", "two"):
            self.start(home, slug)
        self.assertEqual(self.branches(home), {"main", "agent/one", "agent/two"})
        self.inside(home, "one", IDENTITY + "echo one >> a; git commit -qam 'a by one'; echo 1 > new-one; git add .; git commit -qm 'new by one'")
        self.inside(home, "two", IDENTITY + "echo two >> d/b; git commit -qam 'b by two'; echo 2 > new-two")
        syncs = [home.popen("sync", slug, "--yes", "--json", stdout=subprocess.PIPE, text=True) for slug in ("one", "two")]
        one, two = [json.loads(process.communicate(timeout=60)[0])["branch"] for process in syncs]
        self.assertEqual((one["commits"], one["history"]), (2, True))
        self.assertEqual((two["commits"], two["history"]), (2, True), "its own commit, and one for what it left uncommitted")
        self.assertEqual(self.git(home, "log", "--format=%s", "agent/one"), "new by one\na by one\nfirst\n")
        self.assertEqual(self.git(home, "log", "--format=%s", "agent/two"), "Work of shell in bottle two\nb by two\nfirst\n")
        self.assertEqual(self.git(home, "status", "--porcelain"), "", "nobody stepped on the operator's own tree")
        self.assertEqual((home.workspace / "a").read_text(), "a\n")
        for slug in ("one", "two"):
            self.assertEqual(self.git(home, "status", "--porcelain", cwd=self.files(home, slug)), "", "files and branch agree")
            home.run("worktree", "merge", slug, "--yes", check=0)
        self.assertEqual((home.workspace / "a").read_text(), "a\none\n")
        self.assertEqual((home.workspace / "d/b").read_text(), "b\ntwo\n")
        self.assertEqual(sorted(path.name for path in home.workspace.iterdir()), [".git", "Makefile", "a", "d", "new-one", "new-two"])
        self.git(home, "fsck", "--strict")
        home.run("stop", "--rm", "one", "two", check=0)
        self.assertEqual(self.branches(home), {"main"}, "merged: nothing is lost with them")
        self.assertEqual(list((home.root / "worktrees").iterdir()), [])
        self.assertEqual(self.git(home, "worktree", "list").count("\n"), 1)

    def test_two_bottles_on_one_repository_as_root(self):
        self.two_at_once(None)

    def test_two_bottles_on_one_repository_as_an_ordinary_user(self):
        self.two_at_once(ORDINARY_USER)

    def test_work_is_kept_until_it_is_on_the_branch(self):
        home = self.repository()
        home.command_agent("write", ["sh", "-c", "echo done > result"])
        home.run("run", "write", "--worktree", "--label", "job", check=0)
        self.assertEqual(home.slugs(), ["job"], "an agent that ends well is kept until its work is on its branch")
        self.assertEqual(self.sync(home, "job")["branch"]["commits"], 1)
        self.assertEqual(self.sync(home, "job")["branch"]["commits"], 0, "once is enough")
        log = self.git(home, "log", "-1", "--format=%an <%ae> / %cn: %s", "agent/job").strip()
        self.assertEqual(log, "write <job@bot-bottle.invalid> / Op: Work of write in bottle job")
        self.assertIn("holds work", home.run("stop", "--rm", "job", check=0).stderr)
        rows = json.loads(home.run("worktree", "list", "--json", check=0).stdout)["worktrees"]
        self.assertEqual([(row["slug"], row["bottle"], row["commits"]) for row in rows], [("job", "gone", 1)])
        self.assertIn("cannot have the branch", home.run("run", "write", "--worktree", "--label", "job", check=1).stderr)
        self.assertIn("nowhere else", home.run("worktree", "rm", "job", check=3).stderr)
        shown = home.run("worktree", "show", "job", "--patch", check=0).stdout
        self.assertIn("+done", shown)
        home.run("cleanup", "--yes", "--all", check=0)
        self.assertIn("agent/job", self.branches(home), "cleanup takes no work")
        home.run("worktree", "rm", "--force", "job", check=0)
        self.assertEqual(self.branches(home), {"main"})
        self.assertEqual(self.git(home, "for-each-ref", "refs/bot-bottle"), "")

    def test_resume_and_fork_of_a_worktree_bottle(self):
        home = self.repository()
        self.start(home, "one")
        self.inside(home, "one", IDENTITY + "echo 1 > x; git add x; git commit -qm x")
        home.run("commit", "one", check=0)
        home.run("fork", "one", "--label", "two", check=0)
        home.run("stop", "one", check=0)
        home.run("resume", "one", "--detach", "--yes", check=0)
        self.assertEqual(self.inside(home, "one", "cat x"), "1\n")
        self.inside(home, "two", "echo 2 > y; git add y; git commit -qm y")
        self.assertEqual(self.sync(home, "one")["branch"]["commits"], 1)
        branch = self.sync(home, "two")["branch"]
        self.assertEqual((branch["name"], branch["commits"], branch["history"]), ("agent/two", 2, True))
        self.assertEqual(self.git(home, "log", "--format=%s", "agent/two"), "y\nx\nfirst\n")

    def test_G1_the_gate_holds_for_the_branch_too(self):
        home = self.repository()
        self.start(home, "box")
        self.inside(home, "box", IDENTITY + "echo evil >> Makefile; echo 'int b;' > b.c; git add -A; git commit -qm 'all of it'; "
                                            "mkdir -p .github/workflows; echo x > .github/workflows/ci.yml; git add -A; git commit -qm ci; "
                                            "git rm -qr .github; git commit -qm 'no ci'")
        result = self.sync(home, "box", check=3)
        self.assertEqual(result["done"], ["b.c"])
        self.assertFalse(result["branch"]["history"])
        self.assertIn("runs by itself" if "runs by itself" in result["branch"]["why_no_history"] else "one of them touches",
                      result["branch"]["why_no_history"])
        self.assertEqual(self.git(home, "diff", "--name-only", "main", "agent/box"), "b.c\n")
        self.assertIn("- all of it", self.git(home, "log", "-1", "--format=%b", "agent/box"))
        self.assertEqual(self.git(home, "log", "--format=%s", "bot-bottle/box/agent/box"), "no ci\nci\nall of it\nfirst\n")
        result = self.sync(home, "box", "--allow-autorun", "Makefile")
        self.assertEqual(result["done"], ["Makefile"])
        self.assertEqual(self.git(home, "diff", "--name-only", "main", "agent/box"), "Makefile\nb.c\n")
        home.run("worktree", "merge", "box", "--yes", check=0)
        self.assertEqual((home.workspace / "Makefile").read_text(), "all:\nevil\n")

    def test_G1_a_gated_file_in_the_middle_of_the_history_keeps_the_history_out(self):
        home = self.repository()
        self.start(home, "box")
        self.inside(home, "box", IDENTITY + "echo x > .envrc; git add .; git commit -qm add; git rm -q .envrc; echo ok > ok; git add .; git commit -qm ok")
        branch = self.sync(home, "box")["branch"]
        self.assertEqual((branch["commits"], branch["history"]), (1, False))
        self.assertIn(".envrc", branch["why_no_history"])
        self.assertNotIn(".envrc", self.git(home, "log", "--name-only", "agent/box"))

    def test_G1_nothing_of_the_agents_repository_runs_or_leads_elsewhere(self):
        home = self.repository()
        owned = home.top / "owned"
        evil = f"touch {owned}"
        victim = home.top / "victim"
        self.git(home, "init", "-q", victim, cwd=home.top)
        for slug, script in {
            # A .git file that names another repository of the host; a link; a directory full of traps.
            "file": f"rm -rf .git; echo 'gitdir: {victim}/.git' > .git; echo 1 > ok",
            "link": f"rm -rf .git; ln -s {victim}/.git .git; echo 1 > ok",
            "traps": IDENTITY + f"for hook in post-checkout post-merge pre-commit post-commit reference-transaction post-index-change; do "
                     f"printf '#!/bin/sh\\n{evil}\\n' > .git/hooks/$hook; chmod +x .git/hooks/$hook; done; echo 1 > ok; git add ok; "
                     f"GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.hooksPath GIT_CONFIG_VALUE_0=/dev/null git commit -qm ok; "
                     f"git config core.fsmonitor '{evil}'; git config core.hooksPath .git/hooks; git config filter.evil.clean '{evil}'; "
                     f"git config filter.evil.smudge '{evil}'; git config filter.evil.process '{evil}'; git config diff.evil.command '{evil}'; "
                     f"git config core.sshCommand '{evil}'; git config core.worktree {victim}; mkdir -p .git/info; echo '* filter=evil diff=evil' > .git/info/attributes; "
                     f"echo '* filter=evil' > .gitattributes; echo '{victim}/.git/objects' > .git/objects/info/alternates; "
                     f"echo '{victim}/.git' > .git/commondir",
        }.items():
            self.start(home, slug)
            self.inside(home, slug, "mkdir -p .git/hooks; " + script)
            link = (self.files(home, slug) / ".git").read_bytes()
            before = self.git(home, "config", "--list")
            result = self.sync(home, slug, check=3 if slug == "traps" else 0)
            self.assertEqual(result["done"], ["ok"], slug)
            self.assertNotIn(".git", {change["path"].split("/")[0] for change in result["changes"]}, "it is no file of the work")
            self.assertEqual(result["branch"]["commits"], 1)
            self.assertEqual((self.files(home, slug) / ".git").read_bytes(), link)
            self.assertEqual(self.git(home, "config", "--list"), before)
            home.run("worktree", "show", slug, "--patch", check=0)
            self.assertEqual(self.git(home, "diff", "--name-only", "main", f"agent/{slug}"), "ok\n")
        home.run("worktree", "merge", "traps", "--yes", check=0)
        self.assertFalse(owned.exists(), "something of the agent's ran on the host")
        self.assertEqual(self.git(home, "for-each-ref", cwd=victim), "")
        self.assertEqual(self.git(home, "count-objects", cwd=victim), "0 objects, 0 kilobytes\n")

    def test_the_operators_own_hooks_and_filters_do_not_run_either(self):
        home = self.repository(files={"a": "a\n", "big.bin": "data\n"})
        owned = home.top / "owned"
        (home.workspace / ".gitattributes").write_text("*.bin filter=trap\n")
        self.git(home, "add", "-A")
        self.git(home, "commit", "-q", "-m", "attributes")
        for key in ("clean", "smudge", "process"):
            self.git(home, "config", f"filter.trap.{key}", f"touch {owned}; cat")
        self.git(home, "config", "filter.trap.required", "true")
        self.git(home, "config", "core.fsmonitor", f"touch {owned}")
        for hook in ("post-checkout", "reference-transaction", "post-merge", "pre-merge-commit"):
            path = home.workspace / ".git/hooks" / hook
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\ntouch {owned}\n")
            path.chmod(0o755)
        self.start(home, "box")
        self.inside(home, "box", IDENTITY + "echo more >> big.bin; git commit -qam more")
        self.assertEqual(self.sync(home, "box")["branch"]["history"], True)
        refused = home.run("worktree", "merge", "box", "--yes", check=1).stderr
        self.assertIn("filters", refused)
        self.assertIn("git -C", refused, "git itself can do it")
        self.assertFalse(owned.exists())

    def test_the_agent_gets_its_branch_and_nothing_else(self):
        home = self.repository()
        self.git(home, "switch", "-q", "-c", "other")
        (home.workspace / "secret").write_text("other-branch-secret\n")
        self.git(home, "add", "-A")
        self.git(home, "commit", "-q", "-m", "secret")
        secret = self.git(home, "rev-parse", "HEAD").strip()
        self.git(home, "switch", "-q", "main")
        (home.workspace / "a").write_text("not committed\n")
        self.git(home, "remote", "add", "origin", "https://op:remote-password@example.com/x.git")
        warned = self.start(home, "box").stderr
        self.assertIn("1 file has a change that no commit has", warned)
        told = self.inside(home, "box", f"cat a; git cat-file -t {secret} 2>&1; git branch -a; git remote get-url origin; grep -r remote-password .git; true")
        self.assertTrue(told.startswith("a\n"), told)
        self.assertNotIn("commit\n", told)
        self.assertNotIn("remote-password", told)
        self.assertIn("https://example.com/x.git", told)
        self.assertNotIn(str(home.top), self.inside(home, "box", "cat .git/config; find .git/logs -type f -exec cat {} +; true"))

    def test_what_cannot_have_a_worktree_says_what_next(self):
        home = self.home()
        home.command_agent("shell", ["sh"])
        def refused(*arguments, text, check=1):
            error = home.run("start", "shell", "--worktree", "--label", "x", "--detach", "--yes", *arguments, check=check).stderr
            self.assertIn(text, error)
            self.assertIn("next: ", error)
            self.assertEqual(home.slugs(), [])
        refused(text="in no git repository")
        self.git(home, "init", "-q", "-b", "main")
        refused(text="has no commit yet")
        self.git(home, "config", "user.name", "Op")
        self.git(home, "config", "user.email", "op@example.com")
        self.git(home, "commit", "-q", "--allow-empty", "-m", "first")
        refused("--no-workspace", text="needs a workspace that is a copy")
        refused("--cwd", str(home.workspace / ".git"), text="inside of a .git directory")
        for name in ("agent", "agent/x", "agent/x/y"):
            self.git(home, "branch", name)
            refused(text="cannot have the branch agent/x")
            self.git(home, "branch", "-D", name)
        # A default gives way where a flag would be an error.
        (home.root / "config.toml").write_text("[workspace]\nworktree = true\n")
        home.bottle("plain", "backend: local\nagent_provider:\n  template: command\n  command: [\"true\"]\nworkspace:\n  mode: none\n")
        home.agent("plain", "bottle: plain")
        home.run("run", "plain", check=0)
        self.assertEqual(self.branches(home), {"main"})

    def test_bare_shallow_and_detached_repositories(self):
        home = self.repository()
        for number in (2, 3):
            self.git(home, "commit", "-q", "--allow-empty", "-m", f"number {number}")
        self.git(home, "clone", "-q", "--bare", home.workspace, home.top / "bare.git", cwd=home.top)
        self.git(home, "clone", "-q", "--depth", "1", f"file://{home.workspace}", home.top / "shallow", cwd=home.top)
        for slug, place, said in (("bare", "bare.git", ""), ("shallow", "shallow", "is shallow")):
            result = self.start(home, slug, "--cwd", str(home.top / place))
            self.assertIn(said, result.stderr)
            self.inside(home, slug, IDENTITY + "echo x > x; git add x; git commit -qm x")
            branch = self.sync(home, slug)["branch"]
            self.assertEqual((branch["commits"], branch["history"]), (1, True), slug)
            self.assertEqual(self.git(home, "log", "-1", "--format=%s", f"agent/{slug}", cwd=home.top / place), "x\n")
        self.assertIn("no working tree", home.run("worktree", "merge", "bare", "--yes", check=1).stderr)
        self.git(home, "switch", "-q", "--detach", "HEAD~1")
        self.assertIn("detached HEAD", self.start(home, "detached").stderr)
        self.inside(home, "detached", IDENTITY + "echo x > x; git add x; git commit -qm x")
        self.sync(home, "detached")
        self.assertIn("git switch BRANCH", home.run("worktree", "merge", "detached", "--yes", check=1).stderr)

    def test_submodules_stay_as_they_are(self):
        home = self.repository()
        sub = home.top / "sub"
        self.git(home, "init", "-q", "-b", "main", sub, cwd=home.top)
        self.git(home, "-c", "user.name=Op", "-c", "user.email=op@example.com", "commit", "-q", "--allow-empty", "-m", "sub", cwd=sub)
        self.git(home, "-c", "protocol.file.allow=always", "submodule", "add", "-q", sub, "vendor")
        self.git(home, "commit", "-q", "-m", "submodule")
        self.assertIn("submodules are empty", self.start(home, "box").stderr)
        self.inside(home, "box", "echo x > vendor/x; echo y > y")
        branch = self.sync(home, "box")["branch"]
        self.assertEqual([item["path"] for item in branch["left"]], ["vendor/x"])
        self.assertEqual(self.git(home, "diff", "--name-only", "main", "agent/box"), "y\n")

    def test_conflicts_change_nothing(self):
        home = self.repository()
        self.start(home, "box")
        self.inside(home, "box", "echo agent > a")
        self.sync(home, "box")
        (home.workspace / "a").write_text("operator\n")
        self.git(home, "commit", "-qam", "mine")
        error = home.run("worktree", "merge", "box", "--yes", check=1).stderr
        self.assertIn("nothing was merged", error)
        self.assertEqual((home.workspace / "a").read_text(), "operator\n")
        self.assertEqual(self.git(home, "status", "--porcelain"), "")
        self.assertEqual(home.run("worktree", "merge", "box", input="", check=3).returncode, 3, "without a yes nothing is merged")

    def test_a_launch_that_fails_leaves_no_branch(self):
        home = self.repository()
        for step in ("worktree-record", "worktree-added", "worktree", "sidecar", "provision"):
            home.run("start", "shell", "--worktree", "--label", "x", "--detach", "--yes", env={"BOT_BOTTLE_TEST_FAIL_AT": step}, check=1)
            self.assertEqual(self.branches(home), {"main"}, step)
            self.assertEqual(list((home.root / "worktrees").iterdir()), [], step)
            self.assertEqual(self.git(home, "worktree", "list").count("\n"), 1, step)

    def test_kill_9_of_a_start_leaves_what_cleanup_finds(self):
        home = self.repository()
        for step in ("worktree-record", "worktree-added", "worktree", "bottle"):
            result = home.run("start", "shell", "--worktree", "--label", "x", "--detach", "--yes", env={"BOT_BOTTLE_TEST_KILL_AT": step})
            self.assertEqual(result.returncode, -signal.SIGKILL, step)
            home.run("cleanup", "--yes", check=0)
            self.assertEqual(self.branches(home), {"main"}, step)
            self.assertEqual(list((home.root / "worktrees").iterdir()), [], step)
            self.assertEqual(self.git(home, "worktree", "list").count("\n"), 1, step)

    def test_kill_9_of_a_sync_loses_nothing(self):
        home = self.repository()
        for number, step in enumerate(("sync-staged", "sync-renamed", "sync-commit")):
            slug = f"box-{number}"
            self.start(home, slug)
            self.inside(home, slug, "echo x > a; echo y > b")
            result = home.run("sync", slug, "--yes", env={"BOT_BOTTLE_TEST_KILL_AT": step})
            self.assertEqual(result.returncode, -signal.SIGKILL, step)
            self.sync(home, slug, "--overwrite", "*")
            self.assertEqual(self.git(home, "diff", "--name-only", "main", f"agent/{slug}"), "a\nb\n", step)
            self.assertEqual(self.git(home, "status", "--porcelain", cwd=self.files(home, slug)), "", step)

    def test_a_commit_whose_file_was_not_brought_stays_out(self):
        home = self.repository()
        self.start(home, "box")
        (self.files(home, "box") / "a").write_text("operator\n")
        self.inside(home, "box", IDENTITY + "echo agent > a; echo c > c; git add -A; git commit -qm both")
        result = self.sync(home, "box", check=3)
        self.assertEqual((result["done"], result["branch"]["history"]), (["c"], False))
        self.assertIn("not brought over", result["branch"]["why_no_history"])
        self.assertEqual(self.git(home, "show", "agent/box:a"), "a\n")
        self.assertNotIn("both", self.git(home, "log", "--format=%s", "agent/box"))

    def test_the_operators_own_work_in_the_worktree_stays_the_operators(self):
        home = self.repository()
        self.start(home, "box")
        self.inside(home, "box", "echo agent > b")
        files = self.files(home, "box")
        (files / "mine").write_text("not committed\n")
        (files / "d/b").write_text("edited\n")
        self.assertEqual(self.sync(home, "box")["done"], ["b"])
        self.assertEqual(self.git(home, "diff", "--name-only", "main", "agent/box"), "b\n", "only what sync brought is committed")
        self.assertEqual(self.git(home, "status", "--porcelain", cwd=files), " M d/b\n?? mine\n")
        self.git(home, "switch", "-q", "-c", "elsewhere", cwd=files)
        self.inside(home, "box", "echo agent > c")
        self.assertIn("something else than agent/box checked out", home.run("sync", "box", "--yes", check=1).stderr)

    def test_what_only_the_worktree_has_stays(self):
        home = self.repository()
        self.git(home, "config", "status.showUntrackedFiles", "no")
        self.git(home, "config", "branch.main.mergeOptions", "--squash")
        for slug in ("detached", "box"):
            self.start(home, slug)
        self.git(home, "switch", "-q", "--detach", cwd=self.files(home, "detached"))
        self.git(home, "commit", "-q", "--allow-empty", "-m", "mine", cwd=self.files(home, "detached"))
        self.assertIn("holds work", home.run("stop", "--rm", "detached", check=0).stderr)
        self.inside(home, "box", "echo agent > a")
        self.sync(home, "box")
        home.run("stop", "--rm", "box", check=0)
        (self.files(home, "box") / "mine").write_text("not committed\n")
        self.assertIn("stays", home.run("worktree", "merge", "box", "--yes", "--rm", check=0).stderr)
        self.assertEqual(self.git(home, "show", "main:a"), "agent\n")
        self.assertTrue((self.files(home, "box") / "mine").exists())
        # The project's directory gets another name, or is not mounted today.
        moved = home.top / "moved"
        home.workspace.rename(moved)
        home.workspace.mkdir()
        home.run("cleanup", "--yes", "--all", check=0)
        self.assertIn("nowhere else", home.run("worktree", "rm", "box", check=3).stderr)
        self.assertTrue((self.files(home, "box") / "mine").exists())
        home.workspace.rmdir()
        moved.rename(home.workspace)
        (self.files(home, "box") / "mine").unlink()
        home.run("worktree", "rm", "box", check=0)
        self.assertEqual(self.branches(home), {"main", "agent/detached"})


if __name__ == "__main__":
    unittest.main()
