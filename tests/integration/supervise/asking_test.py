"""The loop of spec 06: blocked, asked, answered, applied; and how approvals end."""
import json
import os

from harness import AskWorld, CallError, check, main, wait_until

TOKEN = "tok-9f8e7d6c5b4a39281706"


def status_of(world, host, path, method="GET", body=b""):
    status, client = world.connect(f"{host}:443")
    if status != 200:
        return status
    client.close()
    return world.get(host, path, method=method, body=body).status


def facts_of(proposal):
    return {fact["label"]: fact["text"] for fact in proposal["facts"]}


@check
def what_was_blocked_passes_after_the_approval_without_a_restart(program, share):
    with AskWorld(program, share) as world:
        world.tls_origin("api.example.com")
        world.start()
        pid = world.process.pid
        assert status_of(world, "api.example.com", "/v1/x") == 403
        join = world.client().call_later("egress-block", host="api.example.com", justification="the task needs it",
                                         matches=[{"paths": [{"type": "prefix", "value": "/v1"}], "methods": ["GET"]}])
        proposal = world.one_pending()
        assert proposal["kind"] == "egress-block" and proposal["justification"] == "the task needs it"
        assert proposal["diff"]["before"] == ""
        assert "host: api.example.com" in proposal["diff"]["after"] and "value: /v1" in proposal["diff"]["after"]
        assert "no route" in facts_of(proposal)["new host"]
        assert "connection to api.example.com:443" in facts_of(proposal)["was blocked, would pass"]
        assert status_of(world, "api.example.com", "/v1/x") == 403, "nothing before the answer"
        assert world.answer(proposal)["state"] == "applied"
        result = join()
        assert not result["isError"] and "approved" in result["content"][0]["text"], result
        assert status_of(world, "api.example.com", "/v1/x") == 200
        assert status_of(world, "api.example.com", "/v2/x") == 403
        assert status_of(world, "api.example.com", "/v1/x", "POST", b"x") == 403
        assert world.process.pid == pid and world.process.poll() is None
        assert [one["decision"] for one in world.decisions()] == ["approve", "apply"]
        assert "api.example.com" in open(os.path.join(world.state, "egress", "routes.toml")).read()


@check
def an_existing_hosts_matches_are_united_and_its_credential_stays(program, share):
    route = {"host": "api.example.com", "auth": {"scheme": "Bearer", "token_ref": "API_TOKEN"},
             "matches": [{"paths": [{"type": "prefix", "value": "/read"}], "methods": ["GET"]}]}
    with AskWorld(program, share, [route], secrets={"API_TOKEN": TOKEN}) as world:
        origin = world.tls_origin("api.example.com")
        world.start()
        assert status_of(world, "api.example.com", "/write", "POST", b"x") == 403
        join = world.client().call_later("egress-block", host="API.example.com.", justification="j",
                                         matches=[{"paths": [{"type": "prefix", "value": "/write"}], "methods": ["POST"]}])
        proposal = world.one_pending()
        facts = facts_of(proposal)
        assert "API_TOKEN" in facts["credential reach"] and "POST" in facts["write reach"]
        assert facts["was blocked, would pass"] == "POST /write"
        world.answer(proposal)
        join()
        assert status_of(world, "api.example.com", "/write", "POST", b"x") == 200
        assert status_of(world, "api.example.com", "/read") == 200
        # Never crossed (I7).
        assert status_of(world, "api.example.com", "/read", "POST", b"x") == 403
        assert status_of(world, "api.example.com", "/write") == 403
        assert TOKEN in json.dumps([str(one.__dict__ if hasattr(one, "__dict__") else one) for one in origin.requests])
        listed = json.dumps(world.client().call("list-egress-routes"))
        assert "/write" in listed and "API_TOKEN" not in listed and TOKEN not in listed and "injected" in listed


@check
def an_agent_cannot_ask_for_credentials_ports_tunnels_or_detectors(program, share):
    with AskWorld(program, share) as world:
        world.start()
        client = world.client()
        for more in ({"auth": {"scheme": "Bearer", "token_ref": "X"}}, {"ports": [22]}, {"tls": "passthrough"},
                     {"dlp": {"outbound_detectors": False}}, {"plain": True}, {"limits": {}}):
            answer = client.start_call("egress-block", host="a.example.com", justification="j", **more).result()
            assert answer["result"]["isError"] and "unknown argument" in answer["result"]["content"][0]["text"], answer
        for host in ("127.0.0.1", "[::1]", "0x7f.1", "*.example.com", "a b", "a\u202eb.example", "a.example.com:22", "http://a.example.com/"):
            assert client.call("egress-block", host=host, justification="j")["isError"], host
        assert client.call("egress-block", host="a.example.com", matches=[], justification="j")["isError"]
        assert client.call("egress-block", host="a.example.com", justification="j", matches=[
            {"paths": [{"type": "regex", "value": "/a\u202e.*"}]}])["isError"]
        assert world.pending() == []


