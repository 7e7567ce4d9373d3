"""Asking in a docker bottle: a route that opens, an image that is built, on both wires."""
import unittest

from docker_harness import DockerTest, docker, json, setUpModule, wait_until  # noqa: F401

# bash alone: the image has nothing else. One request a connection, read to its end.
ASK = r"""
say() { # SESSION BODY
  exec 3<>/dev/tcp/supervise/9100
  printf 'POST /mcp HTTP/1.1\r\nHost: supervise:9100\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s' "$1" "${#2}" "$2" >&3
  cat <&3; exec 3>&-
}
ask() { # TOOL ARGUMENTS
  local session
  session=$(say '' '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{}}}' |
            sed -n 's/^mcp-session-id: \([a-z0-9]*\).*/\1/p')
  say "Mcp-Session-Id: $session"$'\r\n' "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{\"name\":\"$1\",\"arguments\":$2}}"
}
reach() { # HOST: the status line of the proxy
  exec 4<>/dev/tcp/egress/9099
  printf 'CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n' "$1" "$1" >&4
  head -1 <&4; exec 4>&-
}
"""


class Tests(DockerTest):
    def pending(self, home):
        def look():
            out = home.run("supervise", "--once", "--json").stdout
            return json.loads(out)["proposals"] if out else []
        return wait_until("a proposal", look, 60)[0]

    def loop(self, **walls):
        home = self.docker_home(**walls)
        script = ASK + """
reach api.example.com
ask egress-block '{"host":"api.example.com","justification":"the task"}'
reach api.example.com
"""
        home.docker_agent("asks", ["bash"])
        run = home.popen("run", "asks", "-p", script, stdout=-1, stderr=-1, text=True)
        self.addCleanup(run.kill)
        home.run("supervise", "approve", self.pending(home)["id"], check=0)
        out, err = run.communicate(timeout=120)
        lines = [line for line in out.splitlines() if line.startswith("HTTP/1.1") and "200 OK" not in line or "200 Conn" in line]
        self.assertIn("403", lines[0], out + err)
        self.assertIn("approved", out)
        self.assertIn("200", out.strip().splitlines()[-1], out + err)

    def test_what_was_blocked_passes_after_the_approval(self):
        self.loop()

    def test_what_was_blocked_passes_after_the_approval_on_the_address_wire(self):
        self.loop(wire="address")

    def test_an_approved_image_is_built_by_resume_which_goes_on_with_home_and_workspace(self):
        home = self.docker_home()
        recipe = "FROM debian:12-slim\\nRUN echo new > /etc/asked-for\\nUSER 1000\\n"
        script = ASK + f"""
if [ -f /etc/asked-for ]; then
  cat /etc/asked-for ~/kept /workspace/kept; stat -c %u ~/kept; [ -w ~/kept ] && echo writable; exit 0
fi
echo home > ~/kept; echo work > /workspace/kept
ask capability-block '{{"dockerfile":"{recipe}","justification":"the task"}}'
sleep 1000
"""
        home.docker_agent("asks", ["bash"])
        run = home.popen("run", "asks", "-p", script, "--label", "renewed", stdout=-1, stderr=-1, text=True)
        self.addCleanup(run.kill)
        proposal = self.pending(home)
        self.assertIn("RUN echo new", proposal["diff"]["after"])
        home.run("supervise", "approve", proposal["id"], check=0, timeout=120)
        out, err = run.communicate(timeout=60)
        self.assertIn("approved", out, err)
        self.assertEqual(home.slugs(), ["renewed"], "it is kept")
        done = home.run("resume", "renewed", "-p", script, "--yes", timeout=300)
        self.assertEqual(done.stdout.split(), ["new", "home", "work", "1000", "writable"], done.stderr + home.logs())
        self.assertEqual(home.left(), [], "the old container is gone as well")


if __name__ == "__main__":
    unittest.main()
