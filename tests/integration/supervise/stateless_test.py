"""Revision 2026-07-28 of MCP against the real sidecar: no session, no handshake, each request whole in itself."""
from harness import Client, error_of, main, wait_until, world_of

VERSION = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": VERSION, "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"}}


def ask(world, method, params=None, id=1, headers=None, drop=(), meta=META):
    message = {"jsonrpc": "2.0", "id": id, "method": method, "params": {**(params or {}), "_meta": meta}}
    fields = {"MCP-Protocol-Version": VERSION, "Mcp-Method": method}
    if method == "tools/call":
        fields["Mcp-Name"] = (params or {}).get("name", "")
    return Client(world.mcp, start=False).post(message, {**fields, **(headers or {})}, drop=drop)


def call(world, tool, id=1, meta=META, **arguments):
    return ask(world, "tools/call", {"name": tool, "arguments": arguments}, id, meta=meta)


@world_of
def the_server_is_discovered_and_its_tools_are_listed_without_a_session(world):
    answer = ask(world, "server/discover")
    assert answer.header("mcp-session-id") is None
    found = answer.json()["result"]
    assert found["resultType"] == "complete" and found["supportedVersions"][0] == VERSION and "2025-11-25" in found["supportedVersions"]
    assert found["capabilities"] == {"tools": {}} and found["ttlMs"] == 0 and found["cacheScope"] == "private"
    assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "bot-bottle-supervise"
    first, second = (ask(world, "tools/list").json()["result"] for _ in range(2))
    assert first["resultType"] == "complete" and first["cacheScope"] == "private" and len(first["tools"]) == 6
    assert first == second, "in one order"
    error_of(ask(world, "tools/list", {"cursor": "x"}), 200, -32602)


@world_of
def what_the_head_says_must_be_what_the_body_says(world):
    """Something between that judged one of them would have judged the other."""
    for drop in ("MCP-Protocol-Version", "Mcp-Method"):
        assert error_of(ask(world, "tools/list", drop=[drop]), 400, -32020)["id"] == 1
    for headers in ({"MCP-Protocol-Version": "2025-11-25"}, {"Mcp-Method": "tools/call"}, {"Mcp-Method": "TOOLS/LIST"}, {"Mcp-Method": ""}):
        error_of(ask(world, "tools/list", headers=headers), 400, -32020)
    one = {"name": "ask-operator", "arguments": {"question": "q"}}
    for headers in ({"Mcp-Name": "list-egress-routes"}, {"Mcp-Name": ""}, {"Mcp-Name": "=?base64?eA==?="}, {"Mcp-Name": "=?base64?%?="}):
        error_of(ask(world, "tools/call", one, headers=headers), 400, -32020)
    error_of(ask(world, "tools/call", one, drop=["Mcp-Name"]), 400, -32020)
    assert world.pending() == [], "nothing was asked"
    for missing in ("io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"):
        error_of(ask(world, "tools/list", meta={key: value for key, value in META.items() if key != missing}), 400, -32602)


@world_of
def other_revisions_and_methods_have_their_errors(world):
    answer = ask(world, "tools/list", headers={"MCP-Protocol-Version": "2999-01-01"},
                 meta={**META, "io.modelcontextprotocol/protocolVersion": "2999-01-01"})
    body = error_of(answer, 400, -32022)
    assert body["error"]["data"]["requested"] == "2999-01-01" and VERSION in body["error"]["data"]["supported"]
    for method in ("ping", "initialize", "resources/list", "logging/setLevel", "tools/listx"):
        error_of(ask(world, method), 404, -32601)
    client = Client(world.mcp, start=False)
    for method in ("GET", "DELETE"):
        answer = client.http(method, headers={"MCP-Protocol-Version": VERSION})
        assert answer.status == 405 and answer.header("allow") == "POST"
    assert client.post({"jsonrpc": "2.0", "method": "notifications/x", "params": {"_meta": META}}, {"MCP-Protocol-Version": VERSION}).status == 202
    error_of(client.post({"jsonrpc": "2.0", "id": 1, "result": {}}, {"MCP-Protocol-Version": VERSION}), 400, -32600)
    error_of(client.post([{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}], {"MCP-Protocol-Version": VERSION}), 400, -32600)


@world_of
def a_call_waits_for_the_operator_and_two_clients_may_use_one_id(world):
    first = call(world, "ask-operator", meta={**META, "progressToken": "t"}, question="one?")
    second = call(world, "ask-operator", question="two?")
    assert first.type == second.type == "text/event-stream" and first.header("x-accel-buffering") == "no"
    waiting = wait_until("both questions", lambda: len(world.pending()) == 2 and world.pending())
    events = first.events()
    assert next(events)["params"]["progressToken"] == "t"
    for proposal in waiting:
        world.answer(proposal, text="answer to " + proposal["change"]["question"])
    said = [[one for one in stream][-1] for stream in (events, second.events())]
    assert [one["result"]["content"][0]["text"] for one in said] == ["answer to one?", "answer to two?"]
    assert all(one["result"]["resultType"] == "complete" and one["id"] == 1 for one in said)
    wrong = call(world, "ask-operator", id=7).json()["result"]
    assert wrong["isError"] and wrong["resultType"] == "complete", "the model should see it"


@world_of
def who_closes_the_stream_gives_up_and_hears_it_when_it_asks_again(world):
    gone = call(world, "ask-operator", question="q")
    proposal = world.one_pending()
    gone.close()
    world.answer(proposal, text="late")
    assert call(world, "ask-operator", question="q").result()["result"]["content"][0]["text"] == "late"


@world_of
def a_listener_is_acknowledged_and_told_that_nothing_is_agreed_to(world):
    answer = ask(world, "subscriptions/listen", {"notifications": {"toolsListChanged": True}}, id="listen-1")
    assert answer.type == "text/event-stream"
    first = next(answer.events())
    assert first["method"] == "notifications/subscriptions/acknowledged"
    assert first["params"] == {"_meta": {"io.modelcontextprotocol/subscriptionId": "listen-1"}, "notifications": {}}
    answer.close()


@world_of
def clients_of_both_kinds_are_served_at_once(world):
    old = world.client()
    assert old.request("tools/list").json()["result"].get("resultType") is None
    assert ask(world, "tools/list", headers={"Mcp-Session-Id": "nobody"}).status == 200, "a session's id means nothing here"
    error_of(old.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"MCP-Protocol-Version": "2999-01-01"}), 400, -32602)
    assert old.request("ping").json()["result"] == {}


if __name__ == "__main__":
    main()
