"""The gate's key, its ssh, and its HTTP front under hostile hands (attacks A3, L): nothing of the operator's is used, nothing of
the bottle's is told."""
import os
import pathlib
import stat
import subprocess

from harness import SECRET, GateWorld, check, main


@check
def the_identity_is_private_and_nothing_of_the_operators_is_used(program, share):
    with GateWorld(program, share) as world:
        directory = pathlib.Path(world.state) / "git-gate" / "app"
        assert stat.S_IMODE((directory / "identity").stat().st_mode) == 0o600
        config = (directory / "ssh_config").read_text()
        for line in ("BatchMode yes", "ConnectTimeout 10", "StrictHostKeyChecking yes", "IdentitiesOnly yes",
                     "IdentityAgent none", "GlobalKnownHostsFile /dev/null", "UpdateHostKeys no", "ProxyCommand none",
                     "ForwardAgent no", "PasswordAuthentication no", "PreferredAuthentications publickey"):
            assert line in config, line
        world.clone()
        # The key is not in any process's arguments or environment, and is wiped at the end.
        key_line = world.sshd.private_key.splitlines()[2]
        for pid in (world.process.pid,):
            for name in ("cmdline", "environ"):
                assert key_line.encode() not in pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
        world.process.terminate()
        world.process.wait(20)
        assert not (directory / "identity").exists()
        for path in pathlib.Path(world.state).rglob("*"):
            if path.is_file():
                assert key_line.encode() not in path.read_bytes(), path


@check
def an_agents_ssh_agent_and_configuration_are_not_looked_at(program, share):
    # The sidecar is started with an agent and a user configuration that would let it in; the key that it has is wrong.
    world = GateWorld(program, share, start=False)
    try:
        from harness import keygen
        wrong, _ = keygen(world.top / "wrong")
        world.document["git_keys"][0]["private_key"] = wrong
        agent = subprocess.run(["ssh-agent", "-s", "-a", str(world.top / "agent.sock")], capture_output=True, text=True,
                               check=True).stdout
        pid = int(agent.split("SSH_AGENT_PID=")[1].split(";")[0])
        try:
            os.environ["SSH_AUTH_SOCK"] = str(world.top / "agent.sock")
            subprocess.run(["ssh-add", "-q", str(world.sshd.directory / "client")], check=True)
            world.start()
            result = world.git("ls-remote", world.url, check=False)
            world.assert_refused(result, "Permission denied")
        finally:
            del os.environ["SSH_AUTH_SOCK"]
            os.kill(pid, 15)
    finally:
        world.stop()


@check
def hostile_http_is_refused_and_the_gate_lives(program, share):
    import socket
    with GateWorld(program, share) as world:
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + b"x" * 100, b"GET /app.git/info/refs?service=git-upload-pack "
                     b"HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                     b"POST /app.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-git-upload-pack-request"
                     b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"A" * 200_000,
                     b"POST /app.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Type: "
                     b"application/x-git-upload-pack-request\r\nContent-Length: 4\r\n\r\nnope"):
            with socket.create_connection(("127.0.0.1", world.gate_port), 10) as one:
                one.settimeout(20)
                one.sendall(data)
                answer = one.recv(4096)
                assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), (data[:60], answer)
        many = [socket.create_connection(("127.0.0.1", world.gate_port), 10) for _ in range(300)]
        for one in many:
            one.close()
        world.clone()


@check
def secrets_of_the_bottle_in_the_upstreams_words_are_not_told_back(program, share):
    with GateWorld(program, share) as world:
        hook = world.upstream.root / "app.git" / "hooks" / "pre-receive"
        hook.write_text(f"#!/bin/sh\necho 'no: {SECRET}'\nexit 1\n")
        hook.chmod(0o755)
        work = world.clone()
        world.commit(work, {"a": "1"})
        result = world.push(work, check=False)
        world.assert_refused(result, "pre-receive hook declined")
        assert SECRET not in result.stderr


if __name__ == "__main__":
    main()