@check
def a_rejection_is_told_with_its_reason(program, share):
    with AskWorld(program, share) as world:
        world.start()
        join = world.client().call_later("egress-block", host="a.example.com", justification="j")
        world.answer(world.one_pending(), "reject", reason="use the mirror")
        result = join()
        assert result["isError"] and "use the mirror" in result["content"][0]["text"]
        assert status_of(world, "a.example.com", "/") == 403
        # Asked again it is a new question.
        join = world.client().call_later("egress-block", host="a.example.com", justification="j")
        world.answer(world.one_pending(), "reject")
        join()


@check
def what_the_operator_makes_of_it_is_what_is_applied(program, share):
    with AskWorld(program, share) as world:
        world.tls_origin("a.example.com")
        world.start()
        join = world.client().call_later("egress-block", host="a.example.com", justification="j")
        proposal = world.one_pending()
        try:
            world.answer(proposal, "modify", change={"host": "a.example.com", "auth": {"scheme": "Bearer", "token_ref": "X"}})
            raise AssertionError("a credential came with a modification")
        except CallError as error:
            assert "cannot be asked for" in str(error)
        change = {"host": "a.example.com", "matches": [{"methods": ["GET"], "paths": [{"type": "exact", "value": "/one"}]}]}
        world.answer(proposal, "modify", change=change)
        assert "with changes" in join()["content"][0]["text"]
        assert status_of(world, "a.example.com", "/one") == 200
        assert status_of(world, "a.example.com", "/two") == 403
        assert [one["decision"] for one in world.decisions()] == ["modify", "apply"]


@check
def if_the_live_state_moves_the_proposal_is_shown_again(program, share):
    with AskWorld(program, share, [{"host": "a.example.com", "matches": [{"methods": ["GET"]}]}]) as world:
        world.tls_origin("a.example.com")
        world.start()
        first = world.client().call_later("egress-block", host="a.example.com", justification="1", matches=[{"methods": ["POST"]}])
        seen = world.one_pending()
        second = world.client().call_later("egress-block", host="a.example.com", justification="2", matches=[{"methods": ["PUT"]}])
        both = wait_until("two", lambda: [x for x in [world.pending()] if len(x) == 2])[0]
        world.answer(next(one for one in both if one["id"] != seen["id"]))
        assert not second()["isError"]
        try:
            world.answer(seen)
            raise AssertionError("approved X, applied Y")
        except CallError as error:
            assert "moved" in str(error), error
        shown = world.one_pending()
        assert shown["id"] == seen["id"] and shown["hash"] != seen["hash"] and "PUT" in shown["diff"]["before"]
        world.answer(shown)
        assert not first()["isError"]
        assert status_of(world, "a.example.com", "/", "POST", b"x") == 200


@check
def narrowed_approvals_end_by_themselves(program, share):
    with AskWorld(program, share) as world:
        world.tls_origin("once.example.com", "two.example.com", "bytes.example.com", "time.example.com")
        world.start()
        client = world.client()

        def ask(host, narrow):
            join = client.call_later("egress-block", host=host, justification="j")
            proposal = world.one_pending()
            world.answer(proposal, narrow=narrow)
            assert not join()["isError"]
            return proposal["id"]
        one = ask("once.example.com", {"once": True})
        assert status_of(world, "once.example.com", "/") == 200
        assert status_of(world, "once.example.com", "/") == 403
        two = ask("two.example.com", {"requests": 2})
        assert [status_of(world, "two.example.com", "/") for _ in range(3)] == [200, 200, 403]
        octets = ask("bytes.example.com", {"bytes": 2000})
        assert status_of(world, "bytes.example.com", "/", "POST", b"x" * 100) == 200
        assert status_of(world, "bytes.example.com", "/", "POST", b"x" * 4000) == 403
        assert status_of(world, "bytes.example.com", "/") == 403
        time_ = ask("time.example.com", {"seconds": 3})
        assert status_of(world, "time.example.com", "/") == 200
        wait_until("its end", lambda: status_of(world, "time.example.com", "/") == 403)
        wait_until("its record", lambda: {one["proposal"] for one in world.decisions() if one["decision"] == "expire"} ==
                   {one, two, octets, time_})
        assert world.call("routes")["grants"] == []
        assert "host =" not in world.call("routes")["text"], "nothing of it stays in the routes"
        for narrow in ({"once": False}, {"seconds": 0}, {"seconds": 1, "once": True}, {"forever": True}, {"bytes": "1"}, 1):
            join = client.call_later("egress-block", host="x.example.com", justification="j")
            proposal = world.one_pending()
            try:
                world.answer(proposal, narrow=narrow)
                raise AssertionError(f"{narrow} was taken")
            except CallError:
                pass
            world.answer(proposal, "reject")
            join()


