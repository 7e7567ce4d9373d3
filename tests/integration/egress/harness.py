"""Starts the real sidecar on a directory of its own, with fake origins, and gives raw clients for it."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "fakes"))
from certificates import make_ca, make_leaf  # noqa: E402
from http2 import Http2Origin, Peer, Tls  # noqa: E402
from origin import Origin  # noqa: E402

TOKEN = "tok-9f8e7d6c5b4a39281706"
OTHER_SECRET = "s3cr3t-value-of-another-kind-0042"
PLACEHOLDER = "egress-placeholder"


class Response:
    def __init__(self, status, headers, body, interim):
        self.status, self.headers, self.body, self.interim = status, headers, body, interim

    def header(self, name):
        values = [value for key, value in self.headers if key == name]
        return values[0] if values else None

    def json(self):
        return json.loads(self.body)


class Client:
    """A raw HTTP/1.1 client: it sends exactly what it is told."""

    def __init__(self, connection):
        self.socket, self.buffer = connection, b""
        self.socket.settimeout(20)

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the proxy ended the connection")
        self.buffer += data

    def take(self, count):
        while len(self.buffer) < count:
            self.more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        headers = [(key.lower(), value.strip()) for key, value in (line.split(":", 1) for line in lines[1:])]
        return int(lines[0].split(" ")[1]), headers

    def response(self, method="GET"):
        interim = []
        status, headers = self.head()
        while 100 <= status < 200:
            interim.append(status)
            status, headers = self.head()
        response = Response(status, headers, b"", interim)
        if method == "HEAD" or status in (204, 304):
            return response
        if response.header("content-length") is not None:
            response.body = self.take(int(response.header("content-length")))
        elif response.header("transfer-encoding") == "chunked":
            while size := int(self.line(), 16):
                response.body += self.take(size)
                assert self.take(2) == b"\r\n"
            response.trailers = []
            while line := self.line():
                response.trailers.append(line.decode())
        else:
            response.body = self.rest()
        return response

    def rest(self):
        try:
            while True:
                self.more()
        except EOFError:
            data, self.buffer = self.buffer, b""
            return data

    def get(self, path, host, headers="", method="GET", body=b""):
        length = f"Content-Length: {len(body)}\r\n" if body or method in ("POST", "PUT") else ""
        self.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}{length}\r\n".encode("latin-1") + body)
        return self.response(method)

    def is_closed(self):
        try:
            return self.socket.recv(1) == b""
        except (ConnectionError, ssl.SSLError):
            return True

    def close(self):
        self.socket.close()


class World:
    """One sidecar and its surroundings. `routes` is a list of manifest routes; hosts are pinned to the origins."""

    def __init__(self, program, share, routes, pins=(), secrets=None, placeholders=None, guards=(), config=None, log=2):
        self.program = program
        self.directory = tempfile.mkdtemp(prefix="bb-egress-")
        self.state = os.path.join(self.directory, "state")
        os.makedirs(self.state, mode=0o700)
        self.ca = make_ca(self.directory)
        self.origins = []
        self.pins = dict(pins)
        self.document = {
            "schema": "bot-bottle.sidecar-config/1", "slug": "x-1", "log_level": log, "control_peer_uids": [os.geteuid()],
            "egress": {"routes": routes, "upstream_ca": open(self.ca).read()},
            "secrets": [{"name": k, "value": v} for k, v in (secrets or {}).items()],
            "placeholders": placeholders or [], "disabled_guards": list(guards)}
        self.document.update(config or {})
        self.share = share
        self.process = None
        self.ca_pem = None

    def tls_origin(self, *names, **options):
        number = len(self.origins)
        certificate, key = make_leaf(self.directory, list(names), f"leaf{number}", options.pop("ca", "ca"))
        origin = Origin(certificate, key, **options)
        self.origins.append(origin)
        for name in names:
            self.pins.setdefault(name, f"127.0.0.1:{origin.port}")
        return origin

    def http2_origin(self, *names, **options):
        number = len(self.origins)
        certificate, key = make_leaf(self.directory, list(names), f"leaf{number}")
        origin = Http2Origin(certificate, key, **options)
        self.origins.append(origin)
        for name in names:
            self.pins.setdefault(name, f"127.0.0.1:{origin.port}")
        return origin

    def plain_origin(self, *names):
        origin = Origin()
        self.origins.append(origin)
        for name in names:
            self.pins.setdefault(name, f"127.0.0.1:{origin.port}")
        return origin

    def start(self):
        self.document["egress"]["hosts"] = self.pins
        self.errors = open(os.path.join(self.directory, "stderr"), "w+")
        self.process = subprocess.Popen(
            [self.program, "--state", self.state, "--share", self.share] + self.rules_arguments(),
            stdin=subprocess.PIPE, stderr=self.errors)
        self.process.stdin.write(json.dumps(self.document).encode())
        self.process.stdin.close()
        deadline = time.monotonic() + 30
        while True:
            try:
                status = self.call("status")
                break
            except (OSError, EOFError):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the sidecar did not start: " + self.stderr()) from None
                time.sleep(0.005)
        self.ca_pem = status["ca_pem"]
        self.ca_file = os.path.join(self.directory, "bottle-ca.pem")
        with open(self.ca_file, "w") as file:
            file.write(self.ca_pem)
        return self

    @staticmethod
    def rules_arguments():
        database = os.environ.get("BB_RULES_DATABASE")
        return ["--rules-database", database] if database else []

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read()

    def call(self, name, **arguments):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(20)
            # sun_path holds 107 octets
            directory = os.open(os.path.join(self.state, "control"), os.O_PATH)
            try:
                control.connect(f"/proc/self/fd/{directory}/control.sock")
            finally:
                os.close(directory)
            control.sendall(json.dumps({"id": 7, "call": name, **arguments}).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                piece = control.recv(65536)
                if not piece:
                    raise EOFError("control")
                data += piece
        reply = json.loads(data)
        assert reply["id"] == 7, reply
        if "error" in reply:
            raise CallError(reply["error"])
        return reply["ok"]

    @property
    def egress_socket(self):
        return os.path.join(self.state, "wire", "egress.sock")

    def proxy(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.egress_socket)
        return Client(connection)

    def connect(self, authority, client=None):
        """CONNECT; returns (status, client)."""
        client = client or self.proxy()
        client.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
        status, headers = client.head()
        if status != 200:
            length = dict(headers).get("content-length")
            client.body = client.take(int(length)) if length else b""
        return status, client

    def context(self, *protocols):
        context = ssl.create_default_context(cadata=self.ca_pem)
        context.set_alpn_protocols(list(protocols or ["http/1.1"]))
        return context

    def tls(self, host, port=443, server_name=None, context=None, session=None):
        """A client inside a TLS tunnel to `host`."""
        status, client = self.connect(f"{host}:{port}")
        assert status == 200, (status, client.body)
        secure = (context or self.context()).wrap_socket(client.socket, server_hostname=server_name or host, session=session)
        return Client(secure)

    def http2(self, host, port=443, silence=20, **options):
        """An HTTP/2 client inside a TLS tunnel to `host`, which may be silent for `silence` seconds (None: for ever)."""
        status, client = self.connect(f"{host}:{port}")
        assert status == 200, (status, client.body)
        secure = Tls(client.socket, self.context("h2"), host=host)
        assert secure.selected_alpn_protocol() == "h2"
        # Before the peer's thread reads: Python notes a socket's new timeout a moment before the descriptor blocks, and a
        # read that begins in between ends with EAGAIN.
        client.socket.settimeout(silence)
        return Peer(secure, **options)

    def get(self, host, path, headers="", method="GET", body=b""):
        client = self.tls(host)
        try:
            return client.get(path, host, headers, method, body)
        finally:
            client.close()

    def events(self):
        self.call("flush")
        with open(os.path.join(self.state, "logs", "events.jsonl")) as file:
            return [json.loads(line) for line in file]

    def blocks(self):
        return [event for event in self.events() if event["level"] == "block"]

    def write_routes(self, text):
        with open(os.path.join(self.state, "egress", "routes.toml"), "w") as file:
            file.write(text)

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))

    def stop(self):
        if self.process:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.errors.close()
        for origin in self.origins:
            origin.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class CallError(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.error = error


CHECKS = []


def check(function):
    """Marks a check; its name says what a user or an attacker would see."""
    CHECKS.append(function)
    return function


def main():
    """runner: SCRIPT PROGRAM SHARE [NAME…]; one line per check."""
    program, share = sys.argv[1:3]
    wanted = sys.argv[3:]
    failed = 0
    for function in CHECKS:
        if wanted and not any(name in function.__name__ for name in wanted):
            continue
        try:
            function(program, share)
            print(f"ok    {function.__name__}", flush=True)
        except Exception as error:  # noqa: BLE001: every failure is a line
            import traceback
            failed += 1
            print(f"FAIL  {function.__name__}: {type(error).__name__}: {error}", flush=True)
            traceback.print_exc()
    sys.exit(1 if failed or not CHECKS else 0)
