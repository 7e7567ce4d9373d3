"""A second opinion: the reference clients of MCP (npm, versions pinned in ./run) list, call, wait, give up and leave."""
import json
import os
import pathlib
import socket
import subprocess
import threading

from harness import AskWorld, check, main, wait_until

MODULES = pathlib.Path(__file__).resolve().parents[3] / "build" / "tools" / "node_modules"


def served(program, share, package, script):
    assert (MODULES / "@modelcontextprotocol" / package).exists(), "the client is not installed: ./run test does that"
    with AskWorld(program, share, [{"host": "a.example.com"}]) as world:
        world.start()
        # The client takes TCP alone, and knows the server by its name in the bottle: here a forward does bottle-init's part.
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        threading.Thread(target=serve, args=(listener, world.mcp), daemon=True).start()
        client = subprocess.Popen(["node", str(pathlib.Path(__file__).with_name(script)), str(MODULES),
                                   f"http://127.0.0.1:{port}/mcp", "Which way?"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            proposal = wait_until("the question", lambda: world.pending() or client.poll() is not None and [None])[0]
            assert proposal is not None, client.communicate()
            world.answer(proposal, text="left")
            wait_until("the one that was given up", lambda: [one for one in world.pending() if one["change"]["question"] == "never mind"])
            out, err = client.communicate(timeout=30)
        finally:
            client.kill()
            listener.close()
        steps = {}
        for line in out.splitlines():
            steps.update(json.loads(line))
        assert steps["server"]["name"] == "bot-bottle-supervise", steps
        assert len(steps["tools"]) == 6 and "a.example.com" in json.dumps(steps["routes"])
        assert steps["unknown"] == -32602, steps
        assert steps["answer"]["content"][0]["text"] == "left" and steps["progress"] >= 1, steps
        assert steps["cancelled"] and steps["closed"], (steps, err)
        assert os.path.exists(world.mcp)
        return steps


@check
def the_reference_client_is_served(program, share):
    steps = served(program, share, "sdk", "sdk_client.mjs")
    assert steps["session"] and steps["version"] == "2025-11-25", steps


@check
def the_reference_client_of_the_revision_without_sessions_is_served(program, share):
    steps = served(program, share, "client", "stateless_client.mjs")
    assert not steps["session"] and steps["version"] == "2026-07-28", steps


def serve(listener, path):
    def pump(source, sink, rewrite):
        try:
            while data := source.recv(65536):
                if rewrite:
                    # bottle-init's port is 9100; the test's is another.
                    data = data.replace(f"127.0.0.1:{listener_port}".encode(), b"127.0.0.1:9100")
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
    listener_port = listener.getsockname()[1]
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        far = socket.socket(socket.AF_UNIX)
        far.connect(path)
        threading.Thread(target=pump, args=(near, far, True), daemon=True).start()
        threading.Thread(target=pump, args=(far, near, False), daemon=True).start()


if __name__ == "__main__":
    main()
