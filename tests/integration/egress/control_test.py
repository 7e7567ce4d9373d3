"""The control channel, live reload, the event log, the report socket, confinement, the end. Attacks B3, D1, D2, L, N, O."""
import json
import os
import signal
import socket
import subprocess
import threading
import time

from harness import OTHER_SECRET, TOKEN, CallError, World, check, main


def world(program, share, **more):
    w = World(program, share, [{"host": "api.example.com", "auth": {"scheme": "Bearer", "token_ref": "TOKEN"}}],
              secrets={"TOKEN": TOKEN, "OTHER": OTHER_SECRET}, **more)
    w.origin = w.tls_origin("api.example.com", "new.example.com")
    return w


def routes_for(w, *hosts):
    text = "".join(f'[[routes]]\nhost = "{host}"\n' for host in hosts)
    return text + "[hosts]\n" + "".join(f'"{host}" = "127.0.0.1:{w.origin.port}"\n' for host in hosts)


@check
def status_tells_what_the_document_says(program, share):
    with world(program, share).start() as w:
        w.get("api.example.com", "/length/1000")
        w.connect("evil.example.com:443")
        status = w.call("status")
        assert status["ready"] is True and status["pid"] == w.process.pid and "BEGIN CERTIFICATE" in status["ca_pem"]
        assert status["counters"]["requests"] == 2 and status["counters"]["blocked"] == 1, status
        assert status["counters"]["bytes_in"] >= 1000 and status["counters"]["dlp_bytes"] > 0
        assert status["started_at"].endswith("Z") and "version" in status and "secrets_locked" in status
        assert TOKEN not in json.dumps(status)


@check
def routes_have_names_of_secrets_and_never_values(program, share):
    with world(program, share).start() as w:
        routes = w.call("routes")
        assert routes["routes"][0]["host"] == "api.example.com" and routes["generation"] >= 1
        assert routes["hosts"]["api.example.com"] and TOKEN not in json.dumps(routes)


@check
def check_is_the_proxys_own_decision_and_resolves_nothing(program, share):
    with world(program, share).start() as w:
        answer = w.call("check", method="GET", url="https://api.example.com/v1")
        assert answer["verdict"] == "allowed" and answer["route"] == 1, answer
        for url in ["https://evil.example.com/", "http://api.example.com/", "https://127.0.0.1/", "https://api.example.com:8443/",
                    "https://api.example.com/%2e%2e/%00", "https://api.example.com/r.git/git-receive-pack"]:
            answer = w.call("check", method="POST", url=url)
            assert answer["verdict"] == "blocked" and answer["reason"], (url, answer)
        try:
            w.call("check", method="GET", url="gopher://x/")
            raise AssertionError("not an URL")
        except CallError as error:
            assert error.error["kind"] == "invalid_argument"


@check
def a_reload_takes_the_file_and_a_bad_file_leaves_the_old_routes(program, share):
    with world(program, share).start() as w:
        assert w.connect("new.example.com:443")[0] == 403
        w.write_routes(routes_for(w, "new.example.com"))
        generation = w.call("reload")["generation"]
        assert w.get("new.example.com", "/length/1").status == 200
        assert w.connect("api.example.com:443")[0] == 403
        for bad in ["[[routes]]\nhost = 7\n", "not toml [", "[[routes]]\nhost = \"x.example.com\"\nfoo = 1\n", "path_allowlist = []\n"]:
            w.write_routes(bad)
            try:
                w.call("reload")
                raise AssertionError("a bad file was taken: " + bad)
            except CallError as error:
                assert "routes.toml" in error.error["message"], error.error
            assert w.call("routes")["generation"] == generation
            assert w.get("new.example.com", "/length/1").status == 200
        w.write_routes(routes_for(w, "api.example.com"))
        w.process.send_signal(signal.SIGHUP)
        while w.call("routes")["generation"] == generation:
            pass
        assert w.get("api.example.com", "/length/1").status == 200


