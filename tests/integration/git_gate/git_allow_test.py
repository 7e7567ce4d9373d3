"""The agent's own way to a false positive: its push is rejected, it calls git-allow over MCP, and pushes the same again."""
import contextlib
import importlib.util
import os
import re

from harness import HERE, TOKEN, GateWorld, check, main, wait_until

_spec = importlib.util.spec_from_file_location("supervise_harness", HERE.parent / "supervise" / "harness.py")
supervise = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(supervise)


@contextlib.contextmanager
def gate_with_server(program, share, **more):
    """A gate that does not wait for an operator: the agent asks over MCP."""
    world = GateWorld(program, share, start=False, wait_ms=0, **more)
    try:
        world.document["supervise"] = {}
        world.start()
        yield world
    finally:
        world.stop()


def client_of(world):
    return supervise.Client(os.path.join(world.state, "wire", "supervise.sock"))


def fingerprints_in(result):
    """As the agent reads them: in what git printed."""
    return re.findall(r"^remote: git-gate:   ([0-9a-f]{40}:\S+)", result.stderr, flags=re.M)


@check
def the_same_push_passes_after_the_agent_asked_and_the_operator_approved(program, share):
    with gate_with_server(program, share) as world:
        work = world.clone()
        made = world.commit(work, {"a.txt": f"{TOKEN}\n"})
        result = world.assert_refused(world.push(work, check=False), "secrets found")
        fingerprints = fingerprints_in(result)
        assert fingerprints == [f"{made}:a.txt:github-pat:1"], result.stderr
        pushed = world.pending()
        join = client_of(world).call_later("git-allow", repo="app", fingerprints=fingerprints, justification="a test's own token")
        proposal = wait_until("the question", lambda: [one for one in world.pending() if one["kind"] == "git-allow"])[0]
        assert [one["id"] for one in world.pending()] == [one["id"] for one in pushed], "one push is one question"
        assert proposal["change"] == {"repo": "app", "fingerprints": fingerprints}
        assert TOKEN not in str(proposal)
        world.assert_refused(world.push(work, check=False), "secrets found")
        world.assert_not_upstream(TOKEN)
        assert world.answer(proposal)["state"] == "applied"
        answer = join()
        assert not answer["isError"] and "approved: push again" in answer["content"][0]["text"], answer
        world.push(work)
        assert world.refs()["refs/heads/agent/x"] == made
        assert world.pending() == []
        again = client_of(world).call("git-allow", repo="app", fingerprints=fingerprints, justification="j")
        assert not again["isError"] and "allowed already" in again["content"][0]["text"]


@check
def a_rejection_is_told_to_the_agent_and_the_push_stays_out(program, share):
    with gate_with_server(program, share) as world:
        work = world.clone()
        world.commit(work, {"a.txt": f"{TOKEN}\n"})
        fingerprints = fingerprints_in(world.push(work, check=False))
        join = client_of(world).call_later("git-allow", repo="app", fingerprints=fingerprints, justification="j")
        world.answer(wait_until("the question", world.pending)[0], "reject", reason="take it out")
        answer = join()
        assert answer["isError"] and "take it out" in answer["content"][0]["text"]
        world.assert_refused(world.push(work, check=False), "secrets found")
        world.assert_not_upstream(TOKEN)


@check
def some_of_what_was_found_can_be_asked_for_and_no_more_passes(program, share):
    with gate_with_server(program, share) as world:
        work = world.clone()
        made = world.commit(work, {"a.txt": f"{TOKEN}\n", "b.txt": f"x\n{TOKEN}\n"})
        result = world.assert_refused(world.push(work, check=False), "secrets found")
        fingerprints = fingerprints_in(result)
        assert sorted(fingerprints) == [f"{made}:a.txt:github-pat:1", f"{made}:b.txt:github-pat:2"], result.stderr
        whole = world.pending()[0]
        one = f"{made}:a.txt:github-pat:1"
        join = client_of(world).call_later("git-allow", repo="app", fingerprints=[one], justification="j")
        asked = wait_until("the question", lambda: [p for p in world.pending() if p["id"] != whole["id"]])[0]
        assert asked["change"]["fingerprints"] == [one]
        world.answer(asked)
        assert not join()["isError"]
        rest = world.assert_refused(world.push(work, check=False), "b.txt:2")
        assert fingerprints_in(rest) == [f"{made}:b.txt:github-pat:2"], rest.stderr
        world.assert_not_upstream(TOKEN)


@check
def what_no_push_was_rejected_for_cannot_be_asked_for(program, share):
    with gate_with_server(program, share) as world:
        work = world.clone()
        made = world.commit(work, {"a.txt": f"{TOKEN}\n"})
        found = f"{made}:a.txt:github-pat:1"
        client = client_of(world)
        answer = client.call("git-allow", repo="app", fingerprints=[found], justification="before any push")
        assert answer["isError"] and "push first" in answer["content"][0]["text"]
        world.push(work, check=False)
        before = world.pending()
        for repo, fingerprints in (("app", [f"{made}:b.txt:github-pat:1"]), ("app", [found, f"{made}:a.txt:github-pat:2"]),
                                   ("app", ["*"]), ("other", [found]), ("../app", [found])):
            answer = client.call("git-allow", repo=repo, fingerprints=fingerprints, justification="j")
            assert answer["isError"] and "push first" in answer["content"][0]["text"], (repo, fingerprints, answer)
        for fingerprints in ([], [1], [found] * 101, ["x" * 1025], "x", None):
            answer = client.call("git-allow", repo="app", fingerprints=fingerprints, justification="j")
            assert answer["isError"] and "'fingerprints' is a list" in answer["content"][0]["text"], fingerprints
        assert world.pending() == before, "nothing more is asked of the operator"


if __name__ == "__main__":
    main()
