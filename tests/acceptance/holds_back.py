"""An agent that lets nobody have its transcript: it stops whatever packs files in its bottle, and there is no end of them."""
import json

from harness import wait_until

# No program is started in the loop: it sees what runs for a moment only. `read` leaves the NUL bytes of a command line out.
PROGRAM = """#!/bin/sh
mkdir -p ~/.claude/projects
truncate -s 1T ~/.claude/projects/endless
touch /tmp/ready
while true; do
  for each in /proc/[0-9]*; do
    line=
    { read -r line < $each/cmdline; } 2>/dev/null
    case $line in *--pack*) kill -STOP ${each#/proc/};; esac
  done
done
"""
TOLD = "was not saved, or only in part: the bottle did not give it within"
# Of a minute and of five: a test build's (core/launch/test_hooks.hpp).
SHORTER = {"BOT_BOTTLE_TEST_PATIENCE_MS": "1500"}


def check(test, home, bottle):
    """`bottle`: a manifest whose provider is claude, and whose `claude` is PROGRAM."""
    def running():
        return json.loads(home.run("list", "active", "--json", check=0).stdout)["bottles"]

    def start_agent():
        home.run("exec", "held", "--", "sh", "-c", "setsid claude </dev/null >/dev/null 2>&1 &", check=0)
        wait_until("the agent", lambda: home.run("exec", "held", "--", "test", "-e", "/tmp/ready").returncode == 0, 60)

    home.bottle("holder", bottle)
    home.agent("holder", "bottle: holder")
    home.run("start", "holder", "--label", "held", "--detach", "--yes", check=0, timeout=120)
    start_agent()
    test.assertIn(TOLD, home.run("stop", "held", env=SHORTER, check=0, timeout=50).stderr)
    test.assertEqual(running(), [])
    home.run("resume", "held", "--detach", "--yes", check=0, timeout=120)
    start_agent()
    # Without a shorter time: no transcript is taken of what is removed.
    test.assertNotIn(TOLD, home.run("stop", "--rm", "held", check=0, timeout=50).stderr)
    test.assertEqual((running(), home.slugs()), ([], []))
    timed = home.run("run", "holder", "-p", "x", "--label", "timed", "--timeout", "5s", env=SHORTER, timeout=100)
    test.assertNotEqual(timed.returncode, 0)
    test.assertIn(TOLD, timed.stderr)
    test.assertEqual((running(), home.slugs()), ([], ["timed"]))
    home.run("stop", "--rm", "timed", check=0, timeout=50)
    test.assertEqual((home.slugs(), home.own_processes()), ([], {}))
