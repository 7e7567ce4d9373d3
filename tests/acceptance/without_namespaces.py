"""Runs a command in a user namespace of its own in which no further one can be made: what a hardened kernel is to an ordinary
user. All ids are mapped to themselves, so that the command may become one (setpriv)."""
import os
import subprocess
import sys

INSIDE = """read go
exec setpriv --reuid=0 --regid=0 --clear-groups sh -c 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"' sh "$@"
"""
child = subprocess.Popen(["unshare", "-U", "sh", "-c", INSIDE, "sh", *sys.argv[1:]], stdin=subprocess.PIPE)
while os.readlink(f"/proc/{child.pid}/ns/user") == os.readlink("/proc/self/ns/user"):
    pass  # a few microseconds: unshare(1) has not called unshare(2) yet
for kind in ("uid", "gid"):
    with open(f"/proc/{child.pid}/{kind}_map", "w") as ids:
        ids.write("0 0 65536")
child.stdin.write(b"go\n")
child.stdin.close()
sys.exit(child.wait())
