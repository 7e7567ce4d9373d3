// The life of a bottle: how it ends, what is left, what runs; and the sidecar's sandbox.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "core/base/text.hpp"
#include "plugins/backend-local/cgroup.hpp"
#include "plugins/backend-local/processes.hpp"
#include "tests/integration/local/fixture.hpp"

namespace bot_bottle::test {
namespace {

using backend_local::Component;

class Life : public LocalBackendTest {
 protected:
  /// A program in the bottle that can be found from outside.
  void start_marked(const json::object& bottle, const std::string& marker) {
    backend().exec(bottle,
                   {{"schema", "bot-bottle.exec/1"},
                    {"argv", {"/bin/sleep", marker}},
                    {"env", json::object{}},
                    {"detached", true}},
                   -1);
    ASSERT_TRUE(soon([&] { return processes_with(marker) > 0; }));
  }
  [[nodiscard]] std::vector<std::string> groups(const std::string& slug) const {
    std::vector<std::string> found;
    const auto state = state_of(slug).string();
    for (const std::string& path : backend_local::cgroup_directories(
             backend_local::find_cgroup_place(), backend_local::cgroup_name(slug, state, Component::bottle)))
      if (std::filesystem::exists(path)) found.push_back(path);
    return found;
  }
  [[nodiscard]] std::string lock(Component component, const std::string& slug = "x-1") const {
    return backend_local::lock_path(state_of(slug).string(), component);
  }
};

TEST_F(Life, a_running_bottle_is_listed_by_its_lock) {
  EXPECT_FALSE(is_running("x-1"));
  launch();
  const json::object document = backend().enumerate();
  const json::object& entry = find_array(document, "bottles")->at(0).as_object();
  EXPECT_EQ(get_string(entry, "slug"), "x-1");
  EXPECT_EQ(get_string(entry, "agent"), "tester");
  EXPECT_EQ(get_string(entry, "label"), "a label");
  EXPECT_EQ(get_string(entry, "status"), "degraded");  // no sidecar here
  EXPECT_FALSE(get_string(entry, "started_at").empty());
}

TEST_F(Life, a_file_that_claims_to_be_a_running_bottle_is_not_listed) {
  write(state_of("x-2") / "backend/bottle.lock", R"({"slug":"x-2","pid":1})");
  EXPECT_FALSE(is_running("x-2"));
}

TEST_F(Life, stop_and_remove_may_be_repeated_and_leave_nothing) {
  const json::object bottle = launch();
  start_marked(bottle, "81818");
  const std::string uid = read(state_of("x-1") / "backend/bottle.uid");
  backend().stop(bottle);
  EXPECT_EQ(processes_with("81818"), 0);
  EXPECT_FALSE(is_running("x-1"));
  EXPECT_TRUE(groups("x-1").empty());
  backend().stop(bottle);
  backend().remove(bottle);
  backend().remove(bottle);
  EXPECT_FALSE(std::filesystem::exists(state_of("x-1") / "backend"));
  EXPECT_EQ(processes_with(home_.string()), 0);
  EXPECT_FALSE(!uid.empty() && std::filesystem::exists("/run/bot-bottle/uids/" + uid));
}

TEST_F(Life, remove_takes_the_plan_of_a_launch_that_never_was) {
  std::filesystem::create_directories(state_of("x-1"));
  const json::object plan = backend().plan(spec());
  backend().remove(plan);
}

TEST_F(Life, a_second_launch_of_the_same_bottle_is_refused_and_harms_nothing) {
  const json::object bottle = launch();
  const Error error = error_of([&] {
    backend().launch(backend().plan(spec()), {{"schema", "bot-bottle.launch/1"}, {"ca_pem", ""}}, -1);
  });
  EXPECT_EQ(error.kind, ErrorKind::already_exists);
  EXPECT_EQ(shell(bottle, "echo alive").out, "alive\n");
}

TEST_F(Life, the_end_of_the_lifeline_ends_the_bottle) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const json::object bottle = launch(spec(), ends[0]);
  ::close(ends[0]);
  start_marked(bottle, "82828");
  ::close(ends[1]);
  EXPECT_TRUE(soon([] { return processes_with("82828") == 0; }));
  EXPECT_TRUE(soon([&] { return !is_running("x-1") && groups("x-1").empty(); }));
}

TEST_F(Life, kill_9_of_the_launching_process_leaves_nothing) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) ::_exit(1);
    const json::object bottle = launch(spec(), ends[0]);
    backend().exec(bottle,
                   {{"schema", "bot-bottle.exec/1"},
                    {"argv", {"/bin/sleep", "83838"}},
                    {"env", json::object{}},
                    {"detached", true}},
                   -1);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(soon([] { return processes_with("83838") == 0; }));
  EXPECT_TRUE(soon([&] { return processes_with(home_.string()) == 0 && groups("x-1").empty() && !is_running("x-1"); }));
  EXPECT_FALSE(std::filesystem::exists(state_of("x-1") / "backend/run/init.sock"));
}