@check
def auto_rules_approve_what_they_name_and_nothing_else(program, share):
    with AskWorld(program, share, supervise={"auto": [{"pack": "github:read", "repositories": ["octo/tool"]}]}) as world:
        world.tls_origin("api.github.com")
        world.start()
        client = world.client()
        inside = [{"methods": ["GET"], "paths": [{"type": "exact", "value": "/repos/octo/tool/issues"}]}]
        result = client.call("egress-block", host="api.github.com", justification="j", matches=inside)
        assert not result["isError"], result
        assert status_of(world, "api.github.com", "/repos/octo/tool/issues") == 200
        assert [(one["decision"], one["by"]) for one in world.decisions()] == [("auto", "auto"), ("apply", "auto")]
        for matches in ([{"methods": ["POST"], "paths": [{"type": "exact", "value": "/repos/octo/tool/issues"}]}],
                        [{"methods": ["GET"], "paths": [{"type": "exact", "value": "/repos/evil/tool/issues"}]}],
                        [{"methods": ["GET"], "paths": [{"type": "prefix", "value": "/repos"}]}],
                        inside + [{"methods": ["GET"], "paths": [{"type": "exact", "value": "/user"}]}],
                        [{"methods": ["GET"]}], None):
            join = client.call_later("egress-block", host="api.github.com", justification="j", **({"matches": matches} if matches else {}))
            world.answer(world.one_pending(), "reject")
            assert join()["isError"], matches


@check
def the_operators_answer_comes_back_in_his_words(program, share):
    with AskWorld(program, share) as world:
        world.start()
        client = world.client()
        join = client.call_later("ask-operator", question="Which database?", choices=["test", "staging"])
        proposal = world.one_pending()
        assert proposal["change"]["question"] == "Which database?" and proposal["choices"] == ["test", "staging"]
        try:
            world.answer(proposal)
            raise AssertionError("an answer without words")
        except CallError as error:
            assert "text" in str(error)
        world.answer(proposal, text="staging")
        result = join()
        assert result["content"][0]["text"] == "staging" and result["structuredContent"]["answer"] == "staging"


@check
def a_client_that_goes_away_loses_nothing(program, share):
    with AskWorld(program, share) as world:
        world.tls_origin("a.example.com")
        world.start()
        def open_files():
            return len(os.listdir(f"/proc/{world.process.pid}/fd"))
        before = open_files()
        answer = world.client().start_call("ask-operator", question="Go on?")
        proposal = world.one_pending()
        answer.close()
        # The same question is the same proposal.
        again = world.client().start_call("ask-operator", question="Go on?")
        assert [one["id"] for one in world.pending()] == [proposal["id"]]
        again.close()
        # Answered while nobody listens: heard by who asks next, once.
        wait_until("the sidecar to see that both are gone", lambda: open_files() <= before)
        world.answer(proposal, text="yes")
        assert world.client().call("ask-operator", question="Go on?")["content"][0]["text"] == "yes"
        join = world.client().call_later("ask-operator", question="Go on?")
        assert world.one_pending()["id"] != proposal["id"]
        world.answer(world.one_pending(), "reject")
        join()


@check
def an_agent_cannot_flood_the_operator(program, share):
    with AskWorld(program, share) as world:
        world.start()
        client = world.client()
        answers = [client.start_call("ask-operator", question=f"q{i}") for i in range(20)]
        wait_until("twenty", lambda: len(world.pending()) == 20)
        assert "rate limited" in client.call("ask-operator", question="one more")["content"][0]["text"]
        for round_ in range(2):
            for one in world.pending():
                world.answer(one, "reject")
            for answer in answers:
                answer.result()
            answers = [client.start_call("ask-operator", question=f"r{round_} {i}") for i in range(20)]
            wait_until("twenty", lambda: len(world.pending()) == 20)
        world.answer(world.pending()[0], "reject")
        assert "rate limited" in client.call("ask-operator", question="the 61st")["content"][0]["text"]


@check
def an_edit_of_the_routes_ends_what_was_approved_for_a_while(program, share):
    with AskWorld(program, share) as world:
        world.tls_origin("for-now.example.com")
        world.start()
        client = world.client()
        join = client.call_later("egress-block", host="for-now.example.com", justification="j")
        world.answer(world.one_pending(), narrow={"seconds": 3600})
        join()
        assert status_of(world, "for-now.example.com", "/") == 200
        live = world.call("routes")
        world.call("set-routes", hash=live["hash"], egress=live["text"], by="ann")
        assert status_of(world, "for-now.example.com", "/") == 403
        assert world.call("routes")["grants"] == []
        world.restart()
        assert status_of(world, "for-now.example.com", "/") == 403, "nor does it come back"


