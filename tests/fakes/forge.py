#!/usr/bin/env python3
"""A FAKE forge: the deploy-key calls of Gitea's, GitHub's and GitLab's public API documents, over TLS, with its state on disk.

It keeps keys in STATE/keys.json and writes those that exist to an authorized_keys file, so that a real sshd takes exactly
them. STATE/faults.json, read at each request, makes it misbehave: {"POST": 500, "DELETE": "slow", "GET": 401,
"POST": "lost"}: a status, an answer after ten minutes, or a key that is made and an answer that never comes.
"""
import argparse
import http.server
import json
import os
import pathlib
import re
import ssl
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from certificates import make_ca, make_leaf  # noqa: E402

LOCK = threading.Lock()


class State:
    def __init__(self, directory, repositories, token, authorized_keys):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.repositories, self.token = set(repositories), token
        self.authorized_keys = pathlib.Path(authorized_keys) if authorized_keys else None
        self.file = self.directory / "keys.json"
        if not self.file.exists():
            self.save([])

    def keys(self):
        return json.loads(self.file.read_text())

    def save(self, keys):
        temporary = self.file.with_suffix(".new")
        temporary.write_text(json.dumps(keys))
        temporary.rename(self.file)
        if self.authorized_keys:
            self.authorized_keys.write_text("".join(f"restrict {key['key']}\n" for key in keys))

    def fault(self, method):
        path = self.directory / "faults.json"
        return json.loads(path.read_text()).get(method) if path.exists() else None


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = log_file = None

    def log_message(self, *_):
        pass

    def answer(self, status, document=None):
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def is_allowed(self, forge):
        given = {"gitea": ("Authorization", "token "), "github": ("Authorization", "Bearer "), "gitlab": ("PRIVATE-TOKEN", "")}
        header, prefix = given[forge]
        return self.headers.get(header) == prefix + self.state.token

    def route(self):
        """(forge, repository, key id or None)"""
        path = urllib.parse.urlsplit(self.path).path
        for forge, pattern in (("gitea", r"/api/v1/repos/([^/]+)/([^/]+)/keys(?:/(\d+))?"),
                               ("github", r"/api/v3/repos/([^/]+)/([^/]+)/keys(?:/(\d+))?")):
            found = re.fullmatch(pattern, path)
            if found:
                return forge, "/".join(map(urllib.parse.unquote, found.groups()[:2])), found.group(3)
        found = re.fullmatch(r"/api/v4/projects/([^/]+)/deploy_keys(?:/(\d+))?", path)
        if found:
            return "gitlab", urllib.parse.unquote(found.group(1)), found.group(2)
        return None, None, None

    def handle_method(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        with open(self.log_file, "a") as log:
            log.write(json.dumps({"method": self.command, "path": self.path}) + "\n")
        fault = self.state.fault(self.command)
        if fault == "slow":
            time.sleep(600)
        if isinstance(fault, int):
            self.answer(fault, {"message": "as told"})
            return
        forge, repository, key_id = self.route()
        if forge is None:
            self.answer(404, {"message": "no such API"})
        elif not self.is_allowed(forge):
            self.answer(401, {"message": "unauthorized"})
        elif repository not in self.state.repositories:
            self.answer(404, {"message": "no such repository"})
        else:
            with LOCK:
                self.serve(forge, repository, key_id, body, fault)

    def serve(self, forge, repository, key_id, body, fault):
        keys = self.state.keys()
        mine = [key for key in keys if key["repository"] == repository]
        if self.command == "GET":
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            page, size = int(query.get("page", ["1"])[0]), 2  # small pages: clients must turn them
            self.answer(200, mine[(page - 1) * size:page * size])
        elif self.command == "POST" and key_id is None:
            given = json.loads(body)
            if not re.fullmatch(r"ssh-ed25519 [A-Za-z0-9+/]+=*( .*)?", given["key"]):
                self.answer(422, {"message": "not a key"})
                return
            made = {"id": max([key["id"] for key in keys], default=100) + 1, "title": given["title"], "key": given["key"],
                    "repository": repository, "forge": forge,
                    "read_only": not given["can_push"] if forge == "gitlab" else given["read_only"]}
            self.state.save([*keys, made])
            if fault == "lost":
                self.connection.close()
                return
            self.answer(201, made)
        elif self.command == "DELETE" and key_id is not None:
            left = [key for key in keys if key["id"] != int(key_id)]
            if len(left) == len(keys):
                self.answer(404, {"message": "no such key"})
                return
            self.state.save(left)
            self.answer(204)
        else:
            self.answer(405, {"message": "no"})

    do_GET = do_POST = do_DELETE = handle_method


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--repository", action="append", required=True)
    parser.add_argument("--authorized-keys")
    options = parser.parse_args()
    open(options.log, "a").close()
    Handler.state = State(options.state, options.repository, options.token, options.authorized_keys)
    Handler.log_file = options.log
    directory = tempfile.mkdtemp(prefix="fake-forge-", dir=options.state)
    ca = make_ca(directory)
    certificate, key = make_leaf(directory, ["localhost", "forge.example.com"], "forge")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    temporary = options.port_file + ".new"
    pathlib.Path(temporary).write_text(json.dumps({"port": server.server_address[1], "ca_file": str(ca)}))
    os.rename(temporary, options.port_file)
    sys.stdin.read()  # ends with whoever started it


if __name__ == "__main__":
    main()
