"""`routes` on a real bottle: what is added passes at once, what is taken away is blocked at once, and the audit has it."""
import json
import pathlib
import re
import unittest

import subprocess
import sys

from harness import AcceptanceTest, Terminal, wait_until
from supervise_test import Origin, call

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from supervise_world import AGENT, python_argv  # noqa: E402

TOKEN = "t-" + "9f31c2" * 5


class Tests(AcceptanceTest):
    def bottle(self, routes="", label="box"):
        home = self.home()
        origin = Origin(home.top / "origin", "api.example.com")
        self.addCleanup(origin.close)
        home.command_agent("shell", ["sh"], f"""egress:
  upstream_ca: {origin.ca}
  hosts: {{api.example.com: '127.0.0.1:{origin.port}'}}
  routes:
    - host: other.example.com
{routes}""")
        home.environment["EXAMPLE_TOKEN"] = TOKEN
        home.run("start", "shell", "--label", label, "--detach", "--yes", check=0)
        return home

    def get(self, home, path="/v1/x", method="GET"):
        return home.run("exec", "box", "--", "curl", "-sS", "-X", method, "-o", "/dev/null", "-w", "%{http_code}",
                        f"https://api.example.com{path}").stdout

    def routes(self, home):
        return json.loads(home.run("routes", "show", "box", "--json", check=0).stdout)

    def editor(self, home, script):
        path = home.top / "editor"
        path.write_text("#!/bin/sh\nset -e\n" + script)
        path.chmod(0o755)
        return {"EDITOR": str(path), "VISUAL": ""}

    def test_blocked_added_passes_removed_is_blocked_again(self):
        home = self.bottle()
        self.assertEqual(self.get(home), "000")
        out = home.run("routes", "add", "box", "api.example.com", "--method", "get", "--path", "/v1/*", check=0)
        self.assertIn('+ host = "api.example.com"', out.stderr)
        self.assertEqual(self.get(home), "200")
        self.assertEqual(self.get(home, "/v2/x"), "403")
        self.assertEqual(self.get(home, method="POST"), "403")
        self.assertIn("api.example.com", home.run("routes", "show", "box", check=0).stdout)
        self.assertIn("nothing was changed",
                      home.run("routes", "add", "box", "api.example.com", "--method", "GET", "--path", "/v1/*", check=0).stderr)
        home.run("routes", "add", "box", "https://api.example.com/v2/x", check=0)
        self.assertEqual(self.get(home, "/v2/x"), "200")
        home.run("routes", "rm", "box", "api.example.com", check=0)
        self.assertEqual(self.get(home), "000")
        home.run("stop", "box", "--rm", check=0)
        entries = json.loads(home.run("audit", "box", "--json", check=0).stdout)["entries"]
        self.assertEqual([(entry["decision"], entry["kind"]) for entry in entries], [("edit", "routes")] * 3)
        self.assertNotIn("api.example.com", entries[0]["before"].split("[hosts]")[0])
        self.assertIn("api.example.com", entries[0]["after"].split("[hosts]")[0])
        self.assertTrue(entries[0]["by"])
        home.run("audit", "verify", "box", check=0)

    def test_a_change_says_which_approvals_end_with_it(self):
        home = self.bottle()
        asks = home.popen("exec", "box", "--", *python_argv(AGENT + 'ask("egress-block", {"host": "api.example.com", "justification": "j"})'),
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(asks.kill)
        [proposal] = wait_until("a proposal", lambda: json.loads(home.run("supervise", "--once", "--json", check=0).stdout)["proposals"])
        home.run("supervise", "approve", proposal["id"], "--for", "10m", check=0)
        self.assertEqual(self.get(home), "200")
        changed = home.run("routes", "add", "box", "more.example.com", check=0)
        self.assertIn("api.example.com was approved for a while", changed.stderr)
        self.assertEqual(self.get(home), "000", "and it is over")

    def test_what_is_blocked_says_how_to_let_it_through_and_that_works(self):
        home = self.bottle()
        checked = home.run("check", "box", "POST", "https://api.example.com/v1/x", check=3).stdout
        command = re.search(r"^next: bot-bottle (.*)$", checked, re.MULTILINE).group(1)
        home.run(*command.split(), check=0)
        self.assertEqual(home.run("check", "box", "POST", "https://api.example.com/v1/x", check=0).stdout.splitlines()[0],
                         "allowed by route 2 (api.example.com)")
        self.assertEqual(self.get(home, method="POST"), "501", "the origin's own answer")
        checked = home.run("check", "box", "GET", "https://api.example.com/v1/x", check=3).stdout
        self.assertIn("entry 1 (POST /v1/x): not this method", checked)

    def test_what_cannot_be_a_route_is_refused_and_nothing_changes(self):
        home = self.bottle()
        before = self.routes(home)
        files = []
        for number, text in enumerate(("[[routes]]\nhots = 'a.example.com'\n", "[[routes]]\nhost = '*'\n", "not toml", "\0",
                                       "[[routes]]\nhost = 'a.example.com'\n" * 2, "x = '" + "y" * 5_000_000 + "'",
                                       "[[routes]]\nhost='a.example.com'\nmatches=[{paths=[{type='regex', value='('}]}]\n")):
            path = home.top / f"bad{number}.toml"
            path.write_text(text)
            files.append(["edit", "box", "--file", path])
        for arguments in [["add", "box", "127.0.0.1"], ["add", "box", "*"], ["add", "box", "*.example.com"], ["add", "box", "a b"],
                          ["add", "box", "a.example.com\n[[routes]]"], ["add", "box", "https://u:p@a.example.com/"],
                          ["add", "box", "http://a.example.com/"], ["add", "box", "https://a.example.com:8443/"],
                          ["add", "box", "a.example.com", "--method", "GE T"], ["add", "box", "a.example.com", "--path", "v1"],
                          ["add", "box", "a.example.com", "--path", "/x\x1b[2J"], ["add", "box", "a.example.com", "--path", "/%zz"],
                          ["add", "box", "a.example.com", "--method", ""], ["add", "box", "[::1]"], ["add", "box", ""],
                          ["add", "box", "good.example.com", "bad host"], ["rm", "box", "nowhere.example.com"],
                          ["rm", "box", "other.example.com", "nowhere.example.com"], ["add", "../box", "a.example.com"],
                          ["edit", "box", "--file", home.top / "absent"], *files]:
            with self.subTest(arguments):
                result = home.run("routes", *arguments)
                self.assertNotEqual(result.returncode, 0, result.stderr)
                self.assertTrue(result.stderr.startswith("error: "), result.stderr)
                self.assertNotIn("bug", result.stderr)
                self.assertNotIn("\x1b", result.stderr)
                self.assertEqual(self.routes(home), before)
        self.assertIn("line 2", home.run("routes", *files[0]).stderr)

    def test_an_editors_text_is_in_force_when_it_is_saved(self):
        home = self.bottle()
        env = self.editor(home, """printf '\\n[[routes]]\\nhost = "api.example.com"\\n' > "$1.new"
sed '/^\\[hosts\\]/,$d' "$1" > "$1.all"; cat "$1.new" >> "$1.all"; sed -n '/^\\[hosts\\]/,$p' "$1" >> "$1.all"; mv "$1.all" "$1"; rm "$1.new"
""")
        home.run("routes", "edit", "box", env=env, check=0)
        self.assertEqual(self.get(home), "200")
        self.assertIn("nothing was changed", home.run("routes", "edit", "box", env=self.editor(home, "true\n"), check=0).stderr)
        self.assertEqual(home.run("routes", "edit", "box", env=self.editor(home, "exit 3\n")).returncode, 1)
        self.assertEqual(self.get(home), "200")

    def test_a_mistake_in_the_editor_is_shown_and_can_be_mended(self):
        home = self.bottle()
        env = self.editor(home, """if [ -e "$0.again" ]; then sed -i 's/hots = /host = /' "$1"
else touch "$0.again"; printf '[[routes]]\\nhots = "api.example.com"\\n' > "$1"; fi
""")
        terminal = Terminal(home.argv("routes", "edit", "box"), home.top, {**home.environment, **env}, cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.wait_for("Edit it again?")
        self.assertIn("hots", terminal.screen())
        terminal.type("y")
        terminal.key("Enter")
        terminal.wait_for("EXIT=0")
        self.assertIn("in force in box", terminal.screen())
        self.assertEqual([route["host"] for route in self.routes(home)["routes"]], ["api.example.com"])

    def test_the_slower_of_two_editors_is_refused_and_keeps_its_text(self):
        home = self.bottle()
        program = home.program
        env = self.editor(home, f'"{program}" routes add box quick.example.com\nsed -i "s/other.example.com/slow.example.com/" "$1"\n')
        old = self.routes(home)["hash"]
        result = home.run("routes", "edit", "box", env=env)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("have moved", result.stderr)
        kept = pathlib.Path(re.search(r"your text is in (\S+)", result.stderr).group(1))
        self.assertIn("slow.example.com", kept.read_text())
        self.assertEqual([route["host"] for route in self.routes(home)["routes"]], ["other.example.com", "quick.example.com"])
        self.assertEqual(home.run("routes", "edit", "box", "--file", kept, "--hash", old).returncode, 1)
        home.run("routes", "edit", "box", "--file", kept, check=0)
        self.assertEqual([route["host"] for route in self.routes(home)["routes"]], ["slow.example.com"])
        kept.unlink()

    def test_a_credential_reaches_no_further_unless_that_is_said(self):
        home = self.bottle("""    - host: api.example.com
      auth: {scheme: Bearer, token_ref: EXAMPLE_TOKEN}
      matches: [{methods: [GET], paths: [{type: prefix, value: /v1}]}]
""")
        self.assertEqual((self.get(home), self.get(home, "/v2/x")), ("200", "403"))
        before = self.routes(home)
        text = before["text"]
        path = home.top / "routes.toml"
        changes = {
            "more of its host": text.replace('"/v1"', '"/"'),
            "another host": text.replace('host = "other.example.com"',
                                         'host = "other.example.com"\nauth = {scheme = "Bearer", token_ref = "EXAMPLE_TOKEN"}'),
            "another address": re.sub(r'"127\.0\.0\.1:\d+"', '"127.0.0.2:443"', text),
            "in the clear": text.replace('host = "api.example.com"', 'host = "api.example.com"\nplain = true'),
            "another port": text.replace('host = "api.example.com"\nports = [443]', 'host = "api.example.com"\nports = [443, 8443]'),
            "another way": text.replace('"Bearer"', '"header:x-key"'),
        }
        for what, changed in changes.items():
            with self.subTest(what):
                self.assertNotEqual(changed, text)
                path.write_text(changed)
                result = home.run("routes", "edit", "box", "--file", path)
                self.assertEqual(result.returncode, 3, result.stderr)
                self.assertIn("EXAMPLE_TOKEN", result.stderr)
                # The rule is the sidecar's: who speaks to it directly meets it too.
                with self.assertRaises(AssertionError):
                    call(home.state("box") / "control" / "control.sock",
                         {"call": "set-routes", "hash": before["hash"], "egress": changed, "by": "x"})
                self.assertEqual(self.routes(home), before)
        result = home.run("routes", "add", "box", "https://api.example.com/v2/x")
        self.assertEqual(result.returncode, 3)
        self.assertEqual(self.get(home, "/v2/x"), "403")
        path.write_text(text.replace("EXAMPLE_TOKEN", "NO_SUCH_SECRET"))
        self.assertIn("no secret named NO_SUCH_SECRET",
                      home.run("routes", "edit", "box", "--file", path, "--allow-credentials").stderr)
        self.assertEqual(self.routes(home), before)
        path.write_text(text.replace('"GET"', '"HEAD", "GET"').replace('methods = ["HEAD", "GET"]', 'methods = ["GET"]'))
        home.run("routes", "edit", "box", "--file", path, check=0)  # the same, or less: no word is needed
        terminal = Terminal(home.argv("routes", "add", "box", "https://api.example.com/v2/x"), home.top, home.environment,
                            cwd=home.workspace)
        self.addCleanup(terminal.close)
        terminal.wait_for("Let it? [y/N]")
        terminal.key("Enter")
        terminal.wait_for("EXIT=3")
        self.assertEqual(self.get(home, "/v2/x"), "403")
        changed = json.loads(home.run("routes", "add", "box", "https://api.example.com/v2/x", "--allow-credentials", "--json",
                                      check=0).stdout)
        self.assertEqual(changed["credentials"], ["EXAMPLE_TOKEN goes along with more requests to api.example.com"])
        self.assertEqual(self.get(home, "/v2/x"), "200")
        self.assertNotIn(TOKEN, home.run("audit", "box", "--json", check=0).stdout)

    def test_a_bottle_that_does_not_run_says_what_next(self):
        home = self.bottle()
        home.run("stop", "box", check=0)
        for arguments in (["show", "box"], ["add", "box", "a.example.com"], ["rm", "box", "a.example.com"], ["edit", "box", "--file", "-"]):
            result = home.run("routes", *arguments)
            self.assertEqual(result.returncode, 1)
            self.assertIn("error: the bottle 'box' does not run\n", result.stderr)
            self.assertIn("next: bot-bottle resume box", result.stderr)
        self.assertIn("no bottle named", home.run("routes", "show", "absent").stderr)
        self.assertEqual(home.run("routes", "show").returncode, 2)


if __name__ == "__main__":
    unittest.main()
