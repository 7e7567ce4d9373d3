"""CI's second try of what failed (./run's test_build), with a ctest that says what it is told: what it forgives, and what it never does."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CTEST = """#!/bin/bash
log=$BUILD/Testing/Temporary/LastTestsFailed.log
case " $* " in
  *" --rerun-failed "*)
    echo again >>"$BUILD/calls"
    [[ " $* " == *" --no-tests=error "* ]] || exit 0
    [ "$SECOND" = pass ] && { echo '100% tests passed, 0 tests failed out of 1'; exit 0; }
    [ "$SECOND" = none ] && { echo 'No tests were found!!!'; exit 8; }
    echo '0% tests passed, 1 tests failed out of 1'; exit 8 ;;
esac
number=0
: >"$log"
for name in $FAILED; do number=$((number + 1)); echo "$number:$name" >>"$log"; done
[ "$number" = 0 ] && { echo '100% tests passed, 0 tests failed out of 100'; exit 0; }
echo "$((100 - number))% tests passed, $number tests failed out of 100"
[ -z "$LOST" ] || : >"$log"
exit 8
"""


class Tests(unittest.TestCase):
    def run_tests(self, failed, second="pass", ci="true", lost="", judge=True):
        """(exit code, last line, whether there was a second try)."""
        function = re.search(r"^test_build\(\) \{.*?^\}$", (SOURCE / "run").read_text(), re.M | re.S).group()
        with tempfile.TemporaryDirectory(prefix="bb-second-") as directory:
            top = pathlib.Path(directory)
            (top / "build/dev/Testing/Temporary").mkdir(parents=True)
            (top / "bin").mkdir()
            (top / "bin/ctest").write_text(CTEST)
            (top / "bin/ctest").chmod(0o755)
            (top / "tests").symlink_to(SOURCE / "tests" if judge else "nowhere")
            done = subprocess.run(
                ["bash", "-c", "set -euo pipefail\njobs=2\nsay() { :; }\n" + function + "\ntest_build dev"], cwd=top, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                env={"PATH": f"{top}/bin:{os.environ['PATH']}", "BUILD": str(top / "build/dev"), "FAILED": failed, "SECOND": second,
                     "CI": ci, "LOST": lost})
            return done.returncode, done.stdout.strip().splitlines()[-1], (top / "build/dev/calls").exists()

    def test_what_passes_by_itself_is_forgiven_and_named(self):
        self.assertEqual(self.run_tests("unit/a"), (0, "100 passed, 0 failed", True))

    def test_what_fails_again_fails(self):
        code, last, again = self.run_tests("unit/a unit/b", second="fail")
        self.assertTrue(again)
        self.assertNotEqual(code, 0)
        self.assertEqual(last, "99 passed, 1 failed")

    def test_a_second_try_without_a_test_forgives_nothing(self):
        code, last, _ = self.run_tests("unit/a", second="none")
        self.assertNotEqual(code, 0)
        self.assertEqual(last, "99 passed, 1 failed")
        code, _, again = self.run_tests("unit/a", lost="1")
        self.assertEqual((code != 0, again), (True, False))

    def test_a_wall_has_no_second_try(self):
        for name in ("escape/local", "docker/escape_runc-address", "integration/egress/http2_attacks", "integration/git_gate/hiding", "docker/wire",
                     "docker/secrets", "docker/conformance_runsc", "docker/bottle", "docker/faults", "integration/egress/dns", "integration/supervise/crash",
                     "acceptance_smolvm/the_agent_reaches_what_is_open_and_nothing_else_on_the_socket_wire", "acceptance_kill/kill_9_after_state_as_root",
                     "acceptance_smolvm/an_allow_list_that_did_not_stick_ends_the_launch", "acceptance_smolvm/the_conformance_suite_passes_on_the_socket_wire",
                     "acceptance_apple/a_machine_with_a_network_never_gets_an_agent", "unit_apple/CreateArguments.a_container_has_no_network",
                     "unit_guest/Filter.what_is_forbidden", "unit_guest/Selftest.a_filter_that_refuses_unshare_alone_is_found", "fuzz_replay/fuzz_dlp",
                     "unit_core_policy/CredentialReach.another_host", "unit_core_sync/SyncTest.H1_a_sister_of_the_one_that_the_page_names",
                     "acceptance_freeze/forks_have_the_files_and_nothing_else_in_common_as_an_ordinary_user"):
            code, _, again = self.run_tests(f"unit/a {name}")
            self.assertEqual((code != 0, again), (True, False), name)

    def test_what_is_no_wall_has_its_second_try(self):
        for name in ("docker/terminal", "docker/codex", "acceptance_looks/a_table_fits", "unit_core_tui/Table.it_fits", "gates/ci_jobs", "packaging/deb"):
            self.assertEqual(self.run_tests(name)[2], True, name)

    def test_where_nobody_can_say_what_a_wall_is_nothing_is_forgiven(self):
        code, _, again = self.run_tests("unit/a", judge=False)
        self.assertEqual((code != 0, again), (True, False))

    def test_many_failures_have_none_and_nor_has_a_persons_run(self):
        self.assertEqual(self.run_tests(" ".join(f"unit/{i}" for i in range(6)))[2], False)
        code, _, again = self.run_tests("unit/a", ci="")
        self.assertEqual((code != 0, again), (True, False))

    def test_what_passes_passes(self):
        self.assertEqual(self.run_tests("")[0], 0)


if __name__ == "__main__":
    unittest.main()
