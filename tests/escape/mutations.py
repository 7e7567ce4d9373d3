#!/usr/bin/env python3
"""Switches one guard off at a time and expects the suite to notice: it has to report `escaped` for that guard."""
import argparse

from arena import Accounts, Arena, Skip, finish, parse_lines

# guard: the attempts that only it stops
GUARDS = {
    "routes": "1.1.1,1.1.2,1.12.2",
    "names": "1.6",
    "ssrf": "1.5",
    "git-push": "1.11",
    "dlp": "3.1,3.20.1,3.22.1,3.41",
    "binding": "3.5",
    "scrub": "6.2",
    "netns": "1.20,1.25",
    "seccomp": "5.31,5.32",
    "caps": "5.22",
}

# These the bottle itself notices at its start, which is better still: what it must say then.
BACKEND_GUARDS = {
    "netns": ["self-test", "bottle-init: cannot listen on 127.0.0.1:53"],  # the host's loopback is not ours to listen on
    "seccomp": ["seccomp: no filter"],
    "caps": ["capabilities: CapEff"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--guard", choices=sorted(GUARDS), help="only this one")
    parser.add_argument("--as", dest="who", default="self", choices=["self", "ordinary"])
    options = parser.parse_args()
    failures, skipped = [], []
    try:
        with Accounts(options.who) as accounts:
            for guard in [options.guard] if options.guard else GUARDS:
                arena = Arena(options.build, accounts.list[0])
                try:
                    arena.write_manifest(["--only", GUARDS[guard]])
                    done = arena.bot_bottle("run", "escape", "--label", "escape", "--rm", timeout=300, extra={"BOT_BOTTLE_TEST_DISABLE_GUARDS": guard})
                    lines = parse_lines(done.stdout)
                    escaped = [line["id"] for line in lines if line["verdict"] == "escaped" and line["guard"] == guard]
                    if not lines and done.returncode != 0 and guard in BACKEND_GUARDS and any(word in done.stderr for word in BACKEND_GUARDS[guard]):
                        print("%-10s noticed before the agent ran: %s" % (guard, [line for line in done.stderr.splitlines() if line.startswith("error")][-1]))
                    elif escaped:
                        print("%-10s %d of %d attempts escaped without it: %s" % (guard, len(escaped), len(lines), " ".join(escaped[:8])))
                    else:
                        failures.append("without the guard %s nothing escapes: %s %s" % (
                            guard, [(line["id"], line["verdict"], line["detail"]) for line in lines][:12], done.stderr.strip()[-1000:]))
                finally:
                    arena.close()
    except Skip as reason:
        skipped.append(str(reason))
    finish(failures, skipped)


if __name__ == "__main__":
    main()
