#!/usr/bin/env python3
"""A FAKE of the Anthropic Messages API, for tests only: no model behind it.

It follows the public API documents as far as Claude Code needs them: POST /v1/messages (JSON, and server-sent
events when "stream" is true), /v1/messages/count_tokens, GET /v1/models, HEAD /. Everything else is 404.
The answer repeats what it was told, so that a test can see whether a conversation was continued:

    turn 2, heard: "first prompt" | "second prompt"

A prompt "use TOOL {JSON}" makes it ask for that tool, when the client offers it, and then repeat what the tool said.

It makes its own CA and leaf for --host with the openssl program, listens on 127.0.0.1 with a port of its own, writes
{"port", "ca_file"} to --port-file, logs each request (method, path, headers, body) as one JSON line to --log, demands
`Authorization: Bearer TOKEN` when --token-file is given (401 as the real one otherwise), and ends when its standard
input ends.
"""
import argparse
import http.server
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading


def make_certificates(directory, host):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, cwd=directory, stderr=subprocess.DEVNULL)

    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ca.key")
    openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=fake model API CA", "-days", "2", "-out", "ca.pem",
            "-addext", "keyUsage=critical,keyCertSign")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "leaf.key")
    openssl("req", "-new", "-key", "leaf.key", "-subj", f"/CN={host}", "-out", "leaf.csr")
    with open(os.path.join(directory, "leaf.ext"), "w") as file:
        file.write(f"subjectAltName=DNS:{host}\n")
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "leaf.ext", "-out", "leaf.pem")


def texts_of(content):
    if isinstance(content, str):
        return [content]
    return [block.get("text", "") for block in content if isinstance(block, dict) and block.get("type") == "text"]


def answer_to(body):
    """What the fake says: the user's own words, without the reminders that the client adds."""
    heard = []
    for message in body.get("messages", []):
        if message.get("role") != "user":
            continue
        for text in texts_of(message.get("content", "")):
            text = re.sub(r"<([a-z-]+)>.*?</\1>", "", text, flags=re.S).strip()
            if text:
                heard.append(text[:60])
    return f"turn {len(heard)}, heard: " + " | ".join(f'"{text}"' for text in heard)


def tool_asked_for(body):
    """(name, input, id) when the last thing said is "use TOOL {JSON}"; or what a tool said, as text.

    Claude Code offers tools of MCP servers behind its ToolSearch, and a server that is still connecting later: then the
    fake searches first, and again, as the reminders tell a model to."""
    prompt = None
    for message in body.get("messages", []):
        for text in texts_of(message.get("content", "")) if message.get("role") == "user" else []:
            prompt = re.search(r"^use (\S+) (\{.*\})\s*$", text, flags=re.M) or prompt
    if prompt is None:
        return None, None
    offered = {tool.get("name") for tool in body.get("tools", [])}
    call = (prompt[1], prompt[2], "toolu_fake")
    results = [block for message in body.get("messages", []) if isinstance(message.get("content"), list)
               for block in message["content"] if isinstance(block, dict) and block.get("type") == "tool_result"]
    for block in results:
        if block.get("tool_use_id") == "toolu_fake":
            return None, "the tool said: " + " ".join(texts_of(block.get("content", "")))
    searches = len(results)
    for block in results:
        said = json.dumps(block.get("content", ""))
        if prompt[1] in said and "tool_reference" in said:
            return call, None
    if prompt[1] in offered:
        return call, None
    if "ToolSearch" in offered and searches < 50:
        return ("ToolSearch", json.dumps({"query": "select:" + prompt[1], "max_results": 5}), f"toolu_search{searches}"), None
    return None, None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fake"

    def log_message(self, *arguments):
        pass

    def reply(self, status, value, headers=()):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("request-id", "req_fake")
        for name, text in headers:
            self.send_header(name, text)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def read_body(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            data = b""
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                chunk = self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return data
                data += chunk
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def handle_request(self):
        raw = self.read_body()
        entry = {"method": self.command, "path": self.path, "headers": dict(self.headers.items()),
                 "body": raw.decode("utf-8", "replace")}
        with self.server.lock, open(self.server.log, "a") as file:
            file.write(json.dumps(entry) + "\n")
        if self.server.token is not None and self.headers.get("authorization") != "Bearer " + self.server.token:
            self.reply(401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid bearer token"}})
            return
        path = self.path.split("?")[0]
        if self.command == "HEAD" and path == "/":
            self.reply(200, {})
        elif self.command == "GET" and path == "/v1/models":
            self.reply(200, {"data": [{"id": "claude-fake", "type": "model", "display_name": "Fake"}], "has_more": False})
        elif self.command == "POST" and path == "/v1/messages/count_tokens":
            self.reply(200, {"input_tokens": 10})
        elif self.command == "POST" and path == "/v1/messages":
            self.messages(json.loads(raw))
        else:
            self.reply(404, {"type": "error", "error": {"type": "not_found_error", "message": path}})

    do_GET = do_POST = do_HEAD = handle_request

    def messages(self, body):
        tool, said = tool_asked_for(body)
        text = said or answer_to(body)
        model = body.get("model", "claude-fake")
        message = {"id": "msg_fake", "type": "message", "role": "assistant", "model": model, "content": [],
                   "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 1}}
        if not body.get("stream") and tool:
            message.update(content=[{"type": "tool_use", "id": tool[2], "name": tool[0], "input": json.loads(tool[1])}],
                           stop_reason="tool_use")
            self.reply(200, message)
            return
        if not body.get("stream"):
            message.update(content=[{"type": "text", "text": text}], stop_reason="end_turn")
            self.reply(200, message)
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("cache-control", "no-cache")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

        def event(kind, value):
            data = f"event: {kind}\ndata: {json.dumps({'type': kind, **value})}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()

        event("message_start", {"message": message})
        if tool:
            event("content_block_start", {"index": 0, "content_block": {"type": "tool_use", "id": tool[2], "name": tool[0],
                                                                         "input": {}}})
            event("content_block_delta", {"index": 0, "delta": {"type": "input_json_delta", "partial_json": tool[1]}})
            event("content_block_stop", {"index": 0})
            event("message_delta", {"delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 20}})
            event("message_stop", {})
            self.wfile.write(b"0\r\n\r\n")
            return
        event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
        event("ping", {})
        for start in range(0, len(text), 20):
            event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text[start:start + 20]}})
        event("content_block_stop", {"index": 0})
        event("message_delta", {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 20}})
        event("message_stop", {})
        self.wfile.write(b"0\r\n\r\n")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that go away are no news

    def finish_request(self, request, client_address):
        # The handshake belongs in the connection's own thread, or one silent client blocks all.
        with self.context.wrap_socket(request, server_side=True) as connection:
            self.RequestHandlerClass(connection, client_address, self)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="api.anthropic.com")
    parser.add_argument("--log", required=True)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--token-file")
    parser.add_argument("--address", default="127.0.0.1", help="where a sidecar in a container reaches it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        make_certificates(directory, arguments.host)
        server = Server((arguments.address, 0), Handler)
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(os.path.join(directory, "leaf.pem"), os.path.join(directory, "leaf.key"))
        server.log = os.path.abspath(arguments.log)
        server.lock = threading.Lock()
        server.token = open(arguments.token_file).read().strip() if arguments.token_file else None
        open(server.log, "a").close()
        temporary = arguments.port_file + ".tmp"
        with open(temporary, "w") as file:
            json.dump({"port": server.server_address[1], "ca_file": os.path.join(directory, "ca.pem")}, file)
        os.rename(temporary, arguments.port_file)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
