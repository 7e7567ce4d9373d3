"""What a person sees of a launch on docker: the choice of a backend, a real build in its window, Ctrl-C in it, what is kept."""
import unittest

from docker_harness import DockerTest, Terminal, json, setUpModule, wait_until  # noqa: F401

# Each build is a new one: the number is in the text of the step.
SLOW_BUILD = ("FROM debian:12-slim\nRUN i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo fetching part $i; printf '\\033[2J\\033]0;owned\\007\\n'; "
              "sleep 0.05; done\nUSER 1000\n")


class Tests(DockerTest):
    def terminal(self, home, *arguments):
        terminal = Terminal(home.argv(*arguments), home.top, home.environment, 80, 24, cwd=home.workspace)
        self.addCleanup(terminal.close)
        return terminal

    def test_a_build_shows_its_last_lines_and_ctrl_c_takes_it_back(self):
        home = self.docker_home()
        home.docker_agent("agent", ["true"])
        (home.image / "Dockerfile").write_text(SLOW_BUILD.replace("i=0", f"i=0; : {home.top.name}"))
        terminal = self.terminal(home, "start", "agent", "--label", "early", "--yes")
        screen = terminal.wait_for("│ fetching part 20")
        self.assertIn("\\x1b[2J\\x1b]0;owned\\x07", screen)
        self.assertRegex(screen, r"image +\d+\.\ds +\d+%")
        self.assertNotIn("owned", terminal.tmux("display-message", "-p", "#{pane_title}"))
        self.assertLessEqual(screen.count("fetching part"), 6)
        terminal.key("C-c")
        screen = terminal.wait_for("EXIT=1")
        self.assertIn("error: ended by Ctrl-C", screen)
        self.assertIn("undone: the state", screen)
        self.assertNotIn("fetching", screen, "the window is gone")
        self.assertEqual(home.slugs(), [])
        self.assertEqual(home.left(), [])

    def test_the_backend_is_asked_for_once_and_what_is_kept_has_a_size(self):
        home = self.docker_home()
        home.docker_agent("agent", ["sh", "-c", "head -c 3000000 /dev/urandom > ~/big; exit 4"])
        text = (home.root / "bottles" / "agent.md").read_text().replace("backend: docker\n", "")
        (home.root / "bottles" / "agent.md").write_text(text)
        terminal = self.terminal(home, "start", "agent", "--label", "box")
        screen = terminal.wait_for("backend:")
        self.assertIn("docker", screen)
        self.assertIn("local", screen)
        terminal.type("dock")
        terminal.wait_for("1 of 2")
        terminal.key("Enter")
        self.assertIn("backend    docker", terminal.wait_for("[y/N]"))
        terminal.type("y")
        terminal.key("Enter")
        screen = terminal.wait_for("EXIT=4", 60)
        self.assertRegex(screen, r"workspace \d+\.\d (B|KiB), home [23]\.\d MiB")
        self.assertEqual(json.loads((home.state("box") / "metadata.json").read_text())["backend"], "docker")
        terminal.close()
        self.assertIn('backend = "docker"', (home.root / "config.toml").read_text().replace("'", '"'), "the next launch does not ask")


if __name__ == "__main__":
    unittest.main()
