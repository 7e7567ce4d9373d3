"""What a hostile HTTP/2 peer tries: smuggling into HTTP/1, names that disagree, floods. Attacks A2, A3, A4, A7, A9, L."""
import os
import struct

from harness import TOKEN, World, check, main
from http2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY, PUSH_PROMISE,
                   RST_STREAM, SETTINGS, WINDOW_UPDATE, Stream, block_of, frame, text)

SLACK_KIB = int(os.environ.get("BB_MEMORY_SLACK_KIB", 8192))
ENHANCE_YOUR_CALM, PROTOCOL_ERROR = 0xb, 1
HOST = "one.example.com"
GET = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/")]
POST = [(":method", "POST")] + GET[1:]


def world(program, share, **more):
    w = World(program, share, [{"host": HOST}, {"host": "two.example.com"}], secrets={"TOKEN": TOKEN}, **more)
    w.origin = w.tls_origin(HOST, "two.example.com")
    return w


def refused(client, fields, body=None):
    """The status, or "reset", of a request that must not get through."""
    number = client.open(fields, end=body is None)
    if body is not None:
        try:
            client.data(number, body, end=True)
        except ConnectionError:
            pass
    stream = client.response(number)
    return stream.status or "reset"


def must_end(client, codes, what):
    """The connection ends, with GOAWAY and one of `codes`."""
    with client.changed:
        assert client.changed.wait_for(lambda: client.closed, 20), f"{what}: still open"
    assert client.goaway and client.goaway[1] in codes, (what, client.goaway, client.failure)


def flood(client, data, times):
    try:
        for _ in range(times):
            client.send(data)
    except OSError:
        pass


@check
def A3_no_field_becomes_another_request_at_an_http_1_upstream(program, share):
    smuggled = "x\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: " + HOST
    with world(program, share).start() as w:
        client = w.http2(HOST)
        for fields in (
                GET + [("x-a", smuggled)], GET + [("x-a", "a\nb: c")], GET + [("x-a", "a\0b")], GET + [("x-a", "a\rb")],
                GET + [("x-a\r\nhost", "evil.example.com")], GET + [("x a", "1")], GET + [("x:a", "1")], GET + [("", "1")],
                GET + [("X-Upper", "1")], GET + [("x-a", " lead")], GET + [("x-a", "tail\t")],
                GET[:3] + [(":path", "/ HTTP/1.1\r\nx: y")], GET[:3] + [(":path", "/a b")], GET[:3] + [(":path", "")],
                GET[:3] + [(":path", "a")], GET[:3] + [(":path", "*")],
                [(":method", "GET / HTTP/1.1\r\nx: y")] + GET[1:], [(":method", "G@T")] + GET[1:], [(":method", "")] + GET[1:],
                GET[:2] + [(":authority", HOST + "\r\nx: y"), (":path", "/")],
                GET + [("transfer-encoding", "chunked")], GET + [("connection", "keep-alive")], GET + [("upgrade", "h2c")],
                GET + [("keep-alive", "1")], GET + [("proxy-connection", "x")], GET + [("te", "gzip")],
                GET + [("host", HOST), ("host", HOST)], GET + [(":path", "/again")], GET + [("x-a", "1"), (":late", "1")],
                GET + [("x-a", "1"), (":path", "/late")], GET + [(":status", "200")], GET + [(":protocol", "websocket")],
                GET[1:], GET[:1] + GET[2:], GET[:3], [f for f in GET if f[0] != ":authority"],
                GET + [("expect", "200-maybe")], GET + [("content-length", "5")],
                GET + [("x-a", "\xff\xfe")]):
            assert refused(client, fields) in ("reset", 400), fields
        assert client.request(HOST, "/").status == 200
        assert [r.target for r in w.origin.requests] == ["/"], [r.head for r in w.origin.requests]


