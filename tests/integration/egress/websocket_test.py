"""WebSocket through the proxy, over HTTP/1.1 and HTTP/2: what leaves is scanned, what comes is scrubbed. A4, A7, A8, A9, A15."""
import base64
import gzip
import os

from harness import PLACEHOLDER, TOKEN, World, check, main
import websocket
from websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Ended, WebSocket

HOST = "one.example.com"
KEY = base64.b64encode(b"sixteen octets!!").decode()
GITHUB = "ghp_" + "Ab3dEf6hIj9lMn2pQr5tUv8xYz1Bc4Df7Gh0"


def world(program, share, **more):
    w = World(program, share, [
        {"host": HOST, "plain": True, "matches": [{"methods": ["GET"], "paths": [{"type": "prefix", "value": "/ws"}, {"type": "prefix", "value": "/ws-bad"}]}]},
        {"host": "two.example.com", "auth": {"scheme": "Bearer", "token_ref": "TOKEN"}},
        {"host": "bare.example.com", "dlp": {"outbound_detectors": []}}],
        secrets={"TOKEN": TOKEN}, placeholders=[{"value": PLACEHOLDER, "token_ref": "TOKEN"}], **more)
    w.origin = w.tls_origin(HOST, "two.example.com", "bare.example.com")
    return w


def ask(w, host=HOST, path="/ws", fields="", upgrade="Upgrade: websocket\r\nConnection: Upgrade\r\n", key=KEY, method="GET", version="13"):
    client = w.tls(host)
    client.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{upgrade}Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {key}\r\n{fields}\r\n")
    return client


def open_old(w, host=HOST, path="/ws", fields=""):
    client = ask(w, host, path, fields)
    status, headers = client.head()
    assert status == 101, (status, headers)
    client.fields = dict(headers)

    def receive():
        if not client.buffer:
            try:
                client.more()
            except EOFError:
                return b""
        data, client.buffer = client.buffer, b""
        return data
    return WebSocket(client.send, receive), client


def open_new(w, host=HOST, path="/ws", fields=()):
    peer = w.http2(host)
    peer.wait(lambda: 8 in peer.settings, "SETTINGS")
    assert peer.settings[8] == 1
    number = peer.open([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", host), (":path", path),
                        ("sec-websocket-version", "13"), *fields], end=False)
    stream = peer.head(number)
    assert stream.status == 200, (stream.status, bytes(stream.data))
    taken = [0]

    def receive():
        peer.wait(lambda: len(stream.data) > taken[0] or stream.ended or stream.error is not None, "frames")
        data = bytes(stream.data[taken[0]:])
        taken[0] += len(data)
        return data
    return WebSocket(lambda data: peer.data(number, data), receive), peer


def ends(peer):
    try:
        while True:
            peer.message()
    except Ended as end:
        return end.code


