"""HTTP/2 by hand, so that it can misbehave on purpose: frames are written here, header blocks are literals (any octets),
and only what a peer's HPACK says is read by libnghttp2, which every build of the project has.

Peer is one end of a connection, client or server. Http2Origin is a fake upstream; the path chooses the answer:

    /echo        200, the request's fields and body as text        /length/N   N octets
    /trailers    a body and a trailer "x-sum: 42"                  /status/N   an answer of that status
    /interim     103, then 200                                     /slow       waits for origin.release()
    /refuse      REFUSED_STREAM the first time, then 200           /goaway     GOAWAY that leaves this stream out, then 200
    /reset       INTERNAL_ERROR                                    /hang-up    headers, a little body, the end of the connection
    /chat        gRPC-like: each message is answered as it comes   /count      "connection requests"
    /header-echo the authorization field in a field                /early      413 before the body is read
    /sse         5 events; each waits for origin.next_event()      /hold       reads no body until origin.release()
"""
import ctypes
import ctypes.util
import socket
import ssl
import struct
import threading

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_library = ctypes.CDLL("libnghttp2.so.14")


class _Pair(ctypes.Structure):
    _fields_ = [("name", ctypes.POINTER(ctypes.c_uint8)), ("value", ctypes.POINTER(ctypes.c_uint8)),
                ("name_size", ctypes.c_size_t), ("value_size", ctypes.c_size_t), ("flags", ctypes.c_uint8)]


_library.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t
_library.nghttp2_hd_inflate_hd2.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Pair), ctypes.POINTER(ctypes.c_int),
                                            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]


class Inflater:
    def __init__(self):
        self.state = ctypes.c_void_p()
        assert _library.nghttp2_hd_inflate_new(ctypes.byref(self.state)) == 0

    def read(self, block):
        fields, pair, flags = [], _Pair(), ctypes.c_int()
        while True:
            count = _library.nghttp2_hd_inflate_hd2(self.state, pair, flags, block, len(block), 1)
            if count < 0:
                raise ValueError(f"HPACK {count}")
            block = block[count:]
            if flags.value & 2:
                fields.append((ctypes.string_at(pair.name, pair.name_size).decode("latin-1"),
                               ctypes.string_at(pair.value, pair.value_size).decode("latin-1")))
            if flags.value & 1 or (count == 0 and not flags.value & 2):
                _library.nghttp2_hd_inflate_end_headers(self.state)
                return fields


def integer(value, prefix, first=0):
    limit = (1 << prefix) - 1
    if value < limit:
        return bytes([first | value])
    out = [first | limit]
    value -= limit
    while value >= 128:
        out.append(value % 128 | 128)
        value //= 128
    return bytes(out + [value])


def text(value):
    data = value if isinstance(value, bytes) else value.encode("latin-1")
    return integer(len(data), 7) + data


def block_of(fields):
    return b"".join(b"\x00" + text(name) + text(value) for name, value in fields)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Tls:
    """TLS that one thread may read while another writes; Python's own sockets may not be used so."""

    def __init__(self, connection, context, server=False, host=None):
        self.socket, self.lock = connection, threading.Lock()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server, server_hostname=host)
        while True:
            try:
                self.tls.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLError:
                self._flush()
                raise

    def _flush(self):
        if data := self.outgoing.read():
            self.socket.sendall(data)

    def _feed(self):
        data = self.socket.recv(65536)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def selected_alpn_protocol(self):
        return self.tls.selected_alpn_protocol()

    def recv(self, size):
        while True:
            with self.lock:
                try:
                    data = self.tls.read(size)
                    self._flush()
                    return data
                except ssl.SSLWantReadError:
                    self._flush()
                except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                    return b""
            data = self.socket.recv(65536)
            with self.lock:
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def sendall(self, data):
        with self.lock:
            self.tls.write(data)
            data = self.outgoing.read()
        self.socket.sendall(data)

    def shutdown(self, how):
        with self.lock:
            try:
                self.tls.unwrap()
            except (ssl.SSLError, ValueError):
                pass
            self._flush()
        self.socket.shutdown(how)

    def close(self):
        self.socket.close()


