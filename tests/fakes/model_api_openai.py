"""A FAKE of OpenAI's Responses API as Codex 0.169.0 uses it, for tests only: no model behind it.

POST PREFIX/responses (`prefix`: /v1, or /backend-api/codex of a ChatGPT login) streams server-sent events, over HTTP/1.1 or HTTP/2 as ALPN agrees on one of `protocols`. GET
PREFIX/responses with Upgrade is the same over a WebSocket: each message {"type": "response.create", …} is answered by the same
events as messages; with `websocket=False` the upgrade is refused with 426, and Codex falls back to POST. GET
PREFIX/models knows no model; everything else is 404. Without `Authorization: Bearer TOKEN` all of it is 401; so it is, when there is an
`account`, without that in ChatGPT-Account-Id.

The answer repeats what it was told: `heard: "first prompt" | "second prompt"`. A prompt `use TOOL {arguments}` is answered with
a call of that tool instead, and what comes back with `got: what it said`. Codex 0.169.0 gives a model that it does not know one
tool, `exec`, whose JavaScript calls all others as `tools.NAME`; those of MCP servers are named mcp__SERVER__TOOL with `_` for
every `-`, and are not described to the model ("deferred"). `requests` keeps what came: a dict of
protocol ("http/1.1", "h2", "websocket"), method, path, headers (names in lower case) and body, one for each message
of a WebSocket too.
"""
import gzip
import json
import re
import socket
import ssl
import threading

from http2 import Peer, Tls
from websocket import Ended, WebSocket, accept_for

SSE = ("content-type", "text/event-stream")
JSON = ("content-type", "application/json")
# What stands before the real hosts gives every client one.
COOKIE = ("set-cookie", "__cf_bm=fake-cookie; path=/; HttpOnly; Secure")


def prompts_in(body):
    """The user's own words: neither the instructions nor what the client adds in tags."""
    texts = []
    for item in body.get("input", []):
        if item.get("role") != "user":
            continue
        for part in item.get("content", []):
            text = re.sub(r"<([A-Za-z_-]+)>.*?</\1>", "", part.get("text", ""), flags=re.S).strip()
            if text and not text.startswith("#"):
                texts.append(text)
    return texts


def heard_in(body):
    return [text[:60] for text in prompts_in(body)]


def tool_call_in(body):
    """(name, arguments) when the last prompt asks for a tool."""
    found = re.match(r"use ([A-Za-z_]+) (\{.*\})$", (prompts_in(body) or [""])[-1], flags=re.S)
    return found and found.groups()


def outputs_in(body):
    """What the calls of this request's tools said, as Codex would give it to a model."""
    return [item["output"] for item in body.get("input", []) if item.get("type") == "custom_tool_call_output"]


def events_for(body, may_answer):
    said = "heard: " + " | ".join(f'"{text}"' for text in heard_in(body))
    response = {"id": "resp_fake", "object": "response", "status": "in_progress", "output": []}
    yield {"type": "response.created", "response": response}
    call = None if outputs_in(body) else tool_call_in(body)
    if outputs_in(body):
        said = "got: " + json.dumps(outputs_in(body)[-1])
    if body.get("generate") is False:  # the client only warms the connection up
        pass
    elif call:
        # The pragma: without it a script that still waits is given back to the model after 30 s.
        script = f'// @exec: {{"yield_time_ms": 120000}}\ntext(await tools.{call[0]}({call[1]}));'
        yield {"type": "response.output_item.done", "output_index": 0, "item": {
            "type": "custom_tool_call", "id": "ctc_fake", "call_id": "call_fake", "namespace": "functions", "name": "exec",
            "input": script, "status": "completed"}}
    else:
        item = {"type": "message", "id": "msg_fake", "role": "assistant", "status": "in_progress", "content": []}
        yield {"type": "response.output_item.added", "output_index": 0, "item": item}
        for start in range(0, len(said), 8):
            yield {"type": "response.output_text.delta", "item_id": "msg_fake", "output_index": 0, "content_index": 0,
                   "delta": said[start:start + 8]}
        part = {"type": "output_text", "text": said, "annotations": []}
        yield {"type": "response.output_item.done", "output_index": 0,
               "item": {**item, "status": "completed", "content": [part]}}
    may_answer.wait(200)
    usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 15}
    yield {"type": "response.completed", "response": {**response, "status": "completed", "usage": usage}}


