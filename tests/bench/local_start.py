#!/usr/bin/env python3
"""What `bot-bottle run` of `true` on local costs over two bare `bwrap`, one after the other.

local_start.py [--build DIR] [--rounds N]. The bare ones have the namespaces and the mounts of a bottle (`true` in it) and of its sidecar
(`bot-bottle-sidecar --version`), and nothing else: no seccomp, no control group, no uid of their own, no proxy that has to be ready. In
each round the bare runs and ours follow each other. A benchmark: it never fails.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "acceptance"))
SOURCE = pathlib.Path(__file__).resolve().parents[2]


def system():
    """The host's programs as backend-local's layout.cpp shows them."""
    argv = []
    for name in ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = pathlib.Path("/") / name
        if path.is_symlink():
            argv += ["--symlink", os.readlink(path), str(path)]
        elif path.exists():
            argv += ["--ro-bind", str(path), str(path)]
    argv += ["--ro-bind", "/etc", "/etc", "--proc", "/proc"]
    for path in ("/proc/keys", "/proc/key-users", "/proc/timer_list", "/proc/sched_debug", "/proc/kcore"):
        if os.path.exists(path):
            argv += ["--ro-bind", "/dev/null", path]
    return argv + ["--dev", "/dev", "--tmpfs", "/dev/shm", "--tmpfs", "/tmp"]


def sandbox(*extra):
    return ["/usr/bin/bwrap", "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--as-pid-1",
            "--die-with-parent", "--new-session", "--clearenv", "--disable-userns", "--uid", "1000", "--gid", "1000", *system(), *extra,
            "--remount-ro", "/dev", "--remount-ro", "/", "--"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=str(SOURCE / "build" / "release"))
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    os.environ["BB_BUILD_DIR"] = options.build
    from harness import Home
    libexec = pathlib.Path(options.build).resolve() / "libexec/bot-bottle"
    share = pathlib.Path(options.build).resolve() / "share/bot-bottle"
    home = Home()
    try:
        home.command_agent("yes", ["true"])
        for name in ("files", "state", "wire"):
            (home.top / name).mkdir()
        agent = sandbox("--unshare-net", "--dir", "/var", "--symlink", "/tmp", "/var/tmp", "--ro-bind", str(libexec / "bottle-init"),
                        "/run/bottle/bin/bottle-init", "--ro-bind", str(home.top / "wire"), "/run/bottle/wire", "--bind",
                        str(home.top / "files"), "/home/agent", "--bind", str(home.workspace), "/workspace")
        sidecar = sandbox("--ro-bind", str(libexec / "bot-bottle-sidecar"), "/run/sidecar/bin/bot-bottle-sidecar", "--bind",
                          str(home.top / "state"), "/run/sidecar/state", "--ro-bind", str(share), "/run/sidecar/share")

        def timed(*argv):
            begin = time.perf_counter()
            subprocess.run(argv, env=home.environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, cwd=home.workspace)
            return (time.perf_counter() - begin) * 1000

        ours_argv = home.argv("run", "yes", "--rm")
        timed(*ours_argv)  # warm: the compiled rules
        agents, sidecars, ours = [], [], []
        for _ in range(options.rounds):
            agents.append(timed(*agent, "true"))
            sidecars.append(timed(*sidecar, "/run/sidecar/bin/bot-bottle-sidecar", "--version"))
            ours.append(timed(*ours_argv))
        bare = [sum(pair) for pair in zip(agents, sidecars)]
        added = [whole - two for whole, two in zip(ours, bare)]
        print("%d rounds, medians (min, max) in ms" % options.rounds)
        for what, samples in (("bwrap of the agent", agents), ("bwrap of the sidecar", sidecars), ("both", bare), ("bot-bottle run", ours),
                              ("added, round by round (bar 60)", added)):
            print("  %-34s %6.1f (%.1f, %.1f)" % (what, statistics.median(samples), min(samples), max(samples)))
    finally:
        home.close()


if __name__ == "__main__":
    main()
