"""The demo: every verdict `blocked`, exit 0; with one guard switched off, non-zero and the guard's name."""
import unittest

from harness import AcceptanceTest

ORDINARY_USER = 65533


class Tests(AcceptanceTest):
    def demo(self, user):
        home = self.home(user)
        result = home.run("demo", check=0, timeout=110)
        self.assertIn("blocked", result.stdout)
        self.assertNotIn("ESCAPED", result.stdout)
        self.assertGreater(result.stdout.count("blocked"), 50)
        self.assertEqual(home.own_processes(), {})

    def test_every_verdict_is_blocked_as_root(self):
        self.demo(None)

    def test_every_verdict_is_blocked_as_an_ordinary_user(self):
        self.demo(ORDINARY_USER)

    def without(self, guard):
        home = self.home()
        result = home.run("demo", env={"BOT_BOTTLE_TEST_DISABLE_GUARDS": guard}, timeout=110)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("ESCAPED", result.stdout)
        self.assertIn(guard, result.stdout + result.stderr)

    def test_without_dlp_it_fails_and_says_dlp(self):
        self.without("dlp")

    def test_without_routes_it_fails_and_says_routes(self):
        self.without("routes")

    def test_without_seccomp_the_self_test_stops_the_bottle_and_says_seccomp(self):
        """The self-test after launch is the earlier guard: no agent ever runs in such a bottle."""
        home = self.home()
        result = home.run("demo", env={"BOT_BOTTLE_TEST_DISABLE_GUARDS": "seccomp"}, timeout=110)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("seccomp", result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
