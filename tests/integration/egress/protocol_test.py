"""Certificates and TLS towards the agent; limits, slow clients. Attack L."""
import os
import re
import ssl
import subprocess
import tempfile
import time

from harness import World, check, main


def world(program, share, **more):
    w = World(program, share, [{"host": "api.example.com"},
                               {"host": "few.example.com", "limits": {"requests_per_minute": 3}},
                               {"host": "small.example.com", "limits": {"bytes_out_per_hour": 5000}}], **more)
    w.origin = w.tls_origin("api.example.com", "few.example.com", "small.example.com")
    return w


def text_of(pem):
    return subprocess.run(["openssl", "x509", "-noout", "-text"], input=pem.encode(), capture_output=True, check=True).stdout.decode()


@check
def the_authority_is_what_it_should_be_and_its_key_is_nowhere(program, share):
    with world(program, share).start() as w:
        text = text_of(w.ca_pem)
        assert "CA:TRUE, pathlen:0" in text and "prime256v1" in text and "Certificate Sign" in text, text
        assert "Subject Key Identifier" in text
        for directory, _, files in os.walk(w.state):
            for name in files:
                if os.path.isfile(os.path.join(directory, name)):
                    assert b"PRIVATE KEY" not in open(os.path.join(directory, name), "rb").read()


@check
def leaves_are_for_the_host_and_chain_to_the_authority(program, share):
    with world(program, share).start() as w:
        client = w.tls("api.example.com")
        text = text_of(ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(True)))
        assert "DNS:api.example.com" in text and "CA:FALSE" in text and "TLS Web Server Authentication" in text, text
        ca = re.search(r"Subject Key Identifier:\s*\n\s*([0-9A-F:]+)", text_of(w.ca_pem)).group(1)
        assert re.search(r"Authority Key Identifier:\s*\n\s*(?:keyid:)?" + ca, text), text
        again = w.tls("api.example.com").socket.getpeercert(True)
        assert client.socket.getpeercert(True) == again  # minted once
        with tempfile.TemporaryDirectory() as directory:
            leaf = os.path.join(directory, "leaf.pem")
            open(leaf, "w").write(ssl.DER_cert_to_PEM_cert(again))
            result = subprocess.run(["openssl", "verify", "-x509_strict", "-CAfile", w.ca_file, leaf], capture_output=True)
            assert result.returncode == 0, result


@check
def tickets_resume_sessions_of_the_same_host_only(program, share):
    with world(program, share).start() as w:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = w.context()
            context.minimum_version = context.maximum_version = version
            first = w.tls("api.example.com", context=context)
            first.get("/", "api.example.com")
            assert w.tls("api.example.com", context=context, session=first.socket.session).socket.session_reused, version
            assert not w.tls("few.example.com", context=context, session=first.socket.session).socket.session_reused, version


@check
def alpn_agrees_on_http_2_or_http_1_1_and_on_nothing_else(program, share):
    with world(program, share).start() as w:
        for offered, agreed in ((["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), ([], None)):
            context = w.context()
            if offered:
                context.set_alpn_protocols(offered)
            else:
                context = ssl.create_default_context(cadata=w.ca_pem)
            assert w.tls("api.example.com", context=context).socket.selected_alpn_protocol() == agreed, offered
        context.set_alpn_protocols(["spdy/3"])
        try:
            w.tls("api.example.com", context=context)
            raise AssertionError("an unknown protocol was agreed on")
        except ssl.SSLError:
            pass


@check
def requests_per_minute_are_held(program, share):
    with world(program, share).start() as w:
        client = w.tls("few.example.com")
        answers = [client.get("/", "few.example.com") for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 403, 403]
        assert answers[3].json()["reason"] == "too_many_requests" and answers[3].header("retry-after")
        assert w.get("api.example.com", "/").status == 200


@check
def bytes_out_per_hour_are_held_in_the_middle_of_a_body_too(program, share):
    with world(program, share).start() as w:
        assert w.get("small.example.com", "/", "", "POST", b"x" * 3000).status == 200
        answer = w.get("small.example.com", "/", "", "POST", b"x" * 3000)
        assert answer.status == 403 and answer.json()["reason"] == "too_many_bytes"
        assert not w.origin.requests[-1].complete or len(w.origin.requests) == 1


@check
def L_a_head_that_trickles_in_is_ended(program, share):
    with world(program, share).start() as w:
        client = w.proxy()
        begin = time.monotonic()
        client.send("CONNECT api.example.com:443 HTTP/1.1\r\n")
        client.socket.settimeout(0.5)
        ended = False
        while not ended and time.monotonic() - begin < 30:
            try:
                client.send("X: y\r\n")
                client.more()
            except TimeoutError:
                continue
            except (EOFError, OSError):
                ended = True
        assert ended and 5 < time.monotonic() - begin < 20
        assert b" 408 " in client.buffer


@check
def L_connections_are_bounded_and_those_that_stand_go_on(program, share):
    with world(program, share).start() as w:
        kept = w.tls("api.example.com")
        many = []
        for _ in range(600):
            try:
                many.append(w.proxy())
            except OSError:
                break
        assert kept.get("/", "api.example.com").status == 200
        status = w.call("status")
        assert status["open_connections"] <= status["bounds"]["connections"]  # connections_test.py fills it
        for client in many:
            client.close()
        deadline = time.monotonic() + 10
        while w.call("status")["open_connections"] > 1 and time.monotonic() < deadline:
            pass
        assert w.get("api.example.com", "/").status == 200


@check
def garbage_instead_of_tls_or_http_ends_the_connection_and_nothing_else(program, share):
    with world(program, share).start() as w:
        for garbage in [b"\x16\x03\x01\x00\x05hello", b"\x16" + os.urandom(500), os.urandom(1000), b"\x80\x2e\x01\x00\x02", b"SSH-2.0-x\r\n"]:
            status, client = w.connect("api.example.com:443")
            client.send(garbage)
            client.rest()
            client = w.proxy()
            client.send(garbage + b"\r\n\r\n")
            client.rest()
        assert w.get("api.example.com", "/").status == 200


main()
