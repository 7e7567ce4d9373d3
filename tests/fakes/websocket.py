"""WebSocket by hand (RFC 6455), for both ends: frames are made here, so that they can be wrong."""
import base64
import hashlib
import os

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_for(key):
    return base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()


def frame(opcode, payload=b"", final=True, mask=True, bits=0, length=None):
    payload = payload if isinstance(payload, bytes) else payload.encode()
    size = len(payload)
    head = bytes([(0x80 if final else 0) | bits << 4 | opcode])
    bit = 0x80 if mask else 0
    form = length or (7 if size < 126 else 16 if size < 65536 else 64)
    head += bytes([bit | size]) if form == 7 else bytes([bit | 126]) + size.to_bytes(2, "big") if form == 16 else \
        bytes([bit | 127]) + size.to_bytes(8, "big")
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(octet ^ key[i & 3] for i, octet in enumerate(payload))


def parse(data):
    """One frame from the front: (opcode, final, mask or None, payload, rest), or None."""
    if len(data) < 2:
        return None
    size, at = data[1] & 0x7f, 2
    if size > 125:
        more = 2 if size == 126 else 8
        if len(data) < 2 + more:
            return None
        size, at = int.from_bytes(data[2:2 + more], "big"), 2 + more
    masked = bool(data[1] & 0x80)
    key = data[at:at + 4] if masked else b"\0\0\0\0"
    at += 4 if masked else 0
    if len(data) < at + size or len(key) < 4:
        return None
    payload = bytes(octet ^ key[i & 3] for i, octet in enumerate(data[at:at + size]))
    return data[0] & 0x0f, bool(data[0] & 0x80), key if masked else None, payload, data[at + size:]


class Ended(Exception):
    """The other side has closed: .code and .reason of its Close frame, if it sent one."""

    def __init__(self, code, reason=""):
        super().__init__(f"{code} {reason}")
        self.code, self.reason = code, reason


class WebSocket:
    """`send` takes octets, `receive` waits for some and returns them (b"" at the end)."""

    def __init__(self, send, receive, masks=True):
        self.raw, self.receive, self.masks, self.buffer = send, receive, masks, b""
        self.masks_seen = []

    def send(self, payload, opcode=None, **options):
        opcode = opcode if opcode is not None else BINARY if isinstance(payload, bytes) else TEXT
        self.raw(frame(opcode, payload, mask=self.masks, **options))

    def frame(self):
        while True:
            parsed = parse(self.buffer)
            if parsed:
                self.masks_seen.append(parsed[2])
                self.buffer = parsed[4]
                return parsed[:4]
            data = self.receive()
            if not data:
                raise Ended(None)
            self.buffer += data

    def message(self):
        """The next whole message; Ping is answered, Close raises."""
        whole = b""
        while True:
            opcode, final, _, payload = self.frame()
            if opcode == CLOSE:
                raise Ended(int.from_bytes(payload[:2], "big") if payload else None, payload[2:].decode())
            if opcode == PING:
                self.send(payload, PONG)
            elif opcode != PONG:
                whole += payload
                if final:
                    return whole
