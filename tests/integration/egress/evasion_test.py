"""A known secret and a token shape in every disguise that DLP claims to see through, in every place, past the real proxy. Attacks A12, A15, J."""
import base64
import codecs
import gzip
import json
import os
import struct
import urllib.parse
import zlib

from harness import OTHER_SECRET, World, check, main
import websocket
from websocket import TEXT, Ended, WebSocket

HOST = "open.example.com"
SECRET = OTHER_SECRET
GITHUB = "ghp_" + "Ab3dEf6hIj9lMn2pQr5tUv8xYz1Bc4Df7Gh0"
RANDOM = "q7Zk2Vn9Xw4Rt8Lm3Py6Bd1Hs5Jc0Gf"  # pieces of ordinary words are in every text and are not summed
PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"  # BIP-39's own test vector


def world(program, share):
    w = World(program, share, [{"host": HOST}, {"host": "two.example.com"}], secrets={"OTHER": SECRET, "RANDOM": RANDOM})
    w.origin = w.tls_origin(HOST, "two.example.com")
    return w


def png(text):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + \
        chunk(b"tEXt", b"Comment\0" + text) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def jpeg(text):
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + text
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + os.urandom(40) + b"\xff\xd9"


def disguises(secret):
    """(name, text): what stands in one place of a request."""
    data = secret.encode()
    yield "plain", secret
    for shift in range(3):
        yield f"base64, alignment {shift}", base64.b64encode(b"x" * shift + data).decode()
    yield "base64url", base64.urlsafe_b64encode(b"\xff\xfe" + data).decode().rstrip("=")
    yield "base32", base64.b32encode(data).decode()
    yield "hex", data.hex()
    yield "hex with colons", data.hex(":").upper()
    yield "percent", "".join(f"%{octet:02x}" for octet in data)
    yield "JSON escapes", "".join(f"\\u{octet:04x}" for octet in data)
    yield "HTML entities", "".join(f"&#x{octet:x};" for octet in data)
    yield "reversed", secret[::-1]
    yield "rot13", codecs.encode(secret, "rot13")
    yield "base64 of base64", base64.b64encode(base64.b64encode(data)).decode()
    yield "hex of base64", base64.b64encode(data).hex()
    yield "zero-width", "\u200b".join(secret)
    yield "word joiner and soft hyphen", "\u2060\u00ad".join(secret)
    yield "Hangul filler", "\u3164".join(secret)
    yield "variation selectors", "\ufe0f".join(secret)
    yield "bidi", "\u202e".join(secret)
    yield "full-width", "".join(chr(ord(c) + 0xfee0) if "!" <= c <= "~" else c for c in secret)
    yield "tags", "".join(chr(0xe0000 + ord(c)) for c in secret)
    yield "Cyrillic look-alikes", secret.translate(str.maketrans("aceop", "асеор"))
    yield "new lines", "\n".join(secret[at:at + 5] for at in range(0, len(secret), 5))


