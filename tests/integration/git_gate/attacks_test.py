"""Attacks on the gate with the real client and with raw requests (spec 09 item 4, attacks E1, G1): the upstream's refs and
objects stay as they were, and nothing of the agent's runs on our side."""
import http.client
import os
import pathlib
import resource
import struct
import time
import zlib

from harness import TOKEN, GateWorld, check, git, main, wait_until
from raw import pkt, raw_push

RULES = {"protected": ["main", "release/*"], "allowed": ["agent/*"]}


def unchanged(world, action, *texts):
    before = world.refs()
    result = action()
    if isinstance(result, bytes):
        text = result.decode("latin-1")
    else:
        assert result.returncode != 0, result.stderr
        text = result.stderr
    for wanted in texts:
        assert wanted in text, f"{wanted!r} is not in\n{text}"
    assert world.refs() == before
    return text


@check
def protected_branches_and_those_that_are_not_allowed(program, share):
    with GateWorld(program, share, RULES) as world:
        work = world.clone()
        world.commit(work, {"a": "1"})
        for name, reason in {"main": "protected branch", "MAIN": "protected branch", "release/1.0": "protected branch",
                             "other": "branch is not allowed"}.items():
            unchanged(world, lambda name=name: world.push(work, "origin", f"HEAD:refs/heads/{name}", check=False), reason)
        # One bad ref and none of the push is taken.
        unchanged(world, lambda: world.push(work, "origin", "HEAD:refs/heads/agent/ok", "HEAD:refs/heads/main", check=False),
                  "protected branch", "another ref of this push was refused")
        world.push(work, "origin", "HEAD:refs/heads/agent/ok")


@check
def force_pushes_deletions_and_tag_tricks(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"a": "1"})
        world.push(work)
        world.git("tag", "v1", cwd=work)
        world.push(work, "origin", "v1")
        world.git("commit", "-q", "--amend", "-m", "other", cwd=work)
        unchanged(world, lambda: world.push(work, "--force", "origin", "HEAD:refs/heads/agent/x", check=False),
                  "force pushes are not allowed")
        unchanged(world, lambda: world.push(work, "origin", ":refs/heads/agent/x", check=False), "deleting branches")
        unchanged(world, lambda: world.push(work, "origin", ":refs/tags/v1", check=False), "deleting tags")
        unchanged(world, lambda: world.push(work, "--force", "origin", "HEAD:refs/tags/v1", check=False), "moving a tag")
        unchanged(world, lambda: world.push(work, "origin", "HEAD:refs/tags/main", check=False), "name of a protected")
        unchanged(world, lambda: world.push(work, "--mirror", "origin", check=False), "protected branch")
    with GateWorld(program, share, {"allow_force_push": True, "allow_delete": True, "allow_tags": False}) as world:
        work = world.clone()
        world.commit(work, {"a": "1"})
        world.push(work)
        world.git("commit", "-q", "--amend", "-m", "other", cwd=work)
        unchanged(world, lambda: world.push(work, check=False))  # git's own refusal
        world.push(work, "--force", "origin", "HEAD:refs/heads/agent/x")
        world.push(work, "origin", ":refs/heads/agent/x")
        assert "refs/heads/agent/x" not in world.refs()
        unchanged(world, lambda: world.push(work, "origin", "HEAD:refs/tags/v1", check=False), "tags are not allowed")
        unchanged(world, lambda: world.push(work, "--force", "origin", "HEAD~0:refs/heads/main", check=False), "protected")