def sse(event):
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


class ModelApi:
    def __init__(self, certificate, key, token, protocols=("h2", "http/1.1"), websocket=True, prefix="/v1", account=None,
                 address="127.0.0.1"):
        self.token, self.websocket, self.prefix, self.account = token, websocket, prefix, account
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.set_alpn_protocols(list(protocols))
        self.lock, self.requests = threading.Lock(), []
        self.may_answer = threading.Event()  # a test may clear it: every answer then waits before its last event
        self.may_answer.set()
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = Tls(client, self.context, server=True)
            if client.selected_alpn_protocol() == "h2":
                Peer(client, server=True, settings=((3, 100),), on_request=self._h2)
                return
            while self._http1(client):
                pass
        except (OSError, EOFError, ValueError, Ended):
            pass  # clients that go away are no news
        client.close()

    def _note(self, protocol, method, path, headers, body):
        with self.lock:
            self.requests.append({"protocol": protocol, "method": method, "path": path, "headers": headers, "body": body})

    def knows(self, headers):
        return headers.get("authorization") == "Bearer " + self.token and self.account in (None, headers.get("chatgpt-account-id"))

    def answer(self, method, path, headers, body):
        """(status, field, iterable of octets)"""
        if not self.knows(headers):
            return 401, JSON, [b'{"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}']
        path = path.split("?")[0]
        if (method, path) == ("POST", self.prefix + "/responses"):
            return 200, SSE, (sse(event) for event in events_for(json.loads(body), self.may_answer))
        if (method, path) == ("GET", self.prefix + "/models"):
            return 200, JSON, [b'{"object": "list", "data": [], "models": []}']
        return 404, JSON, [json.dumps({"error": {"message": path}}).encode()]

    def _h2(self, peer, number, stream):
        peer.wait(lambda: stream.ended or stream.error is not None, "request body")
        headers = dict(stream.fields)
        method, path = headers[":method"], headers[":path"]
        body = self._plain(headers, bytes(stream.data))
        self._note("h2", method, path, headers, body)
        status, field, pieces = self.answer(method, path, headers, body)
        peer.respond(number, status, b"".join(pieces), [field, COOKIE])

    @staticmethod
    def _plain(headers, body):
        return (gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body).decode("utf-8", "replace")

    def _http1(self, client):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = client.recv(65536)
            if not piece:
                return False
            data += piece
        head, data = data.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        if headers.get("upgrade", "").lower() == "websocket":
            self._note("http/1.1", method, path, headers, "")
            self._upgrade(client, path, headers, data)
            return False

        def take(count):
            nonlocal data
            while len(data) < count:
                data += client.recv(65536) or self._ended()
            taken, data = data[:count], data[count:]
            return taken

        body = b""
        if headers.get("transfer-encoding") == "chunked":
            while True:
                line = b""
                while not line.endswith(b"\r\n"):
                    line += take(1)
                size = int(line, 16)
                body += take(size)
                take(2)
                if size == 0:
                    break
        else:
            body = take(int(headers.get("content-length", 0)))
        text = self._plain(headers, body)
        self._note("http/1.1", method, path, headers, text)
        status, field, pieces = self.answer(method, path, headers, text)
        client.sendall(f"HTTP/1.1 {status} Fake\r\n{field[0]}: {field[1]}\r\n"
                       f"{COOKIE[0]}: {COOKIE[1]}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        for piece in pieces:
            client.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        client.sendall(b"0\r\n\r\n")
        return True

    @staticmethod
    def _ended():
        raise EOFError

    def _upgrade(self, client, path, headers, data):
        known = self.knows(headers)
        if not known or not self.websocket:
            client.sendall(f"HTTP/1.1 {426 if known else 401} Fake\r\ncontent-length: 0\r\n\r\n".encode())
            return
        client.sendall(("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                        f"sec-websocket-accept: {accept_for(headers['sec-websocket-key'])}\r\n\r\n").encode())
        socket_ = WebSocket(client.sendall, lambda: client.recv(65536), masks=False)
        socket_.buffer = data
        while True:
            message = socket_.message().decode()
            self._note("websocket", "MESSAGE", path, headers, message)
            for event in events_for(json.loads(message), self.may_answer):
                socket_.send(json.dumps(event))
