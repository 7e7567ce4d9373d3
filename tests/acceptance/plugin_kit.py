"""What tests of the plugin kit share: the SDK in a prefix of its own, and building with nothing but it."""
import os
import pathlib
import shutil
import subprocess
import tempfile

from harness import BUILD, SOURCE

EXAMPLES = SOURCE / "plugin-api" / "examples"


def must(argv, **options):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=280, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


class Kit:
    """`user`: who builds; the prefix is readable for everybody."""

    def __init__(self, test, home):
        self.home = home
        self.prefix = pathlib.Path(tempfile.mkdtemp(prefix="bb-sdk-", dir="/tmp"))
        test.addCleanup(shutil.rmtree, self.prefix, ignore_errors=True)
        self.prefix.chmod(0o755)
        must(["cmake", "--install", BUILD, "--component", "plugin-api", "--prefix", self.prefix])
        # Compilers of the operator's, and this build's bot-bottle; cargo's home may be the builder's own.
        self.environment = {**home.environment, "PATH": f"{home.program.parent}:{os.environ['PATH']}", "BOT_BOTTLE": str(home.program),
                            "CARGO_HOME": os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo")),
                            "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", os.path.expanduser("~/.rustup"))}

    def run(self, *argv):
        prefix = self.home.argv()[:-1]  # who it is run as
        return must([*prefix, *argv], env=self.environment, cwd=self.home.workspace)

    def build(self, source, *, test=True):
        """CMake as the README of a new project says; the plugin's directory."""
        self.run("cmake", "-S", source, "-B", source / "build", f"-DCMAKE_PREFIX_PATH={self.prefix}")
        self.run("cmake", "--build", source / "build")
        if test:
            self.run("ctest", "--test-dir", source / "build", "--output-on-failure", "--no-tests=error")
        return next((source / "build" / "plugins").iterdir())

    def example(self, name):
        source = self.home.workspace / name
        shutil.copytree(EXAMPLES / name, source)
        self.home.own(source)
        return self.build(source, test=False)

    def install(self, directory):
        contrib = self.home.root / "contrib"
        self.run("mkdir", "-p", contrib)
        self.run("cp", "-r", directory, contrib)
