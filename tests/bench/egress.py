#!/usr/bin/env python3
"""egress.py: our proxy beside squid and mitmproxy, in one go, on one origin; the table of docs/performance.md to standard output.

The load generator and the scripts for the origin and the peers are not part of this repository: BB_EGRESS_BENCH names their
directory. Everything it starts has a port and a directory of its own and is ended by its pid. Environment:
  ROUNDS (3)          how often each is measured; the order turns with each round
  SECONDS_EACH (8), SCENARIOS, RETRIES   for the load generator's run.sh
  BB_BENCH_WRAPPER    a command put before each measured piece: one that waits for a quiet machine, say
  BB_EGRESS_RESULTS   keep the raw figures in this file (JSON lines)"""
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from egress_report import print_report

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("BB_BUILD_DIR", HERE.parents[1] / "build" / "release"))
IDLE_CONNECTIONS = 1000


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def free_ports(count):
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


class Bench:
    def __init__(self, tools, directory):
        self.tools, self.directory = tools, directory
        ports = free_ports(5)
        self.ports = dict(zip(("squid", "mitmproxy", "ours"), ports[2:]))
        self.results = pathlib.Path(os.environ.get("BB_EGRESS_RESULTS", directory / "results.jsonl")).resolve()
        self.environment = {**os.environ, "EGRESS_BENCH_DIR": str(directory), "RESULTS": str(self.results), "BB_BUILD_DIR": str(BUILD),
                            "ORIGIN_PORT": str(ports[0]), "ORIGIN_HTTP_PORT": str(ports[1])}
        # mitmproxy is the system's: a Python of the user's own, or modules of it, must not come before what apt installed.
        self.peer_environment = {key: value for key, value in self.environment.items() if not key.startswith("PYTHON")}
        self.peer_environment.update({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONNOUSERSITE": "1"})
        self.wrapper = os.environ.get("BB_BENCH_WRAPPER", "").split()
        self.sidecar = None
        self.commands = {}

    def script(self, name, *arguments, wrapped=False, environment=None):
        return subprocess.run([*(self.wrapper if wrapped else []), str(self.tools / name), *arguments], check=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment or self.environment, text=True).stdout

    def ca(self, name):
        return self.directory / name.split("-")[0] / "ca.pem"

    def up(self, name, *options):
        """Starts a contestant; returns its pid once it takes connections."""
        if name in ("squid", "mitmproxy"):
            self.script(f"peers/{name}-up.sh", "", str(self.ports[name]), environment=self.peer_environment)
            pid = int((self.directory / name / "pid").read_text())
            self.commands[name] = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
            return pid
        home = self.directory / "ours"
        home.mkdir(exist_ok=True)
        self.sidecar = subprocess.Popen([sys.executable, str(HERE / "sidecar_up.py"), str(home), str(self.ports["ours"]),
                                         str(self.directory / "origin" / "ca.pem"), *options], env=self.environment)
        deadline = time.monotonic() + 30
        while not self.ca("ours").exists() or self.ca("ours").stat().st_size == 0:
            if self.sidecar.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("error: the sidecar did not start")
            time.sleep(0.01)
        self.commands["ours"] = ["sh", "-c", f"exec {shell_command(self.sidecar.pid)} < {home}/config.json"]
        return self.sidecar.pid

    def down(self, name):
        if name in ("squid", "mitmproxy"):
            self.script(f"peers/{name}-down.sh")
        elif self.sidecar:
            self.sidecar.send_signal(signal.SIGTERM)
            try:
                self.sidecar.wait(10)
            except subprocess.TimeoutExpired:
                self.sidecar.kill()
                self.sidecar.wait()
            self.sidecar = None
            self.ca("ours").unlink(missing_ok=True)

    def measure(self, name, scenarios=None, *options):
        say(f"{name}{': ' + scenarios if scenarios else ''}")
        if name == "direct":
            self.script("run.sh", "direct", wrapped=True)
            return
        contestant = name.split("-")[0]
        environment = {**self.environment, **({"SCENARIOS": scenarios} if scenarios else {})}
        pid = self.up(contestant, *options)
        try:
            environment["PROXY_PID"] = str(pid)
            self.script("run.sh", name, str(self.ports[contestant]), str(self.ca(contestant)), wrapped=True, environment=environment)
        finally:
            self.down(contestant)

    def record(self, **figures):
        with open(self.results, "a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")

    def start_up(self, name):
        """Time to the first accepted connection, by the tools' startup.py; no shim of ours in between."""
        say(f"{name}: start")
        environment = self.peer_environment if name != "ours" else self.environment
        out = subprocess.run([*self.wrapper, "/usr/bin/python3", str(self.tools / "startup.py"), "--port", str(self.ports[name]), "--runs", "5", "--",
                              *self.commands[name]], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment).stdout
        self.record(name=name, scenario="start", **json.loads(out.splitlines()[-1])["median"])

    def idle_connections(self, name):
        """KiB of the process tree for each TLS connection that has had one answer and now rests."""
        say(f"{name}: {IDLE_CONNECTIONS} idle connections")
        pid = self.up(name)
        held = []
        try:
            context = ssl.create_default_context(cafile=str(self.ca(name)))
            held += [self.connect(name, context) for _ in range(50)]  # what is made once is not counted
            time.sleep(1)
            before = rss_kib(pid)
            first = len(held)
            try:
                for _ in range(IDLE_CONNECTIONS):
                    held.append(self.connect(name, context))
            except OSError as error:
                say(f"{name} takes no more than {len(held)} connections: {error}")
            time.sleep(1)
            self.record(name=name, scenario="idle_connections", count=len(held) - first, kib=(rss_kib(pid) - before) / (len(held) - first))
        finally:
            for each in held:
                each.close()
            self.down(name)

    def connect(self, name, context):
        authority = f"localhost:{self.environment['ORIGIN_PORT']}"
        plain = socket.create_connection(("127.0.0.1", self.ports[name]), timeout=20)
        plain.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += plain.recv(1)  # not an octet of the handshake
        assert b" 200 " in head.split(b"\r\n")[0], head
        secure = context.wrap_socket(plain, server_hostname="localhost")
        secure.sendall(f"GET /1k HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        answer = b""
        while len(answer.split(b"\r\n\r\n", 1)[-1]) < 1024 or b"\r\n\r\n" not in answer:
            piece = secure.recv(65536)
            assert piece, answer
            answer += piece
        return secure


def shell_command(pid):
    import shlex
    return shlex.join(pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1])


def tree(pid):
    found = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split():
            found += tree(int(child))
    return found


def rss_kib(pid):
    total = 0
    for each in tree(pid):
        for line in pathlib.Path(f"/proc/{each}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def main():
    tools = os.environ.get("BB_EGRESS_BENCH", "")
    if not tools or not os.access(os.path.join(tools, "run.sh"), os.X_OK):
        sys.exit("error: BB_EGRESS_BENCH does not name the load generator's directory (the one with run.sh)\n"
                 "next: BB_EGRESS_BENCH=DIR ./run bench-egress")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bb-egress-bench-"))
    directory.chmod(0o711)  # squid, started by root, works as another user
    bench = Bench(pathlib.Path(tools).resolve(), directory)
    failed = []
    # Ended by a signal, the finally blocks still stop what runs.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        bench.script("origin/up.sh")
        order = ["direct", "squid", "mitmproxy", "ours"]
        for number in range(int(os.environ.get("ROUNDS", 3))):
            say(f"round {number + 1}")
            for name in order[number % 4:] + order[:number % 4]:
                bench.measure(name)
            wanted = set(os.environ.get("SCENARIOS", "B E").split()) & {"B", "E"}
            if wanted:
                bench.measure("ours-inbound-off", " ".join(sorted(wanted)), "--inbound-off")
        for name in ("squid", "mitmproxy", "ours"):
            bench.start_up(name)
            bench.idle_connections(name)
    except subprocess.CalledProcessError as error:
        failed.append(f"{' '.join(map(str, error.cmd))} ended with {error.returncode}")
    finally:
        for name in ("squid", "mitmproxy", "ours"):
            bench.down(name)
        bench.script("origin/down.sh")
        if bench.results.exists():
            print_report(bench.results)
        shutil.rmtree(directory, ignore_errors=True)
    for text in failed:
        print(f"error: {text}", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
