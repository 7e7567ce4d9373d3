"""The rules of MCP's Streamable HTTP transport and of JSON-RPC 2.0, one by one, against the real sidecar."""
import contextlib
import http.client
import json
import select
import socket

from harness import BOTH, NEWEST, Client, error_of, main, wait_until, world_of

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


@world_of
def every_revision_is_spoken_and_an_unknown_one_gets_the_newest(world):
    for version in ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"):
        client = world.client(version)
        assert client.initialized["protocolVersion"] == version
        assert client.initialized["capabilities"] == {"tools": {"listChanged": False}}
        assert client.request("ping").json()["result"] == {}
    client = Client(world.mcp, start=False)
    for version in ("1999-01-01", "2999-01-01", ""):
        answer = client.post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": {}, "clientInfo": {}}})
        assert answer.json()["result"]["protocolVersion"] == NEWEST


@world_of
def an_initialize_without_its_parts_is_refused(world):
    client = Client(world.mcp, start=False)
    whole = {"protocolVersion": NEWEST, "capabilities": {}, "clientInfo": {}}
    for missing in whole:
        params = {key: value for key, value in whole.items() if key != missing}
        answer = client.post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
        error_of(answer, 200, -32602)
        assert answer.header("mcp-session-id") is None
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": whole}
    error_of(client.post(begin, {"Mcp-Session-Id": "nobody"}), 404, -32001)


@world_of
def sessions_are_needed_known_and_ended(world):
    client = world.client()
    assert client.request("ping").json()["result"] == {}
    error_of(client.post(PING, drop=["Mcp-Session-Id"]), 400, -32000)
    error_of(client.post(PING, {"Mcp-Session-Id": "x" * 32}), 404, -32001)
    error_of(client.http("GET", headers={"Mcp-Session-Id": "nobody"}), 404, -32001)
    error_of(client.http("DELETE", headers={"Mcp-Session-Id": "nobody"}), 404, -32001)
    stream = client.http("GET")
    assert stream.status == 200 and stream.type == "text/event-stream"
    error_of(client.http("GET"), 409, -32000)
    other = world.client()
    assert client.http("DELETE").status == 204
    assert list(stream.events()) == [], "its stream ends with it"
    error_of(client.post(PING), 404, -32001)
    assert other.request("ping").json()["result"] == {}, "another's stays"


@world_of
def the_protocol_version_header_is_checked(world):
    client = world.client()
    for version in ("1999-01-01", "x", ""):
        error_of(client.post(PING, {"MCP-Protocol-Version": version}), 400, -32000)
    assert client.post(PING, drop=["MCP-Protocol-Version"]).status == 200


@world_of
def a_page_with_another_origin_or_name_is_refused(world):
    client = world.client()
    for origin in ("http://evil.example", "null", "https://supervise:9100", "http://supervise:9100.evil.example", "http://supervise:80"):
        error_of(client.post(PING, {"Origin": origin}), 403, -32000)
    assert client.post(PING, {"Origin": "http://supervise:9100"}).status == 200
    for host in ("evil.example", "supervise:80", "supervise.evil.example:9100", "egress:9100"):
        error_of(client.post(PING, {"Host": host}), 403, -32000)
    assert client.post(PING, {"Host": "127.0.0.1:9100"}).status == 200


@world_of
def accept_and_content_type_are_needed(world):
    client = world.client()
    for accept in ("application/json", "text/event-stream", "text/html", "application/json;q=0, text/event-stream", ""):
        error_of(client.post(PING, {"Accept": accept}), 406, -32000)
    error_of(client.post(PING, drop=["Accept"]), 406, -32000)
    for accept in ("*/*", "application/*, text/*", "Application/JSON; q=0.9, text/event-stream"):
        assert client.post(PING, {"Accept": accept}).status == 200, accept
    for kind in ("text/plain", "application/jsonx", "application/x-www-form-urlencoded"):
        error_of(client.post(PING, {"Content-Type": kind}), 415, -32000)
    error_of(client.post(PING, drop=["Content-Type"]), 415, -32000)
    assert client.post(PING, {"Content-Type": "application/json; charset=utf-8"}).status == 200
    error_of(client.post(PING, {"Content-Encoding": "gzip"}), 415, -32000)
    error_of(client.http("GET", headers={"Accept": "application/json"}), 406, -32000)


@world_of
def other_methods_and_places_are_refused(world):
    client = world.client()
    for method in ("PUT", "PATCH", "HEAD", "OPTIONS", "TRACE"):
        answer = client.http(method)
        assert answer.status == 405 and answer.header("allow") == "GET, POST, DELETE", method
    for target in ("/", "/mcp/", "/sse", "/mcp2"):
        error_of(client.http("POST", b"{}", target=target), 404, -32000)


