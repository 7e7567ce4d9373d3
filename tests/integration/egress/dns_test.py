"""Names and addresses, with a name server and public addresses of our own, in a network namespace of our own. Attacks A11, A17, B1-B5, B7.

Everything else pins its hosts; here the sidecar asks and dials as it does in the world."""
import json
import os
import socket
import sys
import tempfile
import threading

from harness import OTHER_SECRET, TOKEN, CallError, World, check, main

# Public addresses that are on this namespace's loopback alone.
PUBLIC, OTHER_PUBLIC, PUBLIC6 = "93.184.215.14", "151.101.1.69", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
FORBIDDEN = ["127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
             "255.255.255.255", "::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
             "2002:7f00:1::", "::127.0.0.1", "fd00:ec2::254"]
HAS_IPV6 = os.path.exists("/proc/net/if_inet6")  # without it no AAAA is asked


def enter_own_network():
    """Becomes this script in a namespace with a loopback and a resolv.conf of its own; exit 77 where that cannot be."""
    if os.environ.get("BB_OWN_NETWORK"):
        return
    directory = tempfile.mkdtemp(prefix="bb-dns-")
    with open(f"{directory}/resolv.conf", "w") as file:
        file.write("nameserver 127.0.0.1\nsearch search.example.net\noptions timeout:1 attempts:1\n")
    with open(f"{directory}/nsswitch.conf", "w") as file:
        file.write("hosts: files dns\n")
    setup = f"ip link set lo up && ip addr add {PUBLIC}/32 dev lo && ip addr add {OTHER_PUBLIC}/32 dev lo && " \
            f"{{ ip -6 addr add {PUBLIC6}/128 dev lo 2>/dev/null || true; }} && mount --bind {directory}/resolv.conf \"$(readlink -f /etc/resolv.conf)\" && " \
            f"mount --bind {directory}/nsswitch.conf /etc/nsswitch.conf && export BB_OWN_NETWORK=1 && "
    unshare = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--net", "--mount", "sh", "-c"]
    if os.spawnvp(os.P_WAIT, "unshare", [*unshare, setup + "true"]) != 0:
        print("skipped: no network namespace can be made here", flush=True)
        sys.exit(1 if os.environ.get("BB_MUST_WORK") == "1" or os.environ.get("CI") == "true" else 77)
    os.execvp("unshare", [*unshare, setup + f'rm -r {directory} && exec "$@"', "sh", sys.executable, *sys.argv])


