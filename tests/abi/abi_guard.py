#!/usr/bin/env python3
"""Holds today's headers against a frozen version: what was in it is still there, unchanged; tables may have grown.

abi_guard.py check [INCLUDE]   exit 0: good, 1: broken, with what and why; 77: no abidiff here
abi_guard.py comments          copies today's headers into the frozen version, when nothing but comments differs

1.0 is frozen: as long as BB_ABI_MINOR is 0 its headers are today's, word for word but for comments. Growth raises BB_ABI_MINOR first,
and 1.0 stays in its directory as it is; what is frozen next gets one beside it. Types are compared with abidiff, as abidw describes
those of the public headers alone, so compiler, flags and paths do not matter; names and values of macros by the preprocessor.
"""
import os
import pathlib
import re
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
                    str(HERE / "surface.c")], check=True, capture_output=True, text=True)
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


def words_of(include):
    """The headers as a compiler reads them: no comments, every run of blanks one."""
    text = "".join((pathlib.Path(include) / "bot_bottle" / name).read_text() + "\n" for name in HEADERS)
    return re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.S).split()


def macros_of(include):
    """What the headers define: names of interfaces and services, values of enumerators."""
    done = subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-dM", "-E", "-I", str(include), str(HERE / "surface.c")], check=True, text=True,
                          capture_output=True)
    lines = (line.split(None, 2) for line in done.stdout.splitlines() if line.startswith("#define BB_"))
    return {**{line[1]: " ".join(line[2:]) for line in lines}, **dict(re.findall(r"\b(BB_\w+) = (\w+)", " ".join(words_of(include))))}


def broken_words(include, frozen):
    """"" or what differs that abidiff cannot see."""
    today, then = macros_of(include), macros_of(frozen)
    said = ""
    for name, value in then.items():
        if name != "BB_ABI_MINOR" and today.get(name) != value:
            said += f"{name}: was '{value}', is {'gone' if name not in today else repr(today[name])}\n"
    if int(today["BB_ABI_MINOR"]) < int(then["BB_ABI_MINOR"]):
        said += f"BB_ABI_MINOR: was {then['BB_ABI_MINOR']}, is {today['BB_ABI_MINOR']}\n"
    if today["BB_ABI_MINOR"] == then["BB_ABI_MINOR"] and words_of(include) != words_of(frozen):
        said += f"BB_ABI_MINOR is {today['BB_ABI_MINOR']} still, and the headers are not those that were frozen under that number\n"
    return said


def check(include, frozen=FROZEN):
    """(whether it is good, what is wrong)"""
    with tempfile.TemporaryDirectory(prefix="bb-abi-") as directory:
        today = pathlib.Path(directory) / "today.abi"
        baseline = frozen / "surface.abi"
        try:
            describe(include, today)
        except subprocess.CalledProcessError as error:
            return False, f"{error.stderr}error: the headers lack what the frozen version had, or do not compile\n"
        cut_growth(baseline, today)
        done = subprocess.run(["abidiff", "--no-added-syms", "--no-show-locs", str(baseline), str(today)], text=True, capture_output=True)
        said = done.stdout + done.stderr if done.returncode != 0 else ""
        said += broken_words(include, frozen / "include")
        if said:
            said += "error: plugins that were built for the frozen version would not run any more\nnext: put it back; or append it, with BB_ABI_MINOR raised\n"
        return not said, said


def baseline_is_of_its_headers(frozen=FROZEN):
    """The committed description against one made of the committed headers: neither was changed without the other."""
    with tempfile.TemporaryDirectory(prefix="bb-abi-") as directory:
        made = pathlib.Path(directory) / "made.abi"
        describe(frozen / "include", made)
        return subprocess.run(["abidiff", "--no-show-locs", str(frozen / "surface.abi"), str(made)], text=True, capture_output=True).returncode == 0


def copy_comments():
    if words_of(TODAY) != words_of(FROZEN / "include"):
        print("error: more than comments differs, and 1.0 is frozen")
        return 1
    for name in HEADERS:
        shutil.copy(TODAY / "bot_bottle" / name, FROZEN / "include" / "bot_bottle" / name)
    return 0


def main():
    if shutil.which("abidiff") is None:
        print("SKIPPED: abidiff is not installed: sudo apt-get install abigail-tools")
        return 1 if os.environ.get("CI") == "true" or os.environ.get("BB_MUST_WORK") == "1" else 77
    if sys.argv[1:] == ["comments"]:
        return copy_comments()
    if sys.argv[1:2] != ["check"]:
        print(__doc__)
        return 2
    good, words = check(pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else TODAY)
    if not baseline_is_of_its_headers():
        good, words = False, words + "error: 1.0/surface.abi is not the description of 1.0/include\n"
    print(words, end="")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
