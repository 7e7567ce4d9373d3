"""Where a secret or a key must never be: logs of every level, disk, other programs' view, a parent proxy. Attacks F3, F4, F6, F7, F9, O."""
import base64
import json
import os
import socket
import stat
import subprocess
import threading
import urllib.parse

from harness import OTHER_SECRET, PLACEHOLDER, TOKEN, CallError, World, check, main

GITHUB = "ghp_" + "Ab3dEf6hIj9lMn2pQr5tUv8xYz1Bc4Df7Gh0"
SECRETS = {"TOKEN": TOKEN, "OTHER": OTHER_SECRET}


def world(program, share, **more):
    w = World(program, share, [{"host": "open.example.com", "plain": True}, {"host": "auth.example.com", "auth": {"scheme": "Bearer", "token_ref": "TOKEN"}},
                               {"host": "narrow.example.com", "matches": [{"paths": [{"type": "prefix", "value": "/v1/"}]}]}],
              secrets=SECRETS, placeholders=[{"value": PLACEHOLDER, "token_ref": "TOKEN"}], **more)
    w.origin = w.tls_origin("open.example.com", "auth.example.com", "narrow.example.com")
    return w


def spellings(secret):
    """What must not be found, as octets: the secret, and what anybody could turn back into it."""
    data = secret.encode()
    coded = [data, data[::-1], data.hex().encode(), data.hex().upper().encode(), base64.b32encode(data).rstrip(b"=")[:-2]]
    for shift in range(3):
        coded.append(base64.b64encode(b"x" * shift + data)[4 if shift else 0:-4])
    return coded


def hidden_in(data):
    return [spelling for secret in (TOKEN, OTHER_SECRET) for spelling in spellings(secret) if spelling in data]


def say_everywhere(w, secret):
    """Sends `secret` in each place of a request that could come to a log; all but the last are refused."""
    for text in (f"GET /x/{secret} HTTP/1.1", f"GET /x?a={secret} HTTP/1.1", f"GET /{urllib.parse.quote(secret)}%20 HTTP/1.1",
                 f"{secret} / HTTP/1.1", f"GET /x HTTP/{secret}", f"GET https://{secret}/ HTTP/1.1", f"GET /x#{secret} HTTP/1.1"):
        client = w.tls("open.example.com")
        client.send(f"{text}\r\nHost: open.example.com\r\n\r\n")
        assert client.response().status in (400, 403, 421), text
        client.close()
    for field in (f"X-A: {secret}", f"{secret}: 1", f"Host: {secret}", f"Expect: {secret}", f"Transfer-Encoding: {secret}", f"Upgrade: {secret}\r\nConnection: Upgrade",
                  f"Content-Encoding: {secret}", f"Cookie: a={secret}", f"X-A : {secret}", f"Content-Length: {secret}"):
        client = w.tls("open.example.com")
        client.send(f"GET /x HTTP/1.1\r\nHost: open.example.com\r\n{field}\r\n\r\n")
        assert client.response().status in (400, 403, 417, 421), field
        client.close()
    for body in (secret, "y" * 5000 + " " + secret, json.dumps({"k": secret})):
        answer = w.get("open.example.com", "/x", "", "POST", body.encode())
        assert answer.status == 403, (body[-60:], answer.status, answer.body[:300])
    client = w.tls("open.example.com")
    client.send(f"POST /x HTTP/1.1\r\nHost: open.example.com\r\nTransfer-Encoding: chunked\r\n\r\n2;{secret}={secret}\r\nhi\r\n0\r\nX-T: {secret}\r\n\r\n")
    assert client.response().status in (400, 403)
    assert w.get("narrow.example.com", f"/v2/{secret}").status == 403
    for authority in (f"{secret}.example.com:443", f"{secret}:443", f"{secret}@open.example.com:443", f"open.example.com:{secret}"):
        assert w.connect(authority)[0] in (400, 403), authority
    client = w.proxy()
    client.send(f"GET http://open.example.com/{secret} HTTP/1.1\r\nHost: open.example.com\r\nProxy-Authorization: Basic {secret}\r\n\r\n")
    assert client.response().status in (400, 403)
    context = w.context()
    context.check_hostname = False
    try:
        w.tls("open.example.com", server_name=f"{secret}.example.net", context=context)
        raise AssertionError("the handshake went through")
    except OSError:
        pass
    peer = w.http2("open.example.com")
    for fields in ([(":path", f"/{secret}")], [(":path", "/x"), ("x-a", secret)], [(":path", "/x"), (secret.lower(), "1")]):
        peer.response(peer.open([(":method", "GET"), (":scheme", "https"), (":authority", "open.example.com"), *fields]))
    peer.close()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as report:
        report.sendto(json.dumps({"kind": "dns", "name": f"{secret}.example.com", "type": secret, "transport": secret}).encode(),
                      os.path.join(w.state, "wire", "report.sock"))
    for call in (lambda: w.call("check", method="GET", url=f"https://open.example.com/{secret}"),
                 lambda: w.call("check", method=secret, url=f"https://{secret}.example.com/"), lambda: w.call(secret)):
        try:
            call()
        except CallError:
            pass
    w.write_routes(f'[[routes]]\nhost = "{secret}"\n{secret} = 1\n')
    try:
        w.call("reload")
        raise AssertionError("a bad file was taken")
    except CallError:
        pass


