"""What fails on the way: the client is told the truth, and gate and upstream agree afterwards (issue 5, Faults)."""
import os
import pathlib
import signal
import socket
import subprocess
import time

from harness import GateWorld, check, git, main, wait_until


def hook(world, text, name="pre-receive"):
    path = world.upstream.root / "app.git" / "hooks" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def agree(world):
    world.git("ls-remote", world.url)
    assert world.mirror_refs() == world.refs()


@check
def a_hook_of_the_upstream_says_no_in_its_own_words(program, share):
    with GateWorld(program, share) as world:
        hook(world, "echo 'the build is red'; exit 1")
        work = world.clone()
        world.commit(work, {"a": "1"})
        world.assert_refused(world.push(work, check=False), "the build is red", "pre-receive hook declined")
        assert "refs/heads/agent/x" not in world.refs()
        agree(world)


@check
def an_update_hook_that_refuses_one_ref_refuses_all_of_them(program, share):
    with GateWorld(program, share) as world:
        hook(world, 'case "$1" in */bad) echo "not this one"; exit 1;; esac', "update")
        work = world.clone()
        world.commit(work, {"a": "1"})
        result = world.push(work, "origin", "HEAD:refs/heads/agent/good", "HEAD:refs/heads/agent/bad", check=False)
        world.assert_refused(result, "not this one")
        assert list(world.refs()) == ["refs/heads/main"], world.refs()
        agree(world)


@check
def the_upstreams_own_protection_is_passed_on(program, share):
    with GateWorld(program, share, {"allow_force_push": True, "allow_delete": True}) as world:
        for key in ("receive.denyDeletes", "receive.denyNonFastForwards"):
            git("config", key, "true", cwd=world.upstream.root / "app.git")
        work = world.clone()
        world.commit(work, {"a": "1"})
        world.push(work)
        before = world.refs()
        world.assert_refused(world.push(work, "origin", ":refs/heads/agent/x", check=False), "deletion prohibited")
        world.git("commit", "-q", "--amend", "-m", "other", cwd=work)
        world.assert_refused(world.push(work, "--force", "origin", "HEAD:refs/heads/agent/x", check=False), "non-fast-forward")
        assert world.refs() == before
        agree(world)


@check
def what_moved_upstream_meanwhile_is_not_overwritten(program, share):
    with GateWorld(program, share, {"allow_force_push": True}) as world:
        work = world.clone()
        world.commit(work, {"a": "1"})
        world.push(work)
        # Somebody else pushes in the two seconds in which the gate's view is reused.
        world.git("ls-remote", world.url)
        seed = world.upstream.seed("app")
        git("fetch", "-q", cwd=seed)
        git("checkout", "-q", "-B", "other", "origin/agent/x", cwd=seed)
        git("commit", "-q", "--allow-empty", "-m", "theirs", cwd=seed)
        git("push", "-q", "origin", "HEAD:agent/x", cwd=seed)
        theirs = world.refs()["refs/heads/agent/x"]
        world.commit(work, {"a": "2"})
        world.assert_refused(world.push(work, "--force", "origin", "HEAD:refs/heads/agent/x", check=False), "fetch first")
        assert world.refs()["refs/heads/agent/x"] == theirs
        agree(world)


@check
def a_slow_upstream_is_waited_for(program, share):
    with GateWorld(program, share) as world:
        hook(world, "sleep 7")  # longer than the keep-alive
        work = world.clone()
        made = world.commit(work, {"a": "1"})
        world.push(work)
        assert world.refs()["refs/heads/agent/x"] == made


@check
def an_upstream_that_says_nothing_is_given_up(program, share):
    # It takes the connection and then is silent: ConnectTimeout holds for ssh's greeting as well.
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"a": "1"})
        world.sshd.stop()
        with socket.create_server(("127.0.0.1", world.sshd.port), reuse_port=False):
            wait_until("the last refresh to be too old",
                       lambda: world.git("ls-remote", world.url, check=False).returncode != 0, 60)
            world.assert_refused(world.push(work, check=False), "git-gate: the upstream 127.0.0.1 did not answer")
        world.sshd.start()
        assert "refs/heads/agent/x" not in world.refs()
        agree(world)
        world.push(work)


@check
def an_https_upstream_that_fails_is_told_as_it_is(program, share):
    with GateWorld(program, share, https=True) as world:
        work = world.clone()
        made = world.commit(work, {"a": "1"})
        hook(world, "echo 'not today'; exit 1")
        world.assert_refused(world.push(work, check=False), "not today", "pre-receive hook declined")
        agree(world)
        (world.upstream.root / "app.git" / "hooks" / "pre-receive").unlink()
        world.https.stop()
        wait_until("the last refresh to be too old", lambda: world.git("ls-remote", world.url, check=False).returncode != 0)
        world.assert_refused(world.push(work, check=False), "git-gate: the upstream git.example.com did not answer")
        assert "refs/heads/agent/x" not in world.refs() and made


@check
def an_upstream_that_dies_in_the_middle_is_told_as_it_is(program, share):
    with GateWorld(program, share) as world:
        # The connection breaks after the pack was sent and before anything is said.
        hook(world, f"touch {world.top}/reached; sleep 600")
        work = world.clone()
        world.commit(work, {"a": "1"})
        join = world.in_background(world.push, work, check=False)
        wait_until("the hook", lambda: (world.top / "reached").exists())
        kill_below(world.sshd.process.pid, world.top)
        world.assert_refused(join())
        assert "refs/heads/agent/x" not in world.refs()
        (world.upstream.root / "app.git" / "hooks" / "pre-receive").unlink()
        agree(world)
        world.push(work)


