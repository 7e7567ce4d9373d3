"""git in a real bottle, on the upstream's own URL: clone, push, what is refused, and what is left of the key."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

from harness import AcceptanceTest, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration" / "git_gate"))
from upstreams import Repositories, Sshd, git  # noqa: E402

ORDINARY_USER = 65533
USE = """set -e
git clone -q {url} work && cd work
echo one > a.txt && git add a.txt && git commit -qm change
git push -q origin HEAD:refs/heads/agent/x
git ls-remote origin refs/heads/agent/x
if git push -q origin HEAD:refs/heads/main 2>err; then exit 9; fi
grep -q 'protected branch' err
git config --get user.name
"""

WAYS = """set -eu
git config --global gc.auto 0
git clone -q --depth 1 {url} shallow
test "$(git -C shallow rev-list --count HEAD)" = 1
(cd shallow && echo s > s && git add s && git commit -qm s && git push -q origin HEAD:refs/heads/agent/shallow)
git -C shallow fetch -q --unshallow && echo did shallow

git clone -q --filter=blob:none --no-checkout {url} partial
git -C partial rev-list --objects --missing=print HEAD | grep -q '^?'
git -C partial checkout -q HEAD && test -f partial/README && echo did partial

git clone -q --single-branch --branch other {url} single
test "$(git -C single branch -r | wc -l)" -le 2
git -C single worktree add -q -b agent/tree ../tree
(cd tree && echo t > t && git add t && git commit -qm t && git push -q origin agent/tree) && echo did worktree

git clone -q --recurse-submodules {url} --branch with-lib super
test -f super/lib/README
(cd super/lib && echo l > l && git add l && git commit -qm l && git push -q origin HEAD:refs/heads/agent/lib)
(cd super && git add lib && git commit -qm bump && git push -q origin HEAD:refs/heads/agent/super) && echo did submodule

cd single
git tag -a v1 -m annotated
ssh-keygen -q -t ed25519 -N '' -f ~/signing
git -c gpg.format=ssh -c user.signingkey=$HOME/signing tag -s v2 -m signed
export GNUPGHOME=$HOME/.gnupg-test; mkdir -m 700 $GNUPGHOME
gpg --batch --quiet --passphrase '' --quick-generate-key smith@example.com ed25519 sign never
git -c user.signingkey=smith@example.com tag -s v3 -m signed
gpgconf --kill all
git push -q origin v1 v2 v3 && echo did tags

name=$(printf 'caf\\351')
mkdir "$name" && echo x > "$name/$(printf '\\377.txt')" && git add . && git commit -qm octets
git push -q origin HEAD:refs/heads/agent/octets && echo did octets
git pull -q origin agent/octets && git fetch -q --all && echo did pull

