"""Which tests are walls: those by which docs/security-model.md says that a promise is tested, and those whose names say it. A wall that holds
four times in five is none, so it has no second try on CI (./run's test_build).

  walls.py < NAMES      of ctest, one a line; prints those that are walls"""
import functools
import pathlib
import re
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]

# Whatever the page says: an attack of the catalogue (docs/attacks.md) stands at the beginning of its test's own name.
NAMED = re.compile(r"(?i)escape|attack|hiding|conformance|self_?test|kill_9|^docker/(wire|secrets)$")
OF_THE_CATALOGUE = re.compile(r"[A-K][0-9]{1,2}_")
# Files of egress that try an attack of the catalogue (docs/attacks.md); beside them are loads, faults and crowds.
EGRESS_ATTACKS = "^integration/egress/(%s)$" % "|".join(sorted(
    path.stem.removesuffix("_test") for path in SOURCE.glob("tests/integration/egress/*_test.py")
    if re.search(r"^def [A-O][0-9]*_", path.read_text(encoding="utf-8"), re.M)))
# What the page says in words, and the tests that it means.
IN_WORDS = {
    r"escape suite(?: [0-9.]+)?(?: on (?:`runsc-address`|gVisor))?": r"escape",
    r"self-test(?: at every launch)?": r"(?i)self_?test",
    r"egress (?:integration )?tests(?: A2 to A14)?": EGRESS_ATTACKS,
    r"ssrf tests A11, B4": r"^integration/egress/(dns|names|guards)$",
    r"claude and codex acceptance tests": r"^acceptance_(claude|codex)/",
    r"kill -9 tests, of launch, fork and resume": r"^acceptance_kill/",
    r"fuzz targets? `(\w+)`(?:, `(\w+)`)?": r"^fuzz_replay/fuzz_({0})$",
}
# What says no more of which tests. Sisters have an attack's letter or "kill_9" in their names, as has the test beside them.
REMARKS = re.compile(r"\([^()]*\)|and its sisters|and of the screen|in bash, zsh and fish")


def cells():
    """The "tested by" column: each row's promise and what stands there."""
    found, inside = [], False
    for line in (SOURCE / "docs/security-model.md").read_text(encoding="utf-8").splitlines():
        row = [cell.strip() for cell in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        if not row:
            inside = False
        elif row[0] == "promise":
            assert row[-1] == "tested by", row
            inside = True
        elif inside and not line.startswith("|--"):
            found.append((row[0], row[-1]))
    return found


@functools.cache
def tests_of_the_tree():
    """A test's own name → the files that it is in. Python's without "test_"; GoogleTest's, and the suites' that they are in."""
    found = {}
    for path in sorted([*SOURCE.glob("tests/**/*_test.py"), *SOURCE.glob("tests/**/*_test.cpp")]):
        text = path.read_text(encoding="utf-8")
        names = set(re.findall(r"^(?:    def test_|def )(\w+)", text, re.M) if path.suffix == ".py" else
                    sum(re.findall(r"TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)", text), ()))
        for name in names:
            found.setdefault(name, []).append(path.relative_to(SOURCE))
    return found


def room_of(path):
    """The one ctest of a file whose tests ctest does not know by name; "" where it does."""
    parts = path.with_suffix("").parts
    return "/".join(parts[parts[1] == "docker":]).removeprefix("tests/").removesuffix("_test") if parts[1] in ("docker", "integration") and path.suffix == ".py" else ""


def same(name, cited):
    """One test that runs for root and for others is cited once."""
    return name == cited or name.startswith(cited + "_as_")


def pattern_of(cited):
    """What the ctests match that one `name` of the page means; nothing when there is no such test. A whole room is believed to be there:
    the gate asks ctest."""
    tree = tests_of_the_tree()
    if re.fullmatch(r"(?:unit|acceptance)_\w+|integration/\w+/\w+", cited):
        return f"^{cited}(/|$)"
    if re.search(r"_test\.(py|cpp)$", cited):
        names = {name for name, paths in tree.items() if any(str(path).endswith("/" + cited) or str(path) == cited for path in paths)}
        files = {path for name in names for path in tree[name] if str(path).endswith("/" + cited) or str(path) == cited}
    else:
        names = {name for name in tree if same(name, cited)}
        files = {path for name in names for path in tree[name]}
    if not names:
        return None
    rooms = {room_of(path) for path in files}
    own = [rf"(^|[/.])({'|'.join(sorted(names))})($|[/.])"] if "" in rooms else []
    return "|".join([*own, *(f"^{room}$" for room in sorted(rooms) if room)])


def read(cell):
    """The patterns of a cell, and what of it nobody understands."""
    patterns, unknown = [], []
    for words, pattern in IN_WORDS.items():
        def take(match, pattern=pattern):
            patterns.append(pattern.format("|".join(group for group in match.groups() if group)) if match.groups() else pattern)
            return ""
        cell = re.sub(words, take, cell)
    for cited in re.findall(r"`([^`]+)`", cell):
        pattern = pattern_of(cited)
        (unknown if pattern is None else patterns).append(pattern or cited)
    left = REMARKS.sub("", re.sub(r"`[^`]+`", "", cell)).strip(", ")
    left = re.sub(r"[, ]+", " ", left).strip()
    return patterns, unknown + ([left] if left else [])


@functools.cache
def patterns_of_the_page():
    return [re.compile(pattern) for _, cell in cells() for pattern in read(cell)[0]]


def is_wall(name):
    own = re.split(r"[/.]", name)
    return bool(NAMED.search(name) or any(map(OF_THE_CATALOGUE.match, own)) or any(pattern.search(name) for pattern in patterns_of_the_page()))


if __name__ == "__main__":
    print("\n".join(name for name in sys.stdin.read().split() if is_wall(name)))
