#!/usr/bin/env python3
"""The instruments themselves: the origin writes down every byte, the canaries notice every contact."""
import argparse
import base64
import http.client
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

BUILD = None


class Tool:
    def __init__(self, directory, kind):
        self.log, port_file = directory / (kind + ".log"), directory / (kind + ".json")
        self.process = subprocess.Popen([str(BUILD / "libexec/bot-bottle/bottle-attack"), kind, "--log", str(self.log), "--port-file", str(port_file)], stdin=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while not port_file.exists() and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self.ports = json.loads(port_file.read_text())

    def wait_for_lines(self, count):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            lines = [json.loads(line) for line in self.log.read_text().splitlines()]
            if len(lines) >= count:
                return lines
            time.sleep(0.01)
        raise AssertionError("only %d lines" % len(lines))

    def stop(self):
        self.process.stdin.close()
        return self.process.wait(timeout=10)


class HostSide(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = pathlib.Path(self.directory.name)

    def start(self, kind):
        tool = Tool(self.path, kind)
        self.addCleanup(lambda: tool.process.poll() is None and tool.stop())
        return tool

    def test_the_origin_proves_its_name_and_logs_head_body_and_trailers(self):
        origin = self.start("origin")
        context = ssl.create_default_context(cafile=origin.ports["ca_file"])
        with context.wrap_socket(socket.create_connection(("127.0.0.1", origin.ports["port"])), server_hostname="origin.example.com") as peer:
            peer.sendall(b"POST /a HTTP/1.1\r\nHost: origin.example.com\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-T: end\r\n\r\n")
            answer = b""
            while True:
                more = peer.recv(65536)
                if not more:
                    break
                answer += more
        self.assertIn(b"X-Attack-Origin: yes", answer)
        line = origin.wait_for_lines(1)[0]
        self.assertEqual((line["tls"], line["sni"], line["complete"]), (True, "origin.example.com", True))
        self.assertEqual(base64.b64decode(line["body"]), b"abc")
        self.assertIn(b"X-T: end", base64.b64decode(line["trailers"]))

    def test_a_request_that_was_cut_short_is_logged_too(self):
        origin = self.start("origin")
        with socket.create_connection(("127.0.0.1", origin.ports["plain_port"])) as peer:
            peer.sendall(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf a secret")
        line = origin.wait_for_lines(1)[0]
        self.assertFalse(line["complete"])
        self.assertEqual(base64.b64decode(line["body"]), b"half a secret")

    def test_the_origin_echoes_the_credential_it_got(self):
        origin = self.start("origin")
        connection = http.client.HTTPConnection("127.0.0.1", origin.ports["plain_port"])
        self.addCleanup(connection.close)
        connection.request("GET", "/token", headers={"Authorization": "Bearer abc", "Connection": "close"})
        self.assertEqual(json.loads(connection.getresponse().read())["access_token"], "abc")

    def test_every_contact_with_a_canary_is_a_line(self):
        canary = self.start("canary")
        for port in canary.ports["ports"]:
            socket.create_connection(("127.0.0.1", port)).close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.sendto(b"hello", ("127.0.0.1", canary.ports["udp_ports"][0]))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.connect("\0" + canary.ports["abstract"])
        contacts = sorted(line["contact"].split()[0] for line in canary.wait_for_lines(4))
        self.assertEqual(contacts, ["tcp", "tcp", "udp", "unix"])

    def test_both_end_when_standard_input_closes(self):
        self.assertEqual([self.start(kind).stop() for kind in ("origin", "canary")], [0, 0])

    def test_the_suite_does_not_run_outside_a_bottle(self):
        done = subprocess.run([str(BUILD / "libexec/bot-bottle/bottle-attack"), "suite", "--only", "5"], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("not a bottle", done.stderr)

    def test_a_dead_proxy_is_never_a_pass(self):
        done = subprocess.run([str(BUILD / "libexec/bot-bottle/bottle-attack"), "suite", "--outside", "--json", "--only", "1.1,1.3,3.5"], capture_output=True, text=True,
                              env={"HTTPS_PROXY": "http://127.0.0.1:1"})
        verdicts = {json.loads(line)["verdict"] for line in done.stdout.splitlines()}
        self.assertEqual((done.returncode, verdicts), (1, {"error"}))

    def test_without_walls_the_suite_says_escaped(self):
        """The same attempts with nothing between them and the host: a suite that cannot see an open door proves nothing."""
        canary = self.start("canary")
        plain = self.path / "operator.txt"
        plain.write_text("x")
        program = [str(BUILD / "libexec/bot-bottle/bottle-attack"), "suite", "--json"]
        env = {"BB_ATTACK_HOST_PORTS": str(canary.ports["ports"][0]), "BB_ATTACK_ABSTRACT": canary.ports["abstract"], "BB_ATTACK_HOST_PATHS": str(plain)}
        listed = subprocess.run([*program, "--list"], capture_output=True, text=True, env=env)
        # Loopback and passive ones only: nothing leaves this machine, nothing is changed on it.
        wanted = ("the host's loopback 127.0.0.1", "the host's abstract socket", "read %s" % plain, "a seccomp filter is in force")
        ids = [line["id"] for line in map(json.loads, listed.stdout.splitlines()) if any(text in line["attempt"] for text in wanted)]
        done = subprocess.run([*program, "--outside", "--only", ",".join(ids)], capture_output=True, text=True, env=env)
        escaped = {line["attempt"]: line["guard"] for line in map(json.loads, done.stdout.splitlines()) if line["verdict"] == "escaped"}
        self.assertEqual(done.returncode, 1)
        self.assertIn("TCP to the host's loopback 127.0.0.1 port %d (C4, C11)" % canary.ports["ports"][0], escaped)
        self.assertIn("the host's abstract socket @%s (C11)" % canary.ports["abstract"], escaped)
        self.assertIn("read %s" % plain, escaped)
        self.assertIn("a seccomp filter is in force", escaped)

    def test_ids_are_unique(self):
        done = subprocess.run([str(BUILD / "libexec/bot-bottle/bottle-attack"), "suite", "--list", "--json", "--resources"], capture_output=True, text=True)
        ids = [json.loads(line)["id"] for line in done.stdout.splitlines()]
        self.assertGreater(len(ids), 400)
        self.assertEqual(len(ids), len(set(ids)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True, type=pathlib.Path)
    options, rest = parser.parse_known_args()
    BUILD = options.build
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)
