#!/usr/bin/env python3
"""A stranger's path, timed: `plugin new` to the first bottle of its backend, as an ordinary user. plugin_path.py [--build DIR] [--rounds N].

A benchmark: it never fails. The compiler is the machine's own, without ccache.
"""
import argparse
import os
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "acceptance"))
SOURCE = pathlib.Path(__file__).resolve().parents[2]
ORDINARY_USER = 65533


class Cleanups:
    def __init__(self):
        self.calls = []

    def addCleanup(self, call, *arguments, **options):
        self.calls.append((call, arguments, options))

    def close(self):
        for call, arguments, options in reversed(self.calls):
            call(*arguments, **options)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=str(SOURCE / "build" / "release"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ["BB_BUILD_DIR"] = options.build
    from harness import Home, remove_copies
    from plugin_kit import Kit
    times = {}
    for _ in range(options.rounds):
        cleanups, home = Cleanups(), Home(ORDINARY_USER)
        try:
            kit = Kit(cleanups, home)
            source = home.workspace / "my-box"
            built = source / "build" / "plugins" / "my-box"
            home.command_agent("worker", ["true"])
            steps = [("plugin new", lambda: home.run("plugin", "new", "my-box", "--kind", "backend", check=0)),
                     ("cmake, build, its own test", lambda: kit.build(source)),
                     ("plugin check", lambda: home.run("plugin", "check", built, check=0)),
                     ("copy and plugin trust", lambda: (kit.install(built), home.run("plugin", "trust", "my-box", check=0))),
                     ("run --backend=my-box (compiles the rules)", lambda: home.run("run", "worker", "--backend=my-box", check=0)),
                     ("run again", lambda: home.run("run", "worker", "--backend=my-box", check=0))]
            for name, step in steps:
                begin = time.perf_counter()
                step()
                times.setdefault(name, []).append(time.perf_counter() - begin)
        finally:
            home.close()
            cleanups.close()
    print(f"{options.rounds} rounds, medians (min, max) in s")
    for name, samples in times.items():
        print("  %-45s %6.2f (%.2f, %.2f)" % (name, statistics.median(samples), min(samples), max(samples)))
    whole = [sum(samples) for samples in zip(*times.values())]
    print("  %-45s %6.2f" % ("the whole path", statistics.median(whole)))
    remove_copies()


if __name__ == "__main__":
    main()
