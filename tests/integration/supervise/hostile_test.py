"""Every field that an agent can write, filled with what could move a cursor, turn a line round or never end."""
import json
import os
import pathlib

from harness import AskWorld, check, main

HOSTILE = ["\x1b[2J\x1b[1;1H", "\x9b31m", "\u202eevil\u202c", "\u2066x\u2069", "a\x00b", "\r\nX-Injected: 1", "\u200bzero\u200d",
           "\U000e0041\U000e0042", "\x07\x08\x7f", "A" * 1500, "\u2028line\u2029"]
BAD = [chr(n) for n in (*range(0, 9), 11, 12, *range(14, 32), 127, *range(0x80, 0xa0), *range(0x200b, 0x2010), *range(0x2028, 0x202f),
                        *range(0x2066, 0x206a))] + [chr(0xe0041)]


def harmless(text):
    found = [hex(ord(c)) for c in BAD if c in text]
    assert not found, (found, text[:200])


def every_string(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from every_string(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from every_string(inner)


@check
def nothing_an_agent_writes_reaches_a_screen_as_it_is(program, share):
    with AskWorld(program, share, supervise={"images": True}) as world:
        world.start()
        client = world.client()
        calls = []
        for text in HOSTILE:
            calls.append(("ask-operator", {"question": text or "x", "choices": [text[:150]]}))
            calls.append(("egress-block", {"host": "a.example.com", "justification": text}))
            calls.append(("egress-block", {"host": text, "justification": "j"}))
            calls.append(("egress-block", {"host": "a.example.com", "justification": "j", "matches": [
                {"paths": [{"type": "prefix", "value": text}], "methods": [text], "headers": [{"name": text, "value": text}]}]}))
            calls.append(("egress-block", {"host": "a.example.com", "justification": "j", "matches": [
                {"headers": [{"name": "x", "value": text}]}]}))
            calls.append(("egress-block", {"host": "a.example.com", "justification": "j", text: text}))
            calls.append(("capability-block", {"dockerfile": "FROM x\nRUN echo " + text, "justification": text}))
            calls.append(("capability-block", {"packages": [text], "justification": text}))
            calls.append(("git-allow", {"repo": text, "fingerprints": [text], "justification": text}))
            calls.append((text, {text: text}))
        for tool, arguments in calls:
            answer = client.start_call(tool, **arguments)
            assert answer.status in (200, 400), answer.status
            if answer.type.startswith("text/event-stream"):
                for proposal in world.pending():
                    for one in every_string(proposal):
                        harmless(one.replace("\n", "").replace("\t", ""))
                    world.answer(proposal, "reject", reason="no")
                answer.result()
            else:
                for one in every_string(answer.json()):
                    harmless(one.replace("\n", "").replace("\t", ""))
            if len([one for one in world.records() if one["record"] == "proposed"]) > 50:
                world.process.kill()
                world.process.wait()
                os.rename(pathlib.Path(world.state) / "supervise" / "journal.jsonl", pathlib.Path(world.state) / "supervise" / "old")
                world.start()
                client = world.client()
        for event in world.events():
            for one in every_string(event):
                harmless(one.replace("\n", ""))
        assert world.process.poll() is None


@check
def a_host_that_is_too_long_and_a_route_without_end_are_refused(program, share):
    with AskWorld(program, share) as world:
        world.start()
        client = world.client()
        for arguments in ({"host": "a" * 300 + ".example.com"}, {"host": "a.example.com", "matches": [{"methods": ["GET"]}] * 2000},
                          {"host": "a.example.com", "matches": [{"paths": [{"type": "regex", "value": "(a{1000}){1000}"}]}]},
                          {"host": "a.example.com", "justification": "x" * 2001}):
            assert client.call("egress-block", **{"justification": "j", **arguments})["isError"], str(arguments)[:80]
        # Each of its parts is allowed: all of it is more than an operator reads.
        paths = [{"paths": [{"type": "prefix", "value": f"/{i}/" + "x" * 300}], "methods": ["GET"]} for i in range(30)]
        answer = client.call("egress-block", host="a.example.com", justification="j", matches=paths)
        assert answer["isError"] and "8 KiB" in answer["content"][0]["text"], answer
        assert world.pending() == []
        assert json.dumps(world.call("status")["ready"]) == "true"


if __name__ == "__main__":
    main()
