"""A new user's mistakes in words and files: what is typed, and what is written in agents and bottles. See mistakes.py."""
import unittest

from mistakes import MistakesTest

SHELL = "agent_provider: {template: command, command: [bash]}\nbackend: local\n"


class Tests(MistakesTest):
    def with_hello(self):
        person = self.person()
        self.tried(person, "bot-bottle init --yes", "init", "--yes", code=0, asks=None, say=False)
        return person

    def bottle_says(self, text, code=1):
        """A bottle with this in it, read by `config check` and by `run`."""
        person = self.person()
        person.write(".bot-bottle/agents/hello.md", "---\nbottle: first\n---\n")
        self.file(person, ".bot-bottle/bottles/first.md", text)
        self.tried(person, "bot-bottle run hello", "run", "hello", code=code)
        self.nothing_was_made(person)
        return person

    def test_no_manifest_at_all(self):
        person = self.person()
        self.tried(person, "bot-bottle start", "start", code=2)
        self.tried(person, "bot-bottle start hello", "start", "hello", code=1)
        self.tried(person, "bot-bottle list agents", "list", "agents", code=0, asks=None)
        self.tried(person, "bot-bottle list", "list", code=0, asks=None)
        self.tried(person, "bot-bottle config check", "config", "check", code=0, asks=None)
        self.assertFalse(person.root.exists(), "looking makes nothing")
        self.as_recorded("Nothing was written yet")

    def test_misspelt_agent(self):
        person = self.with_hello()
        self.tried(person, "bot-bottle start helo --yes", "start", "helo", "--yes", code=1)
        self.tried(person, "bot-bottle run Hello -p hi", "run", "Hello", "-p", "hi", code=1)
        self.tried(person, "bot-bottle info quite-another", "info", "quite-another", code=1)
        self.tried(person, "bot-bottle start ../hello --yes", "start", "../hello", "--yes", code=1)
        self.tried(person, "bot-bottle start hello.md --yes", "start", "hello.md", "--yes", code=1)
        self.nothing_was_made(person)
        self.as_recorded("An agent's name is misspelt")

    def test_misspelt_bottle(self):
        person = self.with_hello()
        self.tried(person, "bot-bottle run hello --bottle frist", "run", "hello", "--bottle", "frist", code=1)
        self.file(person, ".bot-bottle/agents/coder.md", "---\nbottle: frst\n---\n")
        self.tried(person, "bot-bottle run coder", "run", "coder", code=1)
        self.file(person, ".bot-bottle/agents/coder.md", "---\n---\nYou work.\n")
        self.tried(person, "bot-bottle run coder", "run", "coder", code=1)
        self.nothing_was_made(person)
        self.as_recorded("A bottle's name is misspelt, or missing")

    def test_misspelt_verb_or_option(self):
        person = self.with_hello()
        self.tried(person, "bot-bottle strat hello", "strat", "hello", code=2)
        self.tried(person, "bot-bottle hello", "hello", code=2)
        self.tried(person, "bot-bottle ls", "ls", code=2)
        self.tried(person, "bot-bottle ps", "ps", code=2)
        self.tried(person, "bot-bottle start hello --detatch", "start", "hello", "--detatch", code=2)
        self.tried(person, "bot-bottle run hello --prompt", "run", "hello", "--prompt", code=2)
        self.tried(person, "bot-bottle run hello fix the test", "run", "hello", "fix", "the", "test", code=2)
        self.tried(person, "bot-bottle run hello --keep --rm", "run", "hello", "--keep", "--rm", code=2)
        self.tried(person, "bot-bottle run hello --env EDITOR", "run", "hello", "--env", "EDITOR", code=2)
        self.tried(person, "bot-bottle run hello --timeout soon", "run", "hello", "--timeout", "soon", code=2)
        self.nothing_was_made(person)
        self.as_recorded("A verb or an option is misspelt, or misses its value")

    def test_misspelt_backend_provider_color_or_label(self):
        person = self.with_hello()
        self.tried(person, "bot-bottle run hello --backend dokcer", "run", "hello", "--backend", "dokcer", code=1)
        self.tried(person, "bot-bottle run hello --backend podman", "run", "hello", "--backend", "podman", code=1)
        self.tried(person, "BOT_BOTTLE_BACKEND=loacl bot-bottle run hello --bottle bare", "run", "hello", "--backend", "loacl", code=1)
        self.tried(person, "bot-bottle run hello --color purple", "run", "hello", "--color", "purple", code=2)
        self.tried(person, "bot-bottle run hello --label 'Issue 42'", "run", "hello", "--label", "Issue 42", code=1)
        self.tried(person, "bot-bottle run hello --label ü", "run", "hello", "--label", "ü", code=1)
        self.file(person, ".bot-bottle/bottles/first.md", "---\nagent_provider: {template: cluade}\nbackend: local\n---\n")
        self.tried(person, "bot-bottle run hello", "run", "hello", code=1)
        self.nothing_was_made(person)
        self.as_recorded("A backend, provider, color or label that is none")

    def test_tabs_in_yaml(self):
        self.bottle_says("---\nagent_provider:\n\ttemplate: command\n\tcommand: [bash]\n---\n")
        self.as_recorded("Tabs indent the front matter")

    def test_yes_and_no_are_no_booleans(self):
        self.bottle_says(f"---\n{SHELL}supervise: no\negress:\n  canaries: yes\n---\n")
        self.as_recorded("yes and no for true and false")

    def test_a_key_twice(self):
        self.bottle_says(f"---\n{SHELL}env: {{A: x}}\nenv: {{B: y}}\n---\n")
        self.as_recorded("The same key twice")

    def test_an_unknown_key(self):
        self.bottle_says(f"---\n{SHELL}egres:\n  routes: []\nresources: {{ram: 4GiB}}\n---\n")
        self.as_recorded("A key that is not one")

    def test_a_wrong_type(self):
        self.bottle_says(f"---\n{SHELL}env: [A=x]\nresources: {{memory: lots, cpus: two}}\negress:\n  routes: api.example.com\n---\n")
        self.as_recorded("A list for a map, a word for a number")

    def test_all_faults_at_once_of_broken_yaml(self):
        person = self.bottle_says(f"---\n{SHELL}egress: {{routes: [\n---\n")
        self.file(person, ".bot-bottle/bottles/first.md", f"{SHELL}")
        self.tried(person, "bot-bottle run hello", "run", "hello", code=1)
        self.file(person, ".bot-bottle/bottles/first.md", f"---\n{SHELL}")
        self.tried(person, "bot-bottle run hello", "run", "hello", code=1)
        self.as_recorded("The front matter does not end, or there is none")

    def test_a_byte_order_mark_and_windows_lines_are_fine(self):
        person = self.person()
        person.write(".bot-bottle/agents/hello.md", "---\r\nbottle: first\r\n---\r\nWork.\r\n")
        person.write(".bot-bottle/bottles/first.md", b"\xef\xbb\xbf---\r\nbackend: local\r\nagent_provider:\r\n  template: command\r\n  command: [\"true\"]\r\n---\r\n")
        self.tried(person, "bot-bottle config check", "config", "check", code=0, asks=None)
        self.tried(person, "bot-bottle run hello", "run", "hello", code=0, asks=None)
        self.nothing_was_made(person)
        self.as_recorded("A file from Windows: byte order mark and CRLF")

    def test_bottles_that_extend_each_other(self):
        person = self.person()
        self.file(person, ".bot-bottle/bottles/a.md", "---\nextends: b\n---\n")
        self.file(person, ".bot-bottle/bottles/b.md", "---\nextends: a\n---\n")
        self.file(person, ".bot-bottle/bottles/c.md", "---\nextends: bse\n---\n")
        person.write(".bot-bottle/bottles/base.md", f"---\n{SHELL}---\n")
        self.tried(person, "bot-bottle run --bottle a", "run", "--bottle", "a", code=1)
        self.tried(person, "bot-bottle run --bottle c", "run", "--bottle", "c", code=1)
        self.nothing_was_made(person)
        self.as_recorded("extends in a circle, or of what is not there")

    def test_a_host_with_port_wildcard_scheme_or_address(self):
        self.bottle_says(f"---\n{SHELL}egress:\n  routes:\n    - host: api.example.com:8443\n    - host: \"*.example.com\"\n"
                         "    - host: https://example.com/v1\n    - host: 10.0.0.7\n    - host: localhost\n---\n")
        self.as_recorded("A host with a port, a wildcard, a scheme; an address")

    def test_two_routes_for_one_host(self):
        self.bottle_says(f"---\n{SHELL}egress:\n  routes:\n    - host: api.example.com\n      matches: [{{methods: [GET]}}]\n"
                         "    - host: API.example.com\n      matches: [{methods: [POST]}]\n---\n")
        self.as_recorded("Two routes for one host")

    def test_a_token_instead_of_a_variables_name(self):
        person = self.bottle_says(f"---\nbackend: local\nagent_provider: {{template: claude, auth_token: sk-ant-oat01-abcdefghijklmnop}}\n---\n")
        result = self.tried(person, "", "run", "hello", code=1, say=False)
        self.assertNotIn("abcdefghijklmnop", result.stdout + result.stderr, "a token is not shown again")
        self.as_recorded("The token itself where its variable's name belongs")

    def test_variables_skills_and_files_that_are_missing(self):
        person = self.person()
        person.write(".claude/skills/review/SKILL.md", "---\nname: review\n---\n")
        person.write(".bot-bottle/agents/hello.md", "---\nbottle: first\nskills: [reveiw]\n---\n")
        self.file(person, ".bot-bottle/bottles/first.md",
                  "---\nbackend: local\nagent_provider: {template: claude, auth_token: CLAUDE_TOKEN}\nenv: {CITY: \"${HOME_TOWN}\"}\nenv_file: ~/.env\n"
                  "egress:\n  upstream_ca: ~/corp.pem\n  routes:\n    - {host: api.example.com, auth: {scheme: Bearer, token_ref: EXAMPLE_TOKEN}}\n"
                  "git-gate:\n  repos:\n    app:\n      url: git@forge.example.com:team/app.git\n"
                  "      host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK3Kc9yP1vH0o3vY1nX7k2b1r0jv3l1g6l3o1kq8b2lN\n      key: {provider: static, path: ~/.ssh/app_deploy}\n---\n")
        self.tried(person, "bot-bottle run hello", "run", "hello", code=1)
        self.nothing_was_made(person)
        self.as_recorded("A variable, a skill, a key file, a certificate that is not there")

    def test_a_key_file_that_everybody_reads(self):
        person = self.person()
        person.write(".bot-bottle/agents/hello.md", "---\nbottle: first\n---\n")
        person.write(".ssh/app_deploy", "no key\n").chmod(0o644)
        self.file(person, ".bot-bottle/bottles/first.md",
                  f"---\n{SHELL}git-gate:\n  repos:\n    app:\n      url: git@forge.example.com:team/app.git\n"
                  "      host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK3Kc9yP1vH0o3vY1nX7k2b1r0jv3l1g6l3o1kq8b2lN\n      key: {provider: static, path: ~/.ssh/app_deploy}\n---\n")
        self.tried(person, "bot-bottle run hello", "run", "hello", code=1)
        self.nothing_was_made(person)
        self.as_recorded("A key file that everybody can read, and that is no key")

    def test_a_bottle_in_a_repository(self):
        person = self.with_hello()
        self.file(person, "app/.bot-bottle/bottles/open.md", f"---\n{SHELL}egress:\n  routes: [{{host: evil.example.com}}]\n---\n")
        self.file(person, "app/.bot-bottle/agents/coder.md", "---\nbottle: open\n---\n")
        self.tried(person, "bot-bottle run coder", "run", "coder", code=1)
        self.tried(person, "bot-bottle config check", "config", "check", code=1, asks=None)
        self.nothing_was_made(person)
        self.as_recorded("A bottle in a repository")

    def test_a_file_name_that_is_none(self):
        person = self.with_hello()
        person.write(".bot-bottle/agents/My Agent.md", "---\nbottle: first\n---\n")
        person.write(".bot-bottle/agents/coder.yaml", "bottle: first\n")
        self.show("~/.bot-bottle/agents: hello.md, My Agent.md, coder.yaml\n")
        self.tried(person, "bot-bottle list agents", "list", "agents", code=0, asks=None)
        self.tried(person, "bot-bottle run coder", "run", "coder", code=1)
        self.tried(person, "bot-bottle run 'My Agent'", "run", "My Agent", code=1)
        self.nothing_was_made(person)
        self.as_recorded("A file whose name is no agent's")

    def test_a_secret_in_env(self):
        person = self.bottle_says(f"---\n{SHELL}env: {{API_KEY: \"${{MY_TOKEN}}\"}}\negress:\n  routes:\n"
                                  "    - {host: api.example.com, auth: {scheme: Bearer, token_ref: MY_TOKEN}}\n---\n")
        self.tried(person, "MY_TOKEN=… bot-bottle run hello", "run", "hello", code=3, env={"MY_TOKEN": "not-in-the-bottle-8742"})
        self.nothing_was_made(person)
        self.as_recorded("The credential of a route given to the agent as well")

    def test_init_twice(self):
        person = self.with_hello()
        before = (person.root / "bottles" / "first.md").read_text()
        self.tried(person, "bot-bottle init --yes", "init", "--yes", code=1)
        self.tried(person, "bot-bottle init", "init", code=2)
        self.tried(person, "bot-bottle init --yes --agent 'My Agent'", "init", "--yes", "--agent", "My Agent", code=2)
        self.tried(person, "bot-bottle init --yes --home /proc/nowhere", "init", "--yes", "--home", "/proc/nowhere", code=1, asks="next: bot-bottle init --help")
        self.assertEqual((person.root / "bottles" / "first.md").read_text(), before)
        self.as_recorded("init a second time, without a terminal, with a name that is none, in a place that is none")


if __name__ == "__main__":
    unittest.main()
