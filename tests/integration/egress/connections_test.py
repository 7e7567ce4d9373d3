"""How many connections there may be, and who gives way: ten thousand idle ones, half-open ones, no descriptors left. Attack L."""
import os
import resource
import select
import socket
import subprocess
import time

from harness import World, check, main
from load_tool import Tool, fast_origin

HOST = "api.example.com"
# What one idle connection may take (spec 04: 50 KiB); sanitizers need more.
IDLE_KIB = 50 + int(os.environ.get("BB_MEMORY_SLACK_KIB", "0")) // 1000


def world(program, share, **more):
    w = World(program, share, [{"host": HOST}], log=1, **more)
    w.origin = w.tls_origin(HOST)
    return w


def allow_descriptors(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


class Limited(World):
    """A sidecar that gets `descriptors` and no more."""
    descriptors = 96

    def start(self):
        old = resource.getrlimit(resource.RLIMIT_NOFILE)
        inherit = subprocess.Popen

        def limited(*arguments, **options):
            lower = (self.descriptors, self.descriptors)
            return inherit(*arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, lower), **options)
        subprocess.Popen = limited
        try:
            return super().start()
        finally:
            subprocess.Popen = inherit
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == old


def raw(w):
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(w.egress_socket)
    return connection


def comes_to_rest(w):
    """Who spins is never seen asleep, let alone again and again."""
    asleep, deadline = 0, time.monotonic() + 20
    while asleep < 100 and time.monotonic() < deadline:
        with open(f"/proc/{w.process.pid}/stat") as file:
            asleep = asleep + 1 if file.read().rsplit(")", 1)[1].split()[0] == "S" else 0
    return asleep >= 100


@check
def ten_thousand_idle_connections_are_served_in_little_memory(program, share):
    w = World(program, share, [{"host": HOST}], log=1)
    origin = fast_origin(w, HOST)
    with w.start():
        # As many as the spec asks for, where descriptors allow them (they do but for an unusual hard limit).
        count = min(10_000, w.call("status")["bounds"]["connections"] - 10)
        assert w.get(HOST, "/n/warm").status == 200
        before = w.rss_kib()
        tool = Tool("idle", w.egress_socket, w.ca_file, HOST, count)
        try:
            assert tool.line() == {"right": count}
            grown = w.rss_kib() - before
            print(f"      {count} idle connections: {grown / count:.1f} KiB each", flush=True)
            assert grown < IDLE_KIB * count, grown
            assert w.call("status")["open_connections"] >= count
            assert tool.again() == {"right": count}
            assert w.get(HOST, "/n/1").body == b"answer 1"  # and a newcomer
        finally:
            tool.end()
            origin.end()


@check
def half_open_connections_do_not_keep_others_out(program, share):
    with world(program, share).start() as w:
        limits = w.call("status")["bounds"]
        count = min(10_000, limits["connections"])
        allow_descriptors(count + 200)
        kept = w.tls(HOST)  # an honest one that idles meanwhile
        assert kept.get("/length/5", HOST).status == 200
        waiting = []
        for number in range(count):
            connection = raw(w)
            if number % 3 == 0:
                connection.sendall(b"CONNECT api.exam")
            elif number % 3 == 1:
                connection.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n\x16\x03\x01".encode())
            waiting.append(connection)
            if number % 1000 == 999:
                assert w.get(HOST, "/length/5").status == 200, number
        # The oldest of them went first; the youngest are there still.
        assert w.call("status")["open_connections"] <= limits["opening"] + 10
        waiting[0].settimeout(20)
        assert waiting[0].recv(1000) == b""
        waiting[-1].setblocking(False)
        try:
            assert waiting[-1].recv(1000) != b""
        except BlockingIOError:
            pass
        assert kept.get("/length/5", HOST).status == 200
        for connection in waiting:
            connection.close()
        assert [event for event in w.events() if event["event"] == "half_open_closed"]


