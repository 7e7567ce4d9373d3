"""The list of CI's jobs against what it is a list of: every test is in a part, every part has a test, every plugin has its job, .ci/run
runs the landing jobs and no others, and docs/ci.md tells of each.  ci_jobs_test.py CTEST BUILD"""
import contextlib
import fcntl
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CTEST, BUILD = sys.argv.pop(1), sys.argv.pop(1)


def jobs():
    found = {}
    for line in (SOURCE / "tests/ci/jobs.bash").read_text().splitlines():
        if line.startswith("ci_job "):
            name, when, needs, command, description = shlex.split(line)[1:]
            assert name not in found, f"two jobs are called {name}"
            found[name] = {"when": when, "needs": needs, "command": command.split(), "description": description}
    return found


def every_test():
    """Name → labels. Programs that are not built name no tests, and say so by a test <program>_NOT_BUILT."""
    listed = json.loads(subprocess.run([CTEST, "--test-dir", BUILD, "--show-only=json-v1"], capture_output=True, text=True, check=True).stdout)
    return {test["name"]: next((one["value"] for one in test.get("properties", []) if one["name"] == "LABELS"), []) for test in listed["tests"]}


def selection_of(command):
    """What a part's command has ctest take: a function of name and labels."""
    if command == ["./run", "unit"]:
        command = ["./run", "test", "-L", "^unit$"]
    assert command[:2] == ["./run", "test"] and len(command) == 4, f"a part is ./run test and one of -R and -L: {command}"
    option, regex = command[2], re.compile(command[3])
    assert option in ("-R", "-L"), command
    return (lambda name, labels: regex.search(name)) if option == "-R" else (lambda name, labels: any(map(regex.search, labels)))


def asks_for_a_lock(parent):
    for entry in pathlib.Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # they come and go
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"flock\0") and f"\nPPid:\t{parent}\n" in (entry / "status").read_text():
                return True
    return False


class Tests(unittest.TestCase):
    def setUp(self):
        self.jobs = jobs()
        self.assertGreater(len(self.jobs), 10)

    def test_every_test_is_in_a_part_and_every_part_has_tests(self):
        tests = every_test()
        self.assertGreater(len(tests), 100)
        parts = {name: selection_of(job["command"]) for name, job in self.jobs.items() if job["when"] == "part"}
        alone = [name for name, labels in tests.items() if not name.endswith("_NOT_BUILT") and not any(part(name, labels) for part in parts.values())]
        self.assertEqual(alone, [], "in no job of tests/ci/jobs.bash")
        for name, part in parts.items():
            if self.jobs[name]["needs"] == "-" or (SOURCE / self.jobs[name]["needs"]).exists():
                self.assertTrue(any(part(*test) for test in tests.items()), f"job {name} selects no test")

    def test_every_backend_and_provider_has_a_job(self):
        for file in (SOURCE / "plugins").glob("*/plugin.toml"):
            if file.parent.name.startswith(("backend-", "provider-")):
                job = self.jobs.get(file.parent.name)
                self.assertIsNotNone(job, f"no job for the plugin {file.parent.name}")
                self.assertEqual(job["needs"], f"plugins/{file.parent.name}")

    def test_a_job_is_run_when_it_says(self):
        self.assertLessEqual({job["when"] for job in self.jobs.values()}, {"landing", "part", "hand"})
        text = (SOURCE / ".ci/run").read_text()
        ran = re.findall(r"^job \S+ \./run ci (\S+)$", text, re.M) + re.findall(r"^start_beside (\S+)", text, re.M)
        self.assertEqual(sorted(ran), sorted(name for name, job in self.jobs.items() if job["when"] == "landing"))

    def test_rooms_with_threads_are_seen_by_the_thread_sanitizer(self):
        """By unit tests whose names begin like the room's (a backend's without the word). The hostile agent's own threads are nobody's concern."""
        seen = set(re.search(r"^thread_rooms=\(([^)]*)\)", (SOURCE / "run").read_text(), re.M)[1].split())
        found = {"unit_" + "_".join(path.parent.relative_to(SOURCE).parts).replace("-", "_").replace("plugins_", "")
                 for room in ("core", "sidecar", "plugins") for path in (SOURCE / room).rglob("*.[ch]pp")
                 if re.search(r"std::(j?thread|async)\b(?!::)", path.read_text())}
        seen |= {name.replace("unit_", "unit_backend_", 1) for name in seen}
        self.assertGreater(len(found), 3)
        self.assertEqual([room for room in found - {"unit_sidecar_attack"} if not any(name.startswith(room) for name in seen)], [])

    def test_docs_tell_of_each_job(self):
        self.assertEqual(sorted(self.jobs), sorted(re.findall(r"^\| `([a-z-]+)`", (SOURCE / "docs/ci.md").read_text(), re.M)))

    def test_a_job_without_what_it_needs_is_refused_by_name(self):
        def ci(*words):
            return subprocess.run([SOURCE / "run", "ci", *words], capture_output=True, text=True)
        self.assertEqual([line.split()[0] for line in ci().stdout.splitlines()], list(self.jobs))
        refused = ci("no-such-job")
        self.assertEqual((refused.returncode, refused.stdout), (2, ""))
        self.assertIn("no job 'no-such-job'", refused.stderr)
        for name, job in self.jobs.items():
            if job["needs"] != "-" and not (SOURCE / job["needs"]).exists():
                refused = ci(name)
                self.assertEqual(refused.returncode, 2)
                self.assertIn(job["needs"], refused.stderr)

    def test_jobs_of_one_build_directory_wait_for_each_other(self):
        """A preset that CMake does not know: whoever waits has not asked CMake yet."""
        (SOURCE / "build").mkdir(exist_ok=True)
        directory = pathlib.Path(tempfile.mkdtemp(prefix="lock-probe-", dir=SOURCE / "build"))
        self.addCleanup(shutil.rmtree, directory)
        with open(directory / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            job = subprocess.Popen([SOURCE / "run", "build", directory.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            try:
                deadline = time.monotonic() + 30
                while not asks_for_a_lock(job.pid):
                    self.assertIsNone(job.poll(), "it went on beside the job that has the lock:\n" + (job.stdout.read() if job.poll() is not None else ""))
                    self.assertLess(time.monotonic(), deadline, "it does not ask for the lock")
                    time.sleep(0.02)
                fcntl.flock(lock, fcntl.LOCK_UN)
                said, _ = job.communicate(timeout=30)
            finally:
                job.kill()
                job.communicate()
        self.assertIn("No such preset", said)
        self.assertNotEqual(job.returncode, 0)


if __name__ == "__main__":
    unittest.main()
