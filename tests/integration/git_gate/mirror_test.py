"""The mirror does not grow without end: packs are joined, and what the upstream dropped goes in the end."""
import os
import pathlib

from harness import GateWorld, check, git, main, wait_until


def packs(world):
    return list((pathlib.Path(world.state) / "git-gate" / "app" / "mirror.git" / "objects" / "pack").glob("*.pack"))


def octets(world):
    return sum(path.stat().st_size for path in packs(world))


def whole(world):
    mirror = pathlib.Path(world.state) / "git-gate" / "app" / "mirror.git"
    git("-c", "safe.directory=*", "fsck", "--full", "--connectivity-only", cwd=mirror)


@check
def many_pushes_and_fetches_leave_few_packs(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        for i in range(40):
            world.commit(work, {"a.txt": f"{i}\n"})
            world.push(work)
        wait_until("the packs to be joined", lambda: len(packs(world)) < 24)
        assert [event for event in world.events() if event["event"] == "mirror_repacked"]
        whole(world)
        again = world.clone("again", "--branch", "agent/x")
        assert (again / "a.txt").read_text() == "39\n"
        assert world.mirror_refs() == world.refs()


@check
def what_the_upstream_drops_is_dropped_by_the_mirror(program, share):
    with GateWorld(program, share) as world:
        world.clone()
        seed = world.upstream.seed("app")
        git("checkout", "-q", "-b", "big", cwd=seed)
        for i in range(6):
            (seed / "noise").write_bytes(os.urandom(24 << 20))
            git("add", "noise", cwd=seed)
            git("commit", "-q", "--amend", "-m", f"noise {i}", cwd=seed)
            git("push", "-q", "--force", "origin", "big", cwd=seed)
            tip = git("rev-parse", "HEAD", cwd=seed).stdout.strip()
            wait_until("the new one", lambda tip=tip: tip in world.git("ls-remote", world.url).stdout)
        # 144 MiB came, 24 are still there. After a whole repack: twice its size and 64 MiB.
        wait_until("the old ones to go", lambda: [event for event in world.events() if event.get("reason") == "whole"])
        assert octets(world) < 112 << 20, octets(world)
        whole(world)
        assert world.mirror_refs() == world.refs()
        assert (world.clone("again", "--branch", "big") / "noise").read_bytes() == (seed / "noise").read_bytes()


@check
def a_repack_that_was_killed_leaves_no_litter(program, share):
    with GateWorld(program, share) as world:
        world.clone()
        directory = pathlib.Path(world.state) / "git-gate" / "app" / "mirror.git" / "objects" / "pack"
        world.kill()
        for name in (".tmp-77-pack-0123.pack", "tmp_pack_x"):
            (directory / name).write_bytes(b"x" * 100)
        world.restart()
        assert not [path for path in directory.iterdir() if "tmp" in path.name]
        world.clone("again")


if __name__ == "__main__":
    main()
