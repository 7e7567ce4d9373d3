"""The way to the upstream: verified TLS, address rules, pooling, parent proxy, failures told with their reason. A9, A11, B4, F2."""
import socket
import ssl
import threading

from harness import TOKEN, World, check, main, make_ca


def simple(program, share, *hosts, **more):
    return World(program, share, [{"host": host} for host in hosts], **more)


@check
def an_upstream_with_an_unknown_authority_is_502(program, share):
    w = simple(program, share, "api.example.com")
    make_ca(w.directory, "rogue")
    origin = w.tls_origin("api.example.com", ca="rogue")
    with w.start():
        answer = w.get("api.example.com", "/")
        assert answer.status == 502 and answer.json()["reason"] == "upstream_tls", answer.body
        assert "certificate" in answer.json()["message"], answer.body
        assert not origin.requests


@check
def an_upstream_with_another_name_is_502(program, share):
    w = simple(program, share, "api.example.com")
    origin = w.tls_origin("other.example.com")
    w.pins["api.example.com"] = f"127.0.0.1:{origin.port}"
    with w.start():
        answer = w.get("api.example.com", "/")
        assert answer.status == 502 and "mismatch" in answer.json()["message"].lower(), answer.body
        assert not origin.requests


@check
def tls_below_1_2_is_never_spoken(program, share):
    w = simple(program, share, "api.example.com")
    try:
        origin = w.tls_origin("api.example.com", max_version=ssl.TLSVersion.TLSv1_1)
    except (ssl.SSLError, ValueError):
        return w.stop()
    with w.start():
        assert w.get("api.example.com", "/").status == 502
        assert not origin.requests
        old = ssl.create_default_context(cadata=w.ca_pem)
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1
        try:
            old.set_ciphers("ALL:@SECLEVEL=0")
            w.tls("api.example.com", context=old)
            raise AssertionError("TLS 1.1 was taken")
        except (ssl.SSLError, OSError):
            pass


@check
def nobody_there_is_502_with_the_reason(program, share):
    w = simple(program, share, "api.example.com", "nowhere.example.com")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    w.pins["api.example.com"] = f"127.0.0.1:{port}"
    with w.start():
        answer = w.get("api.example.com", "/")
        assert answer.status == 502 and "refused" in answer.json()["message"], answer.body


@check
def a_pooled_connection_that_died_is_replaced_for_a_get(program, share):
    w = simple(program, share, "api.example.com")
    origin = w.tls_origin("api.example.com")
    with w.start():
        for _ in range(3):
            assert w.get("api.example.com", "/count").body.endswith(b" 1")
            # the origin says keep-alive, then ends: /raw answers once and closes
            text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".hex()
            assert w.get("api.example.com", f"/raw/{text}").body == b"ok"
        assert origin.connections >= 2


@check
def the_pool_keeps_connections_of_one_host_and_credential_only(program, share):
    w = World(program, share, [{"host": "a.example.com", "auth": {"scheme": "Bearer", "token_ref": "T"}}, {"host": "b.example.com"}],
              secrets={"T": TOKEN})
    origin = w.tls_origin("a.example.com", "b.example.com")
    with w.start():
        for _ in range(3):
            w.get("a.example.com", "/count")
            w.get("b.example.com", "/count")
        assert origin.connections == 2
        by_connection = {}
        for request in origin.requests:
            by_connection.setdefault(request.connection, set()).add((request.header("host"), request.header("authorization")))
        assert sorted(len(kinds) for kinds in by_connection.values()) == [1, 1]


@check
def many_requests_at_once_share_what_is_free(program, share):
    w = simple(program, share, "api.example.com")
    origin = w.tls_origin("api.example.com")
    failures = []

    def run():
        client = w.tls("api.example.com")
        for _ in range(20):
            if len(client.get("/length/5000", "api.example.com").body) != 5000:
                failures.append(1)
    with w.start():
        threads = [threading.Thread(target=run) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures and len(origin.requests) == 320 and origin.connections <= 32, origin.connections


@check
def a_parent_proxy_is_asked_with_connect_and_its_credential(program, share):
    w = simple(program, share, "api.example.com", secrets={"PAIR": "corp-user:corp-password"})
    origin = w.tls_origin("api.example.com")
    heads = []
    parent = socket.create_server(("127.0.0.1", 0))

    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve():
        while True:
            try:
                client, _ = parent.accept()
            except OSError:
                return
            data = b""
            while b"\r\n\r\n" not in data:
                data += client.recv(4096)
            heads.append(data)
            if b"refuse" in data:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                client.close()
                continue
            upstream = socket.create_connection(("127.0.0.1", origin.port))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=pump, args=(client, upstream), daemon=True).start()
            threading.Thread(target=pump, args=(upstream, client), daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    w.pins.clear()
    w.document["egress"]["upstream_proxy"] = {"url": f"http://127.0.0.1:{parent.getsockname()[1]}", "token_ref": "PAIR"}
    try:
        w.start()
    except RuntimeError:
        w.document["egress"]["upstream_proxy"] = f"http://127.0.0.1:{parent.getsockname()[1]}"
        w.start()
    with w:
        answer = w.get("api.example.com", "/length/3")
        assert answer.status == 200 and answer.body == b"ABC", answer.body
        assert heads[0].startswith(b"CONNECT api.example.com:443 HTTP/1.1\r\n"), heads
        if isinstance(w.document["egress"]["upstream_proxy"], dict):
            import base64
            assert base64.b64encode(b"corp-user:corp-password") in heads[0], heads
    parent.close()


@check
def a_slow_upstream_does_not_hold_up_the_others(program, share):
    w = simple(program, share, "api.example.com")
    origin = w.tls_origin("api.example.com")
    with w.start():
        slow = w.tls("api.example.com")
        slow.send("GET /slow HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        assert origin.wait_for(lambda o: o.requests)
        for _ in range(10):
            assert w.get("api.example.com", "/length/1").status == 200
        origin.release()
        assert slow.response().body == b"at last"


@check
def a_client_that_goes_away_ends_its_request_upstream(program, share):
    w = simple(program, share, "api.example.com")
    origin = w.tls_origin("api.example.com")
    with w.start():
        client = w.tls("api.example.com")
        client.send("POST /x HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 1000\r\n\r\nabc")
        assert origin.wait_for(lambda o: o.requests)
        client.close()
        deadline = 200
        while w.call("status")["open_connections"] > 0 and deadline:
            deadline -= 1
        assert w.call("status")["open_connections"] == 0
        assert not origin.requests[0].complete


main()
