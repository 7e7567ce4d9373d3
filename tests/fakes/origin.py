"""An origin server that tests drive: plain or TLS, one thread per connection, everything it received is kept.

It speaks HTTP/1.1 by hand, so that it can misbehave on purpose. The path chooses the answer:

    /echo            200, the request's head and body as text (secrets and all: a reflecting upstream)
    /length/N        N octets with Content-Length          /chunked/N   the same in chunks of 1000
    /close           a body that ends with the connection  /sse         5 events; each waits for origin.next_event()
    /status/N        an answer of that status              /interim     103, then 200
    /redirect        302 to https://other.example.com/     /slow        waits for origin.release() before it answers
    /gzip            "hello" in gzip, unasked              /gzip-echo   /echo in gzip
    /header-echo     the authorization header in a response header
    /alt-svc         with Alt-Svc, Connection and a header that Connection names
    /smuggle         Content-Length and Transfer-Encoding  /extra       octets behind the response
    /early           413 before the body is read           /trailers    chunked with a trailer
    /raw/HEX         these octets and nothing else         /raw         the octets of the request's body
    /programmed      origin.programmed, as it is
    /count           how many requests this connection had
    /ws              WebSocket: messages come back; "say HEX" sends these octets, "programmed" origin.programmed, "token" the authorization field, "bye"
                     Close; what came is in origin.messages     /ws-bad/KIND   a handshake that is wrong: KIND names how
"""
import gzip
import socket
import ssl
import threading

import websocket


class Request:
    def __init__(self, method, target, version, headers, head, connection):
        self.method, self.target, self.version, self.headers = method, target, version, headers
        self.head, self.body, self.trailers, self.connection, self.complete = head, b"", b"", connection, False

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[0] if values else None


class Origin:
    def __init__(self, certificate=None, key=None, max_version=None):
        self.requests, self.raw, self.connections = [], bytearray(), 0
        self.lock = threading.Condition()
        self.events, self.released = threading.Semaphore(0), threading.Event()
        self.context = None
        self.server_names = []
        self.messages, self.masked = [], []
        self.programmed = b""
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
            if max_version:
                self.context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
                self.context.maximum_version = max_version
                self.context.set_ciphers("ALL:@SECLEVEL=0")
            self.context.sni_callback = lambda s, name, c: self.server_names.append(name)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def next_event(self):
        self.events.release()

    def release(self):
        self.released.set()

    def wait_for(self, condition, timeout=10):
        with self.lock:
            return self.lock.wait_for(lambda: condition(self), timeout)

    def clear(self):
        with self.lock:
            self.requests, self.raw = [], bytearray()

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                number = self.connections
                self.lock.notify_all()
            threading.Thread(target=self._serve, args=(client, number), daemon=True).start()

    def _serve(self, client, number):
        try:
            client.settimeout(60)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                client = self.context.wrap_socket(client, server_side=True)
            Connection(self, client, number).run()
        except (OSError, ValueError, EOFError):
            pass
        finally:
            try:
                if self.context and isinstance(client, ssl.SSLSocket):
                    client.unwrap()
            except (OSError, ValueError):
                pass
            client.close()


