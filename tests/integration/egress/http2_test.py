"""HTTP/2 as agents speak it, to upstreams of both versions: streams, trailers, back-pressure, what is malformed."""
import json
import os
import subprocess
import threading

from harness import TOKEN, World, check, main
from http2 import END_HEADERS, HEADERS, RST_STREAM, block_of, frame
from unix_forward import Forward

SLACK_KIB = int(os.environ.get("BB_MEMORY_SLACK_KIB", 8192))
ROUTES = [{"host": "one.example.com"}, {"host": "two.example.com"},
          {"host": "guarded.example.com", "matches": [{"methods": ["GET"], "paths": [{"type": "prefix", "value": "/v1/"}]}]}]


def world(program, share, **more):
    w = World(program, share, ROUTES, secrets={"TOKEN": TOKEN}, **more)
    w.one = w.tls_origin("one.example.com", "guarded.example.com")
    return w


def curl(w, *arguments):
    forward = Forward(w.egress_socket)
    try:
        return subprocess.run(["curl", "-sS", "-m", "20", "--proxy", f"http://127.0.0.1:{forward.port}", "--cacert", w.ca_file,
                               *arguments], capture_output=True, timeout=30)
    finally:
        forward.close()


@check
def curl_speaks_http_2_to_a_proxy_whose_upstream_does_not(program, share):
    with world(program, share).start() as w:
        result = curl(w, "--http2", "-w", "%{http_version} %{http_code}", "https://one.example.com/length/100000")
        assert result.stdout.endswith(b"2 200") and len(result.stdout) == 100000 + 5, (result.stdout[-80:], result.stderr)
        with open(os.path.join(w.directory, "body"), "w") as file:
            file.write("b" * 300000)
        result = curl(w, "--http2", "-d", f"@{file.name}", "-w", "%{http_version}", "https://one.example.com/echo")
        assert result.stdout.endswith(b"b" * 1000 + b"2"), result.stderr
        result = curl(w, "--http1.1", "-w", "%{http_version}", "https://one.example.com/")
        assert result.stdout == b"ok1.1", result


@check
def streams_are_answered_side_by_side(program, share):
    with world(program, share).start() as w:
        client = w.http2("one.example.com")
        slow = client.open([(":method", "GET"), (":scheme", "https"), (":authority", "one.example.com"), (":path", "/slow")])
        assert client.request("one.example.com", "/length/5").data == b"ABCDE"
        assert not client.streams[slow].ended
        w.one.release()
        assert client.response(slow).data == b"at last"
        numbers = [client.open([(":method", "GET"), (":scheme", "https"), (":authority", "one.example.com"),
                                (":path", f"/length/{n * 1000}")]) for n in range(60)]
        assert [len(client.response(n).data) for n in numbers] == [n * 1000 for n in range(60)]