class Network:
    """Made once: the name server, and port 443 of every address, which leads to the world's origin and is remembered."""

    def __init__(self):
        self.names, self.landed, self.origin = NameServer(), [], None
        for address in (PUBLIC, OTHER_PUBLIC, PUBLIC6, "127.0.0.1", "::1"):
            if ":" in address and not HAS_IPV6:
                continue
            listener = socket.create_server((address, 443), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
            threading.Thread(target=self.accept, args=(listener, address), daemon=True).start()

    def accept(self, listener, address):
        while True:
            client, _ = listener.accept()
            self.landed.append(address)
            upstream = socket.create_connection(("127.0.0.1", self.origin.port))
            for pair in ((client, upstream), (upstream, client)):
                threading.Thread(target=self.pump, args=pair, daemon=True).start()

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def give(self, host, addresses):
        self.names.answers.update({(host, A): [a for a in addresses if ":" not in a], (host, AAAA): [a for a in addresses if ":" in a]})


def in_world(names, **more):
    """A check whose world has a route for each of `names`, which have these addresses, and no pin."""
    def mark(function):
        def run(program, share):
            w = World(program, share, [{"host": host} for host in names], **more)
            NETWORK.origin = w.origin = w.tls_origin(*names)
            w.pins.clear()
            w.names, w.give = NETWORK.names, NETWORK.give
            w.names.answers, w.names.questions = {}, []
            w.landed = NETWORK.landed = []
            for host, addresses in names.items():
                w.give(host, addresses)
            with w.start():
                function(w)
        run.__name__ = function.__name__
        return check(run)
    return mark


@in_world({"good.example.com": [PUBLIC, PUBLIC6]})
def an_allowed_name_is_resolved_and_its_public_address_dialled(w):
    assert w.get("good.example.com", "/length/4").body == b"ABCD"
    assert set(w.landed) <= {PUBLIC, PUBLIC6} and w.landed and set(w.names.names()) == {"good.example.com"}


@in_world({"good.example.com": [PUBLIC]}, secrets={"TOKEN": TOKEN})
def B1_data_in_the_labels_of_a_name_reaches_no_resolver(w):
    for label in ("data", "a" * 63, TOKEN.lower(), OTHER_SECRET[:20], "x.y.z"):
        for zone in ("evil.example.net", "good.example.com", "example.com", "com"):
            assert w.connect(f"{label}.{zone}:443")[0] in (400, 403)
            client = w.proxy()
            client.send(f"GET http://{label}.{zone}/ HTTP/1.1\r\nHost: {label}.{zone}\r\n\r\n")
            assert client.response().status in (400, 403)
    client = w.tls("good.example.com")
    assert client.get("/", "data.good.example.com").status in (403, 421)
    assert client.get("https://data.good.example.com/", "good.example.com").status in (403, 421)
    w.call("flush")
    assert w.names.names() == [], w.names.questions


@in_world({"good.example.com": [PUBLIC]})
def B2_an_exact_name_is_exact_for_the_resolver_too(w):
    w.give("data.good.example.com", [PUBLIC])
    w.give("good.example.com.search.example.net", [OTHER_PUBLIC])
    assert w.connect("data.good.example.com:443")[0] == 403 and w.names.names() == []
    w.names.answers.pop(("good.example.com", A)), w.names.answers.pop(("good.example.com", AAAA))
    assert w.get("good.example.com", "/").status == 502  # NXDOMAIN, and no search domain is tried instead
    assert set(w.names.names()) == {"good.example.com"} and w.landed == [], w.names.questions


@in_world({"good.example.com": [PUBLIC]})
def B3_no_tool_that_explains_a_policy_resolves_a_name(w):
    for url in ("https://good.example.com/", "https://evil.example.net/", "https://data.good.example.com/", "http://good.example.com/",
                "https://good.example.com:8443/", "https://2130706433/"):
        w.call("check", method="GET", url=url)
    for name in ("evil.example.net", "data.good.example.com"):
        w.connect(f"{name}:443")
    client = w.proxy()
    client.send("GET http://_egress.local/allowlist HTTP/1.1\r\nHost: _egress.local\r\n\r\n")
    assert client.response().status == 200
    w.write_routes('[[routes]]\nhost = "good.example.com"\n[[routes]]\nhost = "new.example.net"\n[hosts]\n"new.example.net" = "10.0.0.1"\n')
    w.call("reload")
    w.write_routes('[[routes]]\nhost = "bad host.example.net"\n')
    try:
        w.call("reload")
        raise AssertionError("a bad file was taken")
    except CallError:
        pass
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as report:
        report.sendto(json.dumps({"kind": "dns", "name": "asked.evil.example.net", "type": "A", "transport": "udp"}).encode(),
                      os.path.join(w.state, "wire", "report.sock"))
    for call in ("status", "routes", "metrics", "flush"):
        w.call(call)
    assert any(event.get("host") == "asked.evil.example.net" for event in w.events())
    assert w.names.names() == [], w.names.questions


@in_world({"good.example.com": [PUBLIC], "turns.example.com": [PUBLIC]})
def B4_the_address_that_was_checked_is_the_one_that_is_dialled(w):
    # A public address for the check; were it asked again for the dial, it would be told loopback.
    w.names.answers[("turns.example.com", A)] = [[PUBLIC], ["127.0.0.1"]]
    for _ in range(3):
        assert w.get("turns.example.com", "/length/1").status == 200
    assert set(w.landed) == {PUBLIC}, w.landed
    assert w.names.questions.count(("turns.example.com", A)) == 1, w.names.questions


@in_world({"turned.example.com": ["127.0.0.1"], "mixed.example.com": [PUBLIC, "127.0.0.1", "::1"]})
def B4_a_name_with_one_forbidden_address_is_refused_or_goes_to_the_public_one(w):
    answer = w.get("turned.example.com", "/")
    assert answer.status == 403 and answer.json()["reason"] == "address_not_allowed", answer.body
    w.get("mixed.example.com", "/length/1")
    assert set(w.landed) <= {PUBLIC}, w.landed


@in_world({"moves.example.com": [PUBLIC]})
def A11_A17_an_allowed_name_that_leads_inside_is_refused_whatever_the_address(w):
    for number, address in enumerate(a for a in FORBIDDEN if HAS_IPV6 or ":" not in a):
        host = f"n{number}.example.com"
        w.write_routes("".join(f'[[routes]]\nhost = "{name}"\n' for name in (host, "moves.example.com")))
        w.call("reload")
        w.give(host, [address])
        answer = w.get(host, "/")
        assert answer.status == 403 and answer.json()["reason"] == "address_not_allowed", (address, answer.status, answer.body)
    assert w.landed == [], w.landed
    assert w.get("moves.example.com", "/length/1").status == 200


@in_world({"good.example.com": [PUBLIC]})
def B5_an_address_is_no_way_around_a_name(w):
    for host in (PUBLIC, OTHER_PUBLIC, f"[{PUBLIC6}]", "1572394766", "0x5db8d70e", "0135.0270.0327.016", f"[::ffff:{PUBLIC}]", "93.184.55054"):
        assert w.connect(f"{host}:443")[0] in (400, 403), host
        client = w.proxy()
        client.send(f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert client.response().status in (400, 403), host
        assert w.tls("good.example.com").get("/", host).status in (400, 403, 421), host
    assert w.landed == [] and w.names.names() == [], (w.landed, w.names.questions)


@in_world({"good.example.com": [PUBLIC]})
def B7_dns_over_https_to_an_allowed_host_is_refused(w):
    question = bytes.fromhex("000001000001000000000000") + b"\x04data\x04evil\x07example\x00" + b"\x00\x10\x00\x01"
    for fields in ("Content-Type: application/dns-message\r\n", "content-type: Application/DNS-Message; x=1\r\n",
                   "Accept: application/dns-message\r\n", "Accept: text/html, application/dns-message;q=0.5\r\n"):
        answer = w.get("good.example.com", "/dns-query", fields, "POST", question)
        assert answer.status == 403 and answer.json()["reason"] == "dns_over_https", (fields, answer.status, answer.body)
    assert w.get("good.example.com", "/dns-query?dns=AAABAAAB", "Accept: application/dns-message\r\n").status == 403
    assert w.connect("good.example.com:853")[0] == 403  # DNS over TLS
    assert w.landed == []


enter_own_network()
from name_server import A, AAAA, NameServer  # noqa: E402

NETWORK = Network()
main()
