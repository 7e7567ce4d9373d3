"""Upstreams that speak HTTP/2, for agents of both versions: sharing, retries, trailers, what a bad upstream may not do."""
import os
import subprocess

from harness import OTHER_SECRET, PLACEHOLDER, TOKEN, World, check, main
from http2 import DATA, END_HEADERS, END_STREAM, HEADERS, PING, PUSH_PROMISE, block_of, frame
from unix_forward import Forward

SLACK_KIB = int(os.environ.get("BB_MEMORY_SLACK_KIB", 8192))
HOST = "one.example.com"
GET = [(":method", "GET"), (":scheme", "https"), (":authority", HOST)]


def world(program, share, **options):
    w = World(program, share, [{"host": HOST}, {"host": "two.example.com", "auth": {"scheme": "Bearer", "token_ref": "TOKEN"}},
                               {"host": "three.example.com", "auth": {"scheme": "Bearer", "token_ref": "OTHER"}}],
              secrets={"TOKEN": TOKEN, "OTHER": OTHER_SECRET}, placeholders=[{"value": PLACEHOLDER, "token_ref": "TOKEN"}])
    w.origin = w.http2_origin(HOST, "two.example.com", "three.example.com", **options)
    return w


@check
def both_versions_of_agent_reach_an_http_2_upstream(program, share):
    with world(program, share).start() as w:
        for size in (0, 1, 70000, 1_000_000):
            body = os.urandom(size // 2).hex().encode()
            old = w.tls(HOST)
            answer = old.get("/echo", HOST, method="POST", body=body)
            assert answer.status == 200 and answer.body.endswith(b"\n" + body) and b":path: /echo" in answer.body, answer.body[:300]
            assert len(old.get(f"/length/{size}", HOST).body) == size
            new = w.http2(HOST)
            answer = new.request(HOST, "/echo", "POST", [("x-a", "1"), ("te", "trailers")], body)
            assert answer.data.endswith(b"\n" + body) and b"te: trailers" in answer.data and b"x-a: 1" in answer.data
            assert len(new.request(HOST, f"/length/{size}").data) == size
        assert b"te:" not in new.request(HOST, "/echo").data
        assert old.get("/length/9", HOST, method="HEAD").header("content-length") == "9" and old.get("/status/204", HOST).status == 204
        assert w.origin.connections == 1
        forward = Forward(w.egress_socket)
        result = subprocess.run(["curl", "-sS", "-m", "20", "--proxy", f"http://127.0.0.1:{forward.port}", "--cacert", w.ca_file,
                                 "--http2", "-w", "%{http_version} %{http_code}", f"https://{HOST}/length/3"], capture_output=True)
        forward.close()
        assert result.stdout == b"ABC2 200", result


@check
def trailers_and_interims_cross_versions_both_ways(program, share):
    with world(program, share).start() as w:
        new, old = w.http2(HOST), w.tls(HOST)
        answer = new.request(HOST, "/trailers")
        assert answer.data == b"body" and answer.trailers == [("x-sum", "42"), ("grpc-status", "0")], answer.trailers
        answer = old.get("/trailers", HOST)
        assert answer.body == b"body" and answer.trailers == ["x-sum: 42", "grpc-status: 0"], answer.trailers
        assert new.request(HOST, "/interim").interim == [103] and old.get("/interim", HOST).interim == [103]
        assert b"trailers [('x-late', '7')]" in new.request(HOST, "/echo", "POST", body=b"x", trailers=[("x-late", "7")]).data
        old.send(f"POST /echo HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Late: 7\r\n\r\n")
        assert b"trailers [('x-late', '7')]" in old.response().body


@check
def A9_connections_are_shared_for_one_route_and_credential_only(program, share):
    with world(program, share).start() as w:
        numbers = {}
        for host in (HOST, "two.example.com", "three.example.com", HOST, "two.example.com"):
            connection, count = w.http2(host).request(host, "/count").data.split()
            numbers.setdefault(host, []).append((int(connection), int(count)))
        assert len({entries[0][0] for entries in numbers.values()}) == 3, numbers
        assert all(entries == [(entries[0][0], n + 1) for n in range(len(entries))] for entries in numbers.values()), numbers
        seen = [s.field("authorization") for s in w.origin.requests]
        assert seen == [None, f"Bearer {TOKEN}", f"Bearer {OTHER_SECRET}", None, f"Bearer {TOKEN}"], seen
        agent = w.http2("two.example.com")
        assert agent.request("two.example.com", "/header-echo", fields=[("authorization", f"Bearer {PLACEHOLDER}")]).field("x-echo") == "Bearer ********"
        assert TOKEN.encode() not in agent.request("two.example.com", "/echo").data


@check
def many_streams_share_one_connection(program, share):
    with world(program, share).start() as w:
        agent = w.http2(HOST)
        agent.request(HOST, "/")
        numbers = [agent.open(GET + [(":path", "/slow")]) for _ in range(50)]
        assert w.origin.wait_for(lambda o: len(o.requests) == 51)
        w.origin.release()
        assert all(agent.response(n).data == b"at last" for n in numbers)
        assert w.origin.connections == 1, w.origin.connections


@check
def an_upstream_that_takes_few_streams_gets_more_connections(program, share):
    with world(program, share, settings=((3, 4),)).start() as w:
        agent = w.http2(HOST)
        agent.request(HOST, "/")
        numbers = [agent.open(GET + [(":path", "/slow")]) for _ in range(10)]
        assert w.origin.wait_for(lambda o: len(o.requests) == 11), len(w.origin.requests)
        assert w.origin.connections >= 2
        w.origin.release()
        assert all(agent.response(n).data == b"at last" for n in numbers)


@check
def what_the_upstream_did_not_process_is_sent_again_whatever_the_method(program, share):
    with world(program, share).start() as w:
        agent, old = w.http2(HOST), w.tls(HOST)
        for path in ("refuse", "goaway"):
            assert agent.request(HOST, f"/{path}/1").status == 200
            answer = agent.request(HOST, f"/{path}/2", "POST", body=b"once " * 1000)
            assert answer.status == 200 and answer.data.endswith(b"once " * 1000), answer.data[:200]
            assert old.get(f"/{path}/3", HOST, method="POST", body=b"thrice").body.endswith(b"\nthrice")
        # What may have been processed is not: a POST after which the connection ended.
        answer = agent.request(HOST, "/reset", "POST", body=b"x")
        assert answer.status == 502, answer.data
        assert len([s for s in w.origin.requests if s.field(":path") == "/reset"]) == 1


@check
def a_cut_answer_is_cut_for_the_agent_too(program, share):
    with world(program, share).start() as w:
        agent = w.http2(HOST)
        answer = agent.request(HOST, "/hang-up")
        assert answer.error is not None and not answer.ended, (answer.fields, answer.error)
        assert agent.request(HOST, "/length/3").data == b"ABC"
        old = w.tls(HOST)
        try:
            old.get("/hang-up", HOST)
            raise AssertionError("a cut answer looked whole")
        except (EOFError, OSError):
            pass


@check
def back_pressure_reaches_from_end_to_end(program, share):
    with world(program, share, credit=False).start() as w:
        agent = w.http2(HOST, credit=False)
        agent.request(HOST, "/")
        before = w.rss_kib()
        number = agent.open(GET + [(":path", "/length/40000000")])
        agent.wait(lambda: len(agent.streams[number].data) >= 65000, "the first window")
        # The origin gives no credit for bodies: its window of 64 KiB, our buffer and ours for the agent, and no more.
        upload = agent.open([(":method", "POST")] + GET[1:] + [(":path", "/echo")], end=False)
        sent = 0
        while sent < 20_000_000:
            with agent.changed:
                if not agent.changed.wait_for(lambda: min(agent.window, agent.streams[upload].window) > 0, 1):
                    break
            agent.data(upload, b"u" * 4096)
            sent += 4096
        assert 100_000 < sent < 2_000_000, sent
        assert w.rss_kib() - before < SLACK_KIB, w.rss_kib() - before
        assert agent.request(HOST, "/status/204").status == 204


@check
def a_hostile_http_2_upstream_is_an_upstream_error(program, share):
    with world(program, share).start() as w:
        done = END_HEADERS | END_STREAM
        ok = (":status", "200")
        answers = {
            "upper-case name": lambda n: frame(HEADERS, done, n, block_of([ok, ("X-A", "1")])),
            "line break": lambda n: frame(HEADERS, done, n, block_of([ok, ("x-a", "1\r\nset-cookie: a=b")])),
            "transfer-encoding": lambda n: frame(HEADERS, done, n, block_of([ok, ("transfer-encoding", "chunked")])),
            "no status": lambda n: frame(HEADERS, done, n, block_of([("x-a", "1")])),
            "101": lambda n: frame(HEADERS, END_HEADERS, n, block_of([(":status", "101")])),
            "data first": lambda n: frame(DATA, END_STREAM, n, b"x"),
            "many interims": lambda n: frame(HEADERS, END_HEADERS, n, block_of([(":status", "103")])) * 40,
            "push": lambda n: frame(PUSH_PROMISE, END_HEADERS, n, b"\0\0\0\2" + block_of(GET + [(":path", "/pushed")])),
            "ping flood": lambda n: frame(PING, 0, 0, b"12345678") * 5000,
        }
        for what, answer in answers.items():
            w.origin.answer = lambda peer, number, stream, answer=answer: peer.send(answer(number))
            response = w.http2(HOST).request(HOST, "/", "POST", body=b"")
            assert response.status == 502, (what, response.fields, response.error)
        for what, data in (("short", b"short"), ("long", b"much longer than it said")):
            head = block_of([ok, ("content-length", "10")])
            w.origin.answer = lambda peer, number, stream, data=data: peer.send(
                frame(HEADERS, END_HEADERS, number, head) + frame(DATA, END_STREAM, number, data))
            response = w.http2(HOST).request(HOST, "/")
            assert response.error is not None or response.status == 502, (what, response.fields, response.data)


@check
def an_upstream_without_alpn_or_with_http_1_1_only_still_works(program, share):
    with world(program, share) as w:
        w.old = w.tls_origin("old.example.com")
        w.document["egress"]["routes"].append({"host": "old.example.com"})
        w.start()
        assert w.http2("old.example.com").request("old.example.com", "/length/5").data == b"ABCDE"


if __name__ == "__main__":
    main()
