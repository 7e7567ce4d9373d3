"""Secrets in every hiding place of a push (spec 05, attacks E1, E2, J): none reaches the upstream, and the client is told."""
import base64
import gzip
import hashlib
import io
import os
import tarfile
import zipfile
import zlib

from harness import SECRET, TOKEN, GateWorld, check, git, main
from raw import raw_push


def stopped(world, work, rule="github-pat", needles=(TOKEN, SECRET), where=None):
    before = world.refs()
    result = world.push(work, check=False)
    world.assert_refused(result, "secrets found", rule, *([where] if where else []))
    for needle in needles:
        text = needle if isinstance(needle, str) else needle.decode("latin-1")
        assert text not in result.stderr, "the refusal shows the secret"
    assert world.refs() == before
    world.assert_not_upstream(*needles)
    return result


@check
def in_a_files_content_with_its_rule_commit_file_and_line(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        commit = world.commit(work, {"src/a.txt": f"one\ntwo\ntoken = {TOKEN}\n"})
        result = stopped(world, work, where="src/a.txt:3")
        assert commit[:12] in result.stderr
        events = [event for event in world.events() if event["event"] == "push_secret"]
        assert events[0]["rule"] == "github-pat" and events[0]["where"] == "src/a.txt:3", events
        assert TOKEN not in str(world.events())


@check
def the_bottles_own_secrets_are_known(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"a.txt": f"x {SECRET} y\n"})
        stopped(world, work, rule="known-secret:BOTTLE_SECRET")


@check
def in_a_middle_commit_and_deleted_again(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"clean.txt": "nothing\n"})
        middle = world.commit(work, {"leak.txt": f"{TOKEN}\n"})
        (work / "leak.txt").unlink()
        world.commit(work, {"clean.txt": "still nothing\n"})
        assert middle[:12] in stopped(world, work, where="leak.txt:1").stderr


@check
def in_a_file_name(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {f"{TOKEN}.txt": "nothing\n"})
        stopped(world, work, where="file name:")


@check
def in_a_new_name_for_a_file_that_the_upstream_has(program, share):
    # The blob is known, so `rev-list --objects` names it not at all: the tree alone shows it.
    with GateWorld(program, share) as world:
        work = world.clone()
        world.git("mv", "README", f"{TOKEN}.md", cwd=work)
        world.commit(work, {})
        stopped(world, work, where="file name:")


@check
def in_a_directorys_name_and_over_a_paths_parts(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {f"docs/{SECRET[:12]}/{SECRET[12:]}/x.txt": "nothing\n"})
        stopped(world, work, rule="known-secret:BOTTLE_SECRET", needles=(SECRET,))


@check
def in_a_commit_message(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"a.txt": "x\n"}, message=f"subject\n\nbody {TOKEN}")
        stopped(world, work, where="commit message:3")


@check
def in_the_author_and_committer_fields(program, share):
    for field in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        with GateWorld(program, share) as world:
            work = world.clone()
            world.commit(work, {"a.txt": "x\n"}, env={field: TOKEN})
            stopped(world, work, where="commit header:")


