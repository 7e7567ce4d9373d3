#!/usr/bin/env python3
"""`bot-bottle plugin check` of a backend's plugin on one wall: conformance.py local|runc|runc-address|runsc|runsc-address."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import engine

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "acceptance"))
import check_report  # noqa: E402

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
    backend = "local" if wall == "local" else "docker"
    done = subprocess.run([str(build / "bin/bot-bottle"), "plugin", "check", str(build / f"lib/bot-bottle/plugins/backend-{backend}"), "--json"],
                          env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    document = json.loads(done.stdout)
    for line in document["checks"]:
        print(f"{line['outcome']:8} {line['check']}  {line['detail']}")
    # The engine's plain Debian has not what the attacker loads, and of an engine's walls some attempts mean nothing (tests/escape/run_suite.py):
    # docker/escape_* makes them there, in an image of its own. That it is missing or broken is no such reason.
    cannot_run = {} if wall == "local" else {check_report.ATTACKS: r"does not run in this bottle \(code 127\): .*error while loading shared libraries"}
    faults = check_report.faults(document, backend, cannot_run)
    print("\n".join(f"FAULT {fault}" for fault in faults))
    sys.exit(done.returncode or bool(faults))
