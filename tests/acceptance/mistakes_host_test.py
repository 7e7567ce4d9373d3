"""A new user's mistakes with the machine: where one stands, what is not installed, not allowed, full; and with plugins. See mistakes.py."""
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from harness import BUILD, prefix_for
from mistakes import ORDINARY_USER, MistakesTest

SHELL = "agent_provider: {template: command, command: [\"true\"]}\nbackend: local\n"


class Tests(MistakesTest):
    def with_hello(self, user=None, extra=""):
        person = self.person(user)
        person.bottle("first", SHELL + extra)
        person.agent("hello", "bottle: first")
        return person

    def as_root(self):
        if os.getuid() != 0:
            self.skipTest("SKIPPED: needs root")

    def test_a_workspace_that_is_everything(self):
        person = self.with_hello()
        self.tried(person, "cd ~ && bot-bottle run hello", "run", "hello", cwd=person.top, code=3)
        self.tried(person, "cd / && bot-bottle run hello", "run", "hello", cwd="/", code=3)
        self.tried(person, "bot-bottle run hello --cwd ~/.bot-bottle", "run", "hello", "--cwd", "~/.bot-bottle", code=3)
        self.tried(person, "bot-bottle run hello --cwd ~/ap", "run", "hello", "--cwd", "~/ap", code=1)
        self.tried(person, "bot-bottle run hello --cwd ~/app --no-workspace", "run", "hello", "--cwd", "~/app", "--no-workspace", code=2)
        self.tried(person, "cd ~ && bot-bottle run hello --no-workspace -q", "run", "hello", "--no-workspace", "-q", cwd=person.top, code=0, asks=None)
        self.nothing_was_made(person)
        self.as_recorded("Started in the home directory, in /, in a directory that is none")

    def test_a_working_directory_that_was_deleted(self):
        person = self.with_hello()
        gone = person.top / "gone"
        gone.mkdir()
        script = f'cd {gone} && rmdir {gone} && exec "$@"'
        for arguments, code in ((["run", "hello"], 1), (["list", "agents"], 1), (["list"], 0)):
            self.tried(person, "bot-bottle " + " ".join(arguments), code=code, asks="next:" if code else None, run=["sh", "-c", script, "sh", *person.argv(*arguments)])
            gone.mkdir()
        self.nothing_was_made(person)
        self.as_recorded("The working directory was deleted")

    def test_a_home_that_cannot_be_written(self):
        self.as_root()
        person = self.person(ORDINARY_USER)
        person.top.chmod(0o555)
        os.chown(person.top, 0, 0)
        self.tried(person, "bot-bottle init --yes", "init", "--yes", code=1)
        person.top.chmod(0o755)
        os.chown(person.top, ORDINARY_USER, ORDINARY_USER)
        person.bottle("first", SHELL)
        person.agent("hello", "bottle: first")
        os.chown(person.root, 0, 0)
        self.tried(person, "bot-bottle run hello", "run", "hello", code=1)
        os.chown(person.root, ORDINARY_USER, ORDINARY_USER)
        self.tried(person, "HOME= bot-bottle list agents --home ''", "list", "agents", "--home", "", code=2, env={"HOME": ""})
        self.nothing_was_made(person)
        self.as_recorded("A home that cannot be written")

    def test_a_disk_that_is_full(self):
        self.as_root()
        person = self.with_hello()
        (person.root / "cache").mkdir(exist_ok=True)
        state = person.root / "state"
        state.mkdir()
        script = f"mount -t tmpfs -o size=64k tmpfs {state} && (cat /dev/zero > {state}/full 2>/dev/null; true) && exec \"$@\""
        self.tried(person, "bot-bottle run hello", code=1, run=["unshare", "-m", "sh", "-c", script, "sh", *person.argv("run", "hello")])
        state.rmdir()
        self.assertEqual(person.own_processes(), {})
        self.as_recorded("The disk is full when it starts")

    def test_bubblewrap_is_not_installed(self):
        self.as_root()
        person = self.with_hello()
        script = "for b in /usr/bin/bwrap /bin/bwrap; do mount --bind /dev/null $b 2>/dev/null; done; exec \"$@\""
        hidden = ["unshare", "-m", "sh", "-c", script, "sh"]
        self.tried(person, "bot-bottle run hello", code=4, run=[*hidden, *person.argv("run", "hello")])
        doctor = self.tried(person, "", code=None, asks=None, say=False, run=[*hidden, *person.argv("doctor")])
        self.assertRegex(doctor.stdout, r"(?i)(bubblewrap|bwrap)")
        self.assertIn("apt-get install bubblewrap", doctor.stdout)
        self.nothing_was_made(person)
        self.as_recorded("bubblewrap is not installed")

    def test_user_namespaces_are_forbidden(self):
        self.as_root()
        person = self.with_hello(ORDINARY_USER)
        # In a user namespace of its own whose limit is zero: what a hardened kernel is to an ordinary user.
        inner = str(pathlib.Path(__file__).with_name("without_namespaces.py"))
        self.tried(person, "bot-bottle run hello", code=4, run=["python3", inner, *person.argv("run", "hello")])
        doctor = self.tried(person, "", code=None, asks=None, say=False, run=["python3", inner, *person.argv("doctor")])
        told = [line for line in doctor.stdout.splitlines() if "namespace" in line]
        self.assertTrue(any("max_user_namespaces" in line for line in told), doctor.stdout)
        self.show("$ bot-bottle doctor | grep namespace\n" + self.settled("\n".join(told)))
        self.nothing_was_made(person)
        self.as_recorded("User namespaces are forbidden")

    def test_docker_does_not_run_or_is_not_ours(self):
        person = self.with_hello()
        self.names.append((f"unix://{person.top}", "unix:///home/me"))
        self.tried(person, "bot-bottle run hello --backend docker", "run", "hello", "--backend", "docker", code=4, env={"DOCKER_HOST": f"unix://{person.top}/docker.sock"})
        self.tried(person, "DOCKER_HOST=tcp://192.0.2.1:2375 bot-bottle run hello --backend docker", "run", "hello", "--backend", "docker", code=1,
                   env={"DOCKER_HOST": "tcp://192.0.2.1:2375"})
        self.nothing_was_made(person)
        self.as_recorded("docker does not run, or is elsewhere")

    def test_docker_may_not_be_spoken_to(self):
        self.as_root()
        person = self.with_hello(ORDINARY_USER)
        import socket
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(person.top / "docker.sock"))
        os.chown(person.top / "docker.sock", 0, 0)
        (person.top / "docker.sock").chmod(0o660)
        listener.listen()
        self.tried(person, "bot-bottle run hello --backend docker", "run", "hello", "--backend", "docker", code=4, env={"DOCKER_HOST": f"unix://{person.top}/docker.sock"})
        self.nothing_was_made(person)
        self.as_recorded("docker is there, and you are not in its group")

    def plugin(self, person, name="provider-mine", files=("plugin.toml", "library"), abi="1.0", library=None):
        directory = person.root / "contrib" / name
        directory.mkdir(parents=True)
        (directory / "plugin.toml").write_text(f'name = "{name}"\nversion = "0.1.0"\nabi = "{abi}"\nprovides = ["provider:mine"]\n'
                                               f'description = "Mine"\nlibrary = "{name}.so"\n')
        (directory / f"{name}.so").write_bytes(library if library is not None else (BUILD / "lib/bot-bottle/plugins/provider-command/provider-command.so").read_bytes())
        person.own(person.root)
        person.bottle("first", "backend: local\nagent_provider: {template: mine}\n")
        return directory

    def test_a_plugin_that_was_not_trusted(self):
        person = self.with_hello()
        directory = self.plugin(person)
        self.tried(person, "bot-bottle run hello", "run", "hello", code=3)
        self.tried(person, "bot-bottle plugin list", "plugin", "list", code=0, asks=None)
        directory.chmod(0o777)
        self.tried(person, "chmod 777 ~/.bot-bottle/contrib/provider-mine; bot-bottle run hello", "run", "hello", code=3)
        self.nothing_was_made(person)
        self.as_recorded("A plugin that was not trusted, or that others can change")

    def test_a_plugin_that_is_broken(self):
        person = self.with_hello()
        directory = self.plugin(person, library=b"#!/bin/sh\necho not a library\n")
        self.tried(person, "bot-bottle run hello --trust-plugins", "run", "hello", "--trust-plugins", code=1)
        shutil.rmtree(directory)
        self.plugin(person, abi="9.0")
        self.tried(person, "bot-bottle run hello --trust-plugins", "run", "hello", "--trust-plugins", code=3)
        self.tried(person, "bot-bottle plugin list", "plugin", "list", code=0, asks=None)
        self.tried(person, "bot-bottle plugin trust provider-mien", "plugin", "trust", "provider-mien", code=1)
        self.nothing_was_made(person)
        self.as_recorded("A plugin that is no library, or of another version")

    def test_a_state_of_another_version(self):
        person = self.with_hello()
        person.write(".bot-bottle/state/old/metadata.json", json.dumps({"schema": "bot-bottle.metadata/7", "slug": "old"}))
        person.write(".bot-bottle/state/torn/metadata.json", '{"schema": "bot-bottle.metadata/1", "slug": "to')
        for slug in ("old", "torn"):
            for verb in (["resume", slug, "--yes"], ["diff", slug]):
                self.tried(person, "bot-bottle " + " ".join(verb), *verb, code=1)
        self.tried(person, "bot-bottle list", "list", code=0, asks=None)
        self.tried(person, "bot-bottle stop --rm old", "stop", "--rm", "old", code=1)
        self.tried(person, "bot-bottle cleanup --all --yes", "cleanup", "--all", "--yes", code=0, asks=None)
        self.assertEqual(person.slugs(), ["old", "torn"], "what cannot be judged is not removed")
        self.as_recorded("A state of another version, or a torn one")

    def test_limits_that_cannot_be_held(self):
        person = self.with_hello(extra="resources: {memory: 1KiB}\n")
        self.tried(person, "bot-bottle run hello", "run", "hello", code=1)
        person.bottle("first", SHELL + "resources: {timeout: 2h}")
        self.tried(person, "bot-bottle start hello --detach --yes", "start", "hello", "--detach", "--yes", code=1)
        person.bottle("first", "agent_provider: {template: command, command: [bash]}\nbackend: local\nworkspace: {mode: mount}")
        person.workspace.chmod(0o700)
        self.tried(person, "bot-bottle run hello", "run", "hello", code=None, asks=None)
        self.as_recorded("A limit that cannot be held")


if __name__ == "__main__":
    unittest.main()
