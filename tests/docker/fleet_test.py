"""Several docker bottles started at once by processes of their own: all run, all are sound, nothing stays, and no address pool of the
engine's is needed: it has none left (engine.py)."""
import pathlib
import sys
import unittest

from docker_harness import DockerTest, docker, setUpModule  # noqa: F401

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from fleet import run_fleet  # noqa: E402

NOTHING = {"states": 0, "containers": 0, "volumes": 0, "networks": 0, "mounts": 0, "processes": 0}


class Tests(DockerTest):
    def a_fleet_is_sound(self, count, wire):
        full = docker("network", "create", "one-more", check=False)
        self.assertNotEqual(full.returncode, 0, "the engine has an address pool: this shows nothing")
        self.assertIn("address pool", full.stderr)
        result = run_fleet(count, "docker", count, wire=wire)
        self.assertEqual((result["running"], result["self_tests_green"]), (count, count), result)
        self.assertEqual(result["left"], NOTHING, result)

    def test_six_bottles_at_once_are_sound_and_leave_nothing(self):
        self.a_fleet_is_sound(6, "socket")

    def test_six_bottles_at_once_on_the_address_wire_are_sound_and_leave_nothing(self):
        self.a_fleet_is_sound(6, "address")


if __name__ == "__main__":
    unittest.main()