@world_of
def bad_json_has_its_code_and_harms_nothing(world):
    client = world.client()
    for body in (b"", b"{", b"\xff", b"nul", b'{"a":1,"a":2}', b"[" * 100 + b"]" * 100, b'{"jsonrpc":"2.0",}', b"\x00"):
        assert error_of(client.post(body), 400, -32700)["id"] is None
    for value in (1, "x", None, True, {}, {"jsonrpc": "1.0", "id": 1, "method": "ping"}, {"id": 1, "method": "ping"},
                  {"jsonrpc": "2.0", "id": None, "method": "ping"}, {"jsonrpc": "2.0", "id": 1.5, "method": "ping"},
                  {"jsonrpc": "2.0", "id": {}, "method": "ping"}, {"jsonrpc": "2.0", "id": "x" * 300, "method": "ping"},
                  {"jsonrpc": "2.0", "id": 1, "method": 5}, {"jsonrpc": "2.0", "id": 1, "method": ""},
                  {"jsonrpc": "2.0", "id": 1}, {"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}}):
        assert error_of(client.post(value), 400, -32600)["id"] is None
    for method in ("resources/list", "prompts/get", "logging/setLevel", "tools/listx", "Ping"):
        assert error_of(client.request(method), 200, -32601)["id"] == client.next_id
    error_of(client.request("ping", [1]), 200, -32602)
    error_of(client.request("tools/list", {"cursor": "x"}), 200, -32602)
    assert client.post({"jsonrpc": "2.0", "id": "a", "method": "ping"}).json()["id"] == "a"
    assert client.post({"jsonrpc": "2.0", "id": 0, "method": "ping"}).json()["id"] == 0
    assert client.post({"jsonrpc": "2.0", "id": 2**63, "method": "ping"}).json()["id"] == 2**63


@world_of
def notifications_and_responses_get_202_and_nothing_else(world):
    client = world.client()
    for message in ({"jsonrpc": "2.0", "method": "notifications/initialized"}, {"jsonrpc": "2.0", "method": "no/such"},
                    {"jsonrpc": "2.0", "id": 1, "result": {}}, {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}},
                    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "nobody"}}):
        answer = client.post(message)
        assert answer.status == 202 and answer.response.read() == b"", message


@world_of
def batches_are_of_one_revision_alone(world):
    two = [PING, {"jsonrpc": "2.0", "method": "notifications/x"}, {"jsonrpc": "2.0", "id": 2, "method": "no/such"}, 5]
    for version in ("2025-11-25", "2025-06-18", "2024-11-05"):
        error_of(world.client(version).post(two), 400, -32600)
    client = world.client("2025-03-26")
    answers = client.post(two).json()
    assert [one.get("id") for one in answers] == [1, 2, None]
    assert "result" in answers[0] and answers[1]["error"]["code"] == -32601 and answers[2]["error"]["code"] == -32600
    assert client.post([{"jsonrpc": "2.0", "method": "notifications/x"}]).status == 202
    error_of(client.post([]), 400, -32600)
    error_of(client.post([PING] * 33), 400, -32600)
    error_of(client.post([{"jsonrpc": "2.0", "id": 1, "method": "initialize"}]), 400, -32600)
    error_of(Client(world.mcp, start=False).post([PING]), 400, -32600)


@world_of
def a_batch_with_a_question_is_answered_as_events(world):
    client = world.client("2025-03-26")
    answer = client.post([PING, {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "ask-operator", "arguments": {"question": "q"}}}])
    assert answer.type == "text/event-stream"
    events = answer.events()
    assert next(events)["id"] == 1
    world.answer(world.one_pending(), text="a")
    assert next(events)["result"]["content"][0]["text"] == "a"
    assert list(events) == []


