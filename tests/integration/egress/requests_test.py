"""HTTP/1 as agents speak it: framing, keep-alive, pipelining, 1xx, streaming, limits on what is malformed. Attacks A3, A4, L."""
import os
import socket
import subprocess
import tempfile
import time

from harness import TOKEN, World, check, main
from unix_forward import Forward

SLACK_KIB = int(os.environ.get("BB_MEMORY_SLACK_KIB", 8192))
ROUTES = [{"host": "open.example.com", "plain": True}, {"host": "bare.example.com", "dlp": {"outbound_detectors": []}}]


def world(program, share, **more):
    w = World(program, share, ROUTES, secrets={"TOKEN": TOKEN}, **more)
    w.origin = w.tls_origin("open.example.com", "bare.example.com")
    w.plain = w.plain_origin("plain.example.com")
    return w


def on_plain(w):
    w.pins["open.example.com"] = f"127.0.0.1:{w.plain.port}"
    return w.start()


@check
def keep_alive_uses_one_connection_each_side(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        answers = [client.get("/count", "open.example.com").body for _ in range(5)]
        assert answers == [b"1 1", b"1 2", b"1 3", b"1 4", b"1 5"], answers


@check
def pipelined_requests_are_answered_in_order(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        client.send("".join(f"GET /length/{n} HTTP/1.1\r\nHost: open.example.com\r\n\r\n" for n in (5, 70000, 1, 300, 0, 9)))
        assert [len(client.response().body) for _ in range(6)] == [5, 70000, 1, 300, 0, 9]
        client.send("".join(f"POST /echo HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: 2\r\n\r\n{n}{n}" for n in range(9)))
        assert [client.response().body[-2:] for _ in range(9)] == [f"{n}{n}".encode() for n in range(9)]


@check
def bodies_go_both_ways_in_every_framing(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        for size in (0, 1, 100, 16384, 65536, 1_000_000):
            body = os.urandom(size // 2).hex().encode()
            answer = client.get("/echo", "open.example.com", method="POST", body=body)
            assert answer.status == 200 and answer.body.endswith(b"\n\n" + body), size
            chunked = b"".join(f"{len(body[at:at + 5000]):x}\r\n".encode() + body[at:at + 5000] + b"\r\n"
                               for at in range(0, len(body), 5000)) + b"0\r\n\r\n"
            client.send(b"POST /echo HTTP/1.1\r\nHost: open.example.com\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked)
            assert client.response().body.endswith(b"\n\n" + body), size
            assert len(client.get(f"/length/{size}", "open.example.com").body) == size
            assert len(client.get(f"/chunked/{size}", "open.example.com").body) == size


@check
def head_204_and_304_have_no_body(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        answer = client.get("/length/500", "open.example.com", method="HEAD")
        assert answer.status == 200 and answer.header("content-length") == "500"
        for status in (204, 304):
            assert client.get(f"/status/{status}", "open.example.com").status == status
        assert client.get("/length/3", "open.example.com").body == b"ABC"
        assert client.get("/status/404", "open.example.com").status == 404


@check
def http_1_0_clients_are_served(program, share):
    with on_plain(world(program, share)) as w:
        client = w.proxy()
        client.send("GET http://open.example.com/chunked/5000 HTTP/1.0\r\n\r\n")
        answer = client.response()
        assert answer.header("transfer-encoding") is None and len(answer.body) == 5000 and answer.header("connection") == "close"
        client = w.proxy()
        for _ in range(2):
            client.send("GET http://open.example.com/length/5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = client.response()
            assert answer.header("connection") == "keep-alive" and answer.body == b"ABCDE"


@check
def connection_close_is_kept(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        answer = client.get("/length/5", "open.example.com", "Connection: close\r\n")
        assert answer.header("connection") == "close" and client.is_closed()


@check
def who_ends_its_side_behind_whole_requests_gets_every_answer(program, share):
    # RFC 9112 §9.6: a client's half-close tells nothing about its wish for an answer. BusyBox's wget sends one.
    with on_plain(world(program, share)) as w:
        client = w.proxy()
        client.send("GET http://open.example.com/slow HTTP/1.1\r\nHost: open.example.com\r\n\r\n"
                    "GET http://open.example.com/length/3 HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
        client.socket.shutdown(socket.SHUT_WR)
        assert w.plain.wait_for(lambda origin: origin.requests)
        assert w.call("status")["open_connections"] == 1  # a turn or more after the end was read
        w.plain.release()
        assert [client.response().body for _ in range(2)] == [b"at last", b"ABC"] and client.is_closed()
        assert not [event for event in w.events() if event["event"] == "client_gone"]


@check
def who_ends_its_side_within_a_request_or_goes_away_is_not_kept(program, share):
    with on_plain(world(program, share)) as w:
        client = w.proxy()
        client.send("POST http://open.example.com/echo HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: 10\r\n\r\nhalf")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.is_closed()
        assert [event["method"] for event in w.events() if event["event"] == "client_gone"] == ["POST"]
        # One that waits and has gone looks the same, until its answer cannot be written.
        client = w.proxy()
        client.send("GET http://open.example.com/slow HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
        assert w.plain.wait_for(lambda origin: any(request.target == "/slow" for request in origin.requests))
        client.close()
        w.plain.release()
        deadline = time.monotonic() + 20
        while w.call("status")["open_connections"] and time.monotonic() < deadline:
            pass
        assert w.call("status")["open_connections"] == 0


@check
def a_body_that_ends_with_the_connection_is_passed_on(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        answer = client.get("/close", "open.example.com")
        assert answer.body == b"until the end" and answer.header("transfer-encoding") == "chunked"
        assert client.get("/length/1", "open.example.com").status == 200


@check
def expect_100_continue_is_relayed(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        client.send("POST /echo HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.head()[0] == 100
        client.send("hello")
        assert client.response().body.endswith(b"hello")
        # refused before the body: the answer is final and the connection ends, because nobody knows whether a body comes
        client.send("POST /echo?t=" + TOKEN + " HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        answer = client.response()
        assert answer.status == 403 and answer.header("connection") == "close" and client.is_closed()
        client = w.tls("open.example.com")
        client.send("POST / HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: 5\r\nExpect: the-unexpected\r\n\r\n")
        assert client.response().status == 400


@check
def interim_answers_come_first(program, share):
    with world(program, share).start() as w:
        answer = w.get("open.example.com", "/interim")
        assert answer.interim == [103] and answer.body == b"final"


@check
def trailers_come_along(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        answer = client.get("/trailers", "open.example.com")
        assert answer.body == b"body" and [t.lower() for t in answer.trailers] == ["x-sum: 42"]
        client.send("POST /echo HTTP/1.1\r\nHost: open.example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "2\r\nhi\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\nAuthorization: Bearer x\r\nTransfer-Encoding: gzip\r\n\r\n")
        assert client.response().status == 200
        assert w.origin.requests[-1].trailers.lower() == b"x-sum: 7\n", w.origin.requests[-1].trailers


@check
def server_sent_events_are_delivered_as_they_come(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        client.send("GET /sse HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
        status, _ = client.head()
        assert status == 200
        for number in range(5):
            w.origin.next_event()  # only now is the next one sent: whoever held it back would wait for ever
            event = b""
            while not event.endswith(b"\n\n"):
                event += client.take(int(client.line(), 16))
                client.take(2)
            assert event == f"data: event {number}\n\n".encode()
        assert client.line() == b"0"


@check
def alt_svc_and_hop_by_hop_fields_of_answers_are_stripped(program, share):
    with world(program, share).start() as w:
        answer = w.get("open.example.com", "/alt-svc")
        assert answer.header("alt-svc") is None and answer.header("x-hop") is None and answer.header("x-stay") == "1"


@check
def A3_malformed_requests_are_400_and_the_end(program, share):
    with world(program, share).start() as w:
        host = "Host: open.example.com\r\n"
        for text in [f"POST / HTTP/1.1\r\n{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                     f"POST / HTTP/1.1\r\n{host}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
                     f"POST / HTTP/1.1\r\n{host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
                     f"GET / HTTP/1.1\r\n{host}X : y\r\n\r\n", f"GET / HTTP/1.1\r\n{host}X: y\r\n z\r\n\r\n",
                     f"GET / HTTP/1.1\n{host}\n", f"GET / HTTP/1.1\r\n{host}X: \0\r\n\r\n", f"GET / HTTP/1.1\r\n{host}(: y\r\n\r\n",
                     f"GET / HTTP/1.1\r\n{host}X: {'a' * 70000}\r\n\r\n", f"GET / HTTP/1.1\r\n{host}" + "X: y\r\n" * 257 + "\r\n",
                     f"POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
                     f"POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n",
                     "GET / HTTP/1.1\r\n\r\n", f"GET / HTTP/1.1\r\n{host}X: \xff\r\n\r\n", "\r\n\r\n"]:
            client = w.tls("open.example.com")
            client.send(text + "GET /smuggled HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            assert client.response().status == 400, text[:80]
            assert client.is_closed(), text[:80]
        assert b"smuggled" not in w.origin.raw


@check
def A3_requests_are_written_anew(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        client.send("GET /a HTTP/1.1\r\nhOsT: OPEN.example.com:443\r\nX-Odd:   spaced\t \r\n\r\n")
        assert client.response().status == 200
        head = w.origin.requests[0].head
        assert b"\r\nhost: open.example.com\r\n" in head and b"\r\nx-odd: spaced\r\n" in head and b"hOsT" not in head


@check
def A3_malformed_answers_are_502(program, share):
    with world(program, share).start() as w:
        def raw(text):
            return text.encode("latin-1")
        for body in [b"", raw("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), raw("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
                     raw("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"), raw("HTTP/1.1 101 Switching\r\n\r\n"),
                     raw("HTTP/1.1 200 OK\r\nX: " + "a" * 70000 + "\r\n\r\n")]:
            answer = w.get("open.example.com", "/raw" if body else "/smuggle", method="POST", body=body)
            assert answer.status == 502 and answer.json()["error"] == "upstream", (body[:40], answer.status)


@check
def octets_behind_an_answer_poison_nobody(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        for _ in range(3):
            assert client.get("/extra", "open.example.com").body == b"ok"
            assert client.get("/length/4", "open.example.com").body == b"ABCD"


@check
def a_cut_answer_is_seen_as_cut(program, share):
    with world(program, share).start() as w:
        for text in ["HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]:
            client = w.tls("open.example.com")
            client.send(f"GET /raw/{text.encode().hex()} HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
            try:
                # A short answer is held until it was read: then the failure is told instead of its beginning.
                assert client.response().status == 502, "it looked whole"
            except (EOFError, OSError, ValueError):
                pass


@check
def an_early_answer_is_passed_on_while_the_body_still_comes(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        client.send(b"POST /early HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 1000)
        assert client.response().status == 413


@check
def a_refused_request_with_a_body_leaves_the_connection_usable(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        answer = client.get("/x?" + TOKEN, "open.example.com", method="POST", body=b"y" * 100_000)
        assert answer.status == 403
        assert client.get("/length/2", "open.example.com").body == b"AB"


@check
def curl_works_through_the_proxy(program, share):
    with world(program, share).start() as w:
        forward = Forward(w.egress_socket)
        def curl(*arguments):
            return subprocess.run(["curl", "-sS", "--proxy", f"http://127.0.0.1:{forward.port}", "--cacert", w.ca_file, *arguments],
                                  capture_output=True, timeout=60)
        result = curl("https://open.example.com/length/100000")
        assert len(result.stdout) == 100000, result.stderr
        result = curl("--compressed", "-d", "a=b", "https://open.example.com/echo", "https://open.example.com/echo")
        assert result.stdout.count(b"a=b") == 2, result
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"z" * 3_000_000)
            file.flush()
            result = curl("-T", file.name, "-o", "/dev/null", "-w", "%{http_code}", "https://open.example.com/length/1")
            assert result.stdout == b"200", result
        result = curl("-o", "/dev/null", "-w", "%{http_code}", "https://evil.example.com/")
        assert b"403" in result.stderr or result.stdout == b"000", result
        forward.close()


@check
def L_memory_is_flat_while_large_bodies_go_both_ways(program, share):
    with world(program, share, log=1).start() as w:
        assert w.get("open.example.com", "/length/1000").status == 200
        before = w.rss_kib()
        size = int(os.environ.get("BB_LARGE_BODY", 300_000_000))
        client = w.tls("open.example.com")
        client.send(f"GET /length/{size} HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
        client.head()
        left, most = size - len(client.buffer), 0
        client.buffer = b""
        while left > 0:
            left -= len(client.socket.recv(1 << 20))
            if left % 50 == 0:
                most = max(most, w.rss_kib())
        most = max(most, w.rss_kib())
        assert most - before < SLACK_KIB, (before, most)


@check
def L_back_pressure_holds_what_nobody_reads(program, share):
    with world(program, share, log=1).start() as w:
        assert w.get("open.example.com", "/length/1000").status == 200
        before = w.rss_kib()
        client = w.tls("open.example.com")
        client.send("GET /length/200000000 HTTP/1.1\r\nHost: open.example.com\r\n\r\n")
        client.head()  # and reads no further
        other = w.tls("open.example.com")
        for _ in range(200):
            assert other.get("/length/10000", "open.example.com").status == 200
        assert w.rss_kib() - before < SLACK_KIB, (before, w.rss_kib())


main()