@check
def without_room_the_longest_idle_goes_and_all_busy_means_503(program, share):
    w = Limited(program, share, [{"host": HOST}], log=1)
    w.origin = w.tls_origin(HOST)
    with w.start():
        room = w.call("status")["bounds"]["connections"]
        assert room < 50, room
        idle = [w.tls(HOST) for _ in range(room)]
        for client in idle:
            assert client.get("/length/5", HOST).status == 200
        assert w.get(HOST, "/length/5").status == 200
        assert idle[0].is_closed()
        assert idle[-1].get("/length/5", HOST).status == 200
        for client in idle:
            client.close()
        # Until it has seen that, one of the next ones would be the longest idle that goes.
        deadline = time.monotonic() + 20
        while w.call("status")["open_connections"]:
            assert time.monotonic() < deadline, "closed connections are counted as open"
        # All at work: the newcomer is told, and those at work are not disturbed.
        w.origin.clear()
        busy = [w.tls(HOST) for _ in range(room)]
        for client in busy:
            client.send(f"GET /slow HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        assert w.origin.wait_for(lambda o: len(o.requests) >= room, 20), len(w.origin.requests)
        late = w.proxy()
        late.send(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        answer = late.response()
        assert answer.status == 503 and answer.json()["reason"] == "too_many_connections", answer.body
        assert late.is_closed()
        w.origin.release()
        for client in busy:
            assert client.response().status == 200
        assert [event for event in w.events() if event["event"] == "too_many_connections"]


@check
def out_of_descriptors_it_neither_dies_nor_spins(program, share):
    w = Limited(program, share, [{"host": HOST}], log=1)
    w.origin = w.tls_origin(HOST)
    with w.start():
        flood = []
        for _ in range(400):
            connection = raw(w)
            connection.setblocking(False)
            flood.append(connection)
        assert w.get(HOST, "/length/5").status == 200
        assert comes_to_rest(w)
        for connection in flood:
            connection.close()
        assert w.get(HOST, "/length/5").status == 200


@check
def answers_nobody_reads_do_not_pile_up(program, share):
    with world(program, share).start() as w:
        before = w.rss_kib()
        client = w.proxy()
        request = b"GET http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n"
        client.socket.setblocking(False)
        sent = 0
        # Until it takes no more, which it has to come to.
        while sent < 64 << 20 and select.select([], [client.socket], [], 2)[1]:
            sent += client.socket.send(request * 500)
        assert sent < 32 << 20, "all of it was taken"
        assert w.rss_kib() - before < 16 << 10
        # Whoever reads in the end gets every answer, in order.
        client.socket.settimeout(20)
        for _ in range(1000):
            assert client.response().status == 200


@check
def a_client_that_reads_late_gets_every_pipelined_answer(program, share):
    with world(program, share).start() as w:
        client = w.tls(HOST)
        count = 40
        client.send(f"GET /length/100000 HTTP/1.1\r\nHost: {HOST}\r\n\r\n" * count)
        for _ in range(count):
            answer = client.response()
            assert answer.status == 200 and len(answer.body) == 100_000


@check
def beyond_4096_requests_under_way_the_next_is_told_503(program, share):
    # An upstream that never takes a connection: each request waits for it.
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(1)
    w = World(program, share, [{"host": HOST, "plain": True}], pins={HOST: f"127.0.0.1:{silent.getsockname()[1]}"}, log=1)
    with w.start():
        allow_descriptors(6000)
        assert w.call("status")["bounds"]["connections"] > 4200, "this test needs more descriptors (ulimit -Hn 20000)"
        waiting = []
        for _ in range(4096):
            connection = raw(w)
            connection.sendall(f"POST http://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 5\r\n\r\n".encode())
            waiting.append(connection)
        late = w.proxy()
        late.send(f"GET http://{HOST}/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n")
        answer = late.response()
        assert answer.status == 503 and answer.json()["reason"] == "too_many_requests", answer.body
        assert answer.header("retry-after") == "1"
        for connection in (waiting[0], waiting[-1]):  # those under way are not disturbed
            connection.setblocking(False)
            try:
                raise AssertionError(connection.recv(1000))
            except BlockingIOError:
                pass
        for connection in waiting:
            connection.close()
    silent.close()


main()
