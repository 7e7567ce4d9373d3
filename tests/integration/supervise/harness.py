"""The real sidecar with its MCP server, a raw client for its rules, and an origin for what becomes allowed."""
import contextlib
import http.client
import importlib.util
import json
import os
import pathlib
import socket
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
_spec = importlib.util.spec_from_file_location("egress_harness", HERE.parent / "egress" / "harness.py")
egress = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(egress)

CallError = egress.CallError
check = egress.check
main = egress.main
NEWEST = "2025-11-25"
BOTH = "application/json, text/event-stream"


def wait_until(what, condition, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for: {what}")
        time.sleep(0.005)


class Answer:
    """One HTTP answer, read as it comes."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response
        self.status = response.status
        self.type = response.getheader("content-type", "")

    def header(self, name):
        return self.response.getheader(name)

    def json(self):
        assert self.type.startswith("application/json"), f"{self.status} {self.type}: this may never end"
        return json.loads(self.response.read())

    def events(self):
        """The messages of the stream, comments left out."""
        data, deadline = [], time.monotonic() + 60
        while line := self.response.readline():
            assert time.monotonic() < deadline, "the stream goes on for 60 s"
            line = line.decode().rstrip("\n")
            if line.startswith("data: "):
                data.append(line[6:])
            elif line == "" and data:
                yield json.loads("\n".join(data))
                data = []

    def result(self):
        """The one response, whether it came as JSON or as events; progress is passed over."""
        if self.type.startswith("application/json"):
            return self.json()
        for message in self.events():
            if "method" not in message:
                return message
        raise EOFError("the stream ended without an answer")

    def close(self):
        # http.client keeps the socket alive behind the response.
        with contextlib.suppress(OSError):
            self.connection.sock and self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.connection.close()
        self.response.close()


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("supervise", 9100, timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


class Client:
    """An MCP client that says exactly what it is told."""

    def __init__(self, path, version=NEWEST, start=True):
        self.path, self.version, self.session, self.next_id = path, version, None, 0
        if start:
            answer = self.post({"jsonrpc": "2.0", "id": "start", "method": "initialize", "params": {
                "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}})
            assert answer.status == 200, answer.status
            self.session = answer.header("mcp-session-id")
            self.initialized = answer.json()["result"]
            assert self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status == 202

    def http(self, method, body=None, headers=None, target="/mcp", drop=()):
        connection = UnixConnection(self.path)
        fields = {"Host": "supervise:9100", "Accept": BOTH}
        if body is not None:
            fields["Content-Type"] = "application/json"
        if self.session:
            fields["Mcp-Session-Id"] = self.session
            fields["MCP-Protocol-Version"] = self.version
        fields.update(headers or {})
        for name in drop:
            fields.pop(name, None)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in fields.items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        if body is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send(body)
        return Answer(connection, connection.getresponse())

    def post(self, message, headers=None, drop=()):
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.http("POST", body, headers, drop=drop)

    def request(self, method, params=None, **more):
        self.next_id += 1
        message = {"jsonrpc": "2.0", "id": self.next_id, "method": method}
        if params is not None:
            message["params"] = params
        return self.post(message, **more)

    def start_call(self, tool, token=None, **arguments):
        params = {"name": tool, "arguments": arguments}
        if token is not None:
            params["_meta"] = {"progressToken": token}
        return self.request("tools/call", params)

    def call(self, tool, **arguments):
        return self.start_call(tool, **arguments).result()["result"]

    def call_later(self, tool, **arguments):
        """In the background; join() gives the result."""
        box = {}

        def run():
            try:
                box["result"] = self.call(tool, **arguments)
            except BaseException as error:  # noqa: BLE001: told by join()
                box["error"] = error
        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def join(seconds=20):
            thread.join(seconds)
            assert not thread.is_alive(), "the call is not answered"
            if "error" in box:
                raise box["error"]
            return box["result"]
        return join


class AskWorld(egress.World):
    def __init__(self, program, share, routes=(), supervise=None, **more):
        config = dict(more.pop("config", {}))
        config["supervise"] = supervise if supervise is not None else {}
        super().__init__(program, share, list(routes), config=config, **more)

    @property
    def mcp(self):
        return os.path.join(self.state, "wire", "supervise.sock")

    def client(self, version=NEWEST, **more):
        return Client(self.mcp, version, **more)

    def pending(self):
        return [one for one in self.call("proposals")["proposals"] if one["state"] == "pending"]

    def one_pending(self):
        return wait_until("a proposal", self.pending)[0]

    def answer(self, proposal, decision="approve", **more):
        return self.call("answer", proposal=proposal["id"], decision=decision, hash=proposal["hash"],
                         **{"by": "tester", **more})

    def decisions(self, after=0):
        return self.call("decisions", after=after)["decisions"]

    def records(self):
        return [json.loads(line) for line in (pathlib.Path(self.state) / "supervise" / "journal.jsonl").read_text().splitlines()]

    def restart(self):
        self.process.kill()
        self.process.wait()
        self.start()


def world_of(function):
    def run(program, share):
        with AskWorld(program, share) as world:
            world.start()
            function(world)
    run.__name__ = function.__name__
    return check(run)


def error_of(answer, status, code):
    assert answer.status == status, (answer.status, answer.response.read1(400))
    body = answer.json()
    assert body["jsonrpc"] == "2.0" and body["error"]["code"] == code, body
    return body
