"""egress-load (load/programs.hpp) as an origin and as clients."""
import json
import os
import subprocess

from harness import make_leaf

LOAD = os.environ["BB_EGRESS_LOAD"]


class Tool:
    """egress-load, told by lines."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([LOAD, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self):
        line = self.process.stdout.readline()
        assert line, "egress-load ended"
        return json.loads(line)

    def again(self):
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        return self.line()

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


def fast_origin(w, *names):
    """egress-load's origin in place of the one in Python."""
    certificate, key = make_leaf(w.directory, list(names), f"leaf-{names[0]}")
    origin = Tool("origin", certificate, key)
    for name in names:
        w.pins[name] = f"127.0.0.1:{origin.line()}"
    return origin
