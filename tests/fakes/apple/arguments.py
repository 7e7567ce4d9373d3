"""Flags, as strictly as the tool's own parser: what a verb or a version does not have is refused with exit code 64."""
from apple.errors import Usage

# name: (short, takes a value, may be repeated, first version)
FLAG, ONE, MANY = "flag", "one", "many"
PROCESS = {"env": ("e", MANY), "env-file": (None, MANY), "user": ("u", ONE), "uid": (None, ONE), "gid": (None, ONE),
           "workdir": ("w", ONE), "cwd": (None, ONE), "interactive": ("i", FLAG), "tty": ("t", FLAG), "ulimit": (None, MANY, (0, 9))}
CREATE = {**PROCESS,
          "name": (None, ONE), "rm": (None, FLAG), "remove": (None, FLAG), "entrypoint": (None, ONE), "cpus": ("c", ONE), "memory": ("m", ONE),
          "volume": ("v", MANY), "mount": (None, MANY), "tmpfs": (None, MANY), "network": (None, MANY), "publish": ("p", MANY),
          "publish-socket": (None, MANY), "ssh": (None, FLAG), "dns": (None, MANY), "dns-domain": (None, ONE), "dns-search": (None, MANY),
          "dns-option": (None, MANY), "no-dns": (None, FLAG), "cap-drop": (None, MANY, (0, 12)), "cap-add": (None, MANY, (0, 12)),
          "read-only": (None, FLAG, (0, 8)), "init": (None, FLAG, (0, 10)), "shm-size": (None, ONE, (1, 0)), "label": ("l", MANY), "cidfile": (None, ONE),
          "platform": (None, ONE), "os": (None, ONE), "arch": ("a", ONE), "rosetta": (None, FLAG), "virtualization": (None, FLAG),
          "kernel": ("k", ONE), "kernel-arg": (None, MANY, (1, 2)), "init-image": (None, ONE, (0, 10)), "runtime": (None, ONE, (0, 10)), "scheme": (None, ONE),
          "max-concurrent-downloads": (None, ONE), "progress": (None, ONE), "masked-path": (None, MANY, (1, 2, 1)),
          "read-only-path": (None, MANY, (1, 2, 1))}
FORMAT = {"format": (None, ONE)}
VERBS = {
    "create": CREATE,
    "run": {**CREATE, "detach": ("d", FLAG)},
    "exec": {**{k: v for k, v in PROCESS.items() if k != "ulimit"}, "detach": ("d", FLAG)},
    "start": {"attach": ("a", FLAG), "interactive": ("i", FLAG)},
    "stop": {"all": ("a", FLAG), "signal": ("s", ONE), "time": ("t", ONE)},
    "kill": {"all": ("a", FLAG), "signal": ("s", ONE)},
    "delete": {"all": ("a", FLAG), "force": ("f", FLAG)},
    "list": {"all": ("a", FLAG), "quiet": ("q", FLAG), **FORMAT},
    "inspect": {},
    "logs": {"follow": ("f", FLAG), "n": ("n", ONE), "boot": (None, FLAG)},
    "copy": {},
    "export": {"output": ("o", ONE)},
    "prune": {},
    "build": {"tag": ("t", MANY), "file": ("f", ONE), "build-arg": (None, MANY), "label": ("l", MANY), "target": (None, ONE),
              "no-cache": (None, FLAG), "pull": (None, FLAG), "quiet": ("q", FLAG), "progress": (None, ONE), "platform": (None, MANY),
              "arch": ("a", MANY), "os": (None, MANY), "output": ("o", ONE), "secret": (None, MANY), "dns": (None, MANY), "cpus": ("c", ONE),
              "memory": ("m", ONE), "vsock-port": (None, ONE)},
    "system status": {"prefix": ("p", ONE), **FORMAT},
    "system start": {"app-root": ("a", ONE), "install-root": (None, ONE), "log-root": (None, ONE), "enable-kernel-install": (None, FLAG),
                     "disable-kernel-install": (None, FLAG), "timeout": (None, ONE)},
    "system stop": {"prefix": ("p", ONE)},
    "system version": FORMAT,
    "network create": {"internal": (None, FLAG, (0, 9)), "subnet": (None, ONE), "subnet-v6": (None, ONE), "label": (None, MANY), "option": (None, MANY),
                       "plugin": (None, ONE)},
    "network delete": {}, "network inspect": {}, "network list": {"quiet": ("q", FLAG), **FORMAT}, "network prune": {},
    "image list": {"quiet": ("q", FLAG), "verbose": ("v", FLAG), **FORMAT}, "image inspect": {}, "image tag": {}, "image prune": {"all": ("a", FLAG)},
    "image delete": {"all": ("a", FLAG), "force": ("f", FLAG)},
    "image pull": {"platform": (None, ONE), "scheme": (None, ONE), "progress": (None, ONE)},
    "image save": {"output": ("o", ONE), "platform": (None, ONE)},
}
SYNONYMS = {"rm": "delete", "ls": "list", "cp": "copy", "image rm": "image delete", "image ls": "image list", "network rm": "network delete",
            "network ls": "network list", "n": "network", "i": "image", "s": "system"}
SINCE = {"copy": (1, 0), "export": (0, 10), "prune": (0, 9)}
GROUPS = ("image", "network", "system")


class Arguments(dict):
    """Values by long name; `rest` are the words."""
    rest = ()

    def many(self, name):
        return self.get(name, [])


def parse(verb, words, version, passes_rest):
    """`passes_rest`: behind the first word everything is the guest's."""
    usage = f"container {verb} [<options>]"
    flags = VERBS[verb]
    shorts = {entry[0]: name for name, entry in flags.items() if entry[0]}
    found, rest, words = Arguments(), [], list(words)

    def take(name, value):
        entry = flags[name]
        if len(entry) > 2 and version < entry[2]:
            raise Usage(f"Unknown option '--{name}'", usage)
        if entry[1] == FLAG:
            if value is not None:
                raise Usage(f"The option '--{name}' does not take any value, but '{value}' was specified.", usage)
            found[name] = True
            return
        if value is None:
            if not words:
                raise Usage(f"Missing value for '--{name} <{name}>'", usage)
            value = words.pop(0)
        if entry[1] == MANY:
            found.setdefault(name, []).append(value)
        else:
            found[name] = value

    while words:
        word = words.pop(0)
        if word == "--debug":
            continue
        if word == "--" and not rest:
            rest += words
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name not in flags:
                raise Usage(f"Unknown option '--{name}'", usage)
            take(name, value if equals else None)
        elif word.startswith("-") and word != "-":
            for letter in word[1:]:
                if letter not in shorts:
                    raise Usage(f"Unknown option '-{letter}'", usage)
                take(shorts[letter], None)
        else:
            rest.append(word)
            if passes_rest:
                rest += words
                break
    found.rest = rest
    return found