class Stream:
    def __init__(self, window):
        self.window = window
        self.fields, self.interim, self.trailers = None, [], None
        self.data, self.unread, self.ended, self.error = bytearray(), 0, False, None

    def field(self, name):
        values = [value for key, value in self.fields or () if key == name]
        return values[0] if values else None

    @property
    def status(self):
        return int(self.field(":status")) if self.fields else None


class Peer:
    """`credit`: give windows back as data comes. Reads in a thread of its own; all waits end after 20 s."""

    def __init__(self, connection, server=False, settings=(), credit=True, on_request=None, greet=True):
        self.socket, self.server, self.credit, self.on_request = connection, server, credit, on_request
        self.changed = threading.Condition()
        self.writing = threading.Lock()
        self.streams, self.window, self.initial = {}, 65535, 65535
        self.next_id, self.goaway, self.closed, self.settings, self.pongs = 1, None, False, {}, 0
        self.inflater, self.buffer, self.failure = Inflater(), b"", None
        if greet:
            self.send((b"" if server else PREFACE) +
                      frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in settings)))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def send(self, data):
        with self.writing:
            self.socket.sendall(data)

    def wait(self, condition, what, timeout=20):
        with self.changed:
            assert self.changed.wait_for(lambda: condition() or self.closed, timeout), f"timeout: {what}"
            assert condition(), f"the connection ended: {what}; {self.failure or ''} goaway {self.goaway}"

    # client
    def open(self, fields, end=True, block=None):
        with self.changed:
            number, self.next_id = self.next_id, self.next_id + 2
            self.streams[number] = Stream(self.initial)
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), number, block if block is not None else block_of(fields)))
        return number

    def data(self, number, body, end=False):
        stream = self.streams[number]
        while True:
            if body:
                self.wait(lambda: min(stream.window, self.window) > 0 or stream.error is not None, "window")
            if stream.error is not None:
                raise ConnectionError(f"stream {number} was reset: {stream.error}")
            with self.changed:
                size = min(len(body), stream.window, self.window, 16384)
                stream.window -= size
                self.window -= size
            piece, body = body[:size], body[size:]
            self.send(frame(DATA, END_STREAM if end and not body else 0, number, piece))
            if not body:
                return

    def trailers(self, number, fields):
        self.send(frame(HEADERS, END_HEADERS | END_STREAM, number, block_of(fields)))

    def response(self, number):
        stream = self.streams[number]
        self.wait(lambda: stream.ended or stream.error is not None, f"answer on {number}")
        return stream

    def head(self, number):
        stream = self.streams[number]
        self.wait(lambda: stream.fields or stream.error is not None, f"head on {number}")
        return stream

    def wait_data(self, number, condition):
        stream = self.streams[number]
        self.wait(lambda: condition(stream.data) or stream.error is not None, f"data on {number}")
        return stream.data

    def request(self, host, path, method="GET", fields=(), body=None, trailers=None):
        number = self.open([(":method", method), (":scheme", "https"), (":authority", host), (":path", path), *fields],
                           end=body is None and trailers is None)
        try:
            if body is not None:
                self.data(number, body, end=trailers is None)
            if trailers is not None:
                self.trailers(number, trailers)
        except ConnectionError:
            if self.streams[number].error != 0:  # NO_ERROR: the answer was quicker than the body
                raise
        return self.response(number)

    def release(self, number):
        """Gives back what was not credited."""
        stream = self.streams[number]
        with self.changed:
            size, stream.unread = stream.unread, 0
        if size:
            self.send(frame(WINDOW_UPDATE, 0, number, struct.pack(">I", size)) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", size)))

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    # both
    def _take(self, count):
        while len(self.buffer) < count:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.buffer += piece
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def _run(self):
        try:
            if self.server:
                assert self._take(24) == PREFACE
            while True:
                head = self._take(9)
                payload = self._take(int.from_bytes(head[:3], "big"))
                kind, flags, number = head[3], head[4], int.from_bytes(head[5:9], "big")
                if kind == HEADERS:
                    while not flags & END_HEADERS:
                        more = self._take(9)
                        payload += self._take(int.from_bytes(more[:3], "big"))
                        flags |= more[4] & END_HEADERS
                with self.changed:
                    self._on_frame(kind, flags, number, payload)
                    self.changed.notify_all()
        except (OSError, EOFError, ValueError, AssertionError) as error:
            self.failure = repr(error)
        finally:
            with self.changed:
                self.closed = True
                self.changed.notify_all()
            if self.server:
                self.close()

    def _on_frame(self, kind, flags, number, payload):
        stream = self.streams.get(number)
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                key, value = struct.unpack(">HI", payload[at:at + 6])
                self.settings[key] = value
                if key == 4:
                    for each in self.streams.values():
                        each.window += value - self.initial
                    self.initial = value
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == PING:
            self.pongs += 1
        elif kind == WINDOW_UPDATE:
            size = int.from_bytes(payload, "big")
            if number == 0:
                self.window += size
            elif stream:
                stream.window += size
        elif kind == GOAWAY:
            self.goaway = struct.unpack(">II", payload[:8])
        elif kind == RST_STREAM and stream:
            stream.error = int.from_bytes(payload, "big")
        elif kind == HEADERS:
            if flags & PADDED:
                payload = payload[1:len(payload) - payload[0]]
            if flags & 0x20:
                payload = payload[5:]
            fields = self.inflater.read(payload)
            if stream is None:
                stream = self.streams[number] = Stream(self.initial)
            if fields and fields[0][0] == ":status" and fields[0][1].startswith("1"):
                stream.interim.append(int(fields[0][1]))
            elif stream.fields is None:
                stream.fields = fields
                if self.server and self.on_request:
                    threading.Thread(target=self._serve, args=(number, stream), daemon=True).start()
            else:
                stream.trailers = fields
            stream.ended = stream.ended or bool(flags & END_STREAM)
        elif kind == DATA and stream:
            size = len(payload)
            if flags & PADDED:
                payload = payload[1:size - payload[0]]
            stream.data += payload
            stream.ended = stream.ended or bool(flags & END_STREAM)
            stream.unread += size
            if self.credit and size:
                stream.unread = 0
                self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", size)) +
                          (b"" if stream.ended else frame(WINDOW_UPDATE, 0, number, struct.pack(">I", size))))

    def _serve(self, number, stream):
        try:
            self.on_request(self, number, stream)
        except (OSError, AssertionError):
            pass  # the connection is gone

    def respond(self, number, status, body=b"", fields=(), trailers=None):
        ends = not body and trailers is None
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), number, block_of([(":status", str(status)), *fields])))
        if body:
            self.data(number, body, end=trailers is None)
        if trailers is not None:
            self.trailers(number, trailers)


