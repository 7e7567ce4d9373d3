"""gRPC passes through inspected: unary and streams in both directions, trailers, compressed messages."""
import gzip

from harness import OTHER_SECRET, TOKEN, World, check, main

HOST = "one.example.com"


def world(program, share, **route):
    w = World(program, share, [{"host": HOST, **route}, {"host": "two.example.com", "auth": {"scheme": "Bearer", "token_ref": "TOKEN"}}],
              secrets={"TOKEN": TOKEN, "OTHER": OTHER_SECRET})
    w.origin = w.http2_origin(HOST, "two.example.com")
    return w


def message(text, flags=0):
    data = text if isinstance(text, bytes) else text.encode()
    return bytes([flags]) + len(data).to_bytes(4, "big") + data


def call(agent, host=HOST, path="/chat", fields=()):
    return agent.open([(":method", "POST"), (":scheme", "https"), (":authority", host), (":path", path), ("te", "trailers"),
                       ("content-type", "application/grpc"), ("grpc-accept-encoding", "gzip"), *fields], end=False)


@check
def a_unary_call_has_its_answer_and_its_trailers(program, share):
    with world(program, share).start() as w:
        agent = w.http2(HOST)
        number = call(agent)
        agent.data(number, message("hello"), end=True)
        answer = agent.response(number)
        assert answer.status == 200 and answer.data == message("hello"), bytes(answer.data)
        assert ("grpc-status", "0") in answer.trailers and ("x-seen", "10") in answer.trailers, answer.trailers
        seen = w.origin.requests[-1]
        assert seen.field("te") == "trailers" and seen.field("content-type") == "application/grpc"
        assert seen.field("grpc-accept-encoding") is None


@check
def both_directions_stream_at_once_message_by_message(program, share):
    with world(program, share).start() as w:
        agent = w.http2(HOST)
        number = call(agent)
        assert agent.head(number).status == 200  # before the first message
        expected = b""
        for size in (1, 0, 5, 200, 70_000, 3):
            piece = message("m" * size)
            agent.data(number, piece)
            expected += piece
            agent.wait_data(number, lambda data: len(data) >= len(expected))  # while the request goes on
            assert agent.streams[number].data == expected, size
        agent.data(number, b"", end=True)
        assert ("grpc-status", "0") in agent.response(number).trailers


@check
def a_secret_in_a_call_does_not_leave(program, share):
    with world(program, share).start() as w:
        agent = w.http2(HOST)
        for what, pieces, fields in (("a message", [message("x" + TOKEN)], ()), ("two messages", [message(TOKEN[:12]), message(TOKEN[12:])], ()),
                                     ("compressed", [message(gzip.compress(TOKEN.encode()), 1)], [("grpc-encoding", "gzip")]),
                                     ("compressed unknowably", [message(b"?" * 50, 1)], [("grpc-encoding", "snappy")]),
                                     ("metadata", [message("x")], [("x-meta", TOKEN)])):
            number = call(agent, fields=fields)
            try:
                for piece in pieces:
                    agent.data(number, piece)
                agent.data(number, b"", end=True)
            except ConnectionError:
                pass
            answer = agent.response(number)
            assert answer.error is not None or answer.status == 403, (what, answer.fields)
        assert TOKEN not in w.origin.received() and TOKEN[12:] not in w.origin.received()
        assert agent.request(HOST, "/length/3").data == b"ABC"
        number = call(agent, fields=[("grpc-encoding", "gzip")])
        packed = message(gzip.compress(b"harmless"), 1)
        agent.data(number, packed, end=True)
        # Sent as it came; the answer in the same coding was not asked for, and cannot be scrubbed.
        assert agent.response(number).error is not None
        assert w.origin.wait_for(lambda o: bytes(o.requests[-1].data) == packed)


@check
def a_secret_in_an_answer_is_scrubbed_and_the_framing_stays(program, share):
    with world(program, share, dlp={"outbound_detectors": []}).start() as w:
        agent = w.http2(HOST)
        number = call(agent)
        agent.data(number, message("a") + message(f"it is {OTHER_SECRET}.") + message("z"), end=True)
        data = bytes(agent.response(number).data)
        assert OTHER_SECRET.encode() not in data and b"********" in data and data.endswith(message("z"))
        assert len(data) == len(message("a") + message(f"it is {OTHER_SECRET}.") + message("z"))


if __name__ == "__main__":
    main()
