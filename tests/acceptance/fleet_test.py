"""Several bottles started in parallel, by processes of their own: all run, all are sound, nothing stays."""
import pathlib
import sys
import unittest

from harness import AcceptanceTest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from fleet import run_fleet  # noqa: E402


class Tests(AcceptanceTest):
    def test_eight_bottles_at_once_are_sound_and_leave_nothing(self):
        result = run_fleet(8, "local", 4)
        self.assertEqual((result["running"], result["self_tests_green"]), (8, 8), result)
        self.assertEqual(result["left"], {"states": 0, "processes": 0, "cgroups": 0, "mounts": 0}, result)


if __name__ == "__main__":
    unittest.main()
