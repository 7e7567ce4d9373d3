"""What the docker tests share: the acceptance tests' Home, with the tests' own engine and a bottle on it."""
import json
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "acceptance"))
import engine  # noqa: E402
from harness import BUILD, AcceptanceTest, Home, Terminal, wait_until  # noqa: E402,F401

# Another build tree's engine, for figures of a release build.
FACTS = engine.facts(os.environ.get("BB_ENGINE_DIR", BUILD))
RULES = pathlib.Path(FACTS["runtime_directory"] if FACTS else "/nonexistent") / "rules"
DOCKERFILE = "FROM debian:12-slim\nUSER 1000\n"


def setUpModule():
    if FACTS is None:
        raise RuntimeError("the tests' engine does not run: engine.py start " + str(BUILD))


def docker(*arguments, check=True):
    return engine.docker(FACTS["socket"], *arguments, check=check)


class DockerHome(Home):
    def __init__(self, runtime="runc", wire="", socket=None):
        super().__init__()
        self.runtime, self.wire = runtime, wire
        self.socket = socket or FACTS["socket"]
        self.environment["DOCKER_HOST"] = "unix://" + str(self.socket)
        # The compiled rules are the same for every home: made once.
        if RULES.exists():
            shutil.copytree(RULES, self.root / "cache")
        self.image = self.root / "bottles" / "image"
        self.image.mkdir()
        (self.image / "Dockerfile").write_text(DOCKERFILE)

    def docker_agent(self, name, argv, extra="", provider=""):
        options = {key: value for key, value in (("runtime", self.runtime), ("wire", self.wire)) if value}
        self.bottle(name, "backend: docker\ndocker: %s\nagent_provider:\n  template: command\n  dockerfile: %s\n  command: %s\n%s%s" % (
            json.dumps(options), self.image / "Dockerfile", json.dumps(argv), provider, extra))
        self.agent(name, 'bottle: "%s"' % name)

    def left(self):
        """Containers, volumes and networks of this home's bottles."""
        found = []
        for kind in ("container", "volume", "network"):
            if not engine.answers(self.socket):
                return found  # an engine of one test, gone with it
            listing = ["ls", "-aq"] if kind == "container" else ["ls", "-q"]
            for name in engine.docker(self.socket, kind, *listing, "--filter", "label=bot-bottle.managed=true").stdout.split():
                document = engine.docker(self.socket, kind, "inspect", name, check=False)
                if document.returncode == 0 and str(self.root) in document.stdout:
                    found.append("%s %s" % (kind, name))
        return found

    def container(self, component="agent"):
        for name in engine.docker(self.socket, "ps", "-q", "--filter", "label=bot-bottle.component=" + component).stdout.split():
            if str(self.root) in engine.docker(self.socket, "inspect", name).stdout:
                return name
        return None

    def close(self):
        if not RULES.exists() and list((self.root / "cache").glob("dlp-rules-*.db")):
            shutil.copytree(self.root / "cache", RULES)
        super().close()
        try:
            self.run("cleanup", "--yes", "--all", timeout=60)
        except Exception:  # noqa: BLE001 - a failing test must not hide behind its tidying up
            pass
        for line in self.left():
            kind, name = line.split()
            engine.docker(self.socket, kind, "rm", *(["-f", "-v"] if kind == "container" else []), name, check=False)


class DockerTest(AcceptanceTest):
    def docker_home(self, **options):
        home = DockerHome(**options)
        self.addCleanup(home.close)
        return home

    def nothing_stays(self, home, *options):
        wait_until("containers to end", lambda: not [line for line in home.left() if line.startswith("container")
                                                     and "running" in engine.docker(home.socket, "inspect", "-f", "{{.State.Status}}", line.split()[1], check=False).stdout], 20)
        self.assertEqual(json.loads(home.run("list", "--json", check=0).stdout)["bottles"], [])
        home.run("cleanup", "--yes", *options, check=0)
        self.assertEqual(home.slugs(), [])
        self.assertEqual(home.left(), [])
        self.assertEqual(home.own_processes(), {})


__all__ = ["DockerTest", "DockerHome", "docker", "engine", "wait_until", "Terminal", "FACTS", "BUILD", "os", "json", "pathlib", "setUpModule"]