TEST_F(Life, kill_9_of_the_keeper_leaves_no_process_and_cleanup_the_rest) {
  const json::object bottle = launch();
  start_marked(bottle, "84848");
  const auto keeper = backend_local::find_lock_holder(lock(Component::bottle));
  ASSERT_TRUE(keeper);
  ::kill(*keeper, SIGKILL);
  EXPECT_TRUE(soon([] { return processes_with("84848") == 0; }));
  EXPECT_FALSE(is_running("x-1"));
  const json::object orphans = backend().orphans({});
  const std::string uid = read(state_of("x-1") / "backend/bottle.uid");
  backend().cleanup(orphans);
  EXPECT_TRUE(groups("x-1").empty());
  EXPECT_FALSE(!uid.empty() && std::filesystem::exists("/run/bot-bottle/uids/" + uid));
  EXPECT_FALSE(std::filesystem::exists(state_of("x-1") / "backend"));
  EXPECT_TRUE(find_array(backend().orphans({}), "items")->empty());
}

TEST_F(Life, kill_9_of_bwrap_ends_the_bottle_and_its_keeper) {
  const json::object bottle = launch();
  start_marked(bottle, "85858");
  const auto init = get_int(*find_object(bottle, "data"), "init", -1);
  const std::string text = read("/proc/" + std::to_string(init) + "/status");
  const auto parent = std::strtol(text.c_str() + text.find("PPid:\t") + 6, nullptr, 10);
  ASSERT_GT(parent, 1);
  ::kill(static_cast<pid_t>(parent), SIGKILL);
  EXPECT_TRUE(soon([] { return processes_with("85858") == 0; }));
  EXPECT_TRUE(soon([&] { return !is_running("x-1") && groups("x-1").empty(); }));
}

TEST_F(Life, orphans_names_what_is_not_known_and_keeps_what_is) {
  launch(spec("x-1"));
  launch(spec("x-2"));
  const json::object orphans = backend().orphans({"x-1"});
  EXPECT_THAT(to_text(orphans), ::testing::HasSubstr("x-2"));
  EXPECT_THAT(to_text(orphans), ::testing::Not(::testing::HasSubstr("x-1")));
  backend().cleanup(orphans);
  EXPECT_TRUE(is_running("x-1"));
  EXPECT_FALSE(is_running("x-2"));
}

TEST_F(Life, home_and_workspace_are_kept_for_a_resume) {
  json::object first = launch();
  shell(first, "echo kept > /home/agent/file; echo kept > /workspace/file");
  backend().stop(first);
  json::object again = spec();
  again["reuse"] = true;
  const json::object second = launch(again);
  EXPECT_EQ(shell(second, "cat /home/agent/file /workspace/file && echo more >> /home/agent/file").out, "kept\nkept\n");
}

