"""Runs inside a bottle: looks for a secret of which it is given only the length and the SHA-256 of its first octets.

Reads environments, argv, every readable file that is not the system's, and the memory of every process that it may read.
argv: length, sha256 of the secret's first octets, sha256 of a text that is there (the placeholder), as a control, and how such
secrets begin; then length, sha256 and begin of each further secret."""
import hashlib
import json
import os
import re
import sys

control = sys.argv[3]
secrets = [(int(sys.argv[1]), sys.argv[2], sys.argv[4].encode())]
secrets += [(int(length), wanted, prefix.encode()) for length, wanted, prefix in zip(*[iter(sys.argv[5:])] * 3)]
# Only what could begin a token is hashed: runs of token characters.
runs = re.compile(rb"[A-Za-z0-9_\-]{%d,}" % 16)
found, files, control_seen = [], 0, False


def look(data, where):
    global control_seen
    for match in runs.finditer(data):
        text = match.group()
        if hashlib.sha256(text[:18]).hexdigest() == control:
            control_seen = True
        for length, wanted, _ in secrets:
            for start in range(0, max(1, min(len(text) - length + 1, 4096))):
                if hashlib.sha256(text[start:start + length]).hexdigest() == wanted:
                    found.append(where)
                    return


for pid in filter(str.isdigit, os.listdir("/proc")):
    for name in ("environ", "cmdline"):
        try:
            look(open(f"/proc/{pid}/{name}", "rb").read(), f"/proc/{pid}/{name}")
        except OSError:
            pass
    try:
        with open(f"/proc/{pid}/mem", "rb", 0) as memory, open(f"/proc/{pid}/maps") as maps:
            for line in maps:
                low, high = (int(part, 16) for part in line.split()[0].split("-"))
                if "rw" in line.split()[1] and high - low < 1 << 26:
                    memory.seek(low)
                    data = memory.read(high - low)
                    # Memory is large: only places that start as such tokens do.
                    for length, wanted, prefix in secrets:
                        for at in re.finditer(re.escape(prefix), data):
                            look(data[at.start():at.start() + 200], f"/proc/{pid}/mem")
    except (OSError, OverflowError, ValueError):
        pass
for top in ("/home", "/workspace", "/tmp", "/etc", "/run", "/var", "/dev/shm"):
    for directory, _, names in os.walk(top):
        for name in names:
            path = os.path.join(directory, name)
            try:
                if os.path.isfile(path) and os.path.getsize(path) < 4 << 20:
                    files += 1
                    look(open(path, "rb").read(), path)
            except OSError:
                pass
look("\0".join(f"{name}={value}" for name, value in os.environ.items()).encode(), "own environment")
print(json.dumps({"found": found, "files": files, "control": control_seen}))
