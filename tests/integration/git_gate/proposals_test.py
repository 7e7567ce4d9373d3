"""False positives: a proposal for the operator, exactly what was found and nothing else (spec 05, spec 06 Queue)."""
import json
import pathlib

from harness import SECRET, TOKEN, CallError, GateWorld, check, main, wait_until


@check
def an_approval_lets_the_waiting_push_through(program, share):
    with GateWorld(program, share, wait_ms=60_000) as world:
        work = world.clone()
        made = world.commit(work, {"a.txt": f"{TOKEN}\n"})
        join = world.in_background(world.push, work)
        proposal = wait_until("a proposal", world.pending)[0]
        assert proposal["change"] == {"repo": "app", "fingerprints": [f"{made}:a.txt:github-pat:1"]}, proposal
        assert TOKEN not in json.dumps(proposal)
        assert "refs/heads/agent/x" not in world.refs()
        journal = (pathlib.Path(world.state) / "supervise" / "journal.jsonl").read_text()
        assert proposal["id"] in journal, "on disk before anybody hears of it"
        try:
            world.call("answer", proposal=proposal["id"], decision="approve", hash="0" * 64, by="x")
            raise AssertionError("another hash was approved")
        except CallError as error:
            assert "not what you looked at" in str(error)
        world.answer(proposal)
        assert "the operator approved" in join().stderr
        assert world.refs()["refs/heads/agent/x"] == made
        assert world.pending() == []


@check
def an_approval_is_for_that_commit_file_and_line_alone(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"a.txt": f"{TOKEN}\n"})
        result = world.assert_refused(world.push(work, check=False), "secrets found")
        proposal = world.pending()[0]
        assert f"bot-bottle supervise approve {proposal['id']}" in result.stderr
        assert "git-allow" not in result.stderr, "this bottle has no server to call"
        world.answer(proposal)
        world.push(work)
        # The same secret in another place is asked for again.
        world.commit(work, {"b.txt": f"{TOKEN} again\n"})
        world.assert_refused(world.push(work, check=False), "b.txt:1")
        world.git("reset", "-q", "--hard", "HEAD~1", cwd=work)
        world.commit(work, {"a.txt": f"moved\n{TOKEN}\n"})
        world.assert_refused(world.push(work, check=False), "a.txt:2")
        assert len(world.pending()) == 2


@check
def an_approval_is_not_met_by_a_directory_that_is_called_like_its_commit(program, share):
    """The fingerprint of FILE in COMMIT and that of COMMIT:FILE in every commit are the same letters."""
    with GateWorld(program, share) as world:
        work = world.clone()
        made = world.commit(work, {"keys/a.txt": f"{TOKEN}\n"})
        world.assert_refused(world.push(work, check=False), "secrets found")
        world.answer(world.pending()[0])
        world.push(work)
        world.commit(work, {f"{made}:keys/a.txt": f"another {TOKEN}\n"})
        world.assert_refused(world.push(work, check=False), "secrets found")
    named = "a" * 40
    with GateWorld(program, share, {"scan": {"baseline": [f"{named}:a.txt:github-pat:1"]}}) as world:
        work = world.clone()
        world.commit(work, {f"{named}:a.txt": f"{TOKEN}\n"})
        world.assert_refused(world.push(work, check=False), "secrets found")


@check
def what_is_too_much_to_be_shown_is_not_approved_with_the_rest(program, share):
    with GateWorld(program, share, wait_ms=60_000) as world:
        work = world.clone()
        world.commit(work, {"a.txt": f"{TOKEN}\n" * 200})
        world.commit(work, {"b.txt": f"{TOKEN}\n"})
        world.assert_refused(world.push(work, check=False), "there are 1 more than can be shown", "secrets found")
        assert world.pending() == [], "nobody is asked"


