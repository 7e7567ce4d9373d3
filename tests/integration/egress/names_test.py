"""Who is asked and may be reached: routes, names that disagree, address rules. Attacks A1, A2, A4-A9, A11, A13, A14, A17, B2-B5."""
from harness import OTHER_SECRET, TOKEN, World, check, main
import ssl

ROUTES = [
    {"host": "api.example.com", "matches": [{"paths": [{"type": "prefix", "value": "/v1"}], "methods": ["GET", "POST"]},
                                            {"paths": [{"type": "exact", "value": "/echo"}]}]},
    {"host": "all.example.com", "git": {"fetch": True}},
    {"host": "plain.example.com", "plain": True},
    {"host": "localhost"},
    {"host": "pinned.example.com", "ports": [443, 8443]},
]


def world(program, share, **more):
    result = World(program, share, ROUTES, **more)
    result.api = result.tls_origin("api.example.com", "all.example.com", "pinned.example.com", "localhost")
    result.plain = result.plain_origin("plain.example.com")
    del result.pins["localhost"]
    return result


@check
def what_a_route_allows_reaches_the_origin(program, share):
    with world(program, share).start() as w:
        assert w.get("api.example.com", "/v1/models").status == 200
        assert w.api.requests[0].target == "/v1/models"


@check
def a_connect_to_a_host_without_a_route_is_403_with_a_hint(program, share):
    with world(program, share).start() as w:
        status, client = w.connect("evil.example.com:443")
        assert status == 403
        import json
        body = json.loads(client.body)
        assert body["error"] == "blocked" and body["by"] == "egress" and body["reason"] == "host_not_allowed", body
        assert body["host"] == "evil.example.com" and "egress-block" in body["hint"], body
        assert body["request"] == {"tool": "egress-block", "route": {"host": "evil.example.com"}}, body
        assert w.blocks()[0]["reason"] == "host_not_allowed"


@check
def a_path_outside_the_matches_is_403_and_names_what_to_ask_for(program, share):
    with world(program, share).start() as w:
        answer = w.get("api.example.com", "/admin")
        assert answer.status == 403 and answer.header("content-type") == "application/json"
        assert answer.json()["reason"] == "no_match"
        assert answer.json()["request"]["route"]["matches"] == [
            {"methods": ["GET"], "paths": [{"type": "exact", "value": "/admin"}]}], answer.json()
        assert w.get("api.example.com", "/v1/models", method="DELETE").status == 403
        assert not w.api.requests


@check
def no_routes_means_nothing_is_allowed(program, share):
    with World(program, share, []).start() as w:
        assert w.connect("api.example.com:443")[0] == 403
        client = w.proxy()
        client.send("GET http://plain.example.com/ HTTP/1.1\r\nHost: plain.example.com\r\n\r\n")
        assert client.response().status == 403


