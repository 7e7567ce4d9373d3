"""Clone, fetch, pull, ls-remote and push through the gate, with the real client on the upstream's URL; and how fresh it is."""
import os
import pathlib
import re
import subprocess
import time

from harness import GateWorld, check, git, keygen, main, wait_until


@check
def a_clone_a_push_and_a_pull_just_work(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        assert (work / "README").read_text() == "hello\n"
        made = world.commit(work, {"a.txt": "one\n"})
        world.push(work)
        assert world.refs()["refs/heads/agent/x"] == made
        assert world.mirror_refs() == world.refs()
        second = world.clone("second")
        world.git("checkout", "-q", "agent/x", cwd=second)
        made = world.commit(work, {"a.txt": "two\n"})
        world.push(work)
        world.git("pull", "-q", cwd=second)
        assert (second / "a.txt").read_text() == "two\n"
        assert made in world.git("ls-remote", world.url).stdout


@check
def an_https_upstream_with_a_token_works_the_same(program, share):
    with GateWorld(program, share, https=True) as world:
        work = world.clone()
        made = world.commit(work, {"a.txt": "one\n"})
        world.push(work)
        assert world.refs()["refs/heads/agent/x"] == made
        world.git("fetch", "-q", cwd=work)
        log = world.https.access_log.read_text()
        assert "git-receive-pack" in log
        for path in pathlib.Path(world.state).rglob("*"):
            if path.is_file():
                assert b"forge-token-0123456789" not in path.read_bytes(), f"the token is in {path}"


@check
def a_wrong_token_is_told_and_not_shown(program, share):
    world = GateWorld(program, share, https=True, start=False)
    try:
        world.document["secrets"] = [{"name": "FORGE_TOKEN", "value": "a-wrong-token-9876"}]
        world.start()
        result = world.git("ls-remote", world.url, check=False)
        world.assert_refused(result, "git-gate: the upstream git.example.com did not answer")
        assert "a-wrong-token" not in result.stderr
    finally:
        world.stop()


@check
def shallow_partial_and_single_branch_clones(program, share):
    with GateWorld(program, share) as world:
        seed = world.upstream.seed("app")
        for i in range(5):
            (seed / "f").write_text(f"{i}\n" * 1000)
            git("add", "f", cwd=seed)
            git("commit", "-qm", f"c{i}", cwd=seed)
        git("push", "-q", "origin", "main", "main:other", cwd=seed)
        shallow = world.clone("shallow", "--depth", "1")
        assert world.git("rev-list", "--count", "HEAD", cwd=shallow).stdout.strip() == "1"
        made = world.commit(shallow, {"new": "from a shallow clone\n"})
        world.push(shallow, "origin", "HEAD:refs/heads/agent/shallow")
        assert world.refs()["refs/heads/agent/shallow"] == made
        world.git("fetch", "-q", "--deepen", "2", cwd=shallow)
        world.git("fetch", "-q", "--unshallow", cwd=shallow)
        partial = world.clone("partial", "--filter=blob:none", "--no-checkout")
        missing = world.git("rev-list", "--objects", "--missing=print", "--all", cwd=partial).stdout
        assert "\n?" in missing
        world.git("checkout", "-q", "HEAD", cwd=partial)
        assert (partial / "f").exists()
        single = world.clone("single", "--single-branch", "--branch", "other")
        assert "origin/main" not in world.git("branch", "-r", cwd=single).stdout
        world.git("worktree", "add", "-q", "-b", "agent/tree", world.top / "tree", cwd=single)
        made = world.commit(world.top / "tree", {"t": "t\n"})
        world.push(world.top / "tree", "origin", "agent/tree")
        assert world.refs()["refs/heads/agent/tree"] == made


@check
def submodules_follow_their_own_repository(program, share):
    world = GateWorld(program, share, start=False)
    try:
        world.upstream.make("lib")
        lib_url = world.sshd.url(world.upstream.root / "lib.git")
        world.repos.append({"name": "lib", "url": lib_url, "host_key": world.sshd.host_key})
        world.document["git_keys"].append({"repo": "lib", "private_key": world.sshd.private_key})
        seed = world.upstream.seed("app")
        (seed / ".gitmodules").write_text('[submodule "lib"]\n\tpath = lib\n\turl = ../lib.git\n')
        tip = world.upstream.refs("lib")["refs/heads/main"]
        git("add", ".gitmodules", cwd=seed)
        git("update-index", "--add", "--cacheinfo", f"160000,{tip},lib", cwd=seed)
        git("commit", "-qm", "submodule", cwd=seed)
        git("push", "-q", "origin", "main", cwd=seed)
        world.start()
        work = world.clone("work", "--recurse-submodules")
        assert (work / "lib" / "README").read_text() == "hello\n"
        made = world.commit(work / "lib", {"x": "x\n"})
        world.push(work / "lib", "origin", "HEAD:refs/heads/agent/lib")
        world.commit(work, {})
        world.push(work)
        assert world.upstream.refs("lib")["refs/heads/agent/lib"] == made
    finally:
        world.stop()


@check
def annotated_and_signed_tags_arrive_as_they_are(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.git("tag", "-a", "v1", "-m", "annotated", cwd=work)
        key = world.sshd.directory / "client"
        world.git("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}", "tag", "-s", "v2", "-m", "signed", cwd=work)
        world.push(work, "origin", "v1", "v2")
        for name in ("v1", "v2"):
            assert world.refs()[f"refs/tags/{name}"] == world.git("rev-parse", name, cwd=work).stdout.strip()
        text = git("cat-file", "tag", "v2", cwd=world.upstream.root / "app.git").stdout
        assert "BEGIN SSH SIGNATURE" in text


@check
def a_gpg_signed_tag_and_commit_arrive_as_they_are(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        keys = world.top / "gnupg"
        keys.mkdir(mode=0o700)
        gpg = {"GNUPGHOME": str(keys)}
        run = {"env": {**os.environ, **gpg}, "check": True, "capture_output": True}
        try:
            subprocess.run(["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key", "agent@example.com",
                            "ed25519", "sign", "never"], **run)
            world.git("-c", "user.signingkey=agent@example.com", "tag", "-s", "v3", "-m", "signed", cwd=work, env=gpg)
            world.git("-c", "user.signingkey=agent@example.com", "commit", "-q", "--allow-empty", "-S", "-m", "signed", cwd=work,
                      env=gpg)
            world.push(work, "origin", "v3", "HEAD:refs/heads/agent/signed")
            upstream = world.upstream.root / "app.git"
            assert world.refs()["refs/tags/v3"] == world.git("rev-parse", "v3", cwd=work).stdout.strip()
            git("verify-tag", "v3", cwd=upstream, env=gpg)
            git("verify-commit", "refs/heads/agent/signed", cwd=upstream, env=gpg)
        finally:
            subprocess.run(["gpgconf", "--kill", "all"], env={**os.environ, **gpg}, check=False)


@check
def paths_that_are_not_utf8_pass(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        made = world.commit(work, {b"caf\xe9/\xff\xfe.txt": "x\n", b"new\nline": "y\n", "ünï": "z\n"})
        world.push(work)
        assert world.refs()["refs/heads/agent/x"] == made
        again = world.clone("again", "--branch", "agent/x")
        assert os.path.exists(os.path.join(os.fsencode(again), b"caf\xe9/\xff\xfe.txt"))


@check
def a_repository_of_100000_files(program, share):
    with GateWorld(program, share) as world:
        stream = "commit refs/heads/agent/many\ncommitter A <a@example.com> 1700000000 +0000\ndata 4\nmany\n"
        stream += "".join(f"M 644 inline d{i // 1000}/f{i}.txt\ndata {len(str(i))}\n{i}\n" for i in range(100_000))
        work = world.clone()
        world.git("fast-import", "--quiet", cwd=work, input=stream)
        began = time.monotonic()
        world.push(work, "origin", "agent/many", timeout=200)
        took = time.monotonic() - began
        assert "refs/heads/agent/many" in world.refs()
        bare = world.clone("bare", "--bare", "--single-branch", "--branch", "agent/many")
        assert world.git("ls-tree", "-r", "--name-only", "HEAD", cwd=bare).stdout.count("\n") == 100_000
        print(f"      (100,000 files pushed and scanned in {took:.1f} s)")


@check
def sha256_repositories_are_refused_in_words(program, share):
    with GateWorld(program, share, make={"object_format": "sha256"}) as world:
        world.assert_refused(world.git("ls-remote", world.url, check=False), "SHA-256 objects, which git-gate does not take")
    with GateWorld(program, share) as world:
        work = world.top / "new"
        world.git("init", "-q", "--object-format=sha256", work)
        world.commit(work, {"a": "1"})
        result = world.push(work, world.url, "HEAD:refs/heads/agent/x", check=False)
        world.assert_refused(result, "hash algorithm")


@check
def an_empty_upstream_takes_its_first_push(program, share):
    with GateWorld(program, share, commit=False) as world:
        work = world.clone()
        made = world.commit(work, {"a": "1"})
        world.push(work, "origin", "HEAD:refs/heads/agent/first")
        assert world.refs() == {"refs/heads/agent/first": made}


@check
def the_upstreams_head_is_followed(program, share):
    with GateWorld(program, share, branch="trunk") as world:
        work = world.clone()
        assert world.git("branch", "--show-current", cwd=work).stdout == "trunk\n"
        git("push", "-q", "origin", "trunk:next", cwd=world.upstream.seed("app"))
        git("symbolic-ref", "HEAD", "refs/heads/next", cwd=world.upstream.root / "app.git")
        wait_until("HEAD to move", lambda: "refs/heads/next" in world.git("ls-remote", "--symref", world.url, "HEAD").stdout)


@check
def what_changed_upstream_is_seen_two_seconds_later_at_the_latest(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        seed = world.upstream.seed("app")
        git("commit", "-q", "--allow-empty", "-m", "new", cwd=seed)
        git("push", "-q", "origin", "main", "main:gone", cwd=seed)
        tip = git("rev-parse", "HEAD", cwd=seed).stdout.strip()
        began = time.monotonic()
        wait_until("the new commit", lambda: tip in world.git("ls-remote", world.url).stdout, 10)
        assert time.monotonic() - began < 4
        git("push", "-q", "origin", ":gone", cwd=seed)
        wait_until("the deletion", lambda: "refs/heads/gone" not in world.git("ls-remote", world.url).stdout, 10)
        world.git("fetch", "-q", "--prune", cwd=work)


@check
def concurrent_fetches_share_one_question_to_the_upstream(program, share):
    with GateWorld(program, share) as world:
        world.clone()
        time.sleep(2.1)  # what is measured: a refresh is not reused after two seconds
        before = world.sshd.log.read_text().count("Accepted publickey")
        joins = [world.in_background(world.git, "ls-remote", world.url) for _ in range(12)]
        for join in joins:
            join()
        asked = world.sshd.log.read_text().count("Accepted publickey") - before
        assert asked <= 2, f"{asked} connections for twelve fetches"


@check
def an_upstream_that_is_down_is_an_error_and_never_an_old_answer(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"a": "1"})
        world.sshd.stop()
        time.sleep(2.1)  # past the reuse of the last refresh
        for arguments in (("ls-remote", world.url), ("fetch", "origin"), ("clone", world.url, world.top / "c2")):
            result = world.git(*arguments, cwd=work, check=False)
            world.assert_refused(result, "git-gate: the upstream 127.0.0.1 did not answer", "Connection refused")
        world.assert_refused(world.push(work, check=False), "did not answer")
        # A client that skips the first request is not served old refs either.
        body = b"0014command=ls-refs\n0000"
        import http.client
        connection = http.client.HTTPConnection("127.0.0.1", world.gate_port, timeout=20)
        connection.request("POST", "/app.git/git-upload-pack", body, {
            "Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2"})
        assert b"ERR git-gate" in connection.getresponse().read()
        world.sshd.start()
        world.push(work)


@check
def a_host_key_that_changed_stops_everything(program, share):
    with GateWorld(program, share) as world:
        work = world.clone()
        world.commit(work, {"a": "1"})
        world.sshd.stop()
        world.sshd.new_host_key()
        world.sshd.start()
        time.sleep(2.1)
        world.assert_refused(world.push(work, check=False), "is not the pinned one")
        assert "refs/heads/agent/x" not in world.refs()
        known = pathlib.Path(world.state) / "git-gate" / "app" / "known_hosts"
        assert world.sshd.host_key.split()[1] not in known.read_text(), "no trust on first use"


@check
def a_host_key_that_was_never_seen_is_not_trusted(program, share):
    # No trust on first use: the first contact is with a key that is not the pinned one.
    world = GateWorld(program, share, start=False)
    try:
        _, other = keygen(world.top / "other")
        world.repo["host_key"] = " ".join(other.split()[:2])
        world.start()
        for _ in range(2):
            world.assert_refused(world.git("ls-remote", world.url, check=False), "is not the pinned one")
    finally:
        world.stop()


@check
def twenty_clones_at_a_time_are_all_whole(program, share):
    with GateWorld(program, share) as world:
        seed = world.upstream.seed("app")
        (seed / "noise").write_bytes(os.urandom(4 << 20))
        git("add", "noise", cwd=seed)
        git("commit", "-qm", "noise", cwd=seed)
        git("push", "-q", "origin", "main", cwd=seed)
        joins = [world.in_background(world.clone, f"c{i}") for i in range(20)]
        for join in joins:
            work = join()
            assert (work / "noise").read_bytes() == (seed / "noise").read_bytes()


@check
def a_client_that_goes_away_leaves_no_process(program, share):
    with GateWorld(program, share) as world:
        seed = world.upstream.seed("app")
        (seed / "noise").write_bytes(os.urandom(30 << 20))
        git("add", "noise", cwd=seed)
        git("commit", "-qm", "noise", cwd=seed)
        git("push", "-q", "origin", "main", cwd=seed)
        world.git("ls-remote", world.url)
        clone = subprocess.Popen(["git", "clone", "-q", world.url, str(world.top / "cut")],
                                 env={"HOME": str(world.home), "PATH": os.environ["PATH"]}, stderr=subprocess.DEVNULL)

        def children():
            out = subprocess.run(["ps", "--ppid", str(world.process.pid), "-o", "args="], capture_output=True, text=True).stdout
            return [line for line in out.splitlines() if re.search("git", line)]
        wait_until("upload-pack", lambda: any("upload-pack" in line for line in children()) or clone.poll() is not None)
        clone.kill()
        clone.wait()
        wait_until("its end", lambda: not children())


if __name__ == "__main__":
    main()
