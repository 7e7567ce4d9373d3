"""scan.engine: gitleaks. The program runs beside our own scan and both must pass. Without BB_GITLEAKS=PROGRAM (the real one,
8.x) a FAKE stands in: a shell script with gitleaks' options, report and exit codes that knows one rule."""
import os
import pathlib
import shutil

from harness import TOKEN, GateWorld, check, main

REAL = os.environ.get("BB_GITLEAKS")
# A rule that our own engine is not given: only the program can find it.
RULES = "[[rules]]\nid = \"only-theirs\"\ndescription = \"x\"\nregex = '''ONLYTHEIRS-[0-9]{8}'''\nkeywords = [\"onlytheirs\"]\n"
MARK = "ONLYTHEIRS-" + "12345678"
FAKE = """#!/bin/sh
# A FAKE gitleaks.
spare=yes; code=1
for one; do
  case $one in
    --log-opts=*) range=${one#--log-opts=};;
    --ignore-gitleaks-allow) spare=no;;
    --exit-code=*) code=${one#--exit-code=};;
  esac
done
%s
git log --format='commit %%H' -p -U0 $range > /dev/null || exit 1
git log --format='commit %%H' -p -U0 $range | {
  list=
  while IFS= read -r line; do
    case $line in
      "commit "*) commit=${line#commit };;
      "+++ b/"*) file=${line#+++ b/};;
      +*ONLYTHEIRS-[0-9]*gitleaks:allow*) [ $spare = yes ] && continue;;
    esac
    case $line in
      +*ONLYTHEIRS-[0-9]*)
        list="$list${list:+,}{\\"RuleID\\":\\"only-theirs\\",\\"Commit\\":\\"$commit\\",\\"File\\":\\"$file\\",\\"StartLine\\":1}";;
    esac
  done
  echo "[$list]"
  [ -z "$list" ] || exit $code
}
"""


def world_with(program, share, scan=None, body="", there=True):
    world = GateWorld(program, share, {"scan": {"engine": "gitleaks", **(scan or {})}}, start=False)
    if there:
        tools = world.top / "tools"
        tools.mkdir()
        tools.chmod(0o755)
        if REAL and not body:
            shutil.copy(REAL, tools / "gitleaks")
        else:
            (tools / "gitleaks").write_text(FAKE % body)
        (tools / "gitleaks").chmod(0o755)
        os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
    return world


def leave(world, path):
    os.environ["PATH"] = path
    world.stop()


def theirs(world):
    """The rule for the program alone: in its file, and not in what our engine was given."""
    config = pathlib.Path(world.state) / "git-gate" / "app" / "gitleaks.toml"
    if REAL:
        config.write_text(RULES)


@check
def what_the_program_finds_stops_a_push_that_our_own_scan_lets_pass(program, share):
    path = os.environ["PATH"]
    world = world_with(program, share, {"rules": RULES.replace("ONLYTHEIRS", "NOTHERE").replace("onlytheirs", "nothere")})
    try:
        world.start()
        theirs(world)
        work = world.clone()
        commit = world.commit(work, {"a/b.txt": f"x {MARK}\n"})
        (work / "a/b.txt").unlink()
        world.commit(work, {"c.txt": "clean\n"})
        result = world.push(work, check=False)
        world.assert_refused(result, "only-theirs", "a/b.txt:1", commit[:12])
        assert MARK not in result.stderr
        world.assert_not_upstream(MARK)
        # The operator's yes is for both engines.
        proposal = world.pending()[0]
        world.answer(proposal)
        world.push(work)
        assert "refs/heads/agent/x" in world.refs()
    finally:
        leave(world, path)


@check
def what_our_own_scan_finds_stops_a_push_that_the_program_lets_pass(program, share):
    path = os.environ["PATH"]
    world = world_with(program, share, {"rules": RULES})
    try:
        world.start()
        work = world.clone()
        world.git("tag", "-a", "v1", "-m", f"release {TOKEN}", cwd=work)  # no tag's message is in gitleaks' view
        world.assert_refused(world.push(work, "origin", "v1", check=False), "secrets found", "github-pat")
        world.assert_not_upstream(TOKEN)
        made = world.commit(work, {"a.txt": "clean\n"})
        world.push(work)
        assert world.refs()["refs/heads/agent/x"] == made
    finally:
        leave(world, path)


@check
def a_comment_of_the_agent_spares_nothing(program, share):
    path = os.environ["PATH"]
    world = world_with(program, share, {"rules": RULES.replace("ONLYTHEIRS", "NOTHERE").replace("onlytheirs", "nothere")})
    try:
        world.start()
        theirs(world)
        work = world.clone()
        world.commit(work, {"a.txt": f"x {MARK} gitleaks:allow\n"})
        world.assert_refused(world.push(work, check=False), "only-theirs")
        world.assert_not_upstream(MARK)
    finally:
        leave(world, path)


@check
def a_program_that_fails_or_babbles_lets_nothing_pass(program, share):
    for body, text in (("echo broken >&2; exit 1", "gitleaks did not come to an end: broken"), ("echo '{'; exit 0", "cannot be read"),
                       ("exit 0", "cannot be read"), ("echo '[]'; exit 99", "does not say what"),
                       ("kill -9 $$", "did not come to an end")):
        path = os.environ["PATH"]
        world = world_with(program, share, body=body)
        try:
            world.start()
            work = world.clone()
            world.commit(work, {"a.txt": "clean\n"})
            world.assert_refused(world.push(work, check=False), text)
            assert list(world.refs()) == ["refs/heads/main"]
        finally:
            leave(world, path)


@check
def a_program_that_is_not_there_is_said_at_the_start(program, share):
    path = os.environ["PATH"]
    os.environ["PATH"] = "/usr/bin:/bin"
    world = world_with(program, share, there=False)
    try:
        world.start()
    except RuntimeError as error:
        assert "git-gate needs the program gitleaks" in str(error) and "take scan.engine out" in str(error), error
    else:
        raise AssertionError("it started")
    finally:
        leave(world, path)


if __name__ == "__main__":
    main()