@check
def messages_go_both_ways_in_both_versions(program, share):
    with world(program, share).start() as w:
        for open_it in (open_old, open_new):
            peer, _ = open_it(w)
            for size in (0, 1, 125, 126, 65535, 65536, 300_000):
                text = "é" * (size // 2)
                peer.send(text)
                assert peer.message() == text.encode(), size
                data = b"\0" + os.urandom(size)
                peer.send(data)
                assert peer.message() == data, size
            for opcode, piece, final in ((TEXT, "a", False), (CONTINUATION, "b" * 100000, False), (CONTINUATION, "", False), (CONTINUATION, "c", True)):
                peer.send(piece, opcode, final=final)
            assert peer.message() == b"a" + b"b" * 100000 + b"c"
            peer.send(b"are you there", PING)
            assert peer.frame() == (PONG, True, None, b"are you there")
            peer.send("bye")
            assert ends(peer) == 1000
        assert len(set(m for m in w.origin.masked)) == len(w.origin.masked) and None not in w.origin.masked


@check
def the_handshake_is_ours_on_each_side(program, share):
    with world(program, share).start() as w:
        peer, client = open_old(w, fields="Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Protocol: chat, v2\r\n")
        assert client.fields["sec-websocket-accept"] == websocket.accept_for(KEY)
        assert client.fields["sec-websocket-protocol"] == "chat" and "sec-websocket-extensions" not in client.fields
        seen = w.origin.requests[-1]
        assert seen.header("sec-websocket-extensions") is None and seen.header("sec-websocket-key") not in (None, KEY)
        assert seen.header("upgrade") == "websocket" and seen.header("connection").lower() == "upgrade"
        for wrong in ("accept", "extension", "upgrade", "protocol", "connection"):
            client = ask(w, path=f"/ws-bad/{wrong}")
            assert client.response().status == 502, wrong
        assert ask(w, path="/ws-bad/status").head()[0] == 200


@check
def A7_A8_nothing_but_a_websocket_on_an_allowed_route_is_switched(program, share):
    with world(program, share).start() as w:
        for upgrade in ("Upgrade: notwebsocket\r\nConnection: Upgrade\r\n", "Upgrade: websocket, h2c\r\nConnection: Upgrade\r\n",
                        "Upgrade: h2c\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n", "Upgrade: websocket\r\n", "Upgrade: h2c\r\nConnection: Upgrade\r\n",
                        "Upgrade: websocket\r\nConnection: notupgrade\r\n", "Upgrade: websocket/13\r\nConnection: Upgrade\r\n"):
            assert ask(w, upgrade=upgrade).response().status == 403, upgrade
        assert ask(w, version="8").response().status == 403
        assert ask(w, key="short").response().status == 403
        assert ask(w, fields=f"Sec-WebSocket-Key: {KEY}\r\n").response().status == 403
        assert ask(w, method="POST", fields="Content-Length: 0\r\n").response().status == 403
        assert ask(w, path="/other").response().status == 403
        assert ask(w, path=f"/ws?{TOKEN}").response().status == 403
        assert ask(w, fields=f"Sec-WebSocket-Protocol: {TOKEN}\r\n").response().status == 403
        client = w.tls(HOST)
        client.send(f"GET /ws HTTP/1.0\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n")
        assert client.response().status == 403
        peer = w.http2(HOST)
        for path in ("/other", f"/ws?{TOKEN}"):
            number = peer.open([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", HOST), (":path", path),
                                ("sec-websocket-version", "13")], end=False)
            assert peer.head(number).status == 403
        assert not w.origin.requests


@check
def A4_frames_before_the_switch_do_not_reach_the_upstream_as_a_request(program, share):
    with world(program, share).start() as w:
        client = ask(w, path="/ws-bad/status", fields="")
        client.send("GET /ws/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.head()[0] == 200
        client.close()
        early = websocket.frame(TEXT, "early")
        client = w.tls(HOST)
        client.send(f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n".encode() + early)
        assert client.head()[0] == 101
        assert client.take(7) == b"\x81\x05early"
        assert b"smuggled" not in w.origin.raw
        # Over HTTP/2 nothing keeps an agent from sending at once: it is kept here until the upstream has switched.
        w.origin.clear()
        agent = w.http2("two.example.com")
        number = agent.open([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "two.example.com"),
                             (":path", "/slow"), ("sec-websocket-version", "13")], end=False)
        agent.data(number, early)
        assert w.origin.wait_for(lambda o: o.requests)
        w.origin.release()
        assert agent.response(number).status == 502  # a 200 would say that this is a WebSocket
        assert w.origin.raw.endswith(b"\r\n\r\n") and not w.origin.wait_for(lambda o: not o.raw.endswith(b"\r\n\r\n"), 0.5)


@check
def a_secret_in_a_message_never_leaves_however_it_is_cut(program, share):
    with world(program, share).start() as w:
        half = len(TOKEN) // 2
        cases = {
            "text": [("x " + TOKEN + " y", TEXT, True)],
            "binary": [(b"\0\xff" + TOKEN.encode(), BINARY, True)],
            "a token of nobody we know": [("token=" + GITHUB, TEXT, True)],
            "fragments": [("x" + TOKEN[:half], TEXT, False), (TOKEN[half:], CONTINUATION, True)],
            "octets": [(TOKEN[0], TEXT, False)] + [(c, CONTINUATION, False) for c in TOKEN[1:-1]] + [(TOKEN[-1], CONTINUATION, True)],
            "around a ping": [("x" + TOKEN[:half], TEXT, False), (b"", PING, True), (TOKEN[half:], CONTINUATION, True)],
            "a long message": [("l" * 200000 + TOKEN + "l" * 200000, TEXT, True)],
            "base64": [(base64.b64encode(b"abc" + TOKEN.encode()).decode(), TEXT, True)],
            "ping": [(TOKEN.encode(), PING, True)],
            "close": [(b"\x03\xe8" + TOKEN.encode(), CLOSE, True)],
            "gzip": [(gzip.compress(TOKEN.encode() * 3), BINARY, True)],
        }
        for open_it in (open_old, open_new):
            for what, frames in cases.items():
                peer, _ = open_it(w)
                peer.send("hello")
                assert peer.message() == b"hello"
                for payload, opcode, final in frames:
                    try:
                        peer.send(payload, opcode, final=final)
                    except (OSError, AssertionError):
                        break
                assert ends(peer) == 1008, what
        assert TOKEN.encode() not in b"".join(m for m in w.origin.messages if isinstance(m, bytes))
        assert not any(TOKEN[:half] in str(m) or GITHUB in str(m) for m in w.origin.messages), w.origin.messages
        assert len([e for e in w.blocks() if "websocket" in e.get("where", "")]) == 2 * len(cases)
        assert TOKEN not in open(os.path.join(w.state, "logs", "events.jsonl")).read()


@check
def a_secret_over_consecutive_messages_is_stopped_before_its_end(program, share):
    with world(program, share).start() as w:
        for pieces in (2, 4, len(TOKEN)):
            w.origin.messages.clear()
            step = -(-len(TOKEN) // pieces)
            peer, _ = open_old(w)
            for at in range(0, len(TOKEN), step):
                peer.send(TOKEN[at:at + step])
            assert ends(peer) == 1008, pieces
            assert TOKEN not in "".join(m.decode() for m in w.origin.messages if isinstance(m, bytes)), pieces
        peer, _ = open_old(w)
        for piece in ("tok-1122", "334455667788"):  # of its shape, and not it
            peer.send(piece)
            assert peer.message() == piece.encode()


@check
def what_the_upstream_says_is_scrubbed(program, share):
    with world(program, share).start() as w:
        for open_it in (open_old, open_new):
            peer, _ = open_it(w, host="two.example.com")
            peer.send("token")
            assert peer.message() == b"you are Bearer ********"
            cut = websocket.frame(TEXT, "a" + TOKEN[:9], final=False, mask=False) + websocket.frame(CONTINUATION, TOKEN[9:] + "z", mask=False)
            w.origin.programmed = cut
            peer.send("programmed")
            assert peer.message() == b"a********z"
            w.origin.programmed = websocket.frame(PING, TOKEN, mask=False)
            peer.send("programmed")
            assert peer.frame() == (PING, True, None, b"********")
        assert w.origin.requests[-1].header("authorization") == f"Bearer {TOKEN}"


@check
def A15_frames_that_break_the_rules_end_the_connection_unread(program, share):
    with world(program, share).start() as w:
        bad = {
            "compressed (RSV1)": websocket.frame(TEXT, "x", bits=4), "RSV2": websocket.frame(TEXT, "x", bits=2),
            "RSV3": websocket.frame(BINARY, b"x", bits=1), "opcode 3": websocket.frame(3, "x"), "opcode 11": websocket.frame(11, "x"),
            "not masked": websocket.frame(TEXT, "x", mask=False), "stray continuation": websocket.frame(CONTINUATION, "x"),
            "message in message": websocket.frame(TEXT, "x", final=False) + websocket.frame(TEXT, "y"),
            "long ping": websocket.frame(PING, "p" * 126), "fragmented ping": websocket.frame(PING, "p", final=False),
            "padded length": websocket.frame(TEXT, "x", length=16), "more padded": websocket.frame(TEXT, "x", length=64),
            "close of one octet": websocket.frame(CLOSE, b"\x03"), "close 1005": websocket.frame(CLOSE, b"\x03\xed"),
            "huge length": b"\x81\xff" + b"\xff" * 8 + b"abcd",
        }
        for what, octets in bad.items():
            peer, _ = open_old(w)
            peer.raw(octets)
            assert ends(peer) == 1002, what
        for octets in (websocket.frame(TEXT, b"\xff"), websocket.frame(TEXT, b"\xc3"), websocket.frame(CLOSE, b"\x03\xe8\xff")):
            peer, _ = open_old(w)
            peer.raw(octets)
            assert ends(peer) == 1007
        assert not any(isinstance(m, bytes) for m in w.origin.messages), w.origin.messages
        for octets in (websocket.frame(TEXT, "x"), websocket.frame(TEXT, "x", mask=False, bits=4), websocket.frame(5, "x", mask=False)):
            peer, _ = open_old(w)
            peer.send("say " + octets.hex())
            assert ends(peer) == 1014


@check
def a_websocket_over_http_2_leaves_the_other_streams_alone(program, share):
    with world(program, share).start() as w:
        peer, agent = open_new(w)
        assert agent.request(HOST, "/ws-bad/status").status == 200
        peer.send(TOKEN)
        assert ends(peer) == 1008
        assert agent.request(HOST, "/other").status == 403
        again = agent.open([(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", HOST), (":path", "/ws"),
                            ("sec-websocket-version", "13")], end=False)
        assert agent.head(again).status == 200
        agent.data(again, b"", end=True)
        assert w.origin.wait_for(lambda o: any(isinstance(m, Ended) for m in o.messages))


@check
def without_detectors_frames_are_still_read(program, share):
    with world(program, share).start() as w:
        peer, _ = open_old(w, host="bare.example.com")
        peer.send(TOKEN)
        assert peer.message() == b"********"
        peer.raw(websocket.frame(TEXT, "x", bits=4))
        assert ends(peer) == 1002


if __name__ == "__main__":
    main()
