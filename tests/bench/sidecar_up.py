#!/usr/bin/env python3
"""sidecar_up.py DIR PORT UPSTREAM_CA [--no-scan | --inbound | --inbound-off]: the release sidecar as a proxy on 127.0.0.1:PORT for load tests.

Allows localhost:8443 (pinned to 127.0.0.1; ORIGIN_PORT for another one) with the default detectors, writes DIR/ca.pem and
DIR/config.json, then becomes the sidecar, so that its pid is this one's. --no-scan turns the detectors off; --inbound names the
ones on responses, --inbound-off leaves them out."""
import json
import os
import pathlib
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BB_BUILD_DIR", TOP / "build" / "release"))


def fetch_ca(control, target):
    """In a child: the sidecar is our own pid."""
    import socket
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(control))
                s.sendall(b'{"id": 1, "call": "status"}\n')
                target.write_text(json.loads(s.makefile().readline())["ok"]["ca_pem"])
                return
        except (OSError, KeyError, ValueError):
            time.sleep(0.002)
    sys.exit("the sidecar did not come up")


def main():
    directory, port, upstream_ca = pathlib.Path(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
    route = {"host": "localhost", "ports": [int(os.environ.get("ORIGIN_PORT", 8443))]}
    if "--no-scan" in sys.argv:
        route["dlp"] = {"outbound_detectors": [], "inbound_detectors": False}
    if "--inbound" in sys.argv:
        route["dlp"] = {"inbound_detectors": ["naive_injection_detection"]}
    if "--inbound-off" in sys.argv:
        route["dlp"] = {"inbound_detectors": False}
    state = directory / "state"
    state.mkdir(parents=True, exist_ok=True)
    config = {"schema": "bot-bottle.sidecar-config/1", "slug": "bench", "log_level": 1, "control_peer_uids": [os.geteuid()],
              "listen": {"egress": f"127.0.0.1:{port}"},
              "egress": {"routes": [route], "hosts": {"localhost": "127.0.0.1"}, "upstream_ca": upstream_ca.read_text()},
              "secrets": [{"name": f"SECRET_{i}", "value": f"bench-secret-{i}-5f2c8a91d7e34b60"} for i in range(5)],
              "placeholders": [], "disabled_guards": []}
    database = directory / "rules.database"
    sidecar = BUILD / "libexec" / "bot-bottle" / "bot-bottle-sidecar"
    share = BUILD / "share" / "bot-bottle"
    if not database.exists():
        subprocess.run([sidecar, "--compile-rules", database, "--share", share], check=True)
    ca = directory / "ca.pem"
    ca.unlink(missing_ok=True)
    if os.fork() == 0:
        fetch_ca(state / "control" / "control.sock", ca)
        os._exit(0)
    written = directory / "config.json"
    written.write_text(json.dumps(config))
    os.dup2(os.open(written, os.O_RDONLY), 0)
    os.execv(sidecar, [str(sidecar), "--state", str(state), "--share", str(share), "--rules-database", str(database)])


main()
