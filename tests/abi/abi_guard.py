#!/usr/bin/env python3
"""Holds today's headers against a frozen version with abidiff: what was in it is still there, unchanged; tables may have grown.

abi_guard.py check [INCLUDE]   exit 0: good, 1: broken (abidiff's words), 77: no abidiff here
abi_guard.py renew             makes today's headers and their baseline those of the frozen version

`renew` is allowed as long as bot-bottle 1.0 has not been released, and then only for what `check` lets pass: a slot or member at a
table's end, a new table, a comment. From the release on 1.0 stays as it is; what grows is 1.1, in a directory of its own beside it.
A baseline is a description of the public headers' types alone, so compiler, flags and paths do not matter.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree

HERE = pathlib.Path(__file__).resolve().parent
TODAY = HERE.parents[1] / "plugin-api" / "include"
FROZEN = HERE / "1.0"
HEADERS = ("plugin.h", "backend.h", "provider.h", "freezer.h", "deploy_key.h")
BY_VALUE = {"bb_str", "bb_writer"}  # passed by value: they cannot grow


def describe(include, into):
    library = into.with_suffix(".so")
    subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-g", "-shared", "-fPIC", "-I", str(include), "-o", str(library),
                    str(HERE / "surface.c")], check=True)
    subprocess.run(["abidw", "--no-show-locs", "--no-corpus-path", "--no-comp-dir-path", "--no-elf-needed", "--no-architecture",
                    "--out-file", str(into), str(library)], check=True)
    document = tree.parse(into)
    for unit in document.iter("abi-instr"):
        for name in ("path", "language"):
            unit.attrib.pop(name, None)
    document.write(into)


def cut_growth(baseline, today):
    """What stands behind the end of a frozen table is new and does not count."""
    sizes = {item.get("name"): int(item.get("size-in-bits")) for item in tree.parse(baseline).iter("class-decl")}
    document = tree.parse(today)
    for item in document.iter("class-decl"):
        size = sizes.get(item.get("name"))
        if size is None or item.get("name") in BY_VALUE or int(item.get("size-in-bits")) <= size:
            continue
        item.set("size-in-bits", str(size))
        for member in item.findall("data-member"):
            if int(member.get("layout-offset-in-bits")) >= size:
                item.remove(member)
    for symbol in document.iter("elf-symbol"):
        name = symbol.get("name").removeprefix("surface_")
        if name in sizes and name not in BY_VALUE:
            symbol.set("size", str(min(int(symbol.get("size")), sizes[name] // 8)))
    document.write(today)


def check(include, baseline=FROZEN / "surface.abi"):
    """(whether it is good, what abidiff says)"""
    with tempfile.TemporaryDirectory(prefix="bb-abi-") as directory:
        today = pathlib.Path(directory) / "today.abi"
        describe(include, today)
        cut_growth(baseline, today)
        done = subprocess.run(["abidiff", "--no-added-syms", "--no-show-locs", str(baseline), str(today)], text=True, capture_output=True)
        return done.returncode == 0, done.stdout + done.stderr


def renew():
    if (FROZEN / "surface.abi").exists():
        good, words = check(TODAY)
        if not good:
            print(words + "error: this is not growth: no plugin of 1.0 would load any more\nnext: put it back, or append instead")
            return 1
    (FROZEN / "include" / "bot_bottle").mkdir(parents=True, exist_ok=True)
    for name in HEADERS:
        shutil.copy(TODAY / "bot_bottle" / name, FROZEN / "include" / "bot_bottle" / name)
    with tempfile.TemporaryDirectory(prefix="bb-abi-") as directory:
        made = pathlib.Path(directory) / "surface.abi"
        describe(TODAY, made)
        shutil.copy(made, FROZEN / "surface.abi")
    return 0


def main():
    if shutil.which("abidiff") is None:
        print("SKIPPED: abidiff is not installed: sudo apt-get install abigail-tools")
        return 1 if os.environ.get("CI") == "true" or os.environ.get("BB_MUST_WORK") == "1" else 77
    if sys.argv[1:] == ["renew"]:
        return renew()
    if sys.argv[1:2] != ["check"]:
        print(__doc__)
        return 2
    good, words = check(sys.argv[2] if len(sys.argv) > 2 else TODAY)
    print(words, end="")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