@check
def ref_names_with_two_readings(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        new = world.commit(work, {"a": "1"})
        pack = pack_of(world, work, new)
        for name in ("refs/heads/refs/heads/main", "refs/heads/HEAD", "refs/replace/" + new, "refs/notes/commits",
                     "refs/for/main", "HEAD", "refs/heads/../../config", "refs/heads/a.lock", "refs/heads/-x",
                     "refs/heads/a b", "refs/heads/a\nrefs/heads/main", "refs/heads/x:refs/heads/main", "refs/heads/+main",
                     "main", "refs/heads/\xff"):
            if name == "refs/heads/+main":
                continue  # a name like any other, which git writes with its full path
            unchanged(world, lambda name=name: raw_push_bytes(world, new, name.encode("latin-1"), pack), "ng ")


def raw_push_bytes(world, new, name, pack):
    body = pkt(b"0" * 40 + b" " + new.encode() + b" " + name + b"\0report-status") + b"0000" + pack
    connection = http.client.HTTPConnection("127.0.0.1", world.gate_port, timeout=60)
    connection.request("POST", "/app.git/git-receive-pack", body,
                       {"Content-Type": "application/x-git-receive-pack-request"})
    return connection.getresponse().read()


def pack_of(world, work, tip, exclude="origin/main", thin=False):
    arguments = ["pack-objects", "--revs", "--stdout", "-q"] + (["--thin", "--delta-base-offset"] if thin else [])
    return git(*arguments, cwd=work, input=f"{tip}\n^{exclude}\n".encode(), text=False).stdout


@check
def receive_pack_injection_changes_nothing(program, share):
    with GateWorld(program, share) as world:
        marker = world.top / "pwned"
        work = world.clone()
        world.commit(work, {"a": "1"})
        world.push(work, f"--receive-pack=touch {marker};git-receive-pack", "origin", "HEAD:refs/heads/agent/x", check=False)
        world.git("ls-remote", f"--upload-pack=touch {marker};git-upload-pack", world.url, check=False)
        world.git("-c", f"remote.origin.receivepack=touch {marker}", "push", "origin", "HEAD:refs/heads/agent/y", cwd=work,
                  check=False)
        world.git("push", "-o", "ci.skip", "origin", "HEAD:refs/heads/agent/z", cwd=work, check=False)
        assert not marker.exists()


@check
def E1_paths_and_services_that_are_none_are_refused(program, share):
    with GateWorld(program, share) as world:
        for method, path, status in (
                ("GET", "/app.git/HEAD", 404), ("GET", "/app.git/config", 404), ("GET", "/app.git/objects/info/packs", 404),
                ("GET", "/app.git/info/refs", 403), ("GET", "/app.git/info/refs?service=git-upload-archive", 403),
                ("GET", "/app.git/info/refs?service=git-upload-pack&x=1", 403),
                ("GET", "/../app.git/info/refs?service=git-upload-pack", 404),
                ("GET", "/app%2egit/info/refs?service=git-upload-pack", 404),
                ("GET", "/other.git/info/refs?service=git-upload-pack", 404), ("GET", "/", 404),
                ("POST", "/app.git/git-upload-archive", 404), ("PUT", "/app.git/info/refs", 405),
                ("POST", "/app.git/info/lfs/objects/batch", 501), ("GET", "/app.git/info/lfs/locks", 501),
                ("POST", "/app.git/git-receive-pack", 415), ("OPTIONS", "*", 400)):
            connection = http.client.HTTPConnection("127.0.0.1", world.gate_port, timeout=20)
            connection.request(method, path, body=b"" if method in ("POST", "PUT") else None)
            answer = connection.getresponse()
            assert answer.status in (status, 404 if path == "*" else status), (method, path, answer.status, answer.read())
            assert answer.read() or method == "HEAD"


@check
def G1_hooks_and_configuration_do_not_reach_the_gate(program, share):
    # Hooks, core.hooksPath, fsmonitor, attributes and GIT_* of the agent are the agent's alone.
    with GateWorld(program, share) as world:
        marker = world.top / "pwned"
        script = f"#!/bin/sh\ntouch {marker}\n"
        work = world.clone()
        files = {".gitattributes": "* filter=x diff=x merge=x\n", ".gitconfig": f"[core]\n\tfsmonitor = touch {marker}\n"}
        files |= {f"hooks/{name}": script for name in ("pre-receive", "update", "post-receive", "post-update")}
        world.commit(work, files)
        environment = {"GIT_TRACE": "1", "GIT_SSH_COMMAND": f"touch {marker}", "GIT_PROXY_COMMAND": f"touch {marker}",
                       "GIT_PROTOCOL": "version=2:x", "GIT_EXTERNAL_DIFF": f"touch {marker}"}
        world.push(work, "-c" if False else "origin", "HEAD:refs/heads/agent/x", env=environment)
        assert not marker.exists()
        mirror = pathlib.Path(world.state) / "git-gate" / "app" / "mirror.git"
        assert not (mirror / "hooks").exists() and not (mirror / "objects/info/alternates").exists()
        config = (mirror / "config").read_text()
        assert "hooksPath = /dev/null" in config and "fsckObjects = true" in config


@check
def G1_a_mirror_that_was_tampered_with_is_set_right_at_the_start(program, share):
    with GateWorld(program, share) as world:
        marker = world.top / "pwned"
        world.clone()
        mirror = pathlib.Path(world.state) / "git-gate" / "app" / "mirror.git"
        world.process.terminate()
        world.process.wait()
        (mirror / "hooks").mkdir()
        for name in ("pre-receive", "reference-transaction", "post-index-change"):
            (mirror / "hooks" / name).write_text(f"#!/bin/sh\ntouch {marker}\n")
            (mirror / "hooks" / name).chmod(0o755)
        (mirror / "config").write_text(f"[core]\n\tbare=true\n\tfsmonitor=touch {marker}\n\tsshCommand=touch {marker}\n")
        (mirror / "objects/info/alternates").write_text("/etc\n")
        (mirror / "refs/heads/main.lock").write_text("")
        (mirror / "packed-refs.lock").write_text("")
        seed = world.upstream.seed("app")
        git("commit", "-q", "--allow-empty", "-m", "new", cwd=seed)
        git("push", "-q", "origin", "main", cwd=seed)
        world.restart()
        for name in ("hooks", "objects/info/alternates"):
            assert not (mirror / name).exists(), name
        work = world.clone("again")
        world.commit(work, {"a": "1"})
        world.push(work)
        assert not marker.exists()


@check
def a_mirror_of_before_a_reboot_is_fetched_anew(program, share):
    with GateWorld(program, share) as world:
        world.clone()
        directory = pathlib.Path(world.state) / "git-gate" / "app"
        world.process.terminate()
        world.process.wait()
        for pack in (directory / "mirror.git" / "objects" / "pack").glob("*.pack"):
            pack.chmod(0o600)
            pack.write_bytes(b"")  # what a crash of the machine leaves of a file that was not waited for
        (directory / "boot").write_text("another run of the machine\n")
        world.restart()
        assert (world.clone("again") / "README").exists()


@check
def G1_submodule_and_tree_tricks_are_found_by_fsck(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        base = world.git("rev-parse", "HEAD", cwd=work).stdout.strip()

        def push_tree(lines, name):
            tree = world.git("mktree", "--missing", cwd=work, input=lines).stdout.strip()
            commit = world.git("commit-tree", "-p", base, "-m", name, tree, cwd=work).stdout.strip()
            return world.push(work, "origin", f"{commit}:refs/heads/agent/{name}", check=False)

        blob = world.git("hash-object", "-w", "--stdin", cwd=work, input="x").stdout.strip()
        url = world.git("hash-object", "-w", "--stdin", cwd=work,
                        input='[submodule "x"]\n\tpath = x\n\turl = -u./payload\n').stdout.strip()
        path = world.git("hash-object", "-w", "--stdin", cwd=work,
                         input='[submodule "../../x"]\n\tpath = x\n\turl = https://example.com/x\n').stdout.strip()
        for name, lines in {"option-url": f"100644 blob {url}\t.gitmodules\n",
                            "outside-name": f"100644 blob {path}\t.gitmodules\n",
                            "link": f"120000 blob {blob}\t.gitmodules\n"}.items():
            unchanged(world, lambda n=name, text=lines: push_tree(text, n), "the pack is not accepted")
        # git itself will not make these trees: written octet for octet.
        for name, entry in {"dotgit": b"100644 .git", "dotgit-case": b"100644 .GIT", "dotgit-ntfs": b"100644 git~1",
                            "slash": b"100644 a/b", "dot": b"100644 .", "dotdot": b"100644 ..",
                            "padded": b"0100644 a", "device": b"020666 a"}.items():
            raw = entry + b"\0" + bytes.fromhex(blob)
            tree = git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", cwd=work, input=raw, text=False).stdout
            commit = world.git("commit-tree", "-p", base, "-m", name, tree.decode().strip(), cwd=work).stdout.strip()
            unchanged(world, lambda c=commit, n=name: world.push(work, "origin", f"{c}:refs/heads/agent/{n}", check=False),
                      "the pack is not accepted")


@check
def alternates_cannot_lend_objects(program, share):
    # The client's own alternates: objects that it does not send and the upstream does not have.
    with GateWorld(program, share) as world:
        work = world.clone()
        new = world.commit(work, {"a": TOKEN})
        child = world.commit(work, {"b": "clean"})
        only_child = git("pack-objects", "--revs", "--stdout", "-q", cwd=work, input=f"{child}\n^{new}\n".encode(),
                         text=False).stdout
        unchanged(world, lambda: raw_push(world, [("0" * 40, child, "refs/heads/agent/x")], only_child), "did not receive expected object")
        world.assert_not_upstream(TOKEN)


@check
def objects_of_a_refused_push_are_gone(program, share):
    # What was refused once must not be there for the next push to point at.
    with GateWorld(program, share) as world:
        work = world.clone()
        secret = world.commit(work, {"a": TOKEN})
        world.assert_refused(world.push(work, check=False), "secrets found")
        empty = b"PACK" + struct.pack(">II", 2, 0)
        empty += bytes.fromhex("029d08823bd8a8eab510ad6ac75c823cfd3ed31e")
        unchanged(world, lambda: raw_push(world, [("0" * 40, secret, "refs/heads/agent/x")], empty), "not whole")
        quarantine = pathlib.Path(world.state) / "git-gate" / "app" / "quarantine"
        wait_until("the quarantine to be swept", lambda: not list(quarantine.iterdir()))
        world.assert_not_upstream(TOKEN)


@check
def thin_packs_and_objects_that_the_upstream_has(program, share):
    with GateWorld(program, share) as world:
        body = "".join(f"line {i}\n" for i in range(5000))
        seed = world.upstream.seed("app")
        (seed / "big.txt").write_text(body)
        git("add", "-A", cwd=seed)
        git("commit", "-qm", "big", cwd=seed)
        git("push", "-q", "origin", "main", cwd=seed)
        work = world.clone()
        clean = world.commit(work, {"big.txt": body + "clean\n"})
        response = raw_push(world, [("0" * 40, clean, "refs/heads/agent/thin")], pack_of(world, work, clean, thin=True))
        assert b"ok refs/heads/agent/thin" in response, response
        leak = world.commit(work, {"big.txt": body + f"{TOKEN}\n"})
        pack = pack_of(world, work, leak, exclude=clean, thin=True)
        assert len(pack) < 2000, "a delta on an object that is not in the pack"
        unchanged(world, lambda: raw_push(world, [("0" * 40, leak, "refs/heads/agent/leak")], pack), "secrets found")
        world.assert_not_upstream(TOKEN)


def entry(kind, size, data):
    first = (kind << 4) | (size & 15)
    size >>= 4
    out = b""
    while size:
        out += bytes([first | 0x80])
        first, size = size & 127, size >> 7
    return out + bytes([first]) + zlib.compress(data)


def varint(value):
    out = b""
    while True:
        out += bytes([(value & 127) | (128 if value > 127 else 0)])
        value >>= 7
        if not value:
            return out


def finished(count, body):
    import hashlib
    pack = b"PACK" + struct.pack(">II", 2, count) + body
    return pack + hashlib.sha1(pack).digest()


@check
def delta_bombs_and_lying_headers_end_early(program, share):
    with GateWorld(program, share) as world:
        world.clone()
        import hashlib
        base = os.urandom(65536)
        base_oid = hashlib.sha1(b"blob 65536\0" + base).digest()
        copies = (1 << 30) // 65536 * 4  # 4 GiB out of 64 KiB of instructions
        size = 65536 * copies
        delta = varint(65536) + varint(size) + (b"\x80" * copies)
        bomb = finished(2, entry(3, 65536, base) + bytes_ref_delta(base_oid, delta))
        began = time.monotonic()
        text = raw_push(world, [("0" * 40, "1" * 40, "refs/heads/agent/x")], bomb)
        assert b"ng refs/heads/agent/x" in text and b"ok refs" not in text, text
        # Ended by GIT_ALLOC_LIMIT: index-pack never held the four gigabytes.
        assert b"over limit 536870912" in text, text
        for count in (1, 0xFFFFFFFF, 1_000_000):
            text = raw_push(world, [("0" * 40, "1" * 40, "refs/heads/agent/x")], finished(count, b""))
            assert b"which it cannot hold" in text, text
        for garbage in (b"", b"PACK", b"\0" * 100, finished(1, b"\x30" + b"x" * 20), bomb[:-1] + b"x"):
            text = raw_push(world, [("0" * 40, "1" * 40, "refs/heads/agent/x")], garbage)
            assert b"ng refs/heads/agent/x" in text, text
        assert time.monotonic() - began < 60
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert world.rss_kib() < 300_000 and used is not None
        world.clone("still")


def bytes_ref_delta(base, delta):
    size = len(delta)
    first = (7 << 4) | (size & 15)
    size >>= 4
    out = b""
    while size:
        out += bytes([first | 0x80])
        first, size = size & 127, size >> 7
    return out + bytes([first]) + base + zlib.compress(delta)


@check
def a_push_that_is_too_large_hears_why(program, share):
    with GateWorld(program, share, {"max_push_bytes": 1 << 20}) as world:
        work = world.clone()
        world.commit(work, {"noise": os.urandom(3 << 20)})
        unchanged(world, lambda: world.push(work, check=False), "larger than max_push_size (1 MiB)")
        world.git("reset", "-q", "--hard", "origin/main", cwd=work)
        world.commit(work, {"noise": os.urandom(100_000)})
        world.push(work)


@check
def a_small_pack_that_unpacks_to_gigabytes_is_refused(program, share):
    # One whole object, no delta: git streams it, and neither max_push_size nor GIT_ALLOC_LIMIT is in its way.
    with GateWorld(program, share, {"max_push_bytes": 4 << 20}) as world:
        work = world.clone()
        world.commit(work, {"a": "1"})
        with open(work / "zeros", "wb") as file:
            file.truncate((1 << 30) + (64 << 20))
        world.git("add", "zeros", cwd=work)
        world.git("commit", "-qm", "zeros", cwd=work)
        (work / "zeros").unlink()
        unchanged(world, lambda: world.push(work, check=False), "the push unpacks to more than 1024 MiB", "push it in parts")


@check
def E1_lfs_pointers_pass_and_its_transfer_is_refused_in_words(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 12345\n"
        world.commit(work, {"big.bin": pointer, ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"})
        world.push(work)
        connection = http.client.HTTPConnection("127.0.0.1", world.gate_port, timeout=20)
        connection.request("POST", "/app.git/info/lfs/objects/batch", b"{}",
                           {"Content-Type": "application/vnd.git-lfs+json"})
        answer = connection.getresponse()
        assert answer.status == 501 and b"Git LFS" in answer.read()


@check
def signed_off_lines_can_be_required(program, share):
    with GateWorld(program, share, {"require_signed_off": True}) as world:
        work = world.clone()
        world.commit(work, {"a": "1"})
        unchanged(world, lambda: world.push(work, check=False), "has no Signed-off-by line")
        world.git("commit", "-q", "--amend", "-s", "--no-edit", cwd=work)
        world.push(work)


if __name__ == "__main__":
    main()