@world_of
def large_bodies_are_refused_before_and_while_they_come(world):
    client = world.client()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(world.mcp)
    head = (f"POST /mcp HTTP/1.1\r\nHost: supervise:9100\r\nAccept: {BOTH}\r\nContent-Type: application/json\r\n"
            f"Mcp-Session-Id: {client.session}\r\n")
    connection.sendall((head + f"Content-Length: {2**20 + 1}\r\n\r\n").encode())
    assert b" 413 " in connection.recv(200)
    connection.close()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(world.mcp)
    connection.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
    seen = b""
    connection.settimeout(10)
    try:
        for _ in range(20):
            connection.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass
    seen = connection.recv(200)
    assert b" 413 " in seen, seen
    connection.close()
    fits = json.dumps(PING).encode()
    assert client.post(fits + b" " * (2**20 - len(fits))).json()["result"] == {}
    for bad in ("Content-Length: -1", "Content-Length: x", "Content-Length: 1\r\nContent-Length: 2", "Content-Length: 1\r\nTransfer-Encoding: chunked"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(world.mcp)
        connection.sendall((head + bad + "\r\n\r\n").encode())
        assert b" 400 " in connection.recv(200), bad
        connection.close()


@world_of
def tools_are_listed_with_schemas_and_wrong_calls_have_their_codes(world):
    client = world.client("2025-06-18")
    tools = {tool["name"]: tool for tool in client.request("tools/list").json()["result"]["tools"]}
    assert set(tools) == {"list-egress-routes", "egress-block", "capability-block", "git-allow", "ask-operator", "list-capabilities"}
    for tool in tools.values():
        assert tool["description"] and tool["inputSchema"]["type"] == "object"
    error_of(client.request("tools/call"), 200, -32602)
    error_of(client.request("tools/call", {"name": "no-such"}), 200, -32602)
    error_of(client.request("tools/call", {"name": 5}), 200, -32602)
    for name in ("ask-operator", "list-egress-routes"):
        error_of(client.request("tools/call", {"name": name, "arguments": []}), 200, -32602)
    for arguments in ({}, {"question": 5}, {"question": " "}, {"question": "x" * 4001}, {"question": "q", "more": 1},
                      {"question": "q", "choices": []}, {"question": "q", "choices": ["x"] * 11}, {"question": "q", "choices": [1]}, {"question": "q", "choices": ["x" * 201]},
                      {"question": "q", "choices": [" "]}):
        error_of(client.request("tools/call", {"name": "ask-operator", "arguments": arguments}), 200, -32602)
    error_of(client.request("tools/call", {"name": "ask-operator", "arguments": {"question": "q"}, "_meta": {"progressToken": {}}}), 200, -32602)
    # The revision of November 2025 wants the model to see it.
    assert world.client().call("ask-operator")["isError"]
    assert world.pending() == []


@world_of
def progress_is_told_to_who_gave_a_token(world):
    client = world.client()
    answer = client.start_call("ask-operator", token="t-1", question="q")
    events = answer.events()
    first = next(events)
    assert first["method"] == "notifications/progress" and first["params"]["progressToken"] == "t-1"
    assert world.one_pending()["id"] in first["params"]["message"]
    world.answer(world.one_pending(), text="a")
    assert [one for one in events][-1]["result"]["content"][0]["text"] == "a"


@world_of
def a_cancelled_call_ends_without_an_answer_and_its_proposal_stays(world):
    client = world.client()
    answer = client.start_call("ask-operator", question="q")
    proposal = world.one_pending()
    other = world.client()
    assert other.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": client.next_id}}).status == 202
    again = client.post({"jsonrpc": "2.0", "id": client.next_id, "method": "tools/call", "params": {
        "name": "ask-operator", "arguments": {"question": "q"}}})
    assert again.json()["error"]["code"] == -32600, "the id is in use: another session cancelled nothing"
    assert client.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": client.next_id}}).status == 202
    assert list(answer.events()) == []
    assert [one["id"] for one in world.pending()] == [proposal["id"]]
    world.answer(proposal, text="late")
    assert client.call("ask-operator", question="q")["content"][0]["text"] == "late"


@world_of
def sessions_that_wait_or_listen_do_not_make_room_for_new_ones(world):
    waits, listens = world.client(), world.client()
    call = waits.start_call("ask-operator", question="q")
    proposal = world.one_pending()
    stream = listens.http("GET")
    assert stream.status == 200
    idle = [world.client() for _ in range(70)]
    error_of(idle[0].post(PING), 404, -32001)
    for client in (idle[-1], waits, listens):
        assert client.request("ping").json()["result"] == {}
    world.answer(proposal, text="a")
    assert call.result()["result"]["content"][0]["text"] == "a"


@world_of
def a_crowd_of_clients_is_bounded(world):
    client = world.client()
    idle = []
    for _ in range(60):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(world.mcp)
        idle.append(connection)
    assert not answers(client), "48 connections are in use"
    for connection in idle:
        connection.close()
    wait_until("room again", lambda: answers(client))


@world_of
def bodies_are_bounded_together_and_given_back(world):
    client = world.client()
    head = (f"POST /mcp HTTP/1.1\r\nHost: supervise:9100\r\nAccept: {BOTH}\r\nContent-Type: application/json\r\n"
            f"Mcp-Session-Id: {client.session}\r\nContent-Length: {2**20}\r\n\r\n").encode()
    crowd = []
    for _ in range(20):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(world.mcp)
        crowd.append(connection)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(head + b" " * (2**20 - 1))
    told, _, _ = select.select(crowd, [], [], 20)
    assert told, "20 MiB are taken"
    assert b" 503 " in told[0].recv(200)
    for connection in crowd:
        connection.close()
    large = json.dumps(PING).encode().ljust(2**20)
    wait_until("room again", lambda: client.post(large).status == 200)


def answers(client):
    """Whether a request is answered: one too many is closed unread."""
    try:
        return client.request("ping").status == 200
    except (OSError, http.client.HTTPException):
        return False


if __name__ == "__main__":
    main()
