"""The soak's trouble: what is refused, malformed or cut off, and what the operator does meanwhile."""
import base64
import gzip
import json
import os
import socket
import ssl

from harness import TOKEN, CallError
from http2 import RST_STREAM, frame
from soak_world import (ATTEMPT, AUTH, DEAD, EXTRA, FALLS, GITHUB, NARROW, OPEN, expect, fresh, kind, routes_toml, text_of,
                        websocket_on)
from websocket import Ended


@kind(3)
def websocket_blocked(hands, random):
    peer, client = websocket_on(hands)
    try:
        peer.send(f"it is {TOKEN} indeed")
        try:
            expect(False, "answered", peer.message())
        except Ended as end:
            expect(end.code == 1008, "close", end.code)
    finally:
        client.close()


def refused(hands, reason, path="/x", host=OPEN, fields="", method="GET", body=b"", status=403):
    client = hands.w.tls(host)
    try:
        answer = client.get(path, host, fields, method, body)
        expect(answer.status == status and answer.json()["reason"] == reason, path[:40], answer.status, answer.body)
        expect(TOKEN.encode() not in answer.body, "the refusal holds the secret")
    finally:
        client.close()


@kind(6)
def blocked_by_dlp(hands, random):
    coded = random.choice([TOKEN.encode(), base64.b64encode(TOKEN.encode()), TOKEN.encode().hex().encode(), TOKEN[::-1].encode()])
    body = text_of(random, random.choice([10, 100_000])) + b" " + coded + b" end"
    answer = random.choice([
        lambda: fresh(hands, OPEN, f"GET /x?a={TOKEN} HTTP/1.1\r\nHost: {OPEN}\r\n\r\n", 403),
        lambda: fresh(hands, OPEN, f"GET /x HTTP/1.1\r\nHost: {OPEN}\r\nX-A: {GITHUB}\r\n\r\n", 403),
        lambda: hands.w.get(OPEN, "/echo", "", "POST", body),
        lambda: hands.w.get(OPEN, "/echo", "Content-Encoding: gzip\r\n", "POST", gzip.compress(body)),
        lambda: hands.w.get(OPEN, "/echo", "Content-Type: application/json\r\n", "POST",
                            json.dumps({"a": TOKEN[:9], "b": TOKEN[9:]}).encode())])()
    expect(answer.status == 403 and TOKEN.encode() not in answer.body, "DLP", answer.status, answer.body)


@kind(6)
def blocked_by_route(hands, random):
    random.choice([
        lambda: refused(hands, "no_match", "/v2/x", NARROW), lambda: refused(hands, "no_match", "/v1/x", NARROW, method="POST"),
        lambda: refused(hands, "git_push", "/r.git/git-receive-pack", method="POST"),
        lambda: refused(hands, "foreign_credentials", "/", AUTH, "X-Api-Key: somebody-elses\r\n"),
        lambda: fresh(hands, OPEN, "GET / HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", 421)])()
    for authority in ("evil.example.com:443", "169.254.169.254:80", f"{OPEN}:22"):
        status, client = hands.w.connect(authority)
        client.close()
        expect(status == 403, authority, status)


@kind(4)
def blocked_answer(hands, random):
    raw = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\nContent-Type: text/html\r\n\r\n" % len(ATTEMPT) + ATTEMPT
    refused(hands, "injection_found", "/raw", method="POST", body=raw)


@kind(5)
def malformed_request(hands, random):
    fresh(hands, OPEN, random.choice([
        f"POST / HTTP/1.1\r\nHost: {OPEN}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {OPEN}\r\nX : y\r\n\r\n", f"GET / HTTP/1.1\nHost: {OPEN}\n\n", "\x16\x03\x01\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: {OPEN}\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        f"GET / HTTP/1.1\r\nHost: {OPEN}\r\nX: {'a' * 70000}\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]), 400)


@kind(4)
def client_goes_away(hands, random):
    w = hands.w

    def tunnel(data, read=0):
        client = w.tls(OPEN)
        client.send(data)
        if read:
            client.take(read)
        client.close()

    def bare(data):
        client = w.proxy()
        client.send(data)
        client.close()

    def streams():
        peer = w.http2(OPEN)
        fields = [(":method", "GET"), (":scheme", "https"), (":authority", OPEN)]
        number = peer.open(fields + [(":path", "/length/5000000")])
        peer.head(number)
        peer.send(frame(RST_STREAM, 0, number, b"\0\0\0\x08"))
        peer.open(fields + [(":path", "/length/5000000")])
        peer.close()

    def events():
        for _ in range(5):
            w.one.next_event()
        tunnel(f"GET /sse HTTP/1.1\r\nHost: {OPEN}\r\n\r\n", 20)

    def frames():
        _, client = websocket_on(hands)
        client.send(b"\x82\xfe\x10\x00abcdhalf a frame")
        client.close()
    post = f"POST /echo HTTP/1.1\r\nHost: {OPEN}\r\nContent-Length: 1000000\r\n\r\n".encode()
    random.choice([
        lambda: tunnel(b"GET / HT"), lambda: tunnel(post + b"x" * 100_000), lambda: tunnel(post), streams, events, frames,
        lambda: tunnel(f"GET /length/5000000 HTTP/1.1\r\nHost: {OPEN}\r\n\r\n".encode(), 65536),
        lambda: bare(b""), lambda: bare(b"CONNECT op"), lambda: bare(f"CONNECT {OPEN}:443 HTTP/1.1\r\nHost: {OPEN}:443\r\n\r\n"),
        lambda: bare(f"CONNECT {OPEN}:443 HTTP/1.1\r\nHost: {OPEN}:443\r\n\r\n\x16\x03\x01\x02\x00\x01\x00not a hello")])()


@kind(4)
def upstream_goes_away(hands, random):
    cut = random.choice([b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort", b"HTTP/1.1 200 OK\r\nContent-Le", b"",
                         b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
                         b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"l" * 150_000])
    try:
        status = hands.w.get(OPEN, "/raw", "", "POST", cut).status
        expect(status == 502, "a cut answer", cut[:60], status)
    except (EOFError, ValueError, ssl.SSLError):
        pass  # cut for the client, too
    peer = hands.kept_http2(FALLS)
    for path in ("/reset", "/hang-up"):
        answer = peer.request(FALLS, path)
        expect(answer.status == 502 or answer.error is not None, path, answer.status)
    expect(hands.w.get(DEAD, "/").status == 502, "nobody listens there")


@kind(2)
def operator(hands, random):
    """Calls on the control channel; every second route file is a bad one."""
    w = hands.w
    with w.one.lock:  # one writer of the file at a time
        w.write_routes(random.choice([routes_toml(w), routes_toml(w, EXTRA)]))
        generation = w.call("reload")["generation"]
        w.write_routes("[[routes]]\nhost = 7\n")
        try:
            w.call("reload")
            expect(False, "a bad file was taken")
        except CallError:
            pass
        expect(w.call("routes")["generation"] == generation, "a bad file changed the routes")
    expect("bot_bottle_requests_total" in w.call("metrics")["text"], "metrics")
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(os.path.join(w.state, "control", "control.sock"))
        control.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        expect(control.recv(65536).startswith(b"HTTP/1.1 200 "), "metrics over HTTP")
    expect(w.call("check", method="GET", url=f"https://{NARROW}/v1/x")["verdict"] == "allowed", "check")
    w.call("flush")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as report:
        report.sendto(b'{"kind": "dns", "name": "data.evil.example.com", "type": "A", "transport": "udp"}',
                      os.path.join(w.state, "wire", "report.sock"))
