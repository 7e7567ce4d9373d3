"""How the tool fails: `Error: <message>` on standard error; 1 at run time, 64 for wrong usage."""
import sys


class Failure(Exception):
    code = 1


class Usage(Failure):
    code = 64

    def __init__(self, message, usage="container <subcommand>"):
        super().__init__(message)
        self.usage = usage


class Down(Failure):
    """The service does not answer: every call that needs it says so."""

    def __init__(self):
        super().__init__('XPC connection error: Connection invalid\nEnsure container system service has been started with '
                         '`container system start`.')


def report(failure):
    print(f"Error: {failure}", file=sys.stderr)
    if isinstance(failure, Usage):
        print(f"Usage: {failure.usage}\n  See '{failure.usage.split(' [')[0]} --help' for more information.", file=sys.stderr)
    return failure.code
