#!/usr/bin/env python3
"""The guard itself: red for each way to break 1.0's plugins, green for growth. Each case is today's headers with one edit."""
import os
import pathlib
import re
import shutil
import sys
import tempfile

import abi_guard

# name, header, what to replace (a regular expression, once), by what, whether that is allowed
CASES = [
    ("nothing changed", "plugin.h", r"\Z", "", True),
    ("a slot appended", "backend.h", r"^\} bb_backend;", "  /* since 1.1 */\n  bb_status (*more)(void* self, bb_str what);\n} bb_backend;", True),
    ("a member appended to bb_call", "plugin.h", r"^\} bb_call;", "  int32_t more;\n} bb_call;", True),
    ("a field moved", "plugin.h", r"(  uint32_t abi_major;\n)(  uint32_t abi_minor;\n)", r"\2\1", False),
    ("a member inserted", "plugin.h", r"  int32_t\n      cancel_fd;", "  int32_t before;\n  int32_t\n      cancel_fd;", False),
    ("a type changed", "plugin.h", r"uint32_t reserved;", "int32_t reserved;", False),
    ("a parameter added", "backend.h", r"\(\*probe\)\(void\* self, ", "(*probe)(void* self, bb_str more, ", False),
    ("a slot removed", "backend.h", r"  bb_status \(\*stop\)\(.*\n", "", False),
    ("a slot removed and one appended", "backend.h", r"(?s)  bb_status \(\*stop\)\([^\n]*\n(.*)^\} bb_backend;",
     r"\1  bb_status (*more)(void* self);\n} bb_backend;", False),
    ("bb_status widened", "plugin.h", r"typedef int32_t bb_status", "typedef int64_t bb_status", False),
    ("a value that cannot grow has grown", "plugin.h", r"^\} bb_str;", "  int32_t more;\n} bb_str;", False),
]


def main():
    if shutil.which("abidiff") is None:
        return abi_guard.main()  # says what is missing
    wrong = 0
    for name, header, pattern, by, allowed in CASES:
        with tempfile.TemporaryDirectory(prefix="bb-abi-") as directory:
            include = pathlib.Path(directory) / "include"
            shutil.copytree(abi_guard.TODAY, include)
            path = include / "bot_bottle" / header
            text, count = re.subn(pattern, by, path.read_text(), count=1, flags=re.M)
            path.write_text(text)
            good, words = abi_guard.check(include)
            if count != 1 or good != allowed:
                wrong += 1
                print(f"{name}: {'passes' if good else 'is refused'} ({count} edits)\n{words}")
    print(f"{len(CASES)} cases, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
