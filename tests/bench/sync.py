#!/usr/bin/env python3
"""What a large workspace costs: copied into a bottle, compared, brought back, copied out.

  sync.py [--files 100000] [--changed 100] [--backend local|docker]

Files of 100 to 2,000 octets, a hundred in a directory; the agent changes some, adds as many and removes as many. docker needs the tests'
engine as fleet.py does. A benchmark: it fails only when the result is wrong.
"""
import argparse
import json
import pathlib
import random
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "acceptance"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "docker"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--changed", type=int, default=100)
    parser.add_argument("--backend", default="local", choices=["local", "docker"])
    options = parser.parse_args()
    if options.backend == "docker":
        from docker_harness import DockerHome
        home = DockerHome()
        home.docker_agent("shell", ["sh"], "workspace: {mode: copy, path: /workspace}\n")
    else:
        from harness import Home
        home = Home()
        home.command_agent("shell", ["sh"])
    try:
        source = random.Random(1)
        for number in range(options.files):
            path = home.workspace / ("d%d" % (number // 100)) / ("f%d" % number)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(source.randbytes(source.randrange(50, 1000)).hex().encode())
        home.run("run", "shell", "--no-workspace", "--rm", timeout=300)  # warm: rules, images

        def timed(what, *arguments):
            begin = time.monotonic()
            result = home.run(*arguments, timeout=600)
            print("  %-44s %6.2f s" % (what, time.monotonic() - begin), flush=True)
            return result
        print("%s, %d files, %d changed, added and removed each" % (options.backend, options.files, options.changed))
        timed("start (the tree is copied in)", "start", "shell", "--label", "big", "--detach", "--yes")
        step = options.files // options.changed
        script = ("i=0; while [ $i -lt %d ]; do n=$((i*%d)); echo changed > d$((n/100))/f$n; rm d$(((n+1)/100))/f$((n+1)); echo new > d$((n/100))/new$i; "
                  "i=$((i+1)); done" % (options.changed, step))
        home.run("exec", "big", "--", "sh", "-c", script, check=0)
        shown = timed("diff --json", "diff", "big", "--json")
        timed("sync --yes", "sync", "big", "--yes")
        timed("cp of the whole tree", "cp", "big:/workspace", str(home.top / "out"))
        home.run("stop", "--rm", "big", check=0, timeout=120)
        right = all((home.workspace / ("d%d/f%d" % (n // 100, n))).read_text() == "changed\n" for n in range(0, options.files, step))
        whole = sum(1 for path in (home.top / "out").rglob("*") if path.is_file())
        print("  brought back: %s; changes seen: %d; files copied out: %d" % (right, len(json.loads(shown.stdout)["changes"]), whole))
        return 0 if right and whole == options.files else 1
    finally:
        home.close()


if __name__ == "__main__":
    sys.exit(main())
