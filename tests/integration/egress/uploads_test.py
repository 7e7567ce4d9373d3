"""Bodies of 2 GiB with a secret in their last kilobyte: blocked, in flat memory, and the upstream never has the end."""
import json
import os
import subprocess

from harness import TOKEN, World, check, main
from load_tool import LOAD, fast_origin

HOST = "api.example.com"
SIZE = int(os.environ.get("BB_UPLOAD_OCTETS", 2 << 30))
GROWTH_KIB = (16 << 10) + int(os.environ.get("BB_MEMORY_SLACK_KIB", "0"))


def upload(program, share, framing, protocol):
    w = World(program, share, [{"host": HOST}], secrets={"EXAMPLE_TOKEN": TOKEN}, log=1)
    origin = fast_origin(w, HOST)
    with w.start():
        assert w.get(HOST, "/upload", method="POST", body=b"warm" * 50_000).status == 200
        before = w.rss_kib()
        client = subprocess.Popen([LOAD, "upload", w.egress_socket, w.ca_file, HOST, str(SIZE), TOKEN, framing, protocol],
                                  stdout=subprocess.PIPE, text=True)
        most = before
        while True:
            most = max(most, w.rss_kib())
            try:
                client.wait(0.1)
                break
            except subprocess.TimeoutExpired:
                pass
        result = json.loads(client.stdout.read())
        assert result["sent"] == SIZE, result
        assert result["answer"].startswith("403 ") and "secret_found" in result["answer"] and TOKEN not in result["answer"], result
        assert most - before < GROWTH_KIB, (before, most)
        seen = json.loads(w.get(HOST, "/seen").body)
        tail = bytes.fromhex(seen["tail"])
        assert SIZE // 2 < seen["octets"] < SIZE + 200_000, seen["octets"]  # it streamed, and not to its end
        assert TOKEN.encode() not in tail and TOKEN[:8].encode() not in tail, tail
        assert [event["rule"] for event in w.blocks()] == ["known-secret:EXAMPLE_TOKEN"], w.blocks()
        print(f"      {SIZE >> 20} MiB, {most - before} KiB more memory", flush=True)
    origin.end()


@check
def with_a_length_over_http_1(program, share):
    upload(program, share, "length", "http/1.1")


@check
def in_chunks_over_http_1(program, share):
    upload(program, share, "chunked", "http/1.1")


@check
def with_a_length_over_http_2(program, share):
    upload(program, share, "length", "h2")


@check
def without_a_length_over_http_2(program, share):
    upload(program, share, "chunked", "h2")


main()