@check
def in_an_extra_header_of_a_commit(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        tree = world.git("write-tree", cwd=work).stdout.strip()
        parent = world.git("rev-parse", "HEAD", cwd=work).stdout.strip()
        text = (f"tree {tree}\nparent {parent}\nauthor A <a@example.com> 1700000000 +0000\n"
                f"committer A <a@example.com> 1700000000 +0000\nx-note {TOKEN}\n\nmessage\n")
        oid = world.git("hash-object", "-t", "commit", "-w", "--stdin", cwd=work, input=text).stdout.strip()
        world.git("reset", "-q", "--hard", oid, cwd=work)
        stopped(world, work, where="commit header:")


@check
def in_a_tags_message_and_name(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.git("tag", "-a", "v1", "-m", f"release {TOKEN}", cwd=work)
        world.assert_refused(world.push(work, "origin", "v1", check=False), "secrets found", "tag message:")
        world.git("tag", f"v-{TOKEN}", cwd=work)
        world.assert_refused(world.push(work, "origin", f"v-{TOKEN}", check=False), "secrets found", "ref name:")
        world.assert_refused(world.push(work, "origin", f"HEAD:refs/heads/agent/{TOKEN}", check=False), "ref name:")
        world.assert_not_upstream(TOKEN)


@check
def in_a_tag_of_a_tag_and_a_tag_of_a_blob(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.git("tag", "-a", "inner", "-m", f"{TOKEN}", cwd=work)
        world.git("tag", "-a", "outer", "-m", "clean", "inner", cwd=work)
        world.assert_refused(world.push(work, "origin", "outer", check=False), "secrets found")
        blob = world.git("hash-object", "-w", "--stdin", cwd=work, input=TOKEN).stdout.strip()
        world.git("tag", "blob", blob, cwd=work)
        world.assert_refused(world.push(work, "origin", "blob", check=False), "secrets found")
        tree = world.git("mktree", cwd=work, input=f"100644 blob {blob}\tx\n").stdout.strip()
        world.git("tag", "tree", tree, cwd=work)
        world.assert_refused(world.push(work, "origin", "tree", check=False), "secrets found")
        world.assert_not_upstream(TOKEN)


def zipped(name, data, method=zipfile.ZIP_DEFLATED, prefix=b""):
    out = io.BytesIO()
    out.write(prefix)
    with zipfile.ZipFile(out, "a" if prefix else "w", method) as archive:
        archive.writestr("other.txt", "nothing " * 100)
        archive.writestr(name, data)
    return out.getvalue()


def tarred(name, data, mode="w:gz"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


@check
def in_members_of_archives(program, share):
    content = f"a line\nkey = {TOKEN}\n".encode()
    disguises = {
        "zip": zipped("a/b.txt", content),
        "zip stored": zipped("b.txt", content, zipfile.ZIP_STORED),
        "zip behind a program": zipped("b.txt", content, prefix=b"#!/bin/sh\nexit 0\n" * 50),
        "gz": gzip.compress(content),
        "two gz": gzip.compress(b"nothing\n") + gzip.compress(content),
        "tar.gz": tarred("b.txt", content),
        "tar": tarred("b.txt", content, "w"),
        "gz in tar": tarred("b.gz", gzip.compress(content), "w"),
        "zip in tar.gz": tarred("b.zip", zipped("b.txt", content)),
        "gz in zip": zipped("b.gz", gzip.compress(content), zipfile.ZIP_STORED),
        "zip in zip": zipped("b.zip", zipped("b.txt", content)),
    }
    with GateWorld(program, share) as world:
        for name, data in disguises.items():
            work = world.clone(name.replace(" ", "-"))
            world.commit(work, {"data.bin": data})
            try:
                stopped(world, work, needles=(TOKEN, data[:40]))
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None


@check
def what_cannot_be_opened_is_not_let_through(program, share):
    encrypted = bytearray(zipped("b.txt", b"whatever it is"))
    at = encrypted.find(b"PK\x01\x02")
    while at >= 0:  # the directory says that the members are encrypted
        encrypted[at + 8] |= 1
        at = encrypted.find(b"PK\x01\x02", at + 1)
    bzip = bytearray(zipped("b.txt", b"whatever it is"))
    bzip[bzip.rfind(b"PK\x01\x02") + 10] = 12
    deep = b"core"
    for _ in range(6):
        deep = gzip.compress(deep)
    bomb = gzip.compress(bytes(300 << 20), 9)
    with GateWorld(program, share) as world:
        for name, data in {"encrypted": bytes(encrypted), "bzip": bytes(bzip), "deep": deep, "bomb": bomb}.items():
            work = world.clone(name)
            world.commit(work, {"data.bin": data})
            try:
                stopped(world, work, rule="git-gate-unread-archive", needles=(data[-40:],))
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None


@check
def E2_J_in_encodings_that_a_reader_undoes(program, share):
    with GateWorld(program, share) as world:
        for name, text in {"base64": base64.b64encode(b"xx" + SECRET.encode()).decode(), "hex": SECRET.encode().hex(),
                           "reversed": SECRET[::-1], "spaced": " ".join(SECRET),
                           "base64 of hex": base64.b64encode(SECRET.encode().hex().encode()).decode(),
                           "base32": base64.b32encode(SECRET.encode()).decode(), "percent": "".join(f"%{ord(c):02x}" for c in SECRET),
                           "zero width": "\u200b".join(SECRET), "full width": "".join(chr(ord(c) + 0xfee0) for c in SECRET),
                           "tags": "".join(chr(0xe0000 + ord(c)) for c in SECRET),
                           "json": "".join(f"\\u{ord(c):04x}" for c in SECRET),
                           "gz base64": base64.b64encode(gzip.compress(b"v " + SECRET.encode())).decode()}.items():
            work = world.clone(name.replace(" ", "-"))
            world.commit(work, {"a.txt": f"data: {text}\n"})
            try:
                stopped(world, work, rule="known-secret:BOTTLE_SECRET", needles=(text,))
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from None


@check
def at_every_place_of_a_large_file(program, share):
    # The scan goes piece by piece (4 MiB): a secret over an edge is found as well.
    line = b"The quick brown fox jumps over the lazy dog.\n"
    filler = line * ((9 << 20) // len(line))
    with GateWorld(program, share) as world:
        for offset in (0, (4 << 20) - 20, (4 << 20) - 1, (8 << 20) - 300, len(filler) - 60):
            work = world.clone(f"at{offset}")
            data = filler[:offset] + b"\n" + TOKEN.encode() + b"\n" + filler[offset:]
            world.commit(work, {"large.txt": data})
            stopped(world, work, where=f"large.txt:{data[:data.find(TOKEN.encode())].count(10) + 1}")


@check
def in_a_file_that_is_not_held_in_memory(program, share):
    # Beyond 64 MiB a blob is read as it comes; an archive of that size cannot be opened.
    line = b"The quick brown fox jumps over the lazy dog.\n"
    filler = line * ((66 << 20) // len(line))
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"huge.txt": filler + TOKEN.encode() + b"\n"})
        stopped(world, work, where=f"huge.txt:{filler.count(10) + 1}")
        again = world.clone("again")
        noise = gzip.compress(os.urandom(66 << 20), 1)
        world.commit(again, {"huge.gz": noise})
        stopped(world, again, rule="git-gate-unread-archive", needles=(noise[-40:],))


@check
def in_what_a_merge_alone_brings(program, share):
    # No parent has it and `git log -p` does not show it.
    with GateWorld(program, share) as world:
        work = world.clone()
        world.git("checkout", "-q", "-b", "side", cwd=work)
        world.commit(work, {"side.txt": "side\n"})
        world.git("checkout", "-q", "main", cwd=work)
        world.commit(work, {"main.txt": "main\n"})
        world.git("merge", "-q", "--no-ff", "--no-commit", "side", cwd=work)
        merge = world.commit(work, {"evil.txt": f"{TOKEN}\n"})
        assert merge[:12] in stopped(world, work, where="evil.txt:1").stderr


@check
def in_a_submodules_url_and_commit(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = https://example.com/{TOKEN}/x.git\n'})
        stopped(world, work, where=".gitmodules:3")
    # A gitlink is twenty octets of one's choice.
    short = "short-secret-of-0042"
    world = GateWorld(program, share, start=False)
    world.document["secrets"].append({"name": "SHORT", "value": short})
    try:
        world.start()
        work = world.clone()
        world.git("update-index", "--add", "--cacheinfo", f"160000,{short.encode().hex()},sub", cwd=work)
        tree = world.git("write-tree", cwd=work).stdout.strip()
        base = world.git("rev-parse", "HEAD", cwd=work).stdout.strip()
        commit = world.git("commit-tree", "-p", base, "-m", "x", tree, cwd=work).stdout.strip()
        result = world.push(work, "origin", f"{commit}:refs/heads/agent/x", check=False)
        world.assert_refused(result, "secrets found", "known-secret:SHORT", "file name:")
        world.assert_not_upstream(short)
    finally:
        world.stop()


@check
def in_a_note(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.git("notes", "add", "-m", f"note {TOKEN}", "HEAD", cwd=work)
        result = world.push(work, "origin", "refs/notes/commits", check=False)
        world.assert_refused(result, "only branches and tags can be pushed")
        # The same commit under a branch's name.
        result = world.push(work, "origin", "refs/notes/commits:refs/heads/agent/notes", check=False)
        world.assert_refused(result, "secrets found", "github-pat")
        world.assert_not_upstream(TOKEN)


@check
def in_objects_that_no_commit_of_the_push_shows(program, share):
    # A pack may carry objects that nothing refers to: they are in the quarantine alone and never leave it.
    with GateWorld(program, share) as world:
        work = world.clone()
        clean = world.commit(work, {"a.txt": "clean\n"})
        blob = world.git("hash-object", "-w", "--stdin", cwd=work, input=f"{TOKEN}\n").stdout.strip()
        objects = world.git("rev-list", "--objects", clean, "--not", "origin/main", cwd=work).stdout
        names = "\n".join(line.split()[0] for line in objects.splitlines()) + f"\n{blob}\n"
        pack = git("pack-objects", "--stdout", cwd=work, input=names.encode(), text=False).stdout
        response = raw_push(world, [("0" * 40, clean, "refs/heads/agent/raw")], pack)
        assert b"ok refs/heads/agent/raw" in response, response
        assert world.refs()["refs/heads/agent/raw"] == clean
        world.assert_not_upstream(TOKEN)


@check
def an_archive_without_secrets_passes(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        commit = world.commit(work, {"a.zip": zipped("x.txt", b"nothing here"), "b.tar.gz": tarred("x", b"nothing"),
                                     "c.gz": gzip.compress(b"nothing"), "d.bin": hashlib.sha256(b"x").digest() * 1000,
                                     "e.z": zlib.compress(b"nothing " * 50)})
        world.push(work)
        assert world.refs()["refs/heads/agent/x"] == commit


@check
def a_private_key_and_the_gates_own_key_are_stopped(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"id": world.sshd.private_key})
        stopped(world, work, rule="private-key", needles=(world.sshd.private_key.splitlines()[2],))


if __name__ == "__main__":
    main()
