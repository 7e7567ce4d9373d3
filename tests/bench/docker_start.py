#!/usr/bin/env python3
"""What `bot-bottle run` of `true` on docker costs over two bare `docker run` of the same two images, one after the other.

docker_start.py --build DIR [--engine DIR] [--rounds N]: needs the docker tests' engine (tests/docker/engine.py start DIR; another
build tree's by --engine). In each round the bare runs and ours follow each other; all three end with what they made removed. The
bare sidecar only says its version: what ours needs to be ready counts as added. A benchmark: it never fails.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "docker"))
import engine  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--engine")
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    facts = engine.facts(options.engine or options.build)
    with tempfile.TemporaryDirectory(prefix="bb-") as top:
        home = pathlib.Path(top) / "home"
        for name in ("bottles", "agents"):
            (home / name).mkdir(parents=True)
        (home / "Dockerfile").write_text("FROM debian:12-slim\nUSER 1000\n")
        (home / "bottles/b.md").write_text(
            "---\nbackend: docker\ndocker: {runtime: runc}\nagent_provider: {template: command, dockerfile: %s, command: ['true']}\nworkspace: {mode: none}\n---\n" % (home / "Dockerfile"))
        (home / "agents/b.md").write_text("---\nbottle: b\n---\n")
        environment = {"PATH": "/usr/bin:/bin", "HOME": top, "BOT_BOTTLE_HOME": str(home), "DOCKER_HOST": "unix://" + facts["socket"]}
        program = str(pathlib.Path(options.build).resolve() / "bin/bot-bottle")

        def timed(*argv):
            begin = time.monotonic()
            subprocess.run(argv, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=top)
            return (time.monotonic() - begin) * 1000

        timed(program, "run", "b", "--rm")
        tags = subprocess.run([program, "run", "b", "--dry-run"], env=environment, stdout=subprocess.PIPE, text=True, cwd=top).stdout.split()
        agent = [word for word in tags if word.startswith("bot-bottle/agent:")][0]
        listed = engine.docker(facts["socket"], "images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
        sidecar = [word for word in listed if word.startswith("bot-bottle/sidecar:")][0]
        ours, agents, sidecars = [], [], []
        for _ in range(options.rounds):
            agents.append(timed("/usr/bin/docker", "run", "--rm", "--network", "none", "--entrypoint", "/bin/true", agent))
            sidecars.append(timed("/usr/bin/docker", "run", "--rm", "--entrypoint", "/bin/bot-bottle-sidecar", sidecar, "--version"))
            ours.append(timed(program, "run", "b", "--rm"))
        bare = [sum(pair) for pair in zip(agents, sidecars)]
        added = [whole - two for whole, two in zip(ours, bare)]
        print("%d rounds, medians (min, max) in ms" % options.rounds)
        for what, samples in (("docker run of the agent's image", agents), ("docker run of the sidecar's image", sidecars),
                              ("both", bare), ("bot-bottle run", ours), ("added, round by round (bar 250)", added)):
            print("  %-34s %6.0f (%.0f, %.0f)" % (what, statistics.median(samples), min(samples), max(samples)))


if __name__ == "__main__":
    main()
