"""Requests that no git would make."""
import http.client


def pkt(text):
    data = text if isinstance(text, bytes) else text.encode()
    return f"{len(data) + 4:04x}".encode() + data


def raw_push(world, commands, pack, capabilities="report-status", path="/app.git/git-receive-pack", content_type=None):
    body = b""
    for index, (old, new, name) in enumerate(commands):
        body += pkt(f"{old} {new} {name}".encode() + (b"\0" + capabilities.encode() if index == 0 else b""))
    body += b"0000" + pack
    connection = http.client.HTTPConnection("127.0.0.1", world.gate_port, timeout=60)
    connection.request("POST", path, body, {"Content-Type": content_type or "application/x-git-receive-pack-request"})
    return connection.getresponse().read()