@check
def A1_names_with_strange_octets_are_refused(program, share):
    with world(program, share).start() as w:
        for name in ["api.example.com%00.evil.com", "api_example.com", "api.example.com/", "a b", "@api.example.com",
                     "evil@api.example.com", "api.example.com#", "api..example.com", "-.example.com", "*.example.com", ""]:
            try:
                status, _ = w.connect(f"{name}:443")
            except EOFError:
                status = 400
            assert status in (400, 403), (name, status)
        client = w.proxy()
        client.send(b"CONNECT api.example.com\x00.evil.com:443 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.head()[0] == 400


@check
def A2_host_must_agree_with_the_connect(program, share):
    with world(program, share).start() as w:
        for host in ["evil.example.com", "all.example.com", "api.example.com:8443", "api.example.com.evil.com", "127.0.0.1"]:
            answer = w.tls("api.example.com").get("/v1/x", host)
            assert answer.status in (403, 421), (host, answer.status)
        client = w.tls("api.example.com")
        client.send("GET /v1/x HTTP/1.1\r\nHost: api.example.com\r\nHost: evil.example.com\r\n\r\n")
        assert client.response().status == 400
        assert not w.api.requests
        assert w.tls("api.example.com").get("/v1/x", "API.example.com.").status == 200
        assert w.tls("api.example.com").get("/v1/x", "api.example.com:443").status == 200


@check
def A2_the_sni_must_agree_with_the_connect(program, share):
    with world(program, share).start() as w:
        context = w.context()
        context.check_hostname = False
        for name in ["all.example.com", "evil.example.com"]:
            try:
                w.tls("api.example.com", server_name=name, context=context)
                raise AssertionError("the handshake went through")
            except ssl.SSLError as error:
                assert "UNRECOGNIZED_NAME" in str(error).upper().replace(" ", "_"), error


@check
def A2_an_absolute_target_inside_the_tunnel_must_agree_too(program, share):
    with world(program, share).start() as w:
        client = w.tls("api.example.com")
        assert client.get("https://evil.example.com/v1/x", "api.example.com").status in (403, 421)
        client = w.tls("api.example.com")
        assert client.get("https://api.example.com/v1/x", "api.example.com").status == 200
        assert w.api.requests[-1].target == "/v1/x"
        assert w.tls("api.example.com").get("http://api.example.com/v1/x", "api.example.com").status == 400


@check
def A2_in_plain_requests_url_and_host_must_agree(program, share):
    with world(program, share).start() as w:
        client = w.proxy()
        client.send("GET http://plain.example.com/ HTTP/1.1\r\nHost: evil.example.com\r\n\r\n")
        assert client.response().status == 421
        client = w.proxy()
        client.send("GET http://plain.example.com/a HTTP/1.1\r\nHost: plain.example.com\r\n\r\n")
        assert client.response().status == 200
        assert w.plain.requests[0].header("host") == "plain.example.com"


@check
def A4_A9_a_pipelined_second_request_is_checked_like_the_first(program, share):
    with world(program, share).start() as w:
        client = w.tls("api.example.com")
        one = "GET /v1/a HTTP/1.1\r\nHost: api.example.com\r\n\r\n"
        client.send(one + one.replace("/v1/a", "/admin") + one.replace("api.", "evil.") + one.replace("/v1/a", "/v1/b"))
        assert [client.response().status for _ in range(4)] == [200, 403, 421, 200]
        assert [request.target for request in w.api.requests] == ["/v1/a", "/v1/b"]
        assert b"admin" not in w.api.raw and b"evil" not in w.api.raw


@check
def A9_a_kept_alive_connection_is_decided_anew_for_each_request(program, share):
    with world(program, share).start() as w:
        client = w.tls("api.example.com")
        assert client.get("/v1/a", "api.example.com").status == 200
        assert client.get("/secret", "api.example.com").status == 403
        assert client.get("/v1/b", "all.example.com").status == 421
        assert client.get("/v1/c", "api.example.com").status == 200


@check
def A5_A6_the_path_that_is_checked_is_the_path_that_is_sent(program, share):
    with world(program, share).start() as w:
        # Each either refused or sent as the normalised path that was checked: nothing under /admin, nothing with a dot segment.
        for path in ["/v1/../admin", "/v1/%2e%2e/admin", "/v1/./../admin", "/v1/%2E%2E/admin", "/v1/%252e%252e/admin", "/v1/%252%65%252%65/admin",
                     "/v1\\..\\admin", "/v1/%5c..", "/v1/%00", "//v1/x", "/v10", "/V1/x", "/v1/x/%2e%2e/%2e%2e/admin"]:
            assert w.get("api.example.com", path).status in (400, 403), path
        assert not w.api.requests, w.api.requests[-1].target
        assert w.get("api.example.com", "/v1/a%2fb%2F%2e%2e%2Fadmin").status in (200, 400, 403)
        assert all("%2F" in request.target and "/admin" not in request.target for request in w.api.requests)
        w.api.clear()
        assert w.get("api.example.com", "/x/../v1/%6dodels").status == 200
        assert w.api.requests[0].target == "/v1/models"


@check
def A7_A8_upgrades_and_http2_prefaces_do_not_make_tunnels(program, share):
    with world(program, share).start() as w:
        for field in ["Upgrade: h2c\r\nConnection: Upgrade", "Upgrade: notwebsocket\r\nConnection: Upgrade",
                      "Upgrade: TLS/1.0", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"]:
            assert w.get("api.example.com", "/v1/x", field + "\r\n").status == 403, field
        client = w.tls("api.example.com")
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert client.response().status == 400 and client.is_closed()
        client = w.tls("api.example.com")
        client.send("GET /v1/x HTTP/1.1\r\nHost: api.example.com\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert client.response().status == 200 and client.response().status == 400
        assert not any(b"PRI" in bytes(w.api.raw) for _ in "x")


@check
def A11_address_literals_in_every_spelling_are_refused(program, share):
    with world(program, share).start() as w:
        for host in ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0", "::1",
                     "[fe80::1%25eth0]", "169.254.169.254", "1.1.1.1"]:
            assert w.connect(f"{host}:443")[0] in (400, 403), host
        for port in ["65979", "0", "-1", "+443", "443x", " 443", "", "0443000"]:
            try:
                assert w.connect(f"api.example.com:{port}")[0] in (400, 403), port
            except EOFError:
                pass
        assert w.connect("api.example.com:80")[0] == 403
        assert w.connect("api.example.com")[0] == 403


@check
def A11_A17_B4_names_that_lead_to_loopback_are_refused_although_allowed(program, share):
    with world(program, share).start() as w:
        answer = w.get("localhost", "/")
        assert answer.status == 403 and answer.json()["reason"] == "address_not_allowed", answer.body
        assert w.api.connections == 0
        for name in ["localhost.", "LOCALHOST"]:
            assert w.connect(f"{name}:443")[0] == 200  # the same name, the same rules
            assert w.get("localhost", "/").status == 403


@check
def a_pin_is_an_explicit_permission_and_may_change_the_port(program, share):
    with world(program, share).start() as w:
        assert w.get("pinned.example.com", "/").status == 200


@check
def A13_trace_and_connect_are_not_passed_on(program, share):
    with world(program, share).start() as w:
        assert w.get("all.example.com", "/", method="TRACE").status == 403
        client = w.tls("all.example.com")
        client.send("CONNECT evil.example.com:443 HTTP/1.1\r\nHost: all.example.com\r\n\r\n")
        assert client.response().status in (400, 403)
        assert not w.api.requests


@check
def A14_B2_exact_means_exact(program, share):
    with world(program, share).start() as w:
        for name in ["data.api.example.com", "example.com", "api.example.com.evil.com", "xapi.example.com"]:
            assert w.connect(f"{name}:443")[0] == 403, name
        assert w.connect("API.EXAMPLE.com.:443")[0] == 200


@check
def A16_two_hosts_on_one_address_never_share_a_connection(program, share):
    with world(program, share).start() as w:
        first = w.get("api.example.com", "/v1/count").body
        second = w.get("all.example.com", "/count").body
        assert w.api.connections == 2, (first, second)
        assert set(w.api.server_names) == {"api.example.com", "all.example.com"}


@check
def git_push_over_https_is_blocked_and_fetch_is_not(program, share):
    with world(program, share).start() as w:
        for path, method in [("/r.git/info/refs?service=git-receive-pack", "GET"), ("/r.git/git-receive-pack", "POST"),
                             ("/r.git/info/refs?a=b&service=git%2Dreceive%2Dpack", "GET")]:
            answer = w.get("all.example.com", path, method=method)
            assert answer.status == 403 and answer.json()["reason"] == "git_push", (path, answer.body)
        assert w.get("all.example.com", "/r.git/info/refs?service=git-upload-pack").status == 200
        assert len(w.api.requests) == 1


@check
def the_proxy_is_not_a_server_and_https_needs_connect(program, share):
    with world(program, share).start() as w:
        for text in ["GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
                     "GET https://api.example.com/v1/x HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
                     "OPTIONS * HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
                     "GET ftp://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n"]:
            client = w.proxy()
            client.send(text)
            assert client.response().status == 400, text


@check
def plain_http_needs_a_plain_route(program, share):
    with world(program, share).start() as w:
        client = w.proxy()
        client.send("GET http://all.example.com/ HTTP/1.1\r\nHost: all.example.com\r\n\r\n")
        assert client.response().status == 403
        # nor does it help to speak plainly inside a CONNECT
        status, client = w.connect("all.example.com:443")
        assert status == 200
        assert client.get("/", "all.example.com:443").status == 403
        assert not w.api.requests


@check
def D3_there_is_no_other_door_on_the_proxy_port(program, share):
    with world(program, share).start() as w:
        for path in ["/_sbx/browser-open", "/status", "/allowlist/../../control", "/", "/allowlist?x"]:
            client = w.proxy()
            client.send(f"GET http://_egress.local{path} HTTP/1.1\r\nHost: _egress.local\r\n\r\n")
            assert client.response().status == 404, path


@check
def the_allowlist_is_told_without_token_names(program, share):
    routes = ROUTES + [{"host": "auth.example.com", "auth": {"scheme": "Bearer", "token_ref": "VERY_SECRET_NAME"}}]
    with World(program, share, routes, secrets={"VERY_SECRET_NAME": TOKEN}).start() as w:
        client = w.proxy()
        client.send("GET http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n")
        answer = client.response()
        assert answer.status == 200
        assert "api.example.com" in [route["host"] for route in answer.json()["routes"]]
        assert b"VERY_SECRET_NAME" not in answer.body and TOKEN.encode() not in answer.body


@check
def passthrough_is_a_tunnel_to_the_named_host_only(program, share):
    w = World(program, share, [{"host": "pinned.example.com", "tls": "passthrough"}])
    origin = w.tls_origin("pinned.example.com", "other.example.com")
    with w.start():
        context = ssl.create_default_context(cafile=w.ca)  # the origin's own certificate, not ours
        client = w.tls("pinned.example.com", context=context)
        assert client.get("/echo", "pinned.example.com").status == 200
        context.check_hostname = False
        for name in ["other.example.com", None]:
            status, raw = w.connect("pinned.example.com:443")
            assert status == 200
            try:
                context.wrap_socket(raw.socket, server_hostname=name)
                raise AssertionError("the tunnel took another name")
            except (ssl.SSLError, OSError):
                pass
        status, raw = w.connect("pinned.example.com:443")
        raw.send("GET / HTTP/1.1\r\nHost: pinned.example.com\r\n\r\n")
        assert raw.is_closed()
        assert len(origin.requests) == 1 and origin.connections == 1
        assert [event["reason"] for event in w.blocks()] == ["name_mismatch", "name_mismatch", "not_tls"]


main()
