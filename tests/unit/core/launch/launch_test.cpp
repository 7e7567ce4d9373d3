// start, run and resume against fakes: what exists at the end, what was undone, where the secrets went.
#include "launch_fixture.hpp"

namespace bot_bottle::launch {
namespace {

TEST_F(LaunchTest, a_run_that_ends_well_leaves_nothing) {
  backend.agent_script = "cat; echo done";
  const SessionResult result = run();
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.captured, "writedone\n");
  EXPECT_FALSE(result.preserved);
  EXPECT_TRUE(result.clean);
  EXPECT_EQ(get_int(result.counters, "blocked", 0), 1);
  EXPECT_FALSE(state_exists());
  EXPECT_EQ(backend.calls, (std::vector<std::string>{"plan", "build", "start_sidecar", "launch",
                                                     "exec /run/bottle/bin/bottle-init --selftest", "exec /bin/sh -s",
                                                     "attach_argv", "remove"}));
  EXPECT_EQ(cancel_fds.back(), -1) << "the way back cannot be cancelled";
}

TEST_F(LaunchTest, F1_a_secret_reaches_the_sidecars_pipe_and_nothing_else) {
  manifest.git_user = {"Ann", "ann@example.com"};
  provider.plan_result["files"] =
      json::array{json::object{{"path", "/home/agent/.tool/config"}, {"mode", 384}, {"content", "x"}}};
  provider.plan_result["commands"] = one_command({"tool", "setup"});
  options.keep = Keep::always;
  backend.agent_script = "env; cat";
  const SessionResult result = run();
  EXPECT_NE(backend.sidecar_config().find(planted), std::string::npos);
  for (const auto& document : backend.documents) EXPECT_EQ(document.find(planted), std::string::npos) << document;
  for (const auto& document : provider.documents) EXPECT_EQ(document.find(planted), std::string::npos) << document;
  EXPECT_EQ(result.captured.find(planted), std::string::npos);
  // Nor in any file of the state that is kept.
  for (const auto& entry : std::filesystem::recursive_directory_iterator(place.home.root)) {
    if (!entry.is_regular_file()) continue;
    EXPECT_EQ(or_throw(read_file(entry.path())).find(planted), std::string::npos) << entry.path();
  }
}

TEST_F(LaunchTest, canaries_reach_the_sidecar_fresh_at_each_start_and_no_document) {
  const auto given = [this] { return or_throw(parse_json_object(backend.sidecar_config())).at("canaries").as_array(); };
  backend.agent_script = "exit 9";
  run();
  const json::array first = given();
  ASSERT_EQ(first.size(), 5U);
  for (const json::value& canary : first)
    for (const auto& document : backend.documents)
      EXPECT_EQ(document.find(get_string(canary.as_object(), "value")), std::string::npos) << document;
  choices.home = plan::GuestHome::reused;
  run();
  const json::array second = given();
  EXPECT_EQ(second.size(), 10U) << "those of before are watched on";
  EXPECT_NE(second[0], first[0]);
  EXPECT_EQ(second[5], first[0]);
  manifest.egress.canaries = false;
  backend.calls.clear();
  run();
  EXPECT_TRUE(given().empty());
  EXPECT_FALSE(backend.was_called("exec /bin/sh -s"));
}

TEST_F(LaunchTest, F1_a_bottle_that_would_hold_a_secret_is_never_made) {
  manifest.env["MY_KEY"] = {manifest::EnvEntry::Kind::literal, std::string("x") + planted, {}};
  EXPECT_EQ(run_to_failure().kind, ErrorKind::refused);
  EXPECT_FALSE(state_exists());
  EXPECT_FALSE(backend.was_called("start_sidecar"));
}

TEST_F(LaunchTest, a_plan_creates_nothing) {
  make();
  EXPECT_FALSE(std::filesystem::exists(place.home.root));
  EXPECT_EQ(backend.calls, (std::vector<std::string>{"plan"}));
}

TEST_F(LaunchTest, a_failure_in_any_step_undoes_all_before_it) {
  for (const char* step : {"state", "rules", "image", "sidecar", "bottle", "self-test", "provision"}) {
    ::setenv("BOT_BOTTLE_TEST_FAIL_AT", step, 1);
    backend.calls.clear();
    const Error error = run_to_failure();
    EXPECT_NE(error.message.find(step), std::string::npos);
    EXPECT_FALSE(state_exists()) << step;
    const bool had_sidecar = backend.was_called("start_sidecar");
    EXPECT_EQ(had_sidecar, backend.was_called("remove")) << step;
    EXPECT_LE(std::ranges::count(backend.calls, "remove"), 1) << step;
    EXPECT_FALSE(backend.was_called("attach_argv")) << step;
  }
}

TEST_F(LaunchTest, what_was_undone_is_said) {
  ::setenv("BOT_BOTTLE_TEST_FAIL_AT", "bottle", 1);
  run_to_failure();
  ASSERT_FALSE(notes.empty());
  EXPECT_EQ(notes.back(), "undone: the bottle, the sidecar, the state");
}

TEST_F(LaunchTest, a_backend_that_fails_to_launch_is_asked_to_remove_what_the_plan_names) {
  backend.on_call["launch"] = [] { throw Failure(make_error(ErrorKind::unavailable, "no bwrap")); };
  EXPECT_EQ(run_to_failure().kind, ErrorKind::unavailable);
  EXPECT_TRUE(backend.was_called("remove"));
  EXPECT_FALSE(state_exists());
}

TEST_F(LaunchTest, an_undo_that_fails_is_told_and_the_state_is_still_removed) {
  backend.on_call["remove"] = [] { throw Failure(make_error(ErrorKind::timeout, "it hangs")); };
  const SessionResult result = run();
  EXPECT_FALSE(result.clean);
  EXPECT_FALSE(state_exists());
  ASSERT_FALSE(warnings.empty());
  EXPECT_NE(warnings.front().find("it hangs"), std::string::npos);
}

TEST_F(LaunchTest, a_signal_during_a_step_undoes_everything) {
  backend.on_call["launch"] = [] {
    ::raise(SIGINT);
    throw Failure(make_error(ErrorKind::cancelled, "cancelled"));
  };
  EXPECT_EQ(run_to_failure().kind, ErrorKind::cancelled);
  EXPECT_FALSE(state_exists());
  EXPECT_TRUE(backend.was_called("remove"));
}

TEST_F(LaunchTest, a_signal_that_a_step_does_not_notice_stops_the_launch_after_it) {
  provider.on_provision = [] { ::raise(SIGTERM); };
  EXPECT_EQ(run_to_failure().kind, ErrorKind::cancelled);
  EXPECT_FALSE(backend.was_called("attach_argv"));
  EXPECT_FALSE(state_exists());
}

TEST_F(LaunchTest, a_bottle_that_fails_its_self_test_is_removed_before_any_program_ran_in_it) {
  backend.exec_results["/run/bottle/bin/bottle-init"] = {
      {"code", 1}, {"stdout", R"({"ok":false,"failed":["interfaces: eth0"]})"}, {"stderr", ""}};
  manifest.post_init = {{"make", "setup"}};
  const Error error = run_to_failure();
  EXPECT_EQ(error.kind, ErrorKind::refused);
  EXPECT_NE(error.details.find("interfaces: eth0"), std::string::npos);
  EXPECT_FALSE(backend.was_called("exec make setup"));
  EXPECT_FALSE(backend.was_called("copy_in"));
  EXPECT_TRUE(backend.was_called("remove"));
}

TEST_F(LaunchTest, a_self_test_that_says_nothing_has_failed) {
  backend.exec_results["/run/bottle/bin/bottle-init"] = {{"code", 0}, {"stdout", ""}, {"stderr", ""}};
  EXPECT_EQ(run_to_failure().kind, ErrorKind::refused);
}

TEST_F(LaunchTest, a_failing_post_init_stops_the_launch_with_its_output) {
  manifest.post_init = {{"make", "setup"}};
  backend.exec_results["make"] = {{"code", 2}, {"stdout", "compiling\n"}, {"stderr", "no rule"}};
  const Error error = run_to_failure();
  EXPECT_NE(error.message.find("make setup"), std::string::npos);
  EXPECT_EQ(error.details, "compiling\nno rule");
  EXPECT_FALSE(state_exists());
}

TEST_F(LaunchTest, a_failing_mcp_registration_is_a_warning_with_the_command) {
  provider.plan_result["mcp_commands"] = one_command({"tool", "mcp", "add"});
  backend.exec_results["tool"] = {{"code", 1}, {"stdout", ""}, {"stderr", "no"}};
  EXPECT_EQ(run().code, 0);
  ASSERT_FALSE(warnings.empty());
  EXPECT_NE(warnings.front().find("tool mcp add"), std::string::npos);
}

TEST_F(LaunchTest, a_slug_in_use_is_not_touched) {
  state::Metadata metadata;
  metadata.slug = "writer-1";
  metadata.agent = "somebody else";
  state::Directory::reserve(place.home, metadata);
  // Its own type, so that the caller can ask for another name.
  EXPECT_THROW(run(), state::SlugTaken);
  EXPECT_EQ(state::Directory::open(place.home, "writer-1").metadata().agent, "somebody else");
  EXPECT_TRUE(notes.empty()) << "nothing was undone";
}

TEST_F(LaunchTest, a_sidecar_that_never_comes_up_is_told_with_its_log) {
  backend.answer = [](const json::object&) {
    return "{\"id\":1,\"error\":{\"kind\":\"internal\",\"message\":\"rules are broken\"}}\n";
  };
  backend.on_call["start_sidecar"] = [this] {
    std::ofstream(backend.state_dir / "logs" / "sidecar.log") << "fatal: no rules\n";
  };
  const Error error = run_to_failure();
  EXPECT_NE(error.message.find("rules are broken"), std::string::npos);
  EXPECT_NE(error.details.find("fatal: no rules"), std::string::npos);
  EXPECT_FALSE(state_exists());
}

TEST_F(LaunchTest, F4_a_status_without_a_certificate_or_with_a_key_is_refused) {
  backend.answer = [](const json::object&) {
    return "{\"id\":1,\"ok\":{\"ready\":true,\"ca_pem\":\"-----BEGIN CERTIFICATE-----\\n-----BEGIN PRIVATE "
           "KEY-----\"}}\n";
  };
  EXPECT_EQ(run_to_failure().kind, ErrorKind::internal);
  EXPECT_FALSE(backend.was_called("launch"));
}

TEST_F(LaunchTest, the_rules_are_compiled_once_for_an_installation) {
  run();
  run();
  EXPECT_EQ(or_throw(read_file(place.root / "compiled")), "run\n");
  std::ofstream(place.installation.share / "rules" / "a.toml") << "changed rules";
  run();
  EXPECT_EQ(or_throw(read_file(place.root / "compiled")), "run\nrun\n");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(place.home.cache()), {}), 1) << "the old one is gone";
}