TEST_F(Life, a_bwrap_that_cannot_start_says_why_and_leaves_nothing) {
  json::object wrong = spec();
  wrong["guest"] = json::object{{"user", "agent"}, {"uid", 1000}, {"gid", 1000}, {"home", "/home/agent"}};
  json::object plan = backend().plan(wrong);
  plan["data"].as_object()["bind_ro"] = json::array{"/no/such/place"};
  std::filesystem::create_directories(state_of("x-1") / "logs");
  const Error error = error_of([&] {
    backend().launch(plan, {{"schema", "bot-bottle.launch/1"}, {"ca_pem", ""}}, -1);
  });
  EXPECT_THAT(error.message, ::testing::HasSubstr("/no/such/place"));
  EXPECT_FALSE(is_running("x-1"));
  EXPECT_TRUE(groups("x-1").empty());
  EXPECT_EQ(processes_with(home_.string()), 0);
  backend().remove(plan);
}

class SidecarSandbox : public Life {
 protected:
  void SetUp() override {
    Life::SetUp();
    // A sidecar that tells what it can do, in place of the real one.
    const auto libexec = home_ / "libexec";
    std::filesystem::create_directories(libexec);
    for (const char* name : {"bottle-init", "bottle-keeper"})
      std::filesystem::copy_file(options_.installation.libexec / name, libexec / name);
    write(libexec / "bot-bottle-sidecar", R"(#!/bin/sh
cat > /run/sidecar/state/logs/config
{ id -u; ls /run/sidecar/state | tr '\n' ' '; echo; ls / | tr '\n' ' '; echo
  grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr '\t\n' '  '; echo
  cat /run/sidecar/share/file; cat /run/sidecar/rules.database; echo "$@"; ls /proc | grep -c '^[0-9]'
  grep -c eth0 /proc/net/dev; echo x > /run/sidecar/share/planted || echo share is read-only
  cat /etc/resolv.conf > /dev/null && echo resolver; cat "$0" > /dev/null; env; } > /run/sidecar/state/logs/facts 2>/dev/null
: > /run/sidecar/state/control/ready
trap 'echo ended > /run/sidecar/state/logs/ended; exit 0' TERM
while :; do sleep 0.05; done
)");
    ::chmod((libexec / "bot-bottle-sidecar").c_str(), 0755);
    write(home_ / "share/file", "shared\n");
    write(home_ / "cache/rules", "rules\n");
    ::chmod(home_.c_str(), 0700);
    registry_.reset();
    options_.installation.libexec = libexec;
    options_.installation.share = home_ / "share";
    registry_ = std::make_unique<plugins::Registry>(options_);
  }
};

TEST_F(SidecarSandbox, sees_its_own_state_and_ends_politely) {
  ::setenv("OPERATORS_SECRET", "planted", 1);
  json::object with_rules = spec();
  with_rules["rules_database"] = (home_ / "cache/rules").string();
  const json::object plan = backend().plan(with_rules);
  launched_.push_back(plan);
  std::filesystem::create_directories(state_of("x-1"));
  std::array<int, 2> config{};
  ASSERT_EQ(::pipe2(config.data(), O_CLOEXEC), 0);
  const json::object sidecar = backend().start_sidecar(plan, config[0], -1);
  ::close(config[0]);
  ASSERT_EQ(::write(config[1], "the configuration", 17), 17);
  ::close(config[1]);
  ASSERT_TRUE(soon([&] { return std::filesystem::exists(state_of("x-1") / "control/ready"); }));
  EXPECT_EQ(get_string(sidecar, "control"), (state_of("x-1") / "control/control.sock").string());
  EXPECT_EQ(read(state_of("x-1") / "logs/config"), "the configuration");
  const std::string facts = read(state_of("x-1") / "logs/facts");
  const auto lines = split(facts, '\n');
  ASSERT_GT(lines.size(), 10U) << facts;
  EXPECT_NE(lines[0], "0");
  EXPECT_EQ(lines[1], "control egress git-gate logs supervise wire ");
  EXPECT_THAT(std::string(lines[2]), ::testing::Not(::testing::HasSubstr("home")));
  EXPECT_THAT(std::string(lines[3]),
              ::testing::HasSubstr("CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2"));
  EXPECT_EQ(lines[4], "shared");
  EXPECT_EQ(lines[5], "rules");
  EXPECT_THAT(std::string(lines[6]), ::testing::HasSubstr("--rules-database /run/sidecar/rules.database"));
  EXPECT_THAT(facts, ::testing::HasSubstr("share is read-only"));
  EXPECT_THAT(facts, ::testing::HasSubstr("resolver"));
  EXPECT_THAT(facts, ::testing::Not(::testing::HasSubstr("planted\n")));
  EXPECT_TRUE(is_running("x-1"));
  backend().stop(plan);
  EXPECT_EQ(read(state_of("x-1") / "logs/ended"), "ended\n");
  EXPECT_FALSE(is_running("x-1"));
}

