"""Credentials: injected, bound, never seen by the agent, never carried out. Attacks A10, A12, A15, E3, E5, F1, F2, F8, F11."""
import base64
import gzip
import zlib

from harness import OTHER_SECRET, PLACEHOLDER, TOKEN, World, check, main

ROUTES = [
    {"host": "api.example.com", "auth": {"scheme": "Bearer", "token_ref": "TOKEN"}, "foreign_credentials": "refuse"},
    {"host": "strip.example.com", "auth": {"scheme": "token", "token_ref": "TOKEN"}},
    {"host": "basic.example.com", "auth": {"scheme": "Basic", "token_ref": "PAIR"}},
    {"host": "header.example.com", "auth": {"scheme": "header:X-Api-Key", "token_ref": "TOKEN"}},
    {"host": "open.example.com"},
    {"host": "pass.example.com", "on_unscannable": "pass"},
    {"host": "both.example.com", "plain": True, "auth": {"scheme": "Bearer", "token_ref": "TOKEN"}},
]
SECRETS = {"TOKEN": TOKEN, "OTHER": OTHER_SECRET, "PAIR": "someone:pa55word-of-someone"}
PLACEHOLDERS = [{"value": PLACEHOLDER, "token_ref": "TOKEN"}, {"value": "other-placeholder", "token_ref": "OTHER"}]


def world(program, share, **more):
    w = World(program, share, ROUTES, secrets=SECRETS, placeholders=PLACEHOLDERS, **more)
    w.origin = w.tls_origin(*[route["host"] for route in ROUTES])
    return w


@check
def the_token_is_injected_and_the_agent_never_sees_it(program, share):
    with world(program, share).start() as w:
        answer = w.get("api.example.com", "/v1/x", f"Authorization: Bearer {PLACEHOLDER}\r\n")
        assert answer.status == 200
        assert w.origin.requests[0].header("authorization") == f"Bearer {TOKEN}"
        w.get("strip.example.com", "/")
        assert w.origin.requests[1].header("authorization") == f"token {TOKEN}"
        w.get("basic.example.com", "/")
        pair = base64.b64encode(SECRETS["PAIR"].encode()).decode()
        assert w.origin.requests[2].header("authorization") == f"Basic {pair}"
        w.get("header.example.com", "/", "X-Api-Key: mine-all-mine\r\n")
        assert w.origin.requests[3].header("x-api-key") == TOKEN
        assert [key for key, _ in w.origin.requests[3].headers].count("x-api-key") == 1


@check
def E5_F11_an_upstream_that_echoes_the_token_gives_stars(program, share):
    with world(program, share).start() as w:
        for path in ["/echo", "/gzip-echo", "/header-echo"]:
            answer = w.get("strip.example.com", path)
            seen = answer.body + repr(answer.headers).encode()
            assert answer.status == 200 and TOKEN.encode() not in seen and b"********" in seen, (path, seen)
        assert any(event["event"] == "secret_scrubbed" for event in w.events())
        for coded in [base64.b64encode(f"xx {OTHER_SECRET} yy".encode()), OTHER_SECRET.encode().hex().encode()]:
            w.origin.programmed = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + coded + b" end"
            answer = w.get("open.example.com", "/programmed")
            assert b"********" in answer.body and coded[8:40] not in answer.body, answer.body


@check
def an_echo_in_chunks_of_every_size_is_scrubbed(program, share):
    with world(program, share).start() as w:
        body = b"before " + TOKEN.encode() + b" after"
        for size in range(1, len(body) + 1):
            raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            for at in range(0, len(body), size):
                piece = body[at:at + size]
                raw += f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
            w.origin.programmed = raw + b"0\r\n\r\n"
            answer = w.get("strip.example.com", "/programmed")
            assert answer.body == b"before ******** after", (size, answer.body)


@check
def a_scrubbed_answer_keeps_the_length_it_promised(program, share):
    with world(program, share).start() as w:
        client = w.tls("strip.example.com")
        answer = client.get("/echo", "strip.example.com")
        assert len(answer.body) == int(answer.header("content-length")) and TOKEN.encode() not in answer.body
        assert client.get("/count", "strip.example.com").status == 200