@check
def an_answer_that_is_lost_after_the_upstream_took_it_is_found_out(program, share):
    with GateWorld(program, share) as world:
        # The refs have moved and nothing is said yet; then the connection breaks.
        hook(world, f'test "$1" = committed || exit 0\ngrep -q agent/x || exit 0\ntouch {world.top}/reached; sleep 600',
             "reference-transaction")
        work = world.clone()
        made = world.commit(work, {"a": "1"})
        join = world.in_background(world.push, work, check=False)
        wait_until("the hook", lambda: (world.top / "reached").exists())
        kill_below(world.sshd.process.pid, world.top)
        result = join()
        assert world.refs()["refs/heads/agent/x"] == made
        (world.upstream.root / "app.git" / "hooks" / "reference-transaction").unlink()
        assert result.returncode == 0, "the upstream has it, and the client is told no\n" + result.stderr
        agree(world)


def kill_below(pid, needle):
    """Every process below the server: the session, its receive-pack and its hooks."""
    found = []

    def walk(parent):
        for child in subprocess.run(["ps", "--ppid", str(parent), "-o", "pid="], capture_output=True, text=True).stdout.split():
            found.append(int(child))
            walk(child)
    walk(pid)
    for child in found:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert found


def killed_at(program, share, prepare, reached, then):
    """The gate gets SIGKILL when `reached` says so; afterwards a new one, on the same state, agrees with the upstream."""
    with GateWorld(program, share) as world:
        work = world.clone()
        made = world.commit(work, {"a": "1\n" * 1000})
        prepare(world)
        join = world.in_background(world.push, work, check=False)
        wait_until("the place", lambda: reached(world))
        world.kill()
        result = join()
        assert result.returncode != 0, "the client must not be told that it went well"
        then(world, made)
        world.restart()
        agree(world)
        quarantine = pathlib.Path(world.state) / "git-gate" / "app" / "quarantine"
        assert list(quarantine.iterdir()) == []
        hooks = world.upstream.root / "app.git" / "hooks"
        for path in hooks.glob("p*-re*"):
            if not path.name.endswith(".sample"):
                path.unlink()
        world.push(work, check=False)
        assert world.refs()["refs/heads/agent/x"] == made
        agree(world)


@check
def the_gate_killed_while_a_push_is_checked_leaves_nothing(program, share):
    def prepare(world):
        # Time to be killed in: the scan of this takes a while.
        work = world.top / "work"
        line = b"some words that look like nothing much at all, line after line\n"
        for i in range(8):
            (work / f"large{i}").write_bytes(line * 200_000 + str(i).encode())
        world.git("add", "-A", cwd=work)
        world.git("commit", "-q", "--amend", "--no-edit", cwd=work)

    def reached(world):
        quarantine = pathlib.Path(world.state) / "git-gate" / "app" / "quarantine"
        return any(quarantine.glob("*/objects.list"))

    def then(world, _):
        assert "refs/heads/agent/x" not in world.refs()
    # `made` is another commit than the amended one: look at the refs only.
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"a": "1"})
        prepare(world)
        join = world.in_background(world.push, work, check=False)
        wait_until("the scan", lambda: reached(world))
        world.kill()
        assert join().returncode != 0
        then(world, None)
        world.restart()
        agree(world)
        assert list((pathlib.Path(world.state) / "git-gate" / "app" / "quarantine").iterdir()) == []
        world.push(work)
        agree(world)


@check
def the_gate_killed_while_the_upstream_decides_agrees_with_it(program, share):
    def prepare(world):
        hook(world, f"touch {world.top}/reached; sleep 2")

    def then(world, _):
        # git push goes on without us, or not: the upstream decides.
        time.sleep(3)
    killed_at(program, share, prepare, lambda world: (world.top / "reached").exists(), then)


@check
def the_gate_killed_after_the_upstream_took_it_agrees(program, share):
    def prepare(world):
        hook(world, f"touch {world.top}/reached; sleep 2", "post-receive")

    def then(world, made):
        assert world.refs()["refs/heads/agent/x"] == made
        assert "refs/heads/agent/x" not in world.mirror_refs(), "the mirror's refs move last"
    killed_at(program, share, prepare, lambda world: (world.top / "reached").exists(), then)


@check
def a_client_that_goes_away_before_the_forwarding_is_not_acted_for(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        line = b"some words that look like nothing much at all, line after line\n"
        world.commit(work, {f"large{i}": line * 200_000 + str(i).encode() for i in range(8)})
        push = subprocess.Popen(["git", "push", "-q", "origin", "HEAD:refs/heads/agent/x"], cwd=work,
                                env={"HOME": str(world.home), "PATH": os.environ["PATH"]}, stderr=subprocess.DEVNULL,
                                start_new_session=True)
        quarantine = pathlib.Path(world.state) / "git-gate" / "app" / "quarantine"
        wait_until("the scan", lambda: any(quarantine.glob("*/objects.list")))
        os.killpg(push.pid, signal.SIGKILL)  # git and its git-remote-http
        push.wait()
        wait_until("its end", lambda: not list(quarantine.iterdir()))
        assert "refs/heads/agent/x" not in world.refs()
        world.push(work)


if __name__ == "__main__":
    main()
