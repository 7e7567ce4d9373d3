"""docs/attacks.md and the tests say the same: every attack of the list has a row, every row a test that carries its ID in its
name, and every test the page names exists."""
import pathlib
import re
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
IDS = [f"A{n}" for n in range(1, 18)] + [f"B{n}" for n in range(1, 8)] + ["E1", "E2", "E3", "E5"] + [f"F{n}" for n in range(1, 10)] + ["G1", "J"]
ID = re.compile(r"[A-Z][0-9]{0,2}")


def tests_of_the_tree():
    """name → IDs. A test's are the words before the first lower-case one; an escape attempt's stand in its parentheses."""
    found = {}
    for path in sorted([*TOP.glob("tests/**/*.py"), *TOP.glob("tests/**/*.cpp")]):
        text = path.read_text(encoding="utf-8")
        # A Python function counts where it is run: behind @check or @in_world, or as unittest's.
        names = re.findall(r"^@(?:check|in_world\(.*\))\ndef (\w+)", text, re.M) + re.findall(r"^    def (test_\w+)", text, re.M)
        names += re.findall(r"TEST(?:_F|_P)?\(\s*\w+,\s*(\w+)\s*\)", text)
        for name in names:
            words = name.removeprefix("test_").split("_")
            ids = set()
            for word in words:
                if not ID.fullmatch(word):
                    break
                ids.add(word)
            found[name] = found.get(name, set()) | ids
    for path in sorted(TOP.glob("sidecar/attack/*.cpp")):
        for title, ids in re.findall(r'"([^"\n]* \(([^()"\n]*)\))"', path.read_text(encoding="utf-8")):
            found[title] = {word for word in re.split(r"[, ]+", ids) if ID.fullmatch(word)}
    return found


def rows_of_the_page():
    """ID → names of its row, from lines `| ID | what | defence | `test`, … |`."""
    rows = {}
    for line in (TOP / "docs" / "attacks.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and ID.fullmatch(cells[0]):
            rows[cells[0]] = re.findall(r"`([^`]+)`", cells[3])
    return rows


class Attacks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tests, cls.rows = tests_of_the_tree(), rows_of_the_page()

    def test_every_attack_has_its_row_and_a_test_that_carries_its_name(self):
        for attack in IDS:
            self.assertIn(attack, self.rows, "docs/attacks.md has no row")
            self.assertTrue(any(attack in self.tests.get(name, ()) for name in self.rows[attack]),
                            f"{attack}: none of {self.rows[attack]} is a test that carries the ID")

    def test_every_test_of_the_page_exists(self):
        for attack, names in self.rows.items():
            for name in names:
                self.assertIn(name, self.tests, f"{attack}: no test of this name")

    def test_the_tests_were_found(self):
        # Were the patterns above to break, everything would be missing at once, not silently there.
        self.assertGreater(len(self.tests), 300)
        self.assertGreater(sum(bool(ids) for ids in self.tests.values()), 60)


if __name__ == "__main__":
    unittest.main()