class Connection:
    def __init__(self, origin, client, number):
        self.origin, self.client, self.number = origin, client, number
        self.buffer, self.count = b"", 0

    def more(self):
        data = self.client.recv(65536)
        if not data:
            raise EOFError
        with self.origin.lock:
            self.origin.raw += data
            self.origin.lock.notify_all()
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def take(self, count):
        while len(self.buffer) < count:
            self.more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def read_head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, target, version = lines[0].split(" ")
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        return Request(method, target, version, headers, head, self.number)

    def read_body(self, request):
        if (request.header("expect") or "").lower() == "100-continue":
            self.client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.header("content-length"):
            request.body = self.take(int(request.header("content-length")))
        elif request.header("transfer-encoding") == "chunked":
            while size := int(self.line(), 16):
                request.body += self.take(size)
                self.take(2)
            while line := self.line():
                request.trailers += line + b"\n"
        request.complete = True
        with self.origin.lock:
            self.origin.lock.notify_all()

    def run(self):
        while True:
            request = self.read_head()
            self.count += 1
            with self.origin.lock:
                self.origin.requests.append(request)
                self.origin.lock.notify_all()
            path = request.target.split("?")[0]
            if path == "/early":
                self.send(413, b"too much", extra="Connection: close\r\n")
                return
            self.read_body(request)
            if not self.answer(request, path):
                return

    def send(self, status, body, extra="", length=True):
        head = f"HTTP/1.1 {status} Whatever\r\n{extra}" + (f"Content-Length: {len(body)}\r\n" if length else "") + "\r\n"
        self.client.sendall(head.encode("latin-1") + body)

    def chunks(self, body, size, extra="", trailers=b""):
        data = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{extra}\r\n".encode()
        for at in range(0, len(body), size):
            piece = body[at:at + size]
            data += f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
        self.client.sendall(data + b"0\r\n" + trailers + b"\r\n")

    def answer(self, request, path):
        parts = path.strip("/").split("/")
        echo = request.head + b"\n\n" + request.body
        head_only = request.method == "HEAD"
        if parts[0] == "echo":
            self.send(200, b"" if head_only else echo, "Content-Type: text/plain\r\n")
        elif parts[0] == "length":
            size = int(parts[1])
            if head_only:
                self.send(200, b"", f"Content-Length: {size}\r\n", length=False)
            else:
                self.client.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
                block = bytes(range(65, 91)) * 2520
                while size > 0:
                    self.client.sendall(block[:size])
                    size -= len(block)
        elif parts[0] == "chunked":
            self.chunks(bytes(97 + i % 26 for i in range(int(parts[1]))), 1000)
        elif parts[0] == "close":
            self.send(200, b"until the end", length=False)
            return False
        elif parts[0] == "sse":
            self.client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for number in range(5):
                self.origin.events.acquire(timeout=30)
                event = f"data: event {number}\n\n".encode()
                self.client.sendall(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            self.client.sendall(b"0\r\n\r\n")
        elif parts[0] == "status":
            self.send(int(parts[1]), b"", length=parts[1] not in ("204", "304"))
        elif parts[0] == "interim":
            self.client.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
            self.send(200, b"final")
        elif parts[0] == "redirect":
            self.send(302, b"", "Location: https://other.example.com/\r\n")
        elif parts[0] == "slow":
            self.origin.released.wait(30)
            self.send(200, b"at last")
        elif parts[0] == "gzip":
            self.send(200, gzip.compress(b"hello"), "Content-Encoding: gzip\r\n")
        elif parts[0] == "gzip-echo":
            self.send(200, gzip.compress(echo), "Content-Encoding: gzip\r\n")
        elif parts[0] == "header-echo":
            self.send(200, b"ok", f"X-Echo: {request.header('authorization')}\r\n")
        elif parts[0] == "alt-svc":
            self.send(200, b"ok", "Alt-Svc: h3=\":443\"\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Stay: 1\r\n")
        elif parts[0] == "smuggle":
            self.client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        elif parts[0] == "extra":
            self.client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
        elif parts[0] == "trailers":
            self.chunks(b"body", 4, "Trailer: X-Sum\r\n", b"X-Sum: 42\r\n")
        elif parts[0] == "raw":
            self.client.sendall(bytes.fromhex(parts[1]) if len(parts) > 1 else request.body)
            return False
        elif parts[0] == "programmed":
            self.client.sendall(self.origin.programmed)
            return False
        elif parts[0] in ("ws", "ws-bad"):
            self.websocket(request, parts[1] if len(parts) > 1 else "")
            return False
        elif parts[0] == "count":
            self.send(200, f"{self.number} {self.count}".encode())
        else:
            self.send(200, b"ok")
        return True

    def websocket(self, request, wrong):
        accept = websocket.accept_for(request.header("sec-websocket-key") or "")
        fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}
        if request.header("sec-websocket-protocol"):
            fields["Sec-WebSocket-Protocol"] = request.header("sec-websocket-protocol").split(",")[0].strip()
        fields.update({"accept": {"Sec-WebSocket-Accept": "AAAA"}, "extension": {"Sec-WebSocket-Extensions": "permessage-deflate"},
                       "upgrade": {"Upgrade": "h2c"}, "protocol": {"Sec-WebSocket-Protocol": "not-asked"},
                       "connection": {"Connection": "close"}}.get(wrong, {}))
        status = "200 OK" if wrong == "status" else "101 Switching Protocols"
        head = f"HTTP/1.1 {status}\r\n" + "".join(f"{key}: {value}\r\n" for key, value in fields.items()) + "\r\n"
        self.client.sendall(head.encode())
        if wrong == "status":
            return

        def receive():
            if self.buffer:
                data, self.buffer = self.buffer, b""
                return data
            data = self.client.recv(65536)
            with self.origin.lock:
                self.origin.raw += data
            return data
        peer = websocket.WebSocket(self.client.sendall, receive, masks=False)
        while True:
            try:
                message = peer.message()
            except websocket.Ended as end:
                with self.origin.lock:
                    self.origin.messages.append(end)
                    self.origin.lock.notify_all()
                self.client.sendall(websocket.frame(websocket.CLOSE, b"\x03\xe8", mask=False))
                return
            with self.origin.lock:
                self.origin.messages.append(message)
                self.origin.masked = peer.masks_seen
                self.origin.lock.notify_all()
            if message.startswith(b"say "):
                self.client.sendall(bytes.fromhex(message[4:].decode()))
            elif message == b"programmed":
                self.client.sendall(self.origin.programmed)
            elif message == b"token":
                peer.send(f"you are {request.header('authorization')}")
            elif message == b"bye":
                peer.send(b"\x03\xe8done", websocket.CLOSE)
            else:
                peer.send(message if message.startswith(b"\x00") else message.decode())
