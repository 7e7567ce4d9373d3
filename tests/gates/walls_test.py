"""docs/security-model.md against the tests: what it cites exists, every promise is tested by something, and walls.py takes what it cites, and
not everything, for a wall.  walls_test.py CTEST BUILD"""
import json
import re
import subprocess
import sys
import unittest

import walls

CTEST, BUILD = sys.argv.pop(1), sys.argv.pop(1)


def every_test():
    listed = json.loads(subprocess.run([CTEST, "--test-dir", BUILD, "--show-only=json-v1"], capture_output=True, text=True, check=True).stdout)
    return [test["name"] for test in listed["tests"]]


class Tests(unittest.TestCase):
    def test_every_test_that_the_page_cites_exists_and_every_promise_cites_one(self):
        rows = walls.cells()
        self.assertGreater(len(rows), 70)
        tests = every_test()
        not_built = {name.removesuffix("_NOT_BUILT") for name in tests if name.endswith("_NOT_BUILT")}
        for promise, cell in rows:
            patterns, unknown = walls.read(cell)
            self.assertEqual(unknown, [], f"no such test, or words that walls.py does not know: {promise}")
            self.assertNotEqual(patterns, [], promise)
            for pattern in patterns:
                room = re.match(r"\^(\w+)\(/", pattern)
                # The tests of a program that is not built have no names; these are looked for in the sources.
                there = any(re.search(pattern, name) for name in tests) or (not_built and (room is None or room[1] in not_built))
                self.assertTrue(there, f"ctest has nothing like {pattern}: {promise}")

    def test_a_test_that_is_not_there_is_not_taken_for_one_that_begins_like_it(self):
        self.assertIsNone(walls.pattern_of("forks_have_the_files"))
        self.assertIsNotNone(walls.pattern_of("forks_have_the_files_and_nothing_else_in_common"), "as root and as an ordinary user")
        self.assertEqual(walls.read("`no_such_test`, and words"), ([], ["no_such_test", "and words"]))

    def test_walls_are_not_everything(self):
        """Or the second try would be for nobody."""
        tests = every_test()
        found = [name for name in tests if walls.is_wall(name)]
        self.assertGreater(len(found), 50)
        self.assertLess(len(found), len(tests) / 2)


if __name__ == "__main__":
    unittest.main()
