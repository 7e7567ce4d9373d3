"""git-gate in a docker bottle: its image has git and ssh, and what is pushed is scanned before the upstream sees it."""
import subprocess
import sys
import unittest

from docker_harness import FACTS, DockerTest, docker, json, pathlib, setUpModule, wait_until  # noqa: F401

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration" / "git_gate"))
from upstreams import Repositories, Sshd  # noqa: E402

TOKEN = "gh" + "p_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
USE = """set -e
cd && git clone -q {url} work && cd work
test "$(git config --get user.name)" = "Agent Smith"
echo one > a.txt && git add a.txt && git commit -qm change
git push -q origin HEAD:refs/heads/agent/x
git fetch -q origin && git rev-parse origin/agent/x HEAD | uniq | wc -l
if git push -q origin HEAD:refs/heads/main 2>err; then exit 9; fi
grep -q 'protected branch' err
"""


class Tests(DockerTest):
    def world(self, **walls):
        """A real sshd where the sidecar's bridge reaches it, with one repository, and a bottle of the provider's own image."""
        home = self.docker_home(**walls)
        repositories = Repositories(home.top / "upstream")
        repositories.make("app")
        sshd = Sshd(home.top, address=FACTS["gateway"])
        self.addCleanup(sshd.stop)
        key = home.top / "deploy_key"
        key.write_text(sshd.private_key)
        key.chmod(0o600)
        url = sshd.url(repositories.root / "app.git", "root")
        self.key = sshd.private_key
        options = json.dumps({name: value for name, value in (("runtime", home.runtime), ("wire", home.wire)) if value})
        # No Dockerfile of the test's: the command provider's is built as it is.
        home.bottle("git", f"""
backend: docker
docker: {options}
agent_provider: {{template: command, command: [sh]}}
git:
  user: {{name: Agent Smith, email: smith@example.com}}
git-gate:
  repos:
    app:
      url: {url}
      host_key: "{sshd.host_key}"
      key: {{provider: static, path: {key}}}
""")
        home.agent("git", "bottle: git")
        return home, repositories, url

    def use(self, **walls):
        home, repositories, url = self.world(**walls)
        result = home.run("run", "git", "-p", USE.format(url=url), check=0, timeout=300)
        self.assertEqual(result.stdout.split(), ["1"])
        self.assertIn("refs/heads/agent/x", repositories.refs("app"))
        self.assertEqual((home.left(), home.slugs()), ([], []))

    def test_clone_and_push_from_a_bottle(self):
        self.use()

    def test_clone_and_push_over_the_address_wire(self):
        self.use(wire="address")

    def test_a_push_with_a_secret_never_reaches_the_upstream_until_the_operator_approves_it(self):
        home, repositories, url = self.world()
        script = (f"cd && git clone -q {url} work && cd work && echo 'key = {TOKEN}' > a.txt && git add a.txt && git commit -qm x && "
                  "git push -q origin HEAD:refs/heads/agent/x; echo code=$?; cat")
        home.bottle("git", (home.root / "bottles/git.md").read_text().strip("-\n").replace("command: [sh]", "command: " + json.dumps(["sh", "-c", script])))

        def ask(label):
            run = home.popen("run", "git", "--label", label, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(run.kill)

            def pending():
                out = home.run("supervise", "--once", "--json").stdout
                return json.loads(out)["proposals"] if out else []
            return run, wait_until("a proposal", pending, 60)[0]
        run, proposal = ask("rejected")
        self.assertEqual(proposal["details"]["findings"][0]["rule"], "github-pat")
        self.assertNotIn(TOKEN, json.dumps(proposal))
        home.run("supervise", "reject", proposal["id"], "--reason", "no", check=0)
        out, err = run.communicate(timeout=60)
        self.assertIn("code=1", out, err)
        self.assertNotIn(TOKEN.encode(), repositories.every_object("app"), "not even in an object that nothing names")
        run, proposal = ask("approved")
        home.run("supervise", "approve", proposal["id"], check=0)
        out, err = run.communicate(timeout=60)
        self.assertIn("code=0", out, err)
        self.assertIn(TOKEN.encode(), repositories.every_object("app"))

    def test_the_key_is_in_the_sidecars_state_alone_and_its_image_has_no_more_programs_than_it_needs(self):
        home, _, url = self.world()
        home.run("start", "git", "--label", "kept", "--detach", "--yes", check=0, timeout=300)
        middle = self.key.splitlines()[2]
        agent, sidecar = home.container("agent"), home.container("sidecar")
        for name in (agent, sidecar):
            self.assertNotIn(middle, docker("inspect", name).stdout)
        merged = pathlib.Path(json.loads(docker("inspect", agent).stdout)[0]["GraphDriver"]["Data"]["UpperDir"])
        for path in merged.rglob("*"):
            if path.is_file() and not path.is_symlink():
                self.assertNotIn(middle.encode(), path.read_bytes(), path)
        self.assertTrue([path for path in home.state("kept").rglob("identity") if middle in path.read_text()], "the search knows it when it sees it")
        inside = home.run("exec", "kept", "--", "sh", "-c", "ls ~/.ssh /run/bottle/wire; ls /run/sidecar", check=None)
        self.assertNotIn("identity", inside.stdout)
        export = subprocess.run(["sh", "-c", "docker export %s | tar -t" % sidecar], stdout=subprocess.PIPE, text=True, check=True,
                                env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "DOCKER_HOST": "unix://" + FACTS["socket"]}).stdout.split()
        programs = {name for name in export if name.startswith(("bin/", "usr/bin/", "sbin/", "usr/sbin/")) and not name.endswith("/")}
        self.assertEqual(programs, {"bin/bot-bottle-sidecar", "bin/bottle-init", "bin/sh", "usr/bin/git", "usr/bin/ssh"})
        home.run("stop", "--rm", "kept", check=0)
        self.assertFalse(list(home.root.rglob("identity")), "the key went with the bottle")
        self.assertEqual((home.left(), home.slugs()), ([], []))


if __name__ == "__main__":
    unittest.main()
