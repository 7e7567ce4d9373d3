#!/usr/bin/env python3
"""A plugin in Rust from the header alone, without cargo, crates or SDK: what `plugin new --lang rust` wrote down of the header has its
layout, and its provider runs on a host in C of 1.0, on one that has grown, and on this build's bot-bottle."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import versions_test as versions

TEMPLATES = versions.SOURCE / "plugin-api" / "templates" / "rust"


def tables():
    """The tables of ffi.rs: (name in Rust, name in C, members)."""
    text = (TEMPLATES / "ffi.rs").read_text()
    for name, body in re.findall(r"#\[repr\(C\)\]\n(?:#[^\n]*\n)?pub struct (\w+) \{\n(.*?)\n\}", text, flags=re.S):
        yield name, "bb_" + name.lower(), re.findall(r"^    pub (\w+):", body, flags=re.M)


def layouts(top, cc):
    """The same lines by both compilers: every member's offset, every table's size (a table that is only handed around has none)."""
    c = "#include <bot_bottle/plugin.h>\n#include <stdio.h>\nint main(void) {\n"
    rust = f'#[path = "{TEMPLATES}/ffi.rs"]\nmod ffi;\nuse std::mem::{{size_of, MaybeUninit}};\nfn main() {{\n'
    count = 0
    for name, c_name, members in tables():
        for member in members:
            c += f'  printf("{c_name}.{member} %zu\\n", offsetof({c_name}, {member}));\n'
            rust += f'  let it = MaybeUninit::<ffi::{name}>::uninit(); let at = it.as_ptr();\n' \
                    f'  println!("{c_name}.{member} {{}}", unsafe {{ std::ptr::addr_of!((*at).{member}) as usize }} - at as usize);\n'
            count += 1
        if name != "Host":
            c += f'  printf("{c_name} %zu\\n", sizeof({c_name}));\n'
            rust += f'  println!("{c_name} {{}}", size_of::<ffi::{name}>());\n'
    (top / "layout.c").write_text(c + "  return 0;\n}\n")
    (top / "layout.rs").write_text(rust + "}\n")
    versions.run(cc, "-std=c11", f"-I{versions.HERE}/1.0/include", top / "layout.c", "-o", top / "layout-c")
    versions.run("rustc", "--edition", "2021", top / "layout.rs", "-o", top / "layout-rust")
    assert count > 40, "ffi.rs was not understood"
    return versions.run(top / "layout-c"), versions.run(top / "layout-rust")


def main():
    if shutil.which("rustc") is None:
        print("SKIPPED: rustc is not installed: ./run packages does that")
        return 1 if os.environ.get("CI") == "true" or os.environ.get("BB_MUST_WORK") == "1" else 77
    cc = os.environ.get("CC", "cc")
    with tempfile.TemporaryDirectory(prefix="bb-abi-") as directory:
        top = pathlib.Path(directory)
        in_c, in_rust = layouts(top, cc)
        if in_c != in_rust:
            print(f"--- the header\n{in_c}--- ffi.rs\n{in_rust}")
            return 1
        print(f"{len(in_c.splitlines())} offsets and sizes are those of the header")
        place = top / "in-rust"
        place.mkdir()
        words = {"@NAME@": "in-rust", "@KIND@": "provider", "@DESCRIPTION@": "In Rust"}
        for target, sources in (("lib.rs", (TEMPLATES / "provider.rs", TEMPLATES / "entry.rs")), ("ffi.rs", (TEMPLATES / "ffi.rs",)),
                                ("plugin.toml", (TEMPLATES.parent / "plugin.toml",))):
            text = "".join(source.read_text() for source in sources)
            for word, value in words.items():
                text = text.replace(word, value)
            (place / target).write_text(text)
        library = place / "in-rust.so"
        versions.run("rustc", "--edition", "2021", "--crate-type", "cdylib", "--crate-name", "in_rust", "-C", "panic=abort", place / "lib.rs", "-o", library)
        versions.run("sh", versions.SOURCE / "tests" / "gates" / "one_symbol.sh", library)
        for version, include in versions.includes(top).items():
            print(f"in-rust on a host in C of {version}: {versions.run(versions.build_host(top, cc, version, include), library).strip()}")
        return 0 if versions.bot_bottle_takes(place) else 1


if __name__ == "__main__":
    sys.exit(main())