git init -q --object-format=sha256 ../s && cd ../s && git commit -q --allow-empty -m s
if git push -q {url} HEAD:refs/heads/agent/sha256 2> ../err; then exit 9; fi
grep -q 'hash algorithm' ../err && echo did sha256
"""


class Tests(AcceptanceTest):
    def world(self, user=None):
        home = self.home(user)
        repositories = Repositories(home.top / "upstream")
        repositories.make("app")
        sshd = Sshd(home.top)
        self.addCleanup(sshd.stop)
        key = home.top / "deploy_key"
        key.write_text(sshd.private_key)
        key.chmod(0o600)
        if user is not None:
            os.chown(key, user, user)
        url = sshd.url(repositories.root / "app.git", "root")
        gate = (f"git:\n  user: {{name: Agent Smith, email: smith@example.com}}\n"
                f"git-gate:\n  repos:\n    app:\n      url: {url}\n      host_key: \"{sshd.host_key}\"\n"
                f"      key: {{provider: static, path: {key}}}\n")
        return home, repositories, url, gate

    def use(self, user):
        home, repositories, url, gate = self.world(user)
        home.command_agent("git", ["sh"], gate)
        result = home.run("run", "git", "-p", USE.format(url=url), check=0)
        self.assertIn("refs/heads/agent/x", result.stdout)
        self.assertIn("Agent Smith", result.stdout)
        self.assertIn("refs/heads/agent/x", repositories.refs("app"))
        self.assertEqual(home.slugs(), [])
        self.assertEqual(home.own_processes().keys() - {os.getpid()}, self.sshd_pids(home), "nothing is left running")

    @staticmethod
    def sshd_pids(home):
        return {pid for pid, line in home.own_processes().items() if "sshd" in line}

    def test_clone_and_push_from_a_bottle_as_root(self):
        self.use(None)

    def test_clone_and_push_from_a_bottle_as_an_ordinary_user(self):
        self.use(ORDINARY_USER)

    def test_shallow_partial_single_branch_worktrees_submodules_and_tags_from_a_bottle(self):
        home, repositories, url, gate = self.world()
        repositories.make("lib")
        seed = repositories.seed("app")
        for i in range(3):
            git("commit", "-q", "--allow-empty", "-m", f"c{i}", cwd=seed)
        git("push", "-q", "origin", "main", "main:other", cwd=seed)
        (seed / ".gitmodules").write_text('[submodule "lib"]\n\tpath = lib\n\turl = ../lib.git\n')
        git("add", ".gitmodules", cwd=seed)
        git("update-index", "--add", "--cacheinfo", f"160000,{repositories.refs('lib')['refs/heads/main']},lib", cwd=seed)
        git("commit", "-qm", "submodule", cwd=seed)
        git("push", "-q", "origin", "HEAD:with-lib", cwd=seed)
        lib = gate.split("    app:\n")[1].replace("/app.git", "/lib.git")
        home.command_agent("git", ["sh"], gate + "    lib:\n" + lib)
        result = home.run("run", "git", "-p", WAYS.format(url=url), check=0, timeout=110)
        self.assertEqual([line[4:] for line in result.stdout.splitlines() if line.startswith("did ")],
                         ["shallow", "partial", "worktree", "submodule", "tags", "octets", "pull", "sha256"], result.stderr)
        refs = repositories.refs("app")
        for name in ("heads/agent/shallow", "heads/agent/tree", "heads/agent/super", "heads/agent/octets", "tags/v1", "tags/v2",
                     "tags/v3"):
            self.assertIn(f"refs/{name}", refs)
        self.assertNotIn("refs/heads/agent/sha256", refs)
        self.assertIn("refs/heads/agent/lib", repositories.refs("lib"))
        objects = repositories.every_object("app")
        self.assertIn(b"BEGIN SSH SIGNATURE", objects)
        self.assertIn(b"BEGIN PGP SIGNATURE", objects)

    def test_a_secret_is_stopped_until_the_operator_approves_it(self):
        home, repositories, url, gate = self.world()
        token = "gh" + "p_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
        script = (f"git clone -q {url} work && cd work && echo 'key = {token}' > a.txt && git add a.txt && git commit -qm x && "
                  "git push -q origin HEAD:refs/heads/agent/x; echo code=$?; cat")
        home.command_agent("git", ["sh", "-c", script], gate)
        run = home.popen("run", "git", "--label", "asks", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(run.kill)

        def pending():
            out = home.run("supervise", "--once", "--json").stdout
            return json.loads(out)["proposals"] if out else []
        proposal = wait_until("a proposal", pending, 40)[0]
        self.assertEqual(proposal["kind"], "git-allow")
        self.assertEqual(proposal["details"]["findings"][0]["rule"], "github-pat")
        self.assertNotIn(token, json.dumps(proposal))
        self.assertNotIn("refs/heads/agent/x", repositories.refs("app"))
        shown = home.run("supervise", "--once", check=0).stdout
        self.assertIn("a.txt:1", shown)
        self.assertNotIn(token, shown)
        self.assertNotEqual(home.run("supervise", "approve", "nobody00").returncode, 0)
        home.run("supervise", "approve", proposal["id"], check=0)
        out, err = run.communicate(timeout=60)
        self.assertIn("code=0", out, err)
        self.assertIn("refs/heads/agent/x", repositories.refs("app"))


if __name__ == "__main__":
    unittest.main()
