#!/usr/bin/env python3
"""Old plugins on a new host and new plugins on an old one, all real: header of 1.0 (tests/abi/1.0) and one that has grown (today's with
members and slots appended), two hosts in C, plugins in C and with the C++ SDK, and this build's bot-bottle as a third host."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
BUILD = pathlib.Path(os.environ["BB_BUILD_DIR"])
EXAMPLES = SOURCE / "plugin-api" / "examples"
GROWTH = [("plugin.h", "bb_call", "uint64_t later;"), ("plugin.h", "bb_host", "uint64_t later;"), ("plugin.h", "bb_plugin", "uint64_t later;"),
          ("provider.h", "bb_provider", "bb_status (*of_the_future)(void* self, const bb_call* call);"),
          ("backend.h", "bb_backend", "bb_status (*of_the_future)(void* self, const bb_call* call);")]


def run(*argv):
    done = subprocess.run([str(word) for word in argv], text=True, capture_output=True)
    if done.returncode != 0:
        print(f"{' '.join(map(str, argv))}: {done.returncode}\n{done.stdout}{done.stderr}")
        sys.exit(1)
    return done.stdout


def grow(include):
    shutil.copytree(SOURCE / "plugin-api" / "include", include)
    for header, table, member in GROWTH:
        path = include / "bot_bottle" / header
        text, count = re.subn(rf"^\}} {table};", f"  /* since 1.1 */\n  {member}\n}} {table};", path.read_text(), flags=re.M)
        assert count == 1, table
        path.write_text(text)


def includes(top):
    grow(top / "grown")
    return {"1.0": HERE / "1.0" / "include", "grown": top / "grown"}


def build_host(top, cc, version, include):
    host = top / f"host-{version}"
    run(cc, "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{include}", *(["-DGREW"] if version == "grown" else []), HERE / "versions" / "host.c", "-ldl",
        "-o", host)
    return host


def bot_bottle_takes(place):
    """Whether `plugin check` passes it, on this build."""
    with tempfile.TemporaryDirectory(prefix="bb-abi-") as home:
        done = subprocess.run([str(BUILD / "bin" / "bot-bottle"), "plugin", "check", str(place)], text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin", "HOME": home, "BOT_BOTTLE_HOME": f"{home}/home"})
    print(f"{place.name} on this bot-bottle: {done.stderr.strip()}")
    if done.returncode != 0:
        print(done.stdout)
    return done.returncode == 0 and done.stderr.endswith(", 0 not run\n")


def main():
    cc, cxx = os.environ.get("CC", "cc"), os.environ.get("CXX", "c++")
    script = f"-Wl,--version-script,{SOURCE}/plugin-api/plugin.version"
    with tempfile.TemporaryDirectory(prefix="bb-abi-") as directory:
        top = pathlib.Path(directory)
        hosts, plugins = {}, []
        for version, include in includes(top).items():
            hosts[version] = build_host(top, cc, version, include)
            for name, source in (("hello-c", "plugin.c"), ("hello-cpp", "plugin.cpp")):
                place = top / f"{name}-{version}"
                place.mkdir(mode=0o755)
                compiler = [cc, "-std=c11"] if name == "hello-c" else [cxx, "-std=c++20", f"-I{include}", f"-I{SOURCE}/plugin-api/include"]
                run(*compiler, "-shared", "-fPIC", "-fvisibility=hidden", f"-I{include}", script, EXAMPLES / name / source,
                    *(["-lboost_json"] if name == "hello-cpp" else []), "-o", place / f"{name}.so")
                shutil.copy(EXAMPLES / name / "plugin.toml", place)
                plugins.append(place)
        sizes = set()
        for place in plugins:
            library = next(place.glob("*.so"))
            for version, host in hosts.items():
                said = run(host, library).strip()
                sizes.add(said)
                print(f"{place.name} on a host in C of {version}: {said}")
            if not bot_bottle_takes(place):
                return 1
        if len(sizes) != 4:
            print(f"the versions do not differ: {sizes}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
