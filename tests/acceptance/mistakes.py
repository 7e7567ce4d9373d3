"""What the tests of a new user's mistakes share: a home that looks like a person's, a record of what was typed and what came,
and what every answer must have. BB_UPDATE_MISTAKES=1 writes the records in mistakes/ anew: read the difference aloud first.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import AcceptanceTest, Home

RECORDS = pathlib.Path(__file__).resolve().parent / "mistakes"
ORDINARY_USER = 65533


class Person(Home):
    """/home/me with an empty ~/.bot-bottle and a project; nothing but HOME says where they are."""

    def __init__(self, user=None):
        super().__init__(user)
        shutil.rmtree(self.root)
        self.root = self.top / ".bot-bottle"
        self.workspace.rmdir()
        self.workspace = self.top / "app"
        self.workspace.mkdir()
        del self.environment["BOT_BOTTLE_HOME"]
        self.environment["USER"] = "me"
        self.own(self.top)

    def write(self, path, text):
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.own(self.top)
        return file

    def bottle(self, name, text):
        self.write(f".bot-bottle/bottles/{name}.md", f"---\n{text.strip()}\n---\n")

    def agent(self, name, text, prompt=""):
        self.write(f".bot-bottle/agents/{name}.md", f"---\n{text.strip()}\n---\n{prompt}")


class MistakesTest(AcceptanceTest):
    def setUp(self):
        self.lines = []
        self.names = []

    def person(self, user=None):
        person = Person(user)
        self.addCleanup(person.close)
        self.names.append((str(person.top), "/home/me"))
        return person

    def settled(self, text):
        """What is the same in each run and on each machine."""
        # Which steps a launch has is no answer to anybody.
        text = "\n".join(line for line in text.split("\n") if not re.fullmatch(r"[a-z -]+ (\.\.\.|failed)", line))
        for real, shown in sorted(self.names, key=lambda pair: -len(pair[0])):
            text = text.replace(real, shown)
        text = re.sub(r"\b(hello|coder|shell)-[a-z0-9]{5}\b", r"\1-xxxxx", text)
        text = re.sub(r"/tmp/bb-prefix-[A-Za-z0-9_]+", "PREFIX", text).replace(str(pathlib.Path(os.environ.get("BB_BUILD_DIR", "/nowhere"))), "PREFIX")
        text = re.sub(r"\b(workspace|home|transcript) \d+(\.\d+)? ([KMG]iB|B)\b", r"\1 SIZE", text)  # a file system's own
        text = re.sub(r"bug-\d+-\d+\.log", "bug-N.log", text)
        text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?", "TIME", text)
        text = re.sub(r"\b\d\d-\d\d \d\d:\d\d:\d\d\b", "MM-DD HH:MM:SS", text)
        return text.rstrip("\n")

    def show(self, line):
        self.lines.append(line)

    def file(self, person, path, text):
        """A file that the person writes, as part of the record."""
        person.write(path, text)
        shown = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
        self.lines += [f"~/{path}:", *["    " + line.replace("\t", "<tab>") for line in shown.rstrip("\n").split("\n")], ""]

    def tried(self, person, typed, *arguments, code, input="", env=None, cwd=None, timeout=60, asks="next:", say=True, run=None):
        """Runs it, records what came, and holds what every answer to a mistake must have: the exit code, a first line that says what,
        a line that says what next (`asks`; None where nothing is wrong), no trace, no bug, nothing that hides behind a colour."""
        argv = run or person.argv(*arguments)
        result = subprocess.run(argv, input=input, capture_output=True, text=True, timeout=timeout, cwd=cwd or person.workspace,
                                env={**person.environment, **(env or {})})
        if say:
            self.lines.append(f"$ {typed}")
            for text in (result.stdout, result.stderr):
                if text := self.settled(text).strip("\n"):
                    self.lines.append(text)
            self.lines += [f"[exit {result.returncode}]", ""]
        shown = f"{typed}\n--- stdout\n{result.stdout}\n--- stderr\n{result.stderr}\n{person.logs()}"
        if os.environ.get("BB_UPDATE_MISTAKES") == "look":
            return result
        if code is not None:
            self.assertEqual(result.returncode, code, shown)
        self.assertNotRegex(result.stderr, r"(?i)terminate called|this is a bug|bad_alloc|basic_string|std::|  at 0x|core dumped|\x1b", shown)
        if asks is not None:
            self.assertRegex(result.stderr, r"(?m)^error: \S", shown)
            self.assertRegex(result.stderr, "(?m)^" + asks, shown)
        return result

    def nothing_was_made(self, person):
        self.assertEqual(person.slugs(), [], "no half of a bottle")
        self.assertEqual(person.own_processes(), {}, "nothing is left running")

    def as_recorded(self, what):
        """`what`: the mistake in one line, the record's title."""
        record = RECORDS / (self.id().split("test_")[-1] + ".txt")
        text = what + "\n" + "=" * len(what) + "\n\n" + "\n".join(self.lines).rstrip("\n") + "\n"
        if os.environ.get("BB_UPDATE_MISTAKES"):
            record.write_text(text)
        self.assertEqual(record.read_text(), text, "BB_UPDATE_MISTAKES=1 records it anew")
