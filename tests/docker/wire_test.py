"""The address wire, gVisor, and that the guards around them matter."""
import unittest

from docker_harness import FACTS, DockerTest, docker, engine, json, pathlib, setUpModule, wait_until  # noqa: F401

REACH = ("for a in $0 127.0.0.11 $1 10.0.0.1; do (exec 3<>/dev/tcp/$a/53) 2>&1 | grep -o 'unreachable\\|Invalid argument\\|timed out\\|refused' "
         "| head -1; done; cat /etc/resolv.conf | head -1")


class Tests(DockerTest):
    def test_the_address_wire_leads_to_the_sidecar_alone(self):
        home = self.docker_home(wire="address")
        home.docker_agent("agent", ["sleep", "600"])
        home.run("start", "agent", "--label", "wired", "--detach", "--yes", check=0, timeout=120)
        networks = [line.split()[1] for line in home.left() if line.startswith("network")]
        self.assertEqual(len(networks), 1)
        network = json.loads(docker("network", "inspect", networks[0]).stdout)[0]
        config = network["IPAM"]["Config"][0]
        self.assertTrue(config["Subnet"].startswith("198.19.") and config["Subnet"].endswith("/29"), config)
        self.assertTrue(network["Internal"])
        out = home.run("exec", "wired", "--", "bash", "-c", REACH, config["Gateway"], FACTS["gateway"], check=0).stdout.splitlines()
        self.assertEqual(out, ["unreachable", "Invalid argument", "unreachable", "unreachable", "nameserver 127.0.0.1"])
        routes = home.run("exec", "wired", "--", "cat", "/proc/net/route", check=0).stdout.splitlines()
        self.assertEqual(len(routes), 2, routes)
        home.run("stop", "--rm", "wired", check=0)
        self.nothing_stays(home)

    def test_the_tests_own_bridge_keeps_its_address_whoever_comes_and_goes(self):
        # Otherwise a neighbour's connection to the origin stalls for half a minute when an attacker's container ends.
        address = pathlib.Path("/sys/class/net", FACTS["bridge"], "address")
        before = address.read_text()
        link = ("ip", "link")
        port = FACTS["bridge"].replace("bbtest", "bbport")
        engine.run(*link, "add", port, "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", port + "x")
        self.addCleanup(engine.run, *link, "del", port)
        engine.run(*link, "set", port, "master", FACTS["bridge"])
        self.assertEqual(address.read_text(), before)

    def test_a_plain_internal_network_fails_the_self_test(self):
        home = self.docker_home(wire="address")
        home.docker_agent("agent", ["echo", "ran"])
        done = home.run("run", "agent", env={"BOT_BOTTLE_TEST_DISABLE_GUARDS": "inhibit-ipv4"}, timeout=120)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("self-test", done.stderr)
        self.assertIn("198.19.", done.stderr)
        self.assertNotIn("ran", done.stdout)
        self.assertEqual(home.left(), [])

    def test_without_a_guard_the_self_test_stops_the_launch(self):
        for guard, said in (("seccomp", "seccomp"), ("caps", "capabilities"), ("netns", "network")):
            with self.subTest(guard):
                home = self.docker_home()
                home.docker_agent("agent", ["echo", "ran"])
                done = home.run("run", "agent", env={"BOT_BOTTLE_TEST_DISABLE_GUARDS": guard}, timeout=120)
                self.assertNotEqual(done.returncode, 0, guard)
                self.assertIn(said, done.stderr)
                self.assertNotIn("ran", done.stdout)
                self.assertEqual(home.left(), [])

    @unittest.skipUnless(FACTS and FACTS["runsc"], "runsc is not installed")
    def test_gvisor_is_taken_where_the_engine_has_it_on_the_socket_wire(self):
        home = self.docker_home(runtime="")
        home.docker_agent("agent", ["sh", "-c", "uname -r; ls /sys/class/net 2>/dev/null; exit 4"])
        shown = home.run("run", "agent", "--dry-run", check=0).stdout
        self.assertIn("gVisor (runsc)", shown)
        done = home.run("run", "agent", timeout=180)
        self.assertEqual((done.returncode, done.stdout.splitlines()[0]), (4, "4.4.0"), done.stderr)

    @unittest.skipUnless(FACTS and FACTS["runsc"], "runsc is not installed")
    def test_gvisor_has_the_address_wire(self):
        home = self.docker_home(runtime="runsc-net")
        home.docker_agent("agent", ["sh", "-c", "uname -r; cat /proc/net/route /etc/resolv.conf"])
        shown = home.run("run", "agent", "--dry-run", check=0).stdout
        self.assertIn("one address", shown)
        done = home.run("run", "agent", timeout=180, check=0)
        self.assertEqual(done.stdout.splitlines()[0], "4.4.0", done.stdout)
        # One route, sealed before gVisor took it: the sidecar's address, and what there is for others.
        self.assertEqual([line.split()[7] for line in done.stdout.splitlines() if line.startswith("eth0")], ["FFFFFFFF"], done.stdout)
        self.assertIn("nameserver 127.0.0.1", done.stdout)
        self.nothing_stays(home)

    @unittest.skipUnless(FACTS and FACTS["runsc"], "runsc is not installed")
    def test_gvisor_on_the_address_wire_is_resumed_and_killed_as_a_whole(self):
        home = self.docker_home(runtime="runsc-net")
        home.docker_agent("agent", ["sleep", "600"])
        home.run("start", "agent", "--label", "cold", "--detach", "--yes", check=0, timeout=120)
        home.run("exec", "cold", "--", "sh", "-c", "echo one > ~/file", check=0)
        home.run("stop", "cold", check=0)
        home.run("resume", "cold", "--detach", "--yes", check=0, timeout=120)
        self.assertEqual(home.run("exec", "cold", "--", "sh", "-c", "cat ~/file", check=0).stdout, "one\n")
        home.run("stop", "--rm", "cold", check=0)
        self.assertEqual(home.left(), [])
        # The container that has the network follows the sidecar, as the agent's does.
        done = home.run("run", "agent", "--label", "victim", env={"BOT_BOTTLE_TEST_KILL_AT": "provision"}, timeout=120)
        self.assertEqual(done.returncode, -9, done.stderr)
        self.nothing_stays(home)

    @unittest.skipUnless(FACTS and FACTS["runsc"], "runsc is not installed")
    def test_a_runsc_that_denies_its_own_stack_on_this_kernel_is_explained(self):
        home = self.docker_home(runtime="runsc-refused")
        home.docker_agent("agent", ["true"])
        done = home.run("run", "agent", timeout=120)
        if done.returncode == 0:
            self.skipTest("this runsc takes this kernel as it is")
        self.assertIn("its own network stack", done.stderr)
        self.assertEqual(home.left(), [])

    @unittest.skipUnless(FACTS and FACTS["runsc"], "runsc is not installed")
    def test_gvisor_on_the_hosts_sockets_is_refused_where_a_read_does_not_wait(self):
        home = self.docker_home(runtime="runsc-host")
        home.docker_agent("agent", ["echo", "ran"])
        self.assertIn("on the host's sockets", home.run("run", "agent", "--dry-run", check=0).stdout)
        done = home.run("run", "agent", timeout=180)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("a blocking read from a socket does not wait", done.stderr)
        self.assertNotIn("ran", done.stdout)
        self.assertEqual(home.left(), [])

    def test_a_wire_that_a_runtime_cannot_have_is_refused_by_name(self):
        if not FACTS["runsc"]:
            self.skipTest("runsc is not installed")
        home = self.docker_home(runtime="runsc", wire="address")
        home.docker_agent("agent", ["true"])
        self.assertIn("--network=none", home.run("run", "agent").stderr)


if __name__ == "__main__":
    unittest.main()