@check
def a_canary_behind_many_findings_is_an_alarm_all_the_same(program, share):
    world = GateWorld(program, share, start=False)
    try:
        canary = "AKIA" + "Q3EGWT5N2XZLB7VD"
        world.document["canaries"] = [{"name": "netrc-password", "value": canary}]
        world.document["egress"] |= {"canaries": True}
        world.start()
        work = world.clone()
        world.commit(work, {"a.txt": f"{TOKEN}\n" * 250})
        world.commit(work, {"b.txt": f"x {canary}\n"})
        world.assert_refused(world.push(work, check=False), "secrets found")
        assert any(event["event"] == "canary_seen" for event in world.events())
    finally:
        world.stop()


@check
def what_else_is_on_the_line_is_counted_and_shown(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        other = TOKEN[:-4] + "zzzz"
        world.commit(work, {"a.txt": f"one {TOKEN} two {other}\n"})
        world.assert_refused(world.push(work, check=False), "secrets found")
        fact = [one["text"] for one in world.pending()[0]["facts"] if one["label"] == "lets through"]
        assert len(fact) == 1 and "and 1 more of it on this line" in fact[0], fact


@check
def a_rejection_is_told_with_its_reason(program, share):
    with GateWorld(program, share, wait_ms=60_000) as world:
        work = world.clone()
        world.commit(work, {"a.txt": f"{TOKEN}\n"})
        join = world.in_background(world.push, work, check=False)
        proposal = wait_until("a proposal", world.pending)[0]
        world.answer(proposal, "reject", reason="use the test key \x1b[31m")
        result = world.assert_refused(join(), "the operator said no: use the test key", "secrets found")
        assert "\x1b[31m" not in result.stderr
        world.assert_not_upstream(TOKEN)


@check
def nobody_answers_and_the_same_push_finds_its_proposal(program, share):
    with GateWorld(program, share, wait_ms=300) as world:
        work = world.clone()
        made = world.commit(work, {"a.txt": f"{TOKEN}\n"})
        world.assert_refused(world.push(work, check=False), "nobody answered in time")
        world.assert_refused(world.push(work, check=False), "nobody answered in time")
        proposals = world.pending()
        assert len(proposals) == 1, "the same push is the same question"
        world.answer(proposals[0])
        world.push(work)
        assert world.refs()["refs/heads/agent/x"] == made


@check
def approvals_survive_a_crash_and_are_not_applied_twice(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        made = world.commit(work, {"a.txt": f"{TOKEN}\n"})
        world.assert_refused(world.push(work, check=False))
        proposal = world.pending()[0]
        world.kill()
        world.restart()
        assert world.pending()[0]["id"] == proposal["id"]
        world.answer(proposal)
        world.kill()
        # As if it had died between the answer and its application.
        path = pathlib.Path(world.state) / "supervise" / "journal.jsonl"
        lines = path.read_text().splitlines()
        assert json.loads(lines[-1])["record"] == "applied"
        path.write_text("\n".join(lines[:-1]) + "\n")
        world.restart()
        assert [json.loads(line)["record"] for line in path.read_text().splitlines()] == ["proposed", "answered", "applied"]
        world.push(work)
        assert world.refs()["refs/heads/agent/x"] == made
        try:
            world.answer(proposal)
            raise AssertionError("a second answer was taken")
        except CallError as error:
            assert "is applied already" in str(error)


@check
def what_the_operator_made_of_it_survives_a_crash_too(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        made = world.commit(work, {"a.txt": f"{TOKEN}\n"})
        world.assert_refused(world.push(work, check=False))
        proposal = world.pending()[0]
        world.call("answer", proposal=proposal["id"], decision="modify", hash=proposal["hash"], change=proposal["change"], by="tester")
        world.kill()
        path = pathlib.Path(world.state) / "supervise" / "journal.jsonl"
        lines = path.read_text().splitlines()
        assert json.loads(lines[-1])["record"] == "applied"
        path.write_text("\n".join(lines[:-1]) + "\n")
        world.restart()
        assert [json.loads(line)["record"] for line in path.read_text().splitlines()] == ["proposed", "answered", "applied"]
        world.push(work)
        assert world.refs()["refs/heads/agent/x"] == made


@check
def an_agent_cannot_flood_the_operator(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        for i in range(21):
            world.git("reset", "-q", "--hard", "origin/main", cwd=work)
            world.commit(work, {f"f{i}.txt": f"{TOKEN}\n"})
            result = world.push(work, check=False)
        world.assert_refused(result, "rate limited", "secrets found")
        assert len(world.pending()) == 20


@check
def inline_allow_comments_count_only_where_the_bottle_says_so(program, share):
    text = f"{TOKEN} # gitleaks:allow\n"
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"a.txt": text})
        world.assert_refused(world.push(work, check=False), "secrets found")
    with GateWorld(program, share, {"scan": {"honour_inline_allow": True}}) as world:
        work = world.clone()
        world.commit(work, {"a.txt": text})
        world.push(work)
        world.commit(work, {"b.txt": f"{TOKEN}\n# gitleaks:allow\n"})
        world.assert_refused(world.push(work, check=False), "b.txt:1")


@check
def a_baseline_spares_what_it_names(program, share):
    with GateWorld(program, share, {"scan": {"baseline": ["a.txt:github-pat:1"]}}) as world:
        work = world.clone()
        world.commit(work, {"a.txt": f"{TOKEN}\n"})
        world.push(work)
        world.commit(work, {"a.txt": f"x\n{TOKEN}\n"})
        world.assert_refused(world.push(work, check=False), "a.txt:2")


@check
def a_rule_file_of_ones_own_is_used_with_its_paths(program, share):
    rules = """
[[rules]]
id = "house-number"
description = "a house number"
regex = '''HOUSE-[0-9]{6}'''
keywords = ["house-"]
[[rules.allowlists]]
paths = ['''^docs/''']
"""
    with GateWorld(program, share, {"scan": {"rules": rules}}) as world:
        work = world.clone()
        world.commit(work, {"docs/a.md": "HOUSE-123456\n"})
        world.push(work)
        world.commit(work, {"src/a.c": "the HOUSE-123456\n"})
        world.assert_refused(world.push(work, check=False), "house-number in src/a.c:1")


@check
def the_bottles_secrets_can_be_approved_by_nobody_but_the_operator(program, share):
    # The agent reaches the gate and never the control socket; a proposal is all it can make.
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"a.txt": SECRET})
        world.assert_refused(world.push(work, check=False), "known-secret:BOTTLE_SECRET")
        import http.client
        for path in ("/answer", "/app.git/answer", "/control"):
            connection = http.client.HTTPConnection("127.0.0.1", world.gate_port, timeout=20)
            connection.request("POST", path, json.dumps({"call": "answer"}))
            assert connection.getresponse().status in (404, 415)
        world.assert_refused(world.push(work, check=False))


@check
def a_canary_in_a_push_is_an_alarm_and_no_question(program, share):
    world = GateWorld(program, share, start=False, wait_ms=60_000)
    try:
        canary = "AKIA" + "Q3EGWT5N2XZLB7VD"
        world.document["canaries"] = [{"name": "netrc-password", "value": canary}]
        world.document["egress"] |= {"canaries": True, "on_canary": "freeze"}
        world.document["supervise"] = {}  # where the fingerprints of other findings are told
        world.start()
        work = world.clone()
        world.commit(work, {"a.txt": f"x {canary}\n"})
        pushed = world.push(work, check=False)
        world.assert_refused(pushed, "credential in a.txt")
        assert "canary" not in pushed.stdout + pushed.stderr, "the agent is not told which of its files are bait"
        assert world.pending() == []
        assert any(event["event"] == "canary_seen" for event in world.events())
        result = world.git("ls-remote", world.url, check=False)
        world.assert_refused(result, "all traffic of this bottle is stopped")
        world.assert_not_upstream(canary)
    finally:
        world.stop()


if __name__ == "__main__":
    main()
