"""`scan --git RANGE`: what commits brought into a repository, read with the real git; nothing of the repository is run. Attacks G1, J."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PROGRAM, SHARE = sys.argv[1:3]
TOKEN = "ghp_" + "Ab3dEf6hIj9lMn2pQr5tUv8xYz1Bc4Df7Gh0"
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.com",
               "GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.com"}


class GitRange(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="bb-scan-git-")
        self.repository = pathlib.Path(self.directory.name, "repository")
        self.git("init", "-q", "-b", "main", str(self.repository), where=self.directory.name)
        self.commit("README", "nothing here\n", "first")
        self.git("branch", "base")

    def tearDown(self):
        self.directory.cleanup()

    def git(self, *arguments, where=None):
        return subprocess.run(["git", "-C", str(where or self.repository), *arguments], check=True, env=ENVIRONMENT, capture_output=True, text=True).stdout.strip()

    def commit(self, name, text, message):
        path = self.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def scan(self, git_range="base..main", repository=None, expected=None):
        """(exit code, findings, errors)"""
        result = subprocess.run([PROGRAM, "--scan", "--share", SHARE, "--rules-database", os.environ.get("BB_RULES_DATABASE", "/nonexistent"), "--json",
                                 "--git", git_range, "--", str(repository or self.repository)], capture_output=True, text=True, timeout=60)
        self.assertNotIn(TOKEN, result.stdout + result.stderr)
        if expected is not None:
            self.assertEqual(result.returncode, expected, result.stdout + result.stderr)
        document = json.loads(result.stdout)
        return document["findings"], document["errors"]

    def test_a_clean_range_is_clean_and_what_was_there_before_is_not_in_it(self):
        self.git("checkout", "-q", "base")
        self.commit("old.txt", f"token={TOKEN}\n", "old")
        self.git("checkout", "-q", "-b", "topic")
        self.commit("new.txt", "fine\n", "new")
        self.assertEqual(self.scan("base..topic", expected=0), ([], []))
        self.assertEqual(len(self.scan("topic", expected=1)[0]), 1)

    def test_a_secret_in_a_middle_commit_is_found_although_the_last_one_removed_it(self):
        self.commit("src/config.py", f"x = 1\nkey = '{TOKEN}'\n", "add")
        self.commit("src/config.py", "x = 1\n", "remove")
        findings, _ = self.scan(expected=1)
        self.assertEqual([(f["path"].split(":", 1)[1], f["line"], f["rule"]) for f in findings], [("src/config.py", 2, "github-pat")])
        blob = findings[0]["path"].split(":")[0]
        self.assertIn(TOKEN, self.git("cat-file", "blob", blob))

    def test_a_secret_in_a_message_a_file_name_an_author_or_a_tag_is_found(self):
        self.commit("a", "a", f"use {TOKEN}")
        self.assertIn("(commit message)", self.scan(expected=1)[0][0]["path"])
        self.git("branch", "-f", "base", "main")
        self.commit(f"dir/{TOKEN}.txt", "b", "a file")
        self.assertIn("(file names)", self.scan(expected=1)[0][0]["path"])
        self.git("branch", "-f", "base", "main")
        self.git("mv", f"dir/{TOKEN}.txt", f"{TOKEN}.md")  # the same contents: no new blob has this name
        self.git("commit", "-qm", "a new name")
        self.assertIn("(file names)", self.scan(expected=1)[0][0]["path"])
        self.git("branch", "-f", "base", "main")
        self.git("commit", "-q", "--allow-empty", "--author", f"{TOKEN} <x@example.com>", "-m", "by whom")
        self.assertIn("(commit message)", self.scan(expected=1)[0][0]["path"])
        self.git("tag", "-a", "v1", "-m", f"release {TOKEN}", "base")
        self.assertIn("(tag message)", self.scan("base~1..v1", expected=1)[0][0]["path"])

    def test_large_and_binary_files_are_read_whole(self):
        self.commit("big.bin", os.urandom(9 << 20) + f"\n{TOKEN}\n".encode(), "big")
        self.commit("many/a", "a\n" * 100_000, "more")
        findings, errors = self.scan(expected=1)
        self.assertEqual([f["path"].split(":", 1)[1] for f in findings if f["rule"] == "github-pat"], ["big.bin"])
        self.assertEqual(errors, [])

    def test_neither_replaced_objects_nor_grafts_nor_attributes_hide_anything(self):
        self.commit("secret.txt", f"{TOKEN}\n", "add")
        self.commit(".gitattributes", "* binary filter=hide diff=hide -text export-ignore\n", "attributes")
        blob, harmless = self.git("rev-parse", "HEAD:secret.txt"), self.git("rev-parse", "base:README")
        self.git("replace", blob, harmless)
        self.git("replace", self.git("rev-parse", "main"), self.git("rev-parse", "base"))
        (self.repository / ".git/info/grafts").write_text(self.git("--no-replace-objects", "rev-parse", "main") + "\n")
        self.assertEqual(len(self.scan(expected=1)[0]), 1)

    def test_G1_nothing_that_the_repository_configures_is_run(self):
        self.commit("secret.txt", f"{TOKEN}\n", "add")
        canary = pathlib.Path(self.directory.name, "ran")
        script = pathlib.Path(self.directory.name, "run.sh")
        script.write_text(f"#!/bin/sh\necho \"$0 $*\" >> {canary}\n")
        script.chmod(0o755)
        for key in ("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass", "core.gitProxy", "core.alternateRefsCommand",
                    "diff.external", "gpg.program", "gpg.ssh.program", "credential.helper", "filter.hide.clean", "filter.hide.smudge", "diff.hide.textconv",
                    "diff.hide.command", "pager.rev-list", "pager.cat-file", "uploadpack.packObjectsHook", "sequence.editor", "alias.rev-list", "alias.cat-file"):
            self.git("config", key, f"!{script}" if key.startswith("alias") else str(script))
        self.git("config", "core.hooksPath", str(script.parent / "hooks"))
        for hook in ("reference-transaction", "post-index-change", "pre-auto-gc", "post-checkout"):
            path = script.parent / "hooks" / hook
            path.parent.mkdir(exist_ok=True)
            path.write_text(script.read_text())
            path.chmod(0o755)
        self.assertEqual(len(self.scan(expected=1)[0]), 1)
        # A partial clone whose missing object would be fetched by a command.
        self.git("config", "core.repositoryFormatVersion", "1")
        self.git("config", "extensions.partialClone", "origin")
        self.git("config", "remote.origin.promisor", "true")
        self.git("config", "protocol.allow", "always")
        self.git("config", "protocol.ext.allow", "always")
        blob = self.git("rev-parse", "main:secret.txt")
        (self.repository / ".git/objects" / blob[:2] / blob[2:]).unlink()
        for url in (f"ext::{script} %S", str(script.parent), "ssh://example.com/x", "git://example.com/x"):
            self.git("config", "remote.origin.url", url)
            self.git("config", "remote.origin.uploadpack", str(script))
            findings, errors = self.scan(expected=2)
            self.assertTrue(errors, "a missing object is no clean result")
        self.assertFalse(canary.exists(), canary.exists() and canary.read_text())

    def test_what_is_no_range_is_an_error_and_never_an_option(self):
        for git_range in ("nonsense", "base..nonsense", "--all", "--output=/tmp/x", "-n1", "--"):
            findings, errors = self.scan(git_range, expected=2)
            self.assertTrue(errors and not findings, git_range)
        self.assertTrue(self.scan("HEAD", self.directory.name, expected=2)[1])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