@check
def a_reload_sends_no_credential_further(program, share):
    with world(program, share).start() as w:
        auth = 'auth = { scheme = "Bearer", token_ref = "%s" }\n'
        kept = '[[routes]]\nhost = "api.example.com"\n' + auth % "TOKEN"
        pins = "[hosts]\n" + "".join(f'"{host}" = "127.0.0.1:{w.origin.port}"\n' for host in ("api.example.com", "new.example.com"))
        w.write_routes(kept + pins)
        generation = w.call("reload")["generation"]
        for name in ("TOKEN", "OTHER"):
            w.write_routes(kept + '[[routes]]\nhost = "new.example.com"\n' + auth % name + pins)
            try:
                w.call("reload")
                raise AssertionError(f"{name} goes to another host")
            except CallError as error:
                assert "a credential would reach further" in error.error["message"], error.error
                assert error.error["kind"] == "refused", error.error
            assert w.call("routes")["generation"] == generation
            assert w.connect("new.example.com:443")[0] == 403
        w.write_routes(kept + '[[routes]]\nhost = "new.example.com"\n' + pins)
        w.call("reload")
        assert w.get("new.example.com", "/length/1").status == 200, "a route without a credential is the file's to open"


@check
def a_reload_under_traffic_loses_nothing(program, share):
    with world(program, share, log=1).start() as w:
        w.write_routes(routes_for(w, "api.example.com"))
        stop, failures, done = threading.Event(), [], []

        def run():
            client = w.tls("api.example.com")
            while not stop.is_set():
                answer = client.get("/length/20000", "api.example.com")
                if answer.status != 200 or len(answer.body) != 20000:
                    failures.append(answer.status)
                done.append(1)
        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            w.call("reload")
        while len(done) < 200:
            time.sleep(0.01)
        stop.set()
        for thread in threads:
            thread.join()
        assert not failures, failures