def bodies(secret):
    """(name, fields, octets): whole bodies."""
    data, filler = secret.encode(), b"some words " * 3000
    json_type = "Content-Type: application/json\r\n"
    yield "JSON-RPC batch", json_type, json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {
        "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "x", "arguments": {"deep": [{"k": secret}]}}}]).encode()
    yield "JSON key", json_type, json.dumps({secret: 1}).encode()
    yield "scattered over fields", json_type, json.dumps({"a": secret[:11], "b": {"c": secret[11:22]}, "d": [secret[22:]]}).encode()
    for name, part in (("file name", b'; filename="' + data + b'"\r\n\r\nx'), ("field", b"\r\n\r\n" + data), ("field name", b'; name="' + data + b'"\r\n\r\n')):
        yield f"multipart {name}", "Content-Type: multipart/form-data; boundary=b\r\n", b'--b\r\nContent-Disposition: form-data; name="f"' + part + b"\r\n--b--\r\n"
    yield "form", "Content-Type: application/x-www-form-urlencoded\r\n", f"a=1&b={urllib.parse.quote(secret)}".encode()
    yield "YAML", "Content-Type: application/yaml\r\n", b"a: 1\nkey: >-\n  " + data + b"\n"
    yield "CSV", "Content-Type: text/csv\r\n", b"a,b\n1," + data + b"\n"
    yield "SVG", "Content-Type: image/svg+xml\r\n", b"<svg xmlns='http://www.w3.org/2000/svg'><metadata>" + data + b"</metadata></svg>"
    yield "PNG text", "Content-Type: image/png\r\n", png(data)
    yield "JPEG EXIF", "Content-Type: image/jpeg\r\n", jpeg(data)
    yield "gzip, declared", "Content-Encoding: gzip\r\n", gzip.compress(filler + data)
    yield "gzip, called text", "Content-Type: text/plain\r\n", gzip.compress(filler + data)
    yield "gzip in base64 in JSON", json_type, json.dumps({"blob": base64.b64encode(gzip.compress(filler + data)).decode()}).encode()
    yield "deflate", "Content-Encoding: deflate\r\n", zlib.compress(filler + data)
    yield "after a megabyte", "", b"words " * 180_000 + data
    yield "UTF-16", "Content-Type: text/plain; charset=utf-16\r\n", secret.encode("utf-16")


@check
def J_A15_a_secret_in_any_disguise_is_found_in_a_body_a_query_and_a_field(program, share):
    with world(program, share).start() as w:
        for name, text in disguises(SECRET):
            answer = w.get(HOST, "/x", "", "POST", f"before {text} after".encode())
            assert answer.status == 403 and answer.json()["reason"] == "secret_found", ("body", name, answer.status, answer.body)
            answer = w.get(HOST, f"/x?q={urllib.parse.quote(text)}")
            assert answer.status == 403, ("query", name, answer.status)
            if "\n" not in text:
                answer = w.get(HOST, "/x", f"X-Note: {text.encode().decode('latin-1')}\r\n")
                assert answer.status == 403, ("field", name, answer.status)
        assert not w.origin.requests, w.origin.requests[-1].head


@check
def J_A15_a_secret_in_any_kind_of_body_is_found_whatever_it_calls_itself(program, share):
    with world(program, share).start() as w:
        for name, fields, body in bodies(SECRET):
            for chunked in (False, True):
                client = w.tls(HOST)
                if chunked:
                    pieces = [body[at:at + 1000] for at in range(0, len(body), 1000)]
                    client.send(f"POST /x HTTP/1.1\r\nHost: {HOST}\r\n{fields}Transfer-Encoding: chunked\r\n\r\n".encode() +
                                b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n")
                    answer = client.response()
                else:
                    answer = client.get("/x", HOST, fields, "POST", body)
                assert answer.status == 403 and answer.json()["reason"] == "secret_found", (name, chunked, answer.status, answer.body)
                client.close()
        assert SECRET.encode() not in w.origin.raw and not any(request.complete for request in w.origin.requests)


@check
def J_a_token_shape_is_found_in_the_same_places_and_a_seed_phrase_too(program, share):
    with world(program, share).start() as w:
        for name, text in (("plain", GITHUB), ("percent", urllib.parse.quote("token=") + GITHUB), ("JSON", json.dumps({"a": GITHUB})),
                           ("zero-width", "\u200b".join(GITHUB)), ("full-width", "".join(chr(ord(c) + 0xfee0) for c in GITHUB))):
            assert w.get(HOST, "/x", "", "POST", f"it is {text} so".encode()).status == 403, name
            assert w.get(HOST, f"/x?q={urllib.parse.quote(text)}").status == 403, name
        assert w.get(HOST, f"/x/{GITHUB}").status == 403 and w.get(HOST, "/x", f"X-A: {GITHUB}\r\n").status == 403
        assert w.get(HOST, "/x", "", "POST", f"words: {PHRASE}.".encode()).status == 403
        assert not w.origin.requests


@check
def J_A12_a_secret_in_pieces_is_found_over_messages_and_requests(program, share):
    with world(program, share).start() as w:
        client = w.tls(HOST)
        client.send(f"GET /ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    f"Sec-WebSocket-Key: {base64.b64encode(b'sixteen octets!!').decode()}\r\n\r\n")
        assert client.head()[0] == 101
        peer = WebSocket(client.send, lambda: client.socket.recv(65536))
        try:
            for at in range(0, len(SECRET), 8):
                peer.send(SECRET[at:at + 8], TEXT)
                peer.message()
            raise AssertionError("the pieces went out")
        except Ended as end:
            assert end.code == 1008
        assert SECRET[-8:] not in str(w.origin.messages)
        pieces = [RANDOM[at:at + 9] for at in range(0, len(RANDOM) - 8, 4)]
        statuses = [w.get("two.example.com", f"/x?part={piece}").status for piece in pieces]
        assert 403 in statuses and statuses[0] == 200, statuses
        assert not all(piece.encode() in w.origin.raw for piece in pieces) and w.blocks()[-1]["reason"] == "secret_found", w.blocks()[-1]


@check
def J_what_merely_looks_like_it_passes(program, share):
    with world(program, share).start() as w:
        for body in (os.urandom(30_000), base64.b64encode(os.urandom(3000)), json.dumps({"sha": os.urandom(20).hex()}).encode(),
                     gzip.compress(b"nothing " * 1000), png(b"a picture"), jpeg(b"a camera"), "naïve café 数据 🎉".encode(),
                     b"legal winner thank year wave sausage worth useful legal winner thank thank"):
            answer = w.get(HOST, "/x", "", "POST", body)
            assert answer.status == 200, (body[:60], answer.body)


main()
