"""What a person looks at fits the terminal: no row wraps at 80 columns, and `logs -f` ends with its bottle."""
import json
import subprocess
import unittest

from harness import AcceptanceTest, Terminal, wait_until

LONG = "a-bottle-with-a-very-long-label-that-goes-on-and-on-and-on"


class Tests(AcceptanceTest):
    def world(self):
        home = self.home()
        home.command_agent("shell", ["sh"], """egress:
  log: 2
  routes:
    - {host: api.example.com, matches: [{methods: [GET, HEAD, POST, PUT, DELETE], paths: [{type: prefix, value: /v1/some/long/path/that/goes/on}]}]}
    - {host: a.host.with.a.very.long.name.that.goes.on.and.on.and.on.example.com}
""")
        for label in ("box", LONG):
            home.run("start", "shell", "--label", label, "--detach", "--yes", check=0)
        home.run("exec", "box", "--", "sh", "-c", "curl -s https://evil.example.com/; getent hosts data.evil.example.com;"
                 "curl -s -x http://127.0.0.1:9099 'http://evil.example.com/" + "long/" * 50 + "'; true")
        wait_until("events on disk", lambda: any(event.get("path", "").startswith("/long") for event in home.events("box")))
        return home

    def screen(self, home, columns, rows, *words):
        """What stands there, and the same with wrapped lines joined."""
        terminal = Terminal(home.argv(*words), home.top, home.environment, columns, rows, cwd=home.workspace)
        try:
            terminal.wait_for("EXIT=0")
            return terminal.screen().rstrip("\n").splitlines(), terminal.tmux("capture-pane", "-p", "-J").rstrip("\n").splitlines()
        finally:
            terminal.close()

    def test_no_row_wraps(self):
        home = self.world()
        home.run("routes", "add", "box", "more.example.com", check=0)
        home.run("stop", LONG, check=0)
        for columns, rows in ((80, 24), (120, 40)):
            for words in (["list"], ["logs", "box"], ["routes", "show", "box"], ["audit", "box"], ["audit", "-v", "box"], ["list", "agents"],
                          ["list", "backends"], ["list", "plugins"]):
                with self.subTest(words=words, columns=columns):
                    shown, joined = self.screen(home, columns, rows, *words)
                    self.assertEqual(shown, [line.rstrip() for line in joined])
                    self.assertGreater(len(shown), 2)
        shown, _ = self.screen(home, 80, 24, "audit", "-v", "box")
        self.assertIn('  + host = "more.example.com"', shown)
        shown, _ = self.screen(home, 80, 24, "list")
        self.assertRegex("\n".join(shown), r"(?m)^  a-bottle-with-a-very-lo\S*")
        self.assertRegex("\n".join(shown), r"(?m)^local +box +shell +running")
        shown, _ = self.screen(home, 80, 24, "logs", "box")
        log = "\n".join(shown)
        self.assertRegex(log, r"(?m)^\d\d\d\d-\d\d-\d\d$")
        self.assertRegex(log, r"(?m)^\d\d:\d\d:\d\d  block  egress     CONNECT evil\.example\.com → 403: host_not_allowed$")
        self.assertRegex(log, r"(?m)^\d\d:\d\d:\d\d  block  dns        data\.evil\.example\.com: ")
        self.assertRegex(log, r"(?m)^.{28}GET evil\.example\.com/long/\S*… → 403: host_not_allowed$")
        whole = home.run("logs", "box", check=0).stdout
        self.assertIn("long/" * 50, whole, "what is piped is whole")
        self.assertEqual(len([line for line in whole.splitlines() if line]), len(home.events("box")))

    def test_what_has_just_happened_is_shown_at_once(self):
        home = self.world()
        for number in range(5):
            home.run("exec", "box", "--", "curl", "-s", f"https://n{number}.evil.example.com/")
            self.assertIn(f"n{number}.evil.example.com", home.run("logs", "box", check=0).stdout)

    def test_following_a_bottle_ends_when_it_does(self):
        home = self.world()
        following = home.popen("logs", "box", "-f", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(following.kill)
        kept = home.popen("logs", LONG, "-f", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(kept.kill)
        home.run("exec", "box", "--", "curl", "-s", "https://late.example.com/")
        home.run("stop", "box", "--rm", check=0)
        home.run("stop", LONG, check=0)
        out, err = following.communicate(timeout=20)
        self.assertEqual(following.returncode, 0, err)
        self.assertIn("late.example.com", out)
        out, err = kept.communicate(timeout=20)
        self.assertEqual(kept.returncode, 0, err)
        self.assertIn("stopped by the operator", out)
        self.assertIn(f"bot-bottle resume {LONG}", err)

    def test_the_result_of_a_run_has_time_requests_bytes_and_blocks(self):
        home = self.home()
        home.command_agent("tries", ["sh", "-c", "for i in 1 2 3; do curl -s https://evil.example.com/; done; sleep 0.2; echo done"])
        result = json.loads(home.run("run", "tries", "--json", check=0).stdout)
        self.assertEqual((result["code"], result["stdout"], result["egress"]["requests"], result["egress"]["blocked"]),
                         (0, "done\n", 3, 3))
        self.assertGreaterEqual(result["time_ms"], 200)
        self.assertEqual(result["egress"]["bytes"], result["egress"]["bytes_in"] + result["egress"]["bytes_out"])


if __name__ == "__main__":
    unittest.main()
