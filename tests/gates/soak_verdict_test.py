"""The soak's judge finds what leaks and is not disturbed by what does not."""
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from soak_verdict import RSS_BOUND_KIB, STEPS_BOUND_KIB, judge  # noqa: E402


def samples(seconds, rss, fds=lambda t: 30, threads=lambda t: 1):
    return [(t, rss(t), fds(t), threads(t)) for t in range(2, seconds, 2)]


def verdict(given):
    return {what: passed for what, passed, _ in judge(given)}


class Verdict(unittest.TestCase):
    def test_a_process_that_warms_up_and_stays_passes(self):
        dice = random.Random(1)
        for seconds in (60, 600, 7200):
            flat = samples(seconds, lambda t: 20_000 - max(0, seconds / 5 - t) * 10 + dice.randrange(-150, 150),
                           lambda t: 30 + dice.randrange(0, 8))
            self.assertTrue(all(verdict(flat).values()), judge(flat))

    def test_a_burst_that_is_given_back_passes(self):
        burst = samples(600, lambda t: 20_000 + (30_000 if 300 < t < 340 else 0))
        self.assertTrue(all(verdict(burst).values()), judge(burst))

    def test_a_slow_leak_is_found_in_any_length_of_run(self):
        for seconds in (60, 600, 7200):
            leak = samples(seconds, lambda t: 20_000 + t * 2.0 * RSS_BOUND_KIB / seconds)
            self.assertFalse(verdict(leak)["RSS does not climb"], seconds)

    def test_small_steps_of_a_machine_under_load_pass(self):
        steps = samples(2100, lambda t: 21_480 + 200 * (t > 850) + 100 * (t > 1200) + 180 * (t > 1400))
        self.assertTrue(all(verdict(steps).values()), judge(steps))

    def test_a_step_that_stays_is_found(self):
        step = samples(600, lambda t: 20_000 + (2 * STEPS_BOUND_KIB if t > 440 else 0))
        self.assertFalse(verdict(step)["RSS ends as it began"])

    def test_descriptors_and_threads_that_climb_are_found(self):
        self.assertFalse(verdict(samples(600, lambda t: 20_000, lambda t: 30 + t // 20))["descriptors under traffic do not climb"])
        self.assertFalse(verdict(samples(600, lambda t: 20_000, threads=lambda t: 1 + t // 100))["threads stay"])


unittest.main()