@check
def A3_a_content_length_that_lies_reaches_nobody_as_a_whole_request(program, share):
    with world(program, share).start() as w:
        client = w.http2(HOST)
        for fields, body in (([("content-length", "3")], b"abcGET /smuggled HTTP/1.1\r\n\r\n"), ([("content-length", "50")], b"abc"),
                             ([("content-length", "3"), ("content-length", "3")], b"abc"), ([("content-length", "+3")], b"abc"),
                             ([("content-length", "3, 3")], b"abc"), ([("content-length", "")], b""),
                             ([("transfer-encoding", "chunked")], b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")):
            assert refused(client, POST + fields, body) in ("reset", 400), fields
        assert client.request(HOST, "/", "POST", [("content-length", "3")], b"abc").status == 200
        assert not any(r.complete for r in w.origin.requests[:-1]), [r.head for r in w.origin.requests]
        assert b"smuggled" not in w.origin.raw


@check
def A2_authority_host_and_connection_name_one_host(program, share):
    with world(program, share).start() as w:
        client = w.http2(HOST)
        for fields in (GET[:2] + [(":authority", "two.example.com")] + GET[3:], GET + [("host", "two.example.com")],
                       GET[:2] + [(":authority", "two.example.com")] + GET[3:] + [("host", HOST)],
                       GET[:2] + GET[3:] + [("host", "two.example.com")], GET[:2] + [(":authority", HOST + ":444")] + GET[3:]):
            assert refused(client, fields) == 421, fields
        assert refused(client, GET[:2] + [(":authority", "u@" + HOST)] + GET[3:]) == 403
        assert refused(client, GET[:3] + [(":path", "//two.example.com/")]) in (200, 400, 403)
        assert refused(client, [GET[0], (":scheme", "http")] + GET[2:]) == 400
        assert refused(client, [GET[0], (":scheme", "ftp")] + GET[2:]) == 400
        assert client.response(client.open(GET[:2] + GET[3:] + [("host", HOST)])).status == 200
        assert client.response(client.open(GET[:2] + [(":authority", "ONE.example.com:443")] + GET[3:])).status == 200
        assert all(r.header("host") == HOST for r in w.origin.requests)


@check
def A7_A13_connect_trace_and_prefaces_make_no_tunnel(program, share):
    with world(program, share).start() as w:
        client = w.http2(HOST)
        assert refused(client, [(":method", "CONNECT"), (":authority", HOST + ":443")]) in (400, 403)
        assert refused(client, [(":method", "TRACE")] + GET[1:]) == 403
        for protocol in ("connect-udp", "connect-ip", "websocke", "h2c", "notwebsocket", "websocket2"):
            assert refused(client, [(":method", "CONNECT")] + GET[1:] + [(":protocol", protocol)]) in ("reset", 400, 403), protocol
        client.send(PREFACE)
        must_end(client, [6], "a second preface")  # FRAME_SIZE_ERROR: it reads as a frame that is too long
        agreed = w.tls(HOST, context=w.context("h2"))
        agreed.send("GET / HTTP/1.1\r\nHost: one.example.com\r\n\r\n")
        agreed.rest()
        assert not w.origin.requests
        client = w.tls(HOST)
        client.send(PREFACE + frame(SETTINGS, 0, 0))
        assert client.response().status == 400
        assert not w.origin.requests


@check
def floods_end_the_connection_with_calm_and_cost_little(program, share):
    with world(program, share).start() as w:
        w.http2(HOST).request(HOST, "/")
        before = w.rss_kib()
        block = block_of(GET)
        opened = lambda n: frame(HEADERS, END_HEADERS, n, block_of(POST))  # noqa: E731
        resets = b"".join(frame(HEADERS, END_HEADERS | END_STREAM, n, block) + frame(RST_STREAM, 0, n, b"\0\0\0\x08")
                          for n in range(1, 4001, 2))
        malformed = b"".join(frame(HEADERS, END_HEADERS | END_STREAM, n, block_of(GET + [("connection", "x")]))
                             for n in range(1, 4001, 2))
        half = frame(HEADERS, 0, 1, block)
        for what, data in (
                ("rapid reset", resets), ("made you reset", malformed), ("PING", frame(PING, 0, 0, b"12345678") * 3000),
                ("SETTINGS", frame(SETTINGS, 0, 0, struct.pack(">HI", 3, 100)) * 1000),
                ("empty SETTINGS", frame(SETTINGS, 0, 0) * 1000),
                ("PRIORITY", frame(PRIORITY, 0, 3, b"\0\0\0\0\x10") * 3000),
                ("WINDOW_UPDATE", frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 3000),
                ("unknown frames", frame(0xbe, 0, 0, b"?") * 3000),
                ("empty DATA", opened(1) + frame(DATA, 0, 1) * 3000),
                ("padding only", opened(1) + frame(DATA, PADDED, 1, b"\x0a" + b"\0" * 10) * 3000),
                ("empty CONTINUATION", half + frame(CONTINUATION, 0, 1) * 3000),
                ("long CONTINUATION", half + frame(CONTINUATION, 0, 1, text(b"") + b"\0" * 16000) * 100)):
            client = w.http2(HOST)
            flood(client, data, 1)
            must_end(client, [ENHANCE_YOUR_CALM] + [PROTOCOL_ERROR] * (what == "made you reset"), what)  # more than 100 at a time
        assert w.rss_kib() - before < SLACK_KIB, w.rss_kib() - before
        assert w.http2(HOST).request(HOST, "/").status == 200
        assert w.call("status")["open_connections"] < 20


@check
def an_hpack_bomb_is_not_unfolded(program, share):
    with world(program, share).start() as w:
        client = w.http2(HOST)
        client.request(HOST, "/")
        before = w.rss_kib()
        # One entry of 4000 octets in the table, then 16000 references of one octet to it: 64 MB of fields in one frame.
        block = block_of(GET) + b"\x40" + text("x-bomb") + text("b" * 3900) + b"\xbe" * 16000
        flood(client, frame(HEADERS, 0, 3, block[:16384]) + frame(CONTINUATION, END_HEADERS, 3, block[16384:]), 1)
        must_end(client, [ENHANCE_YOUR_CALM], "HPACK bomb")
        assert w.rss_kib() - before < SLACK_KIB
        client = w.http2(HOST)
        for fields in ([("x-%d" % n, "1") for n in range(300)], [("x-a", "b" * 30000), ("x-b", "b" * 30000), ("x-c", "b" * 9000)]):
            number = client.next_id
            block = block_of(GET + fields)
            with client.changed:
                client.next_id += 2
                client.streams[number] = Stream(client.initial)
            pieces = [block[at:at + 16000] for at in range(0, len(block), 16000)]
            data = frame(HEADERS, END_STREAM | (END_HEADERS if len(pieces) == 1 else 0), number, pieces[0])
            for at, piece in enumerate(pieces[1:], 2):
                data += frame(CONTINUATION, END_HEADERS if at == len(pieces) else 0, number, piece)
            flood(client, data, 1)
            with client.changed:
                assert client.changed.wait_for(lambda: client.streams[number].error is not None or client.closed, 20)
        assert len(w.origin.requests) == 1


@check
def a_hundred_streams_are_served_and_one_more_ends_the_connection(program, share):
    with world(program, share).start() as w:
        client = w.http2(HOST)
        client.request(HOST, "/")
        assert client.settings[3] == 100 and client.settings[6] == 65536 and client.settings.get(2, 0) == 0
        slow = GET[:3] + [(":path", "/slow")]
        numbers = [client.open(slow) for _ in range(100)]
        assert w.origin.wait_for(lambda o: len(o.requests) == 101)
        w.origin.release()
        assert all(client.response(n).data == b"at last" for n in numbers)
        w.origin.released.clear()
        flood(client, b"".join(frame(HEADERS, END_HEADERS | END_STREAM, n, block_of(slow)) for n in range(301, 505, 2)), 1)
        must_end(client, [PROTOCOL_ERROR], "too many streams")
        assert len(w.origin.requests) <= 201


@check
def frames_where_they_do_not_belong_end_the_connection(program, share):
    with world(program, share).start() as w:
        for data in (frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block_of(GET)), frame(DATA, 0, 0, b"x"),
                     frame(HEADERS, END_HEADERS | END_STREAM, 2, block_of(GET)), frame(CONTINUATION, END_HEADERS, 1, b""),
                     frame(SETTINGS, 0, 0, b"123"), frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), frame(DATA, 0, 7, b"x"),
                     frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 31)), frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff")):
            client = w.http2(HOST)
            flood(client, data, 1)
            with client.changed:
                assert client.changed.wait_for(lambda: client.closed, 20), data
        assert not w.origin.requests and w.http2(HOST).request(HOST, "/").status == 200


@check
def a_head_that_trickles_in_and_a_preface_that_never_comes_do_not_wait_for_ever(program, share):
    with world(program, share).start() as w:
        client = w.http2(HOST)
        client.request(HOST, "/")
        client.send(frame(HEADERS, 0, 3, block_of(GET)[:5]))
        silent = w.tls(HOST, context=w.context("h2"))
        silent.rest()
        with client.changed:
            assert client.changed.wait_for(lambda: client.closed, 20)


if __name__ == "__main__":
    main()
