"""A name server that tests drive (UDP, RFC 1035): it answers what it was told to, and keeps every question.

`answers` maps (name, type) to a list of addresses, or to a list of such lists: then each question takes the next one."""
import socket
import struct
import threading

A, AAAA = 1, 28


class NameServer:
    def __init__(self, address="127.0.0.1", port=53):
        self.answers, self.questions, self.lock = {}, [], threading.Lock()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        threading.Thread(target=self._run, daemon=True).start()

    def names(self):
        with self.lock:
            return [name for name, _ in self.questions]

    def close(self):
        self.socket.close()

    def _run(self):
        while True:
            try:
                data, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            at, labels = 12, []
            while data[at]:
                labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
                at += 1 + data[at]
            kind = struct.unpack(">H", data[at + 1:at + 3])[0]
            name = ".".join(labels).lower()
            with self.lock:
                self.questions.append((name, kind))
                given = self.answers.get((name, kind), [])
                if given and isinstance(given[0], list):
                    given = given.pop(0) if len(given) > 1 else given[0]
            known = any(known_name == name for known_name, _ in self.answers)
            records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, 4 if kind == A else 16) +
                               socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, address) for address in given)
            flags = 0x8180 if known else 0x8183  # NXDOMAIN
            self.socket.sendto(data[:2] + struct.pack(">HHHHH", flags, 1, len(given), 0, 0) + data[12:at + 5] + records, peer)