TEST_F(LaunchTest, a_database_that_the_sidecar_could_not_use_is_removed) {
  const auto say = [&](const std::string& from) {
    backend.answer = [from](const json::object& request) {
      const std::string status = ready_status(request);
      return status.substr(0, status.rfind("}}")) + ",\"rules_from\":\"" + from + "\"}}\n";
    };
  };
  say("database");
  run();
  run();
  EXPECT_EQ(or_throw(read_file(place.root / "compiled")), "run\n");
  say("rule files");
  run();
  EXPECT_EQ(or_throw(read_file(place.root / "compiled")), "run\n");
  say("database");
  run();
  EXPECT_EQ(or_throw(read_file(place.root / "compiled")), "run\nrun\n");
}

TEST_F(LaunchTest, files_skills_and_identity_go_in_with_one_copy) {
  std::filesystem::create_directories(place.root / ".tool/skills/pdf");
  std::ofstream(place.root / ".tool/skills/pdf/SKILL.md") << "skill";
  std::filesystem::create_symlink("/etc/passwd", place.root / ".tool/skills/pdf/link");
  manifest.skills = {"pdf"};
  manifest.git_user = {"Ann \"A\" \\ Example\n[core]", "ann@example.com"};
  provider.plan_result["files"] =
      json::array{json::object{{"path", "/home/agent/.tool/config"}, {"mode", 384}, {"content", "x = 1"}}};
  options.keep = Keep::always;
  run();
  EXPECT_EQ(std::ranges::count(backend.calls, "copy_in"), 1);
  const std::filesystem::path staging = place.home.state_of("writer-1") / "provision";
  EXPECT_EQ(or_throw(read_file(staging / ".tool/config")), "x = 1");
  EXPECT_EQ(std::filesystem::status(staging / ".tool/config").permissions(), std::filesystem::perms(0600));
  EXPECT_EQ(or_throw(read_file(staging / ".tool/skills/pdf/SKILL.md")), "skill");
  EXPECT_TRUE(std::filesystem::is_symlink(staging / ".tool/skills/pdf/link")) << "a link is never followed on the host";
  EXPECT_EQ(or_throw(read_file(staging / ".gitconfig")),
            "[user]\n\tname = \"Ann \\\"A\\\" \\\\ Example [core]\"\n\temail = \"ann@example.com\"\n");
}

