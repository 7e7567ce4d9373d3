"""Faults while some thousand requests a second run: nobody else's request is lost or answered wrongly, and whom it hits is told the truth."""
import json
import socket
import ssl
import struct

from harness import World, check, main
from load_tool import Tool, fast_origin

HOST, OTHER = "api.example.com", "other.example.com"
CONNECTIONS, RATE = 16, 1000


class Load:
    """Requests to HOST, each with an answer of its own, for as long as the fault takes and a thousand more."""

    def __init__(self, w):
        self.w = w
        self.tool = Tool("requests", w.egress_socket, w.ca_file, HOST, CONNECTIONS, RATE)
        self.tool.line()
        self.more(500)

    def more(self, count):
        """Until `count` more requests have gone through."""
        until = self.w.call("status")["counters"]["requests"] + count
        while self.w.call("status")["counters"]["requests"] < until:
            assert self.tool.process.poll() is None

    def end(self):
        self.more(1000)
        self.tool.process.stdin.close()
        result = json.loads(self.tool.process.stdout.readline())
        self.tool.process.wait(30)
        return result


def world(program, share):
    w = World(program, share, [{"host": HOST}, {"host": OTHER}], log=1)
    w.main, w.other = fast_origin(w, HOST), fast_origin(w, OTHER)
    return w


def all_right(result):
    assert result["sent"] >= 1500 and result["right"] == result["sent"], result
    print(f"      {result['sent']} requests, all answered right", flush=True)


@check
def an_upstream_killed_in_the_midst_of_its_answer_hurts_that_answer_alone(program, share):
    with world(program, share) as w:
        w.start()
        load = Load(w)
        hit = w.tls(OTHER)
        hit.send(f"GET /half/1 HTTP/1.1\r\nHost: {OTHER}\r\n\r\n")
        waiting = w.tls(OTHER)  # an upstream connection of its own, and no answer yet
        waiting.send(f"POST /upload HTTP/1.1\r\nHost: {OTHER}\r\nContent-Length: 10\r\n\r\nhalf")
        load.more(500)
        status, headers = hit.head()  # so that it is killed in the midst of its answer, however busy the machine
        assert status == 200 and dict(headers)["content-length"] == "200000"
        w.other.process.kill()
        w.other.process.wait()
        body = b""
        try:
            body = hit.rest()
            cut = len(body) < 200_000
        except (EOFError, ConnectionError, ssl.SSLError):
            cut = True
        assert cut and len(body) < 200_000, len(body)
        answer = waiting.response()
        assert answer.status == 502 and answer.json()["reason"] == "upstream_failed", answer.body
        again = w.get(OTHER, "/n/1")
        assert again.status == 502, again.body
        all_right(load.end())
        failed = [event for event in w.events() if event["event"] == "upstream_failed"]
        assert {event["host"] for event in failed} == {OTHER} and len(failed) >= 2, failed


@check
def a_client_reset_in_the_midst_of_its_upload_hurts_that_request_alone(program, share):
    with world(program, share) as w:
        w.start()
        load = Load(w)
        for number in range(20):
            client = w.tls(HOST)
            client.send(f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000\r\n\r\n" + "u" * 300_000)
            plain = client.socket.detach()
            with socket.socket(fileno=plain) as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            load.more(20)
        all_right(load.end())
        gone = [event for event in w.events() if event["event"] == "client_gone"]
        assert len(gone) == 20 and all(event["method"] == "POST" for event in gone), gone
        assert w.call("status")["open_connections"] == 0


@check
def routes_reload_under_load_and_nobody_notices(program, share):
    with world(program, share) as w:
        w.start()
        routes = "\n".join(f'[[routes]]\nhost = "service-{number}.example.com"\n' for number in range(200))
        pins = "".join(f'"{name}" = "{address}"\n' for name, address in w.pins.items())
        load = Load(w)
        other = w.tls(OTHER)
        for number in range(20):
            w.write_routes(f'[[routes]]\nhost = "{HOST}"\n[[routes]]\nhost = "{OTHER}"\n' +
                           (routes if number % 2 else "") + "[hosts]\n" + pins)
            assert w.call("reload")["generation"] == number + 2
            assert other.get(f"/n/{number}", OTHER).body == f"answer {number}".encode()
            load.more(20)
        # Without its route OTHER is refused from the next request on, also on a connection that is open.
        w.write_routes(f'[[routes]]\nhost = "{HOST}"\n[hosts]\n' + pins)
        w.call("reload")
        assert other.get("/n/1", OTHER).status == 403
        all_right(load.end())


main()
