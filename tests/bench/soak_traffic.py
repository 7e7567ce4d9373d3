"""The soak's ordinary traffic: what an agent at work sends."""
import gzip
import json
import zlib

from harness import PLACEHOLDER, TOKEN
from soak_world import AUTH, OPEN, PLAIN, TWO, expect, fresh, kind, text_of, websocket_on
import websocket
from websocket import BINARY, TEXT, Ended


@kind(20)
def keep_alive(hands, random):
    size = random.choice([0, 1, 1000, 20_000, 65_536])
    answer = hands.kept(OPEN).get(random.choice([f"/length/{size}", f"/chunked/{size}"]), OPEN)
    expect(answer.status == 200 and len(answer.body) == size, answer.status, len(answer.body), size)


@kind(8)
def new_connection(hands, random):
    fresh(hands, OPEN, f"GET /length/9 HTTP/1.1\r\nHost: {OPEN}\r\n\r\n", 200)


@kind(3)
def pipelined(hands, random):
    sizes = [random.randrange(3000) for _ in range(5)]
    client = hands.kept(OPEN)
    client.send("".join(f"GET /length/{size} HTTP/1.1\r\nHost: {OPEN}\r\n\r\n" for size in sizes))
    expect([len(client.response().body) for _ in sizes] == sizes, "answers out of order")


@kind(4)
def plain_http(hands, random):
    client = hands.w.proxy()
    try:
        client.send(f"GET http://{PLAIN}/length/700 HTTP/1.1\r\nHost: {PLAIN}\r\n\r\n")
        expect(len(client.response().body) == 700, "plain")
    finally:
        client.close()


@kind(2)
def large_download(hands, random):
    answer = hands.kept(OPEN).get("/length/5000000", OPEN)
    expect(answer.status == 200 and len(answer.body) == 5_000_000, answer.status, len(answer.body))


def posted(hands, body, fields="", chunk=0):
    client = hands.kept(OPEN)
    if chunk:
        pieces = [body[at:at + chunk] for at in range(0, len(body), chunk)]
        data = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\nX-Sum: 1\r\n\r\n"
        client.send(f"POST /echo HTTP/1.1\r\nHost: {OPEN}\r\nTransfer-Encoding: chunked\r\n{fields}\r\n".encode() + data)
        answer = client.response()
    else:
        answer = client.get("/echo", OPEN, fields, "POST", body)
    expect(answer.status == 200 and answer.body.endswith(b"\n\n" + body), "POST", len(body), fields, answer.status, answer.body[:200])


@kind(8)
def post(hands, random):
    posted(hands, text_of(random, random.choice([0, 1, 1000, 65_536, 65_536, 1_000_000])))


@kind(5)
def post_chunked(hands, random):
    posted(hands, text_of(random, random.choice([1, 3000, 80_000])), chunk=random.choice([97, 5000]))


@kind(4)
def post_compressed(hands, random):
    body, name = text_of(random, random.choice([100, 200_000])), random.choice(["gzip", "deflate"])
    data = gzip.compress(body) if name == "gzip" else zlib.compress(body)
    client = hands.kept(OPEN)
    answer = client.get("/echo", OPEN, f"Content-Encoding: {name}\r\n", "POST", data)
    expect(answer.status == 200, name, answer.status, answer.body[:200])


@kind(3)
def post_json_and_form(hands, random):
    words = text_of(random, 600).decode().split()
    posted(hands, json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"words": words}}).encode(),
           "Content-Type: application/json\r\n")
    posted(hands, b"--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"x.txt\"\r\n\r\n" + " ".join(words).encode() +
           b"\r\n--b--\r\n", "Content-Type: multipart/form-data; boundary=b\r\n")


@kind(12)
def http2_kept(hands, random):
    host = random.choice([OPEN, TWO])
    peer, size = hands.kept_http2(host), random.choice([0, 100, 50_000, 300_000])
    answer = peer.request(host, f"/length/{size}")
    expect(answer.status == 200 and len(answer.data) == size, host, answer.status, len(answer.data))
    body = text_of(random, random.choice([10, 70_000]))
    answer = peer.request(host, "/echo", "POST", body=body, trailers=[("x-late", "1")])
    expect(answer.status == 200 and body in answer.data, host, answer.status, bytes(answer.data[:200]))
    peer.streams.clear()


@kind(3)
def http2_new_connection_and_grpc(hands, random):
    peer = hands.w.http2(TWO)
    try:
        number = peer.open([(":method", "POST"), (":scheme", "https"), (":authority", TWO), (":path", "/chat"),
                            ("content-type", "application/grpc"), ("te", "trailers")], end=False)
        message = b"\0\0\0\0\x05hello"
        peer.data(number, message)
        peer.data(number, message, end=True)
        answer = peer.response(number)
        expect(answer.data == message * 2 and ("grpc-status", "0") in answer.trailers, "gRPC", bytes(answer.data), answer.trailers)
    finally:
        peer.close()


@kind(5)
def websocket_messages(hands, random):
    peer, client = websocket_on(hands)
    try:
        for _ in range(random.randrange(1, 6)):
            body = b"\0" + text_of(random, random.choice([1, 500, 70_000]))
            peer.send(body, BINARY)
            expect(peer.message() == body, "message")
        peer.send("bye")
        try:
            expect(peer.message() == b"", "a message after bye")
        except Ended as end:
            expect(end.code == 1000, "close", end.code)
    finally:
        client.close()


@kind(3)
def websocket_over_http2(hands, random):
    agent = hands.w.http2(OPEN)
    try:
        agent.wait(lambda: 8 in agent.settings, "SETTINGS")
        number = agent.open([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", OPEN),
                             (":path", "/ws"), ("sec-websocket-version", "13")], end=False)
        expect(agent.head(number).status == 200, "handshake")
        agent.data(number, websocket.frame(TEXT, "hello"))
        agent.wait_data(number, lambda data: len(data) >= 7)
        expect(bytes(agent.streams[number].data) == b"\x81\x05hello", "message", bytes(agent.streams[number].data))
    finally:
        agent.close()


@kind(4)
def server_sent_events(hands, random):
    for _ in range(5):
        hands.w.one.next_event()
    answer = hands.kept(OPEN).get("/sse", OPEN)
    expect(answer.body == b"".join(f"data: event {number}\n\n".encode() for number in range(5)), answer.body)


@kind(4)
def credential_injected_and_scrubbed(hands, random):
    answer = hands.kept(AUTH).get(random.choice(["/echo", "/gzip-echo"]), AUTH, f"Authorization: Bearer {PLACEHOLDER}\r\n")
    expect(answer.status == 200 and TOKEN.encode() not in answer.body and b"********" in answer.body, answer.status, answer.body)