@check
def E3_foreign_credentials_are_refused_or_stripped_as_the_route_says(program, share):
    with world(program, share).start() as w:
        for field in ["Authorization: Bearer attackers-own-key", "X-Api-Key: attackers", "Cookie: session=attackers",
                      "api-key: attackers", "x-goog-api-key: attackers", "Authorization: Basic " +
                      base64.b64encode(b"attacker:key").decode()]:
            answer = w.get("api.example.com", "/v1/x", field + "\r\n")
            assert answer.status == 403 and answer.json()["reason"] == "foreign_credentials", field
            assert b"attackers" not in answer.body
            answer = w.get("strip.example.com", "/v1/x", field + "\r\n")
            assert answer.status == 200, field
            assert b"attackers" not in w.origin.raw and w.origin.requests[-1].header("authorization") == f"token {TOKEN}"
        for query in ["key=attackers", "a=1&access_token=attackers", "%6bey=attackers&b=2", "API_KEY=attackers"]:
            assert w.get("api.example.com", f"/v1/x?{query}").status == 403, query
            assert w.get("strip.example.com", f"/v1/x?{query}").status == 200
            assert "attackers" not in w.origin.requests[-1].target
        assert w.get("strip.example.com", "/v1/x?a=1&key=attackers&b=2").status == 200
        assert w.origin.requests[-1].target == "/v1/x?a=1&b=2"


@check
def F1_a_placeholder_is_good_for_its_own_route_only(program, share):
    with world(program, share).start() as w:
        basic = base64.b64encode(f"x:{PLACEHOLDER}".encode()).decode()
        for field in [f"Authorization: Bearer {PLACEHOLDER}", f"X-Api-Key: {PLACEHOLDER}", f"Authorization: Basic {basic}"]:
            assert w.get("api.example.com", "/v1/x", field + "\r\n").status == 200, field
            assert PLACEHOLDER.encode() not in w.origin.raw
        assert w.get("api.example.com", "/v1/x", "Authorization: Bearer other-placeholder\r\n").status == 403
        assert w.get("api.example.com", f"/v1/x?key={PLACEHOLDER}").status == 200
        assert w.origin.requests[-1].target == "/v1/x"


@check
def authorization_is_taken_off_where_nothing_is_injected_too(program, share):
    with world(program, share).start() as w:
        assert w.get("open.example.com", "/", "Authorization: Bearer something\r\nProxy-Authorization: Basic eA==\r\n").status == 200
        assert w.origin.requests[0].header("authorization") is None
        assert w.origin.requests[0].header("proxy-authorization") is None


@check
def A10_connection_cannot_take_the_injected_credential_off(program, share):
    with world(program, share).start() as w:
        answer = w.get("api.example.com", "/v1/x", "Connection: keep-alive, Authorization, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n")
        assert answer.status == 200
        request = w.origin.requests[0]
        assert request.header("authorization") == f"Bearer {TOKEN}"
        assert request.header("x-mine") is None and request.header("te") is None and request.header("keep-alive") is None
        assert request.header("accept-encoding") == "identity"


@check
def F8_a_redirect_elsewhere_does_not_take_the_credential_along(program, share):
    with world(program, share).start() as w:
        answer = w.get("api.example.com", "/redirect")
        assert answer.status == 302 and answer.header("location") == "https://other.example.com/"
        assert w.connect("other.example.com:443")[0] == 403


@check
def F2_a_route_whose_credential_is_missing_or_would_go_out_in_the_clear_is_refused(program, share):
    w = world(program, share)
    w.document["secrets"] = [{"name": "OTHER", "value": OTHER_SECRET}]
    plain = w.plain_origin("nothing.example.com")
    w.pins["both.example.com"] = f"127.0.0.1:{plain.port}"
    with w.start():
        answer = w.get("api.example.com", "/v1/x")
        assert answer.status == 403 and answer.json()["reason"] == "credential_missing"
    w = world(program, share)
    plain = w.plain_origin("nothing.example.com")
    w.pins["both.example.com"] = f"127.0.0.1:{plain.port}"
    with w.start():
        client = w.proxy()
        client.send("GET http://both.example.com/ HTTP/1.1\r\nHost: both.example.com\r\n\r\n")
        answer = client.response()
        assert answer.status == 403 and answer.json()["reason"] == "credential_needs_tls"
        assert plain.connections == 0


@check
def a_known_secret_in_any_part_of_a_request_is_blocked(program, share):
    with world(program, share).start() as w:
        cases = [("/x/" + OTHER_SECRET, "", b"", "path"), ("/x?q=" + OTHER_SECRET, "", b"", "query"),
                 ("/x", f"X-Note: {OTHER_SECRET}\r\n", b"", "header x-note"), ("/x", "", OTHER_SECRET.encode(), "body"),
                 ("/x", "", b"{\"a\": \"" + b"z" * 100_000 + OTHER_SECRET.encode() + b"\"}", "body"),
                 ("/x", f"{OTHER_SECRET}: 1\r\n", b"", "header"),
                 ("/x", "", base64.b64encode(OTHER_SECRET.encode()), "body"), ("/x", "", OTHER_SECRET.encode().hex().encode(), "body")]
        for path, headers, body, where in cases:
            answer = w.get("open.example.com", path, headers, "POST", body)
            assert answer.status == 403 and answer.json()["reason"] == "secret_found", (path, headers, answer.status)
            assert OTHER_SECRET.encode() not in answer.body
            event = w.blocks()[-1]
            assert event["kind"] == "dlp" and event["where"].startswith(where), event
        log = open(f"{w.state}/logs/events.jsonl").read()
        assert OTHER_SECRET not in log and TOKEN not in log
        assert OTHER_SECRET.encode() not in w.origin.raw