@check
def bodies_of_every_size_and_kind_reach_an_http_1_upstream(program, share):
    with world(program, share).start() as w:
        client = w.http2("one.example.com")
        for size in (0, 1, 16384, 65536, 1_000_000):
            body = os.urandom(size // 2).hex().encode()
            for fields in ([], [("content-length", str(len(body)))]):
                answer = client.request("one.example.com", "/echo", "POST", fields, body)
                assert answer.status == 200 and answer.data.endswith(b"\n\n" + body), (size, fields, answer.data[:300])
                framing = f"content-length: {len(body)}" if fields else "transfer-encoding: chunked"
                assert framing.encode() in answer.data, (framing, answer.data[:300])
            assert len(client.request("one.example.com", f"/chunked/{size}").data) == size


@check
def heads_trailers_interims_and_cookies_cross_over(program, share):
    with world(program, share).start() as w:
        client = w.http2("one.example.com")
        answer = client.request("one.example.com", "/trailers")
        assert answer.data == b"body" and ("x-sum", "42") in answer.trailers, answer.trailers
        answer = client.request("one.example.com", "/interim")
        assert answer.interim == [103] and answer.data == b"final", answer.interim
        answer = client.request("one.example.com", "/echo", fields=[("cookie", "a=1"), ("cookie", "b=2"), ("x-a", "1")])
        assert b"cookie: a=1; b=2" in answer.data and b"x-a: 1" in answer.data, answer.data
        answer = client.request("one.example.com", "/length/77", "HEAD")
        assert answer.field("content-length") == "77" and answer.data == b"" and answer.ended
        assert client.request("one.example.com", "/status/204").status == 204
        answer = client.request("one.example.com", "/echo", "POST", body=b"x", trailers=[("x-late", "7"), ("authorization", "no")])
        assert answer.status == 200
        assert w.one.requests[-1].trailers == b"x-late: 7\n", w.one.requests[-1].trailers
        answer = client.request("one.example.com", "/alt-svc")
        assert answer.field("alt-svc") is None and answer.field("connection") is None and answer.field("x-stay") == "1"


@check
def A9_each_stream_is_decided_on_its_own(program, share):
    with world(program, share).start() as w:
        client = w.http2("guarded.example.com")
        assert client.request("guarded.example.com", "/v1/a").status == 200
        refused = client.request("guarded.example.com", "/v2/a")
        assert refused.status == 403 and json.loads(refused.data)["by"] == "egress", refused.data
        assert client.request("guarded.example.com", "/v1/a", "POST", body=b"x").status == 403
        assert client.request("guarded.example.com", "/v1/../v2").status == 403
        assert client.request("guarded.example.com", "/v1/b").status == 200
        assert [r.target for r in w.one.requests] == ["/v1/a", "/v1/b"]


@check
def a_secret_in_any_place_stays_here_and_harms_no_other_stream(program, share):
    with world(program, share).start() as w:
        client = w.http2("one.example.com")
        slow = client.open([(":method", "GET"), (":scheme", "https"), (":authority", "one.example.com"), (":path", "/slow")])
        assert w.one.wait_for(lambda o: o.requests)
        assert client.request("one.example.com", f"/echo?{TOKEN}").status == 403
        assert client.request("one.example.com", "/echo", fields=[("x-a", TOKEN)]).status == 403
        assert client.request("one.example.com", "/echo", "POST", body=b"x" * 5000 + TOKEN.encode()).status == 403
        late = client.request("one.example.com", "/echo", "POST", body=b"x" * 50, trailers=[("x-late", TOKEN)])
        assert late.status == 403
        number = client.open([(":method", "POST"), (":scheme", "https"), (":authority", "one.example.com"), (":path", "/echo")], end=False)
        client.data(number, b"y" * 30000 + TOKEN[:9].encode())
        try:
            client.data(number, TOKEN[9:].encode() + b"z" * 30000)
        except ConnectionError:
            pass  # the answer was quicker than the rest of the body
        refused = client.response(number)
        assert refused.status == 403
        client.wait(lambda: refused.error is not None, "the rest of the body is not wanted")
        assert refused.error == 0
        w.one.release()
        assert client.response(slow).data == b"at last"
        assert TOKEN.encode() not in w.one.raw and TOKEN[:9].encode() not in w.one.raw


@check
def a_slow_upstream_slows_the_agent_and_not_its_other_streams(program, share):
    with world(program, share).start() as w:
        client = w.http2("one.example.com")
        client.request("one.example.com", "/")
        before = w.rss_kib()
        number = client.open([(":method", "POST"), (":scheme", "https"), (":authority", "one.example.com"), (":path", "/early")], end=False)
        # The origin answers 413 and reads nothing; before that, what it does not read must not be taken for ever.
        sent = 0
        try:
            while sent < 40_000_000:
                client.data(number, b"n" * 16384)
                sent += 16384
        except ConnectionError:
            pass
        assert client.head(number).status in (413, 502), client.streams[number].fields
        assert client.request("one.example.com", "/length/3").data == b"ABC"
        assert w.rss_kib() - before < SLACK_KIB, w.rss_kib() - before


@check
def an_agent_that_does_not_read_stops_the_upstream(program, share):
    with world(program, share).start() as w:
        client = w.http2("one.example.com", credit=False)
        fields = [(":method", "GET"), (":scheme", "https"), (":authority", "one.example.com")]
        client.request("one.example.com", "/")
        before = w.rss_kib()
        number = client.open(fields + [(":path", "/length/60000000")])
        client.wait(lambda: len(client.streams[number].data) >= 65000, "the first window")
        assert client.request("one.example.com", "/status/204").status == 204
        assert w.rss_kib() - before < SLACK_KIB, w.rss_kib() - before
        stop = threading.Event()

        def drain():
            while not stop.is_set():
                client.release(number)
                stop.wait(0.0005)
        thread = threading.Thread(target=drain)
        thread.start()
        client.wait(lambda: client.streams[number].ended, "all of it", 60)
        stop.set()
        thread.join()
        assert len(client.streams[number].data) == 60000000


@check
def a_cancelled_stream_ends_its_request_only(program, share):
    with world(program, share).start() as w:
        client = w.http2("one.example.com")
        number = client.open([(":method", "GET"), (":scheme", "https"), (":authority", "one.example.com"), (":path", "/slow")])
        assert w.one.wait_for(lambda o: o.requests)
        client.send(frame(RST_STREAM, 0, number, b"\0\0\0\x08"))
        assert client.request("one.example.com", "/length/4").data == b"ABCD"
        assert any(e["event"] == "client_gone" for e in w.events())


@check
def events_come_as_they_are_sent(program, share):
    with world(program, share).start() as w:
        client = w.http2("one.example.com")
        number = client.open([(":method", "GET"), (":scheme", "https"), (":authority", "one.example.com"), (":path", "/sse")])
        for event in range(5):
            w.one.next_event()
            client.wait_data(number, lambda data: data.count(b"\n\n") == event + 1)
        assert client.response(number).ended


if __name__ == "__main__":
    main()
