"""A fake host of files and git repositories over TLS, in threads of the test: what npm, pip and git need of a real one.

`files` maps a path to (content type, octets); "{paths}.git/…" below `git_root` is answered by the real `git http-backend`,
pushes included (whoever sends is REMOTE_USER there), so that a push that does not arrive was stopped before it.
"""
import base64
import hashlib
import http.server
import io
import json
import os
import ssl
import subprocess
import tarfile
import threading
import zipfile


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def body(self):
        if "chunked" in self.headers.get("transfer-encoding", ""):
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def reply(self, status, kind, data, headers=()):
        self.send_response(status)
        self.send_header("content-type", kind)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def answer(self):
        host, body = self.server.web_host, self.body()
        with host.lock:
            host.requests.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        path, _, query = self.path.partition("?")
        if host.git_root and ".git/" in path:
            self.git(host, path, query, body)
        elif path in host.files:
            self.reply(200, *host.files[path])
        else:
            self.reply(404, "text/plain", b"nothing here\n")

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def git(self, host, path, query, body):
        environment = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(host.git_root), "GIT_HTTP_EXPORT_ALL": "1",
                       "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": "somebody",
                       "CONTENT_TYPE": self.headers.get("content-type", ""), "CONTENT_LENGTH": str(len(body)),
                       "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                       "HTTP_GIT_PROTOCOL": self.headers.get("git-protocol", ""), "HOME": str(host.git_root)}
        output = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True).stdout
        head, _, data = output.partition(b"\r\n\r\n")
        fields = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n") if ": " in line]
        status = next((int(value.split()[0]) for name, value in fields if name == "Status"), 200)
        kind = next((value for name, value in fields if name == "Content-Type"), "text/plain")
        self.reply(status, kind, data, [(n, v) for n, v in fields if n not in ("Status", "Content-Type")])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass

    def finish_request(self, request, client_address):
        with self.web_host.context.wrap_socket(request, server_side=True) as connection:
            self.RequestHandlerClass(connection, client_address, self)


class WebHost:
    def __init__(self, certificate, key):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.lock, self.requests, self.files, self.git_root = threading.Lock(), [], {}, None
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.web_host = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def add_npm_package(self, base, name, says):
        """The registry's document of one package with one version, and its archive."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            for path, text in (("package.json", json.dumps({"name": name, "version": "1.0.0", "main": "index.js"})),
                               ("index.js", f"module.exports = {json.dumps(says)};\n")):
                entry = tarfile.TarInfo("package/" + path)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
        data = archive.getvalue()
        path = f"/{name}/-/{name}-1.0.0.tgz"
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
        version = {"name": name, "version": "1.0.0", "dist": {"tarball": base + path, "integrity": integrity}}
        document = {"name": name, "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
        self.files["/" + name] = ("application/json", json.dumps(document).encode())
        self.files[path] = ("application/octet-stream", data)

    def add_python_package(self, name, says):
        """A page of a simple index (PEP 503) and a wheel."""
        file, facts = io.BytesIO(), f"{name}-1.0.dist-info"
        contents = {f"{name}.py": f"says = {says!r}\n",
                    f"{facts}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
                    f"{facts}/WHEEL": "Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
        contents[f"{facts}/RECORD"] = "".join(f"{path},,\n" for path in [*contents, f"{facts}/RECORD"])
        with zipfile.ZipFile(file, "w") as wheel:
            for path, text in contents.items():
                wheel.writestr(path, text)
        data, wheel_name = file.getvalue(), f"{name}-1.0-py3-none-any.whl"
        link = f'<a href="/files/{wheel_name}#sha256={hashlib.sha256(data).hexdigest()}">{wheel_name}</a>'
        self.files[f"/simple/{name}/"] = ("text/html", f"<!DOCTYPE html><html><body>{link}</body></html>".encode())
        self.files[f"/files/{wheel_name}"] = ("application/octet-stream", data)