TEST_F(LaunchTest, a_file_outside_the_guests_home_is_refused) {
  for (const char* path :
       {"/etc/passwd", "/home/agent/../../etc/passwd", "relative", "/home/agent", "/home/agentx/a"}) {
    provider.plan_result["files"] = json::array{json::object{{"path", path}, {"content", "x"}}};
    EXPECT_EQ(run_to_failure().kind, ErrorKind::internal) << path;
    EXPECT_FALSE(backend.was_called("copy_in"));
  }
}

TEST_F(LaunchTest, guards_are_disabled_only_where_a_test_says_so) {
  ::setenv("BOT_BOTTLE_TEST_DISABLE_GUARDS", "ssrf, dlp", 1);
  run();
  EXPECT_NE(backend.sidecar_config().find(R"("disabled_guards":["ssrf","dlp"])"), std::string::npos);
  EXPECT_NE(backend.documents.front().find(R"("disabled_guards":["ssrf","dlp"])"), std::string::npos);
}

TEST_F(LaunchTest, a_timeout_that_nobody_could_hold_is_refused) {
  manifest.resources.timeout_ms = 1000;
  choices.session = plan::Session::detached;
  EXPECT_EQ(run_to_failure().kind, ErrorKind::unsupported);
}

}  // namespace
}  // namespace bot_bottle::launch