@check
def F6_O_no_log_of_any_level_holds_a_secret_that_was_sent_in_any_place(program, share):
    for level in (0, 1, 2):
        with world(program, share, log=level).start() as w:
            for secret in (TOKEN, OTHER_SECRET, GITHUB):
                say_everywhere(w, secret)
            w.get("auth.example.com", "/echo")
            events, log = w.events(), open(os.path.join(w.state, "logs", "events.jsonl"), "rb").read()
            assert (events == []) == (level == 0) and (level == 0 or len(w.blocks()) > 60), (level, len(events))
            assert level < 2 or any(event["event"] == "request" for event in events)
            assert level == 2 or all(event["level"] != "info" or event["kind"] != "egress" for event in events)
            assert not hidden_in(log) and GITHUB.encode() not in log, (level, hidden_in(log))
            # What an operator is told by other ways, too.
            said = (w.stderr() + json.dumps([w.call("status"), w.call("routes"), w.call("metrics")])).encode()
            assert not hidden_in(said) and GITHUB.encode() not in said


@check
def a_block_has_its_reason_its_place_and_little_of_the_text_around_it(program, share):
    with world(program, share).start() as w:
        body = b"left left left left left left left =" + OTHER_SECRET.encode() + b"= right " + TOKEN.encode() + b" right right right right"
        assert w.get("open.example.com", "/x", "", "POST", body).status == 403
        event = w.blocks()[-1]
        assert event["kind"] == "dlp" and event["reason"] == "secret_found" and event["where"] == "body offset 36", event
        assert "********" in event["snippet"] and "left =********" in event["snippet"], event
        assert len(event["snippet"].replace("********", "")) <= 48 and OTHER_SECRET[:6] not in event["snippet"] and TOKEN[:6] not in event["snippet"], event
        for path, fields, where in ((f"/a/{TOKEN}", "", "path"), (f"/x?q={TOKEN}", "", "query"), ("/x", f"X-Note: {TOKEN}\r\n", "header x-note")):
            assert w.get("open.example.com", path, fields).status == 403
            event = w.blocks()[-1]
            assert event["where"].startswith(where) and "********" in event["snippet"], event


@check
def F3_a_parent_proxy_learns_the_name_and_nothing_that_the_agent_or_its_routes_hold(program, share):
    w = world(program, share)
    heads, parent = [], socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            client, _ = parent.accept()
            data = b""
            while b"\r\n\r\n" not in data:
                data += client.recv(4096)
            heads.append(data)
            client.sendall(b"HTTP/1.1 502 No\r\n\r\n")
            client.close()
    threading.Thread(target=serve, daemon=True).start()
    w.pins.clear()
    w.document["egress"]["upstream_proxy"] = f"http://127.0.0.1:{parent.getsockname()[1]}"
    with w.start():
        client = w.proxy()
        client.send(f"CONNECT auth.example.com:443 HTTP/1.1\r\nHost: auth.example.com:443\r\nUser-Agent: agent-of-{PLACEHOLDER}\r\n"
                    f"Proxy-Authorization: Basic YWdlbnQ6bWluZQ==\r\nX-Agent: 1\r\n\r\n")
        status, _ = client.head()
        assert status == 200
        secure = w.context().wrap_socket(client.socket, server_hostname="auth.example.com")
        secure.sendall(f"GET /secret-path HTTP/1.1\r\nHost: auth.example.com\r\nAuthorization: Bearer {PLACEHOLDER}\r\n\r\n".encode())
        assert b" 502 " in secure.recv(4096)
        assert heads and all(head == b"CONNECT auth.example.com:443 HTTP/1.1\r\nhost: auth.example.com:443\r\n\r\n" for head in heads), heads


@check
def F4_a_name_that_is_given_twice_is_refused(program, share):
    for change in ({"secrets": [{"name": "TOKEN", "value": TOKEN}, {"name": "TOKEN", "value": OTHER_SECRET}]},
                   {"placeholders": [{"value": PLACEHOLDER, "token_ref": "TOKEN"}, {"value": PLACEHOLDER, "token_ref": "OTHER"}]}):
        w = world(program, share, config=change)
        with w:
            w.document["egress"]["hosts"] = {}
            result = subprocess.run([program, "--state", w.state, "--share", share], input=json.dumps(w.document).encode(), capture_output=True, timeout=60)
            assert result.returncode != 0 and not hidden_in(result.stderr), (change, result)


@check
def F7_F9_no_secret_and_no_key_is_on_disk_and_nothing_is_readable_by_others(program, share):
    with world(program, share).start() as w, world(program, share).start() as other:
        w.get("auth.example.com", "/echo")
        w.get("open.example.com", "/x", "", "POST", OTHER_SECRET.encode())
        w.call("flush")
        seen = 0
        for folder, _, files in os.walk(w.state):
            assert stat.S_IMODE(os.lstat(folder).st_mode) & 0o007 == 0, folder
            for name in files:
                path = os.path.join(folder, name)
                mode = os.lstat(path).st_mode
                if not stat.S_ISREG(mode):
                    continue
                seen += 1
                data = open(path, "rb").read()
                assert not hidden_in(data) and b"PRIVATE KEY" not in data, path
                assert stat.S_IMODE(mode) & 0o007 == 0, (path, oct(mode))
        assert seen >= 1
        # A copy of this state is no copy of the authority: each process makes its own, and says the certificate alone.
        assert w.ca_pem != other.ca_pem and "PRIVATE" not in json.dumps(w.call("status"))
        environment, argv = open(f"/proc/{w.process.pid}/environ", "rb").read(), open(f"/proc/{w.process.pid}/cmdline", "rb").read()
        assert not hidden_in(environment + argv)


main()
