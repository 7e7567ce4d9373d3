#!/usr/bin/env python3
"""`bot-bottle plugin check` of a backend's plugin on one wall: conformance.py local|runc|runc-address|runsc|runsc-address."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import engine

build = pathlib.Path(os.environ["BB_BUILD_DIR"])
wall = sys.argv[1]
facts = engine.facts(os.environ.get("BB_ENGINE_DIR", build))
must = os.environ.get("BB_MUST_WORK") == "1" or os.environ.get("CI") == "true"
environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
if wall != "local":
    if facts is None or ("runsc" in wall and not facts["runsc"]):
        print("SKIP there is no engine, or it has no runsc")
        sys.exit(1 if must else 77)
    environment["DOCKER_HOST"] = "unix://" + facts["socket"]
    environment["BOT_BOTTLE_DOCKER_RUNTIME"] = {"runc": "runc", "runc-address": "runc", "runsc": "runsc", "runsc-address": "runsc-net"}[wall]
    if wall.endswith("address"):
        environment["BOT_BOTTLE_DOCKER_WIRE"] = "address"
with tempfile.TemporaryDirectory(prefix="bb-") as top:
    environment["BOT_BOTTLE_HOME"] = top + "/home"
    plugin = build / "lib/bot-bottle/plugins" / ("backend-local" if wall == "local" else "backend-docker")
    done = subprocess.run([str(build / "bin/bot-bottle"), "plugin", "check", str(plugin)], env=environment, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout)
    # A check whose detail is "not run, …" has not passed here.
    sys.exit(done.returncode or bool(re.search(r"^.*  not run\b", done.stdout, re.M)))