@check
def packages_are_recorded_where_images_are_built_and_refused_elsewhere(program, share):
    with AskWorld(program, share, supervise={"images": True}) as world:
        world.start()
        client = world.client()
        join = client.call_later("capability-block", packages=["jq", "fd-find"], justification="to read JSON")
        proposal = world.one_pending()
        assert proposal["change"] == {"packages": ["fd-find", "jq"]}
        assert not world.call("proposals")["stop_due"]
        answered = world.answer(proposal)
        assert answered["then"] == "stop"
        assert world.call("proposals")["stop_due"], "who approved may die before it ends the bottle"
        assert "stopped" in join()["content"][0]["text"]
        assert json.load(open(os.path.join(world.state, "supervise", "recipe.json"))) == {"packages": ["fd-find", "jq"]}
        world.restart()
        assert not world.call("proposals")["stop_due"], "the next life has the new image"
        client = world.client()
        for bad in ({"packages": ["jq; rm -rf /"]}, {"packages": ["-o=x"]}, {"packages": []}, {"dockerfile": "FROM x\nCOPY / /\n"},
                    {"dockerfile": "# syntax=evil.example/front\nFROM x\n"}, {"dockerfile": "RUN x"}, {},
                    {"dockerfile": "FROM x\nRUN echo \u202e\n"}, {"dockerfile": "FROM x", "packages": ["jq"]}):
            assert client.call("capability-block", justification="j", **bad)["isError"], bad
    with AskWorld(program, share) as world:
        world.start()
        result = world.client().call("capability-block", packages=["jq"], justification="j")
        assert result["isError"] and "builds no images" in result["content"][0]["text"]


@check
def capabilities_are_told_unless_the_bottle_keeps_them_to_itself(program, share):
    with AskWorld(program, share, [{"host": "a.example.com"}], supervise={"capabilities": {"repositories": ["app"]}}) as world:
        world.start()
        text = world.client().call("list-capabilities")["content"][0]["text"]
        assert "a.example.com" in text and json.loads(text)["repositories"] == ["app"]
    with AskWorld(program, share, [{"host": "a.example.com"}], supervise={"disclose": False}) as world:
        world.start()
        result = world.client().call("list-capabilities")
        assert result["isError"] and "a.example.com" not in json.dumps(result)


@check
def a_bottle_whose_agent_may_not_ask_has_no_server(program, share):
    with AskWorld(program, share) as world:
        del world.document["supervise"]
        world.start()
        assert not os.path.exists(world.mcp)
        assert world.call("proposals")["proposals"] == []


@check
def an_operators_edit_of_the_routes_is_journaled_and_stays(program, share):
    with AskWorld(program, share) as world:
        world.tls_origin("a.example.com", "b.example.com")
        world.start()
        join = world.client().call_later("egress-block", host="a.example.com", justification="j")
        world.answer(world.one_pending())
        join()
        live = world.call("routes")
        assert "a.example.com" in live["text"]
        text = live["text"].replace('host = "a.', 'host = "b.')
        world.call("set-routes", hash=live["hash"], egress=text, by="ann")
        assert status_of(world, "a.example.com", "/") == 403 and status_of(world, "b.example.com", "/") == 200
        for arguments in ({"hash": live["hash"], "egress": text}, {"hash": world.call("routes")["hash"], "egress": "[[routes]]\nhots = 1"}):
            try:
                world.call("set-routes", by="ann", **arguments)
                raise AssertionError(arguments)
            except CallError:
                pass
        edit = world.decisions()[-1]
        assert edit["decision"] == "edit" and edit["by"] == "ann" and "a.example.com" in edit["before"]
        world.restart()
        assert status_of(world, "a.example.com", "/") == 403 and status_of(world, "b.example.com", "/") == 200


@check
def who_watches_hears_of_a_proposal_at_once(program, share):
    with AskWorld(program, share) as world:
        world.start()
        assert world.call("watch", seen=0, timeout_ms=50)["proposals"] == []
        answer = world.client().start_call("ask-operator", question="q")
        seen = world.call("watch", seen=0, timeout_ms=20_000)
        assert seen["seq"] == 1 and seen["proposals"][0]["kind"] == "ask-operator"
        answer.close()
        assert world.call("watch", seen=1, timeout_ms=50)["seq"] == 1


if __name__ == "__main__":
    main()
