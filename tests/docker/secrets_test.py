"""A planted secret is nowhere that the engine shows or keeps."""
import unittest

from docker_harness import DockerTest, docker, json, pathlib, setUpModule, wait_until  # noqa: F401

SECRET = "bb-planted-" + "7f3e9ac1d2" * 3


class Tests(DockerTest):
    def test_inspect_history_layers_volumes_and_the_containers_have_no_secret(self):
        home = self.docker_home()
        home.docker_agent("agent", ["sleep", "1000"],
                          extra="egress:\n  routes:\n    - host: api.example.com\n      auth: {scheme: Bearer, token_ref: PLANTED}\n")
        environment = {"PLANTED": SECRET}
        home.run("start", "agent", "--label", "planted", "--detach", "--yes", check=0, env=environment, timeout=120)
        status = home.run("check", "planted", "GET", "https://api.example.com/", check=0).stdout
        self.assertIn("allowed", status)
        agent, sidecar = home.container("agent"), home.container("sidecar")
        places = {"ps": docker("ps", "-a", "--no-trunc", "--format", "{{json .}}").stdout}
        for name in (agent, sidecar):
            places["inspect " + name] = docker("inspect", name).stdout
            places["top " + name] = docker("top", name, "-eo", "pid,args").stdout
            places["diff " + name] = docker("diff", name).stdout
            places["logs " + name] = docker("logs", name, check=False).stdout
            for line in docker("top", name, "-eo", "pid").stdout.split()[1:]:
                places["environ " + line] = pathlib.Path("/proc", line, "environ").read_bytes().decode("utf-8", "replace")
                places["cmdline " + line] = pathlib.Path("/proc", line, "cmdline").read_bytes().decode("utf-8", "replace")
        volumes = [line.split()[1] for line in home.left() if line.startswith("volume")]
        self.assertEqual(len(volumes), 1)
        for volume in volumes:
            places["volume " + volume] = docker("volume", "inspect", volume).stdout
        for image in docker("images", "-q", "--filter", "label=bot-bottle.managed=true").stdout.split():
            places["history " + image] = docker("history", "--no-trunc", image).stdout
            places["image " + image] = docker("image", "inspect", image).stdout
        for place, text in places.items():
            self.assertNotIn(SECRET, text, place)
        # What the agent's container holds, and the wire, byte for byte; and the whole of the engine's data.
        merged = json.loads(docker("inspect", agent).stdout)[0]["GraphDriver"]["Data"]["UpperDir"]
        roots = [pathlib.Path(merged), home.root / "state"]
        roots += [pathlib.Path(json.loads(docker("volume", "inspect", volume).stdout)[0]["Mountpoint"]) for volume in volumes]
        looked_at = 0
        for root in roots:
            for path in root.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    looked_at += 1
                    self.assertNotIn(SECRET.encode(), path.read_bytes(), str(path))
        self.assertGreater(looked_at, 5)
        home.run("stop", "--rm", "planted", check=0)
        self.nothing_stays(home)


if __name__ == "__main__":
    unittest.main()