@check
def requests_in_flight_keep_the_routes_they_began_with(program, share):
    with world(program, share).start() as w:
        client = w.tls("api.example.com")
        client.send("GET /slow HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        assert w.origin.wait_for(lambda o: o.requests)
        w.write_routes(routes_for(w, "new.example.com"))
        w.call("reload")
        w.origin.release()
        assert client.response().body == b"at last"
        assert client.get("/length/1", "api.example.com").status == 403  # the next one is decided anew


@check
def flush_puts_everything_on_disk_and_levels_are_kept(program, share):
    for level, expected in [(0, []), (1, ["blocked"]), (2, ["request", "blocked"])]:
        with world(program, share, log=level).start() as w:
            w.get("api.example.com", "/length/1")
            w.connect("evil.example.com:443")
            assert [event["event"] for event in w.events() if event["kind"] == "egress"] == expected, (level, w.events())


@check
def O_the_log_holds_no_secret_and_stays_one_object_a_line(program, share):
    with world(program, share).start() as w:
        client = w.tls("api.example.com")
        client.send(f"GET /x\"y?{OTHER_SECRET}&n=%0a HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        assert client.response().status == 403
        w.get("api.example.com", "/\x1b[2J".replace("\x1b", "%1b"))
        w.connect(f"{OTHER_SECRET}.example.com:443")
        for event in w.events():
            assert {"time", "kind", "level", "event"} <= set(event)
        raw = open(os.path.join(w.state, "logs", "events.jsonl"), "rb").read()
        assert OTHER_SECRET.encode() not in raw and TOKEN.encode() not in raw and b"\x1b" not in raw


@check
def reports_of_refused_names_are_logged_and_hostile_ones_do_no_harm(program, share):
    with world(program, share).start() as w:
        report = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = os.path.join(w.state, "wire", "report.sock")
        report.sendto(json.dumps({"kind": "dns", "name": "data.evil.example.com", "type": "A", "transport": "udp"}).encode(), path)
        for junk in [b"", b"{", b"\xff" * 100, b"[]", b"{\"kind\": 7}", b"x" * 5000, json.dumps({"kind": "dns", "name": "a" * 900}).encode()]:
            report.sendto(junk, path)
        for _ in range(2000):
            try:
                report.sendto(json.dumps({"kind": "dns", "name": "flood.example.com", "type": "A", "transport": "udp"}).encode(),
                              socket.MSG_DONTWAIT, path)
            except BlockingIOError:
                w.call("status")
        events = [event for event in w.events() if event["kind"] == "dns"]
        assert events[0]["host"] == "data.evil.example.com" and events[0]["level"] == "block", events[0]
        assert len(events) <= 150 and any(event["event"] == "reports_dropped" for event in w.events())
        assert w.get("api.example.com", "/length/1").status == 200


@check
def D1_D2_a_peer_of_another_uid_gets_nothing(program, share):
    if os.geteuid() != 0:
        return
    w = world(program, share, config={"control_peer_uids": [65533]})
    try:
        w.start()
        raise AssertionError("uid 0 was answered")
    except (RuntimeError, OSError, EOFError):
        pass
    finally:
        w.stop()


@check
def malformed_calls_are_answered_and_long_lines_cut_off(program, share):
    with world(program, share).start() as w:
        control = socket.socket(socket.AF_UNIX)
        control.connect(os.path.join(w.state, "control", "control.sock"))
        control.settimeout(10)
        control.sendall(b"{\n{\"id\": 1}\n{\"id\": 2, \"call\": \"nonsense\"}\n{\"id\":3,\"id\":4,\"call\":\"status\"}\n")
        data = b""
        while data.count(b"\n") < 4:
            data += control.recv(65536)
        assert all("error" in json.loads(line) for line in data.splitlines()), data
        try:
            for _ in range(40):
                control.sendall(b"x" * 65536)
            assert control.recv(10) == b""
        except OSError:
            pass
        assert w.call("status")["ready"]


@check
def N_the_process_is_confined(program, share):
    with world(program, share).start() as w:
        confinement = w.call("status")["confinement"]
        assert confinement["not_dumpable"] and confinement["no_core"] and confinement["no_new_privileges"]
        with open(f"/proc/{w.process.pid}/status") as file:
            assert "NoNewPrivs:\t1" in file.read()
        with open(f"/proc/{w.process.pid}/limits") as file:
            assert any(line.split()[:6] == ["Max", "core", "file", "size", "0", "0"] for line in file)
        with open(f"/proc/{w.process.pid}/cmdline") as file:
            assert TOKEN not in file.read()


@check
def shutdown_answers_first_and_sigterm_lets_requests_end(program, share):
    with world(program, share).start() as w:
        client = w.tls("api.example.com")
        client.send("GET /slow HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        assert w.origin.wait_for(lambda o: o.requests)
        w.process.send_signal(signal.SIGTERM)
        w.origin.release()
        assert client.response().body == b"at last"
        assert w.process.wait(10) == 0
    with world(program, share).start() as w:
        assert w.call("shutdown") == {}
        assert w.process.wait(10) == 0


@check
def bad_configurations_are_refused_with_what_is_wrong_and_without_secrets(program, share):
    good = {"schema": "bot-bottle.sidecar-config/1", "slug": "x", "egress": {"routes": []},
            "secrets": [{"name": "T", "value": TOKEN}]}
    for change, expected in [({"schema": "x"}, "schema"), ({"egress": {"routes": [{"host": "1.2.3.4"}]}}, "host"),
                             ({"log_level": 9}, "log_level"), ({"secrets": [{"name": "T", "value": 5}]}, "secrets"),
                             ({"control_peer_uids": [-1]}, "uid"), ({"egress": {"routes": [], "upstream_ca": "junk"}}, "upstream_ca")]:
        with world(program, share) as w:
            result = subprocess.run([program, "--state", w.state, "--share", share], input=json.dumps({**good, **change}).encode(),
                                    capture_output=True, timeout=60)
            assert result.returncode != 0 and expected in result.stderr.decode(), (change, result)
            assert TOKEN not in result.stderr.decode()
    result = subprocess.run([program, "--state", "/nonexistent", "--share", share], input=b"{", capture_output=True, timeout=60)
    assert result.returncode != 0 and b"JSON" in result.stderr


@check
def on_the_address_wire_the_proxy_listens_there_and_on_no_socket(program, share):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with world(program, share, config={"listen": {"egress": f"127.0.0.1:{port}"}}).start() as w:
        assert not os.path.exists(os.path.join(w.state, "wire", "egress.sock"))
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"CONNECT evil.example.com:443 HTTP/1.1\r\nHost: evil.example.com:443\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 403 ")
    for bad in ["nowhere", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "name.example.com:80", ""]:
        with world(program, share) as w:
            document = {**w.document, "listen": {"egress": bad}}
            result = subprocess.run([program, "--state", w.state, "--share", share], input=json.dumps(document).encode(),
                                    capture_output=True, timeout=60)
            assert result.returncode != 0 and b"ADDRESS:PORT" in result.stderr, (bad, result)


def scrape(w, path="/metrics"):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.path.join(w.state, "control", "control.sock"))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    head, body = answer.split("\r\n\r\n", 1)
    return head, body


@check
def metrics_are_prometheus_text_and_over_http_only_when_asked_for(program, share):
    def value(text, name):
        return float(next(line.rsplit(" ", 1)[1] for line in text.splitlines() if line.rsplit(" ", 1)[0] == name))
    for on in (True, False):
        w = world(program, share)
        w.document["egress"]["metrics"] = on
        with w.start() as w:
            w.get("api.example.com", "/length/1000")
            w.connect("evil-" + TOKEN + ".example.com:443")
            text = w.call("metrics")["text"]
            assert value(text, "bot_bottle_requests_total") == 2, text
            assert value(text, 'bot_bottle_blocked_total{reason="host_not_allowed"}') == 1, text
            assert value(text, "bot_bottle_request_duration_seconds_count") == 1
            assert value(text, 'bot_bottle_request_duration_seconds_bucket{le="+Inf"}') == 1
            assert 0 < value(text, "bot_bottle_request_duration_seconds_sum") < 20
            assert value(text, 'bot_bottle_bytes_total{direction="in"}') >= 1000
            assert TOKEN not in text and "evil" not in text
            head, body = scrape(w)
            assert head.startswith("HTTP/1.1 200 ") == on and ("bot_bottle_requests_total" in body) == on, head
            assert scrape(w, "/other")[0].startswith("HTTP/1.1 404 ")
            assert w.call("status")["ready"]


@check
def version_help_and_wrong_arguments(program, share):
    run = lambda *arguments: subprocess.run([program, *arguments], capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    assert run("--version").stdout.startswith(b"bot-bottle-sidecar ")
    assert b"--compile-rules" in run("--help").stdout
    assert run().returncode == 2 and run("--nonsense").returncode == 2 and run("--state", "/tmp", "extra").returncode == 2


@check
def ten_thousand_routes_are_read_asked_for_and_reloaded(program, share):
    count = 10_000
    matches = [{"paths": [{"type": "prefix", "value": "/v1/"}], "methods": ["GET", "POST"]}]
    routes = [{"host": f"service-{number}.example.com", "matches": matches} for number in range(count)]
    last = routes[-1]["host"]
    w = World(program, share, routes, log=1)
    w.tls_origin(last)
    with w.start():
        assert w.call("status")["leaves"] <= 64  # minting them all would cost a second and 20 MiB
        few = w.rss_kib()
        assert few < (64 << 10) + int(os.environ.get("BB_MEMORY_SLACK_KIB", "0")), few
        assert len(w.call("routes")["routes"]) == count
        assert w.get(last, "/v1/x").status == 200
        assert w.call("check", method="GET", url=f"https://{last}/v1/x")["route"] == count
        assert w.call("check", method="GET", url=f"https://{last}/v2/x")["verdict"] == "blocked"
        answer = w.proxy().get("http://_egress.local/allowlist", "_egress.local")
        assert len(answer.json()["routes"]) == count
        text = "".join(f'[[routes]]\nhost = "service-{number}.example.com"\nports = [443]\nmatches = [{{paths = [{{type = "prefix", '
                       f'value = "/v1/"}}], methods = ["GET", "POST"]}}]\n' for number in range(count - 1, -1, -1))
        w.write_routes(text + f'[hosts]\n"{last}" = "{w.pins[last]}"\n')
        assert w.call("reload")["generation"] == 2
        assert w.call("check", method="GET", url=f"https://{last}/v1/x")["route"] == 1
        # A file full of mistakes is answered too, with the first of them.
        w.write_routes(text.replace("type", "kind"))
        try:
            w.call("reload")
            raise AssertionError("it was taken")
        except CallError as error:
            assert "problems in the routes" in str(error), error
        for _ in range(3):
            w.write_routes(text)
            w.call("reload")
        assert w.rss_kib() - few < (24 << 10) + int(os.environ.get("BB_MEMORY_SLACK_KIB", "0")), (few, w.rss_kib())


main()
