#!/usr/bin/env python3
"""Forwards a TCP port of 127.0.0.1 to a unix socket: for clients that only know TCP proxies (curl).

As a program: unix_forward.py SOCKET prints the port and ends when its standard input ends. As a module: Forward(path).
"""
import socket
import sys
import threading


def _pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Forward:
    def __init__(self, path):
        self.path = path
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        upstream = socket.socket(socket.AF_UNIX)
        try:
            upstream.connect(self.path)
        except OSError:
            client.close()
            return
        other = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
        other.start()
        _pump(client, upstream)
        other.join()
        client.close()
        upstream.close()

    def close(self):
        self.listener.close()


if __name__ == "__main__":
    print(Forward(sys.argv[1]).port, flush=True)
    sys.stdin.read()