@check
def a_secret_cut_at_every_byte_of_a_chunked_body_never_reaches_the_origin(program, share):
    with world(program, share).start() as w:
        secret = OTHER_SECRET.encode()
        for cut in range(1, len(secret)):
            client = w.tls("open.example.com")
            client.send("POST /x HTTP/1.1\r\nHost: open.example.com\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (b"innocent ", secret[:cut], secret[cut:], b" more"):
                client.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            client.send("0\r\n\r\n")
            assert client.response().status == 403, cut
            client.close()
        assert secret not in w.origin.raw and secret[:8] not in w.origin.raw
        assert not any(request.complete for request in w.origin.requests)


@check
def a_secret_that_trickles_in_byte_by_byte_with_a_length_is_seen(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        body = b"x=" + OTHER_SECRET.encode() + b"&y=1"
        client.send(f"POST /x HTTP/1.1\r\nHost: open.example.com\r\nContent-Length: {len(body)}\r\n\r\n")
        for octet in body:
            client.send(bytes([octet]))
        assert client.response().status == 403
        assert OTHER_SECRET.encode()[:8] not in w.origin.raw


@check
def a_secret_in_a_trailer_is_blocked(program, share):
    with world(program, share).start() as w:
        client = w.tls("open.example.com")
        client.send("POST /x HTTP/1.1\r\nHost: open.example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
                    f"2\r\nhi\r\n0\r\nX-Sum: {OTHER_SECRET}\r\n\r\n")
        assert client.response().status == 403
        assert w.blocks()[-1]["where"] == "trailer"
        assert OTHER_SECRET.encode() not in w.origin.raw


@check
def A15_compressed_bodies_are_read(program, share):
    with world(program, share).start() as w:
        text = b"lots of text " * 2000 + OTHER_SECRET.encode() + b" and more" * 2000
        raw_deflate = zlib.compressobj(wbits=-15)
        for coding, body in [("gzip", gzip.compress(text)), ("deflate", zlib.compress(text)), ("x-gzip", gzip.compress(text)),
                             ("deflate", raw_deflate.compress(text) + raw_deflate.flush()),
                             ("gzip", gzip.compress(text[:20000]) + gzip.compress(text[20000:])), (None, gzip.compress(text))]:
            headers = f"Content-Encoding: {coding}\r\n" if coding else "Content-Type: application/octet-stream\r\n"
            answer = w.get("open.example.com", "/x", headers, "POST", body)
            assert answer.status == 403 and answer.json()["reason"] == "secret_found", (coding, answer.status)
            # Found in the decoded body, or by DLP itself, which opens compressed data wherever it stands.
            assert "body offset" in w.blocks()[-1]["where"], w.blocks()[-1]
        assert not any(request.complete for request in w.origin.requests)
        clean = gzip.compress(b"nothing here " * 5000)
        assert w.get("open.example.com", "/x", "Content-Encoding: gzip\r\n", "POST", clean).status == 200
        assert w.origin.requests[-1].body == clean and w.origin.requests[-1].header("content-encoding") == "gzip"


@check
def A15_what_cannot_be_decoded_follows_on_unscannable(program, share):
    with world(program, share).start() as w:
        damaged = gzip.compress(b"hello " * 1000)[:-10]
        bomb = gzip.compress(b"\0" * (64 << 20))
        for coding, body in [("gzip", damaged), ("gzip", b"not gzip"), ("compress", b"x"), ("gzip, gzip", gzip.compress(b"x")),
                             ("aes128gcm", b"x"), ("gzip", gzip.compress(b"x") + b"trailing"), ("gzip", bomb)]:
            answer = w.get("open.example.com", "/x", f"Content-Encoding: {coding}\r\n", "POST", body)
            assert answer.status == 403 and answer.json()["reason"] == "unscannable", (coding, answer.status, answer.body)
        assert not any(request.complete for request in w.origin.requests)
        assert w.get("pass.example.com", "/x", "Content-Encoding: compress\r\n", "POST", b"abc").status == 200
        assert w.get("pass.example.com", "/x", "Content-Encoding: gzip\r\n", "POST", damaged).status == 200
        assert w.origin.requests[-1].body == damaged


@check
def short_secrets_are_refused_at_the_start_without_telling_them(program, share):
    w = World(program, share, [], secrets={"SHORT": "abc1234"})
    try:
        w.start()
        raise AssertionError("it started")
    except RuntimeError as error:
        assert "SHORT" in str(error) and "abc1234" not in str(error), error
    finally:
        w.stop()


main()