TEST_F(SidecarSandbox, ends_with_the_lifeline) {
  const json::object plan = backend().plan(spec());
  launched_.push_back(plan);
  std::filesystem::create_directories(state_of("x-1"));
  std::array<int, 2> config{};
  std::array<int, 2> lifeline{};
  ASSERT_EQ(::pipe2(config.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(lifeline.data(), O_CLOEXEC), 0);
  backend().start_sidecar(plan, config[0], lifeline[0]);
  for (const int fd : {config[0], config[1], lifeline[0]}) ::close(fd);
  ASSERT_TRUE(soon([&] { return std::filesystem::exists(state_of("x-1") / "control/ready"); }));
  ::close(lifeline[1]);
  EXPECT_TRUE(soon([&] { return !is_running("x-1"); }));
}

// The bottle's sandbox is made while the sidecar starts: nothing of it may stay when it never comes to a launch.
TEST_F(SidecarSandbox, a_stop_before_the_launch_leaves_nothing_of_the_bottle) {
  const json::object plan = backend().plan(spec());
  std::filesystem::create_directories(state_of("x-1"));
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  backend().start_sidecar(plan, null.get(), -1);
  const std::string uid = read(state_of("x-1") / "backend/bottle.uid");
  backend().remove(plan);
  EXPECT_FALSE(is_running("x-1"));
  EXPECT_TRUE(groups("x-1").empty());
  EXPECT_EQ(processes_with(home_.string()), 0);
  EXPECT_FALSE(!uid.empty() && std::filesystem::exists("/run/bot-bottle/uids/" + uid));
}

TEST_F(SidecarSandbox, a_sidecar_that_cannot_start_leaves_nothing_of_the_bottle) {
  json::object plan = backend().plan(spec());
  std::filesystem::remove(options_.installation.libexec / "bot-bottle-sidecar");
  std::filesystem::create_directories(state_of("x-1"));
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Error error = error_of([&] { backend().start_sidecar(plan, null.get(), -1); });
  EXPECT_THAT(error.message, ::testing::HasSubstr("bot-bottle-sidecar"));
  EXPECT_TRUE(groups("x-1").empty());
  EXPECT_EQ(processes_with(home_.string()), 0);
  backend().remove(plan);
}

TEST_F(SidecarSandbox, as_root_it_has_another_uid_than_the_agent) {
  if (!is_root()) return;
  const json::object plan = backend().plan(spec());
  launched_.push_back(plan);
  std::filesystem::create_directories(state_of("x-1"));
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  backend().start_sidecar(plan, null.get(), -1);
  launch();
  EXPECT_NE(read(state_of("x-1") / "backend/sidecar.uid"), read(state_of("x-1") / "backend/bottle.uid"));
  struct stat status {};
  ASSERT_EQ(::stat((state_of("x-1") / "control").c_str(), &status), 0);
  EXPECT_EQ(std::to_string(status.st_uid), read(state_of("x-1") / "backend/sidecar.uid"));
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
}

}  // namespace
}  // namespace bot_bottle::test