class Http2Origin:
    """TLS with ALPN h2 (`protocols` to change)."""

    def __init__(self, certificate, key, protocols=("h2", "http/1.1"), settings=((3, 100),), credit=True):
        self.credit = credit
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.set_alpn_protocols(list(protocols))
        self.settings = settings
        self.lock = threading.Condition()
        self.peers, self.requests, self.refused = [], [], set()
        self.events, self.released = threading.Semaphore(0), threading.Event()
        self.answer = self._answer  # a test may put its own here
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connections(self):
        return len(self.peers)

    def next_event(self):
        self.events.release()

    def release(self):
        self.released.set()

    def wait_for(self, condition, timeout=10):
        with self.lock:
            return self.lock.wait_for(lambda: condition(self), timeout)

    def received(self):
        """Everything that any request's fields and body held, as text."""
        with self.lock:
            streams = list(self.requests)
        return "\n".join(f"{s.fields}\n{s.data.decode('latin-1')}\n{s.trailers}" for s in streams)

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = Tls(client, self.context, server=True)
            if client.selected_alpn_protocol() != "h2":
                client.close()
                return
            with self.lock:
                peer = Peer(client, server=True, settings=self.settings, credit=self.credit, on_request=lambda *request: self.answer(*request))
                self.peers.append(peer)
                self.lock.notify_all()
        except (OSError, ssl.SSLError):
            client.close()

    def _answer(self, peer, number, stream):
        with self.lock:
            self.requests.append(stream)
            self.lock.notify_all()
        path = stream.field(":path").split("?")[0]
        parts = path.strip("/").split("/")
        grpc = [("content-type", "application/grpc")]
        if parts[0] == "chat":
            self._chat(peer, number, stream, grpc)
            return
        if parts[0] == "early":
            peer.respond(number, 413, b"too much")
            return
        if parts[0] == "hold":
            self.released.wait(30)
        if parts[0] == "refuse" and path not in self.refused:
            self.refused.add(path)
            peer.send(frame(RST_STREAM, 0, number, struct.pack(">I", 7)))
            return
        if parts[0] == "goaway" and path not in self.refused:
            self.refused.add(path)
            peer.send(frame(GOAWAY, 0, 0, struct.pack(">II", max(0, number - 2), 0)))
            return
        peer.wait(lambda: stream.ended or stream.error is not None, "request body")
        if parts[0] == "length":
            size = int(parts[1])
            if stream.field(":method") == "HEAD":
                peer.respond(number, 200, b"", [("content-length", str(size))])
                return
            peer.respond(number, 200, (bytes(range(65, 91)) * (size // 26 + 1))[:size])
        elif parts[0] == "trailers":
            peer.respond(number, 200, b"body", trailers=[("x-sum", "42"), ("grpc-status", "0")])
        elif parts[0] == "status":
            peer.respond(number, int(parts[1]))
        elif parts[0] == "interim":
            peer.send(frame(HEADERS, END_HEADERS, number, block_of([(":status", "103"), ("link", "</a.css>")])))
            peer.respond(number, 200, b"final")
        elif parts[0] == "slow":
            self.released.wait(30)
            peer.respond(number, 200, b"at last")
        elif parts[0] == "reset":
            peer.send(frame(RST_STREAM, 0, number, struct.pack(">I", 2)))
        elif parts[0] == "hang-up":
            peer.send(frame(HEADERS, END_HEADERS, number, block_of([(":status", "200")])) + frame(DATA, 0, number, b"some"))
            peer.close()
        elif parts[0] == "header-echo":
            peer.respond(number, 200, b"ok", [("x-echo", stream.field("authorization") or "none")])
        elif parts[0] == "sse":
            peer.send(frame(HEADERS, END_HEADERS, number, block_of([(":status", "200"), ("content-type", "text/event-stream")])))
            for event in range(5):
                self.events.acquire(timeout=30)
                peer.data(number, f"data: event {event}\n\n".encode(), end=event == 4)
        elif parts[0] == "count":
            peer.respond(number, 200, f"{self.peers.index(peer) + 1} {(number + 1) // 2}".encode())
        else:
            echo = "".join(f"{name}: {value}\n" for name, value in stream.fields)
            peer.respond(number, 200, echo.encode("latin-1") + b"\n" + bytes(stream.data) +
                         (f"\ntrailers {stream.trailers}".encode() if stream.trailers else b""))

    @staticmethod
    def _chat(peer, number, stream, fields):
        """A bidirectional stream: the answer begins before the request ends."""
        peer.send(frame(HEADERS, END_HEADERS, number, block_of([(":status", "200"), *fields])))
        at = 0
        while True:
            peer.wait(lambda: len(stream.data) >= at + 5 or stream.ended or stream.error is not None, "message")
            if stream.error is not None:
                return
            if len(stream.data) < at + 5:
                break
            size = int.from_bytes(stream.data[at + 1:at + 5], "big")
            peer.wait(lambda: len(stream.data) >= at + 5 + size or stream.ended, "message")
            peer.data(number, bytes(stream.data[at:at + 5 + size]))
            at += 5 + size
        peer.trailers(number, [("grpc-status", "0"), ("x-seen", str(at))])
