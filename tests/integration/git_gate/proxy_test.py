"""egress.upstream_proxy and the gate's https upstreams: what the proxy hears, and what no proxy can hold."""
import base64
import contextlib
import socket
import threading

from harness import GateWorld, check, main

LOGIN = "corp-user:p@ss/word"


class Proxy:
    """A parent proxy: every name is the loopback address. With `login` it wants exactly that."""

    def __init__(self, login=None):
        self.heads, self.wanted = [], base64.b64encode(login.encode()) if login else None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.tunnel, args=(client,), daemon=True).start()

    def tunnel(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(4096)
            if not piece:
                return
            head += piece
        self.heads.append(head)
        if self.wanted and b"Basic " + self.wanted not in head:
            client.sendall(b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        port = int(head.split()[1].rsplit(b":", 1)[1])
        upstream = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        back = threading.Thread(target=self.pump, args=(upstream, client), daemon=True)
        back.start()
        self.pump(client, upstream)

    @staticmethod
    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


def world_behind(program, share, proxy, login=LOGIN):
    world = GateWorld(program, share, https=True, start=False)
    del world.repo["hosts"]  # only the proxy knows where git.example.com is
    world.document["egress"]["upstream_proxy"] = {"url": proxy.url, "token_ref": "PROXY_LOGIN"} if login else proxy.url
    if login:
        world.document["secrets"].append({"name": "PROXY_LOGIN", "value": login})
    return world


@check
def an_https_upstream_is_reached_through_the_proxy_alone(program, share):
    proxy = Proxy(LOGIN)
    world = world_behind(program, share, proxy)
    try:
        world.start()
        work = world.clone()
        made = world.commit(work, {"a.txt": "one\n"})
        world.push(work)
        assert world.refs()["refs/heads/agent/x"] == made
        port = world.https.port
        assert proxy.heads and all(head.startswith(f"CONNECT git.example.com:{port} ".encode()) for head in proxy.heads)
        # F3: the proxy learns the name and its own login, and not the forge's token.
        for head in proxy.heads:
            assert b"forge-token" not in head and base64.b64encode(b"x-access-token:forge-token-0123456789") not in head
    finally:
        world.stop()


@check
def a_proxy_that_wants_no_login_gets_none(program, share):
    proxy = Proxy()
    world = world_behind(program, share, proxy, login=None)
    try:
        world.start()
        world.clone()
        assert proxy.heads and b"authorization" not in b"".join(proxy.heads).lower()
    finally:
        world.stop()


@check
def a_proxy_that_refuses_is_told_without_its_login(program, share):
    proxy = Proxy("somebody:else")
    world = world_behind(program, share, proxy)
    try:
        world.start()
        result = world.git("ls-remote", world.url, check=False)
        world.assert_refused(result, "git-gate: the upstream git.example.com did not answer", "407")
        assert "p@ss" not in result.stderr and "p%40ss" not in result.stderr and "p@ss" not in str(world.events())
    finally:
        world.stop()


@check
def a_pin_that_the_proxy_would_not_hold_is_refused_at_the_start(program, share):
    proxy = Proxy()
    world = world_behind(program, share, proxy, login=None)
    world.repo["hosts"] = {"git.example.com": "127.0.0.1"}
    try:
        world.start()
    except RuntimeError as error:
        assert "cannot pin an address behind egress.upstream_proxy" in str(error), error
    else:
        raise AssertionError("it started")
    finally:
        world.stop()


@check
def ssh_upstreams_do_not_take_the_proxy(program, share):
    proxy = Proxy()
    world = GateWorld(program, share, start=False)
    world.document["egress"]["upstream_proxy"] = proxy.url
    try:
        world.start()
        world.clone()
        assert proxy.heads == []
    finally:
        world.stop()


if __name__ == "__main__":
    main()
