"""The sidecar killed around every record of its journal: nothing that was said is lost, nothing is done twice."""
import contextlib
import http.client

from harness import AskWorld, check, main, wait_until


def status_of(world, host):
    status, client = world.connect(f"{host}:443")
    if status != 200:
        return status
    client.close()
    return world.get(host, "/").status


def survive(program, share, kind, narrow=None, decision="approve"):
    """One question and its answer, with a kill before and after each record until a run goes through without one."""
    seq, kills = 1, 0
    while True:
        for when in ("before", "after"):
            with AskWorld(program, share, config={"kill_point": {"seq": seq, "when": when}}) as world:
                world.tls_origin("a.example.com")
                world.start()
                killed = run_once(world, kind, narrow, decision)
                if not killed:
                    assert when == "before", "the record was written and yet the process lives"
                    return kills
                kills += 1
        seq += 1


def arguments_of(kind):
    if kind == "ask-operator":
        return {"question": "q"}
    return {"host": "a.example.com", "justification": "j"}


def run_once(world, kind, narrow, decision):
    """True: it was killed somewhere, was started again, and came to its end all the same."""
    died = False
    told = None
    for _ in range(3):
        try:
            told = attempt(world, kind, narrow, decision)
            break
        except (OSError, EOFError, http.client.HTTPException):
            wait_until("its end", lambda: world.process.poll() is not None)
            assert world.process.returncode == -9, world.stderr()
            died = True
            world.document.pop("kill_point", None)
            world.start()
    assert told is not None
    # What was in force before it could be said is told in other words, and is no proposal's answer.
    wait_until("the last record", lambda: world.process.poll() is not None or "already" in told["content"][0]["text"] or
               any(record["record"] == "told" for record in world.records()))
    point = world.document.get("kill_point")
    if point and len(world.records()) >= point["seq"]:
        wait_until("its end", lambda: world.process.poll() is not None)
    if world.process.poll() is not None:  # the agent had heard it
        died = True
        world.document.pop("kill_point", None)
        world.start()
    records = [record for record in world.records()]
    names = [record["record"] for record in records]
    ids = {record["id"] for record in records if record["record"] == "proposed"}
    for proposal in ids:
        mine = [record["record"] for record in records if record.get("id") == proposal]
        assert mine.count("answered") <= 1 and mine.count("applied") <= 1 and mine.count("proposed") == 1, mine
    assert names.count("applied") == (0 if decision == "reject" else 1), names
    if kind == "egress-block":
        expected = 403 if decision == "reject" else 200
        if narrow == {"once": True}:
            results = []
            for _ in range(3):
                try:
                    results.append(status_of(world, "a.example.com"))
                except (OSError, EOFError):
                    wait_until("its end", lambda: world.process.poll() is not None)
                    died = True
                    world.document.pop("kill_point", None)
                    world.start()
            # Killed between the record and the request, it is used up: once is at most once.
            assert results.count(200) <= 1 and results[-1] == 403, results
            assert died or results == [200, 403, 403], results
        else:
            assert status_of(world, "a.example.com") == expected
            world.restart()
            assert status_of(world, "a.example.com") == expected, "and after the next start"
    return died


def attempt(world, kind, narrow, decision):
    """What a person and an agent do; each step may find that it was done before the crash."""
    client = world.client()
    join = client.call_later(kind, **arguments_of(kind))

    def settled():
        with contextlib.suppress(AssertionError):
            return join(0.02)
        return None
    seen = wait_until("a question or its answer", lambda: world.pending() or settled())
    if isinstance(seen, dict):
        return seen
    more = {"text": "yes"} if kind == "ask-operator" and decision == "approve" else {}
    if narrow:
        more["narrow"] = narrow
    world.answer(seen[0], decision, **more)
    return join()


@check
def an_approval_of_a_route_survives_a_kill_at_every_record(program, share):
    assert survive(program, share, "egress-block") >= 6


@check
def an_approval_for_once_survives_a_kill_at_every_record(program, share):
    assert survive(program, share, "egress-block", {"once": True}) >= 6


@check
def a_rejection_survives_a_kill_at_every_record(program, share):
    assert survive(program, share, "egress-block", decision="reject") >= 4


@check
def an_operators_words_survive_a_kill_at_every_record(program, share):
    assert survive(program, share, "ask-operator") >= 6


if __name__ == "__main__":
    main()
