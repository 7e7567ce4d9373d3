#!/usr/bin/env python3
"""The guard itself: red for each way to break 1.0's plugins, green for growth under a later minor. Each case is today's headers with one
edit, or the frozen ones with the baseline exchanged."""
import os
import pathlib
import re
import shutil
import sys
import tempfile

import abi_guard

MINOR = ("plugin.h", r"BB_ABI_MINOR 0", "BB_ABI_MINOR 1")
# name, edits (header, a regular expression that is replaced once, by what), what the guard says; "" where it must pass
CASES = [
    ("nothing changed", [], ""),
    ("a comment changed", [("plugin.h", r"\Z", "/* one more\n * comment */\n")], ""),
    ("a slot appended in 1.1", [MINOR, ("backend.h", r"^\} bb_backend;", "  /* since 1.1 */\n  bb_status (*more)(void* self, bb_str what);\n} bb_backend;")], ""),
    ("a member appended to bb_call in 1.1", [MINOR, ("plugin.h", r"^\} bb_call;", "  int32_t more;\n} bb_call;")], ""),
    ("a slot appended to 1.0", [("backend.h", r"^\} bb_backend;", "  bb_status (*more)(void* self, bb_str what);\n} bb_backend;")], "frozen under that number"),
    ("a slot inserted in the middle, in 1.1", [MINOR, ("backend.h", r"^(  bb_status \(\*probe\))", r"  bb_status (*before)(void* self);\n\1")], "offset changed"),
    ("a field moved", [MINOR, ("plugin.h", r"(  uint32_t abi_major;\n)(  uint32_t abi_minor;\n)", r"\2\1")], "abi_major"),
    ("a member inserted", [MINOR, ("plugin.h", r"  int32_t\n      cancel_fd;", "  int32_t before;\n  int32_t\n      cancel_fd;")], "offset changed"),
    ("a type changed", [MINOR, ("plugin.h", r"uint32_t reserved;", "int32_t reserved;")], "reserved"),
    ("a parameter added", [MINOR, ("backend.h", r"\(\*probe\)\(void\* self, ", "(*probe)(void* self, bb_str more, ")], "probe"),
    ("a slot removed", [MINOR, ("backend.h", r"  bb_status \(\*stop\)\(.*\n", "")], "stop"),
    ("a slot removed and one appended", [MINOR, ("backend.h", r"(?s)  bb_status \(\*stop\)\([^\n]*\n(.*)^\} bb_backend;",
                                                 r"\1  bb_status (*more)(void* self);\n} bb_backend;")], "stop"),
    ("bb_status widened", [MINOR, ("plugin.h", r"typedef int32_t bb_status", "typedef int64_t bb_status")], "bb_status"),
    ("a value that cannot grow has grown", [MINOR, ("plugin.h", r"^\} bb_str;", "  int32_t more;\n} bb_str;")], "bb_str"),
    ("a table dropped", [MINOR, ("freezer.h", r"^typedef struct bb_freezer", "typedef struct bb_other"), ("freezer.h", r"^\} bb_freezer;", "} bb_other;")],
     "the headers lack what the frozen version had"),
    ("an interface renamed", [MINOR, ("provider.h", r"\"bot-bottle\.provider/1\"", '"bot-bottle.provider/2"')], "BB_INTERFACE_PROVIDER"),
    ("a service dropped", [MINOR, ("plugin.h", r"#define BB_SERVICE_SECRET .*\n", "")], "BB_SERVICE_SECRET"),
    ("a code renumbered", [MINOR, ("plugin.h", r"(BB_TIMEOUT[^0-9\n]*)9", r"\g<1>11")], "BB_TIMEOUT"),
]


def without_a_symbol(top):
    """A baseline that lacks what its headers have, as if only one of the two had been renewed."""
    frozen = top / "frozen"
    shutil.copytree(abi_guard.FROZEN, frozen)
    path = frozen / "surface.abi"
    document = abi_guard.tree.parse(path)
    for parent in list(document.iter()):
        for item in list(parent):
            if item.get("name") in ("surface_bb_freezer",):
                parent.remove(item)
    document.write(path)
    return frozen


def main():
    if shutil.which("abidiff") is None:
        return abi_guard.main()  # says what is missing
    wrong = 0
    for name, edits, reason in CASES:
        with tempfile.TemporaryDirectory(prefix="bb-abi-") as directory:
            include = pathlib.Path(directory) / "include"
            shutil.copytree(abi_guard.TODAY, include)
            counts = []
            for header, pattern, by in edits:
                path = include / "bot_bottle" / header
                text, count = re.subn(pattern, by, path.read_text(), count=1, flags=re.M)
                path.write_text(text)
                counts.append(count)
            good, words = abi_guard.check(include)
            if counts != [1] * len(edits) or good != (reason == "") or reason not in words:
                wrong += 1
                print(f"{name}: {'passes' if good else 'is refused'} ({counts} edits)\n{words}")
    with tempfile.TemporaryDirectory(prefix="bb-abi-") as directory:
        if abi_guard.baseline_is_of_its_headers(without_a_symbol(pathlib.Path(directory))):
            wrong += 1
            print("a baseline that is not of its headers passes")
    print(f"{len(CASES) + 1} cases, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
