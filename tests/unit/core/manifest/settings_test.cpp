// Each layer of the settings beats the next one; config.toml is read as strictly as a manifest.
#include "core/manifest/settings.hpp"

#include <sys/stat.h>

#include "tests/unit/core/manifest/fixture.hpp"

namespace bot_bottle::manifest {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class SettingsTest : public ManifestTest {
 protected:
  void TearDown() override {
    for (const SettingKey& key : setting_keys()) ::unsetenv(key.variable.c_str());
    ManifestTest::TearDown();
  }
  void config(std::string_view text) const { write(sources_.home.config(), text); }
  Manifest load_agent(const std::vector<std::string>& flags = {}) {
    std::vector<Assignment> assignments;
    for (const std::string& flag : flags) assignments.push_back(parse_assignment(flag));
    Manifest manifest = load(sources_, "a", std::nullopt);
    apply_settings(load_settings(sources_.home, assignments), manifest);
    return manifest;
  }
  std::string config_faults(std::string_view text) {
    config(text);
    return texts(check_settings(sources_.home));
  }
  static std::string place(const Manifest& manifest, const std::string& key) {
    const auto found = manifest.provenance.find(key);
    if (found == manifest.provenance.end()) return {};
    return found->second.file.filename().string() + ":" + std::to_string(found->second.line);
  }
};

TEST_F(SettingsTest, each_layer_beats_the_next_one) {
  agent("a", "---\nbottle: b\n---\n");
  bottle("b", "---\n---\n");
  EXPECT_EQ(load_agent().git_user.name, "");
  config("# mine\n[git.user]\nname = \"of the file\"\n");
  EXPECT_EQ(load_agent().git_user.name, "of the file");
  EXPECT_EQ(place(load_agent(), "git.user.name"), "config.toml:3");
  bottle("b", "---\ngit: {user: {name: of the bottle}}\n---\n");
  EXPECT_EQ(load_agent().git_user.name, "of the bottle");
  EXPECT_EQ(place(load_agent(), "git.user.name"), "b.md:2");
  agent("a", "---\nbottle: b\ngit: {user: {name: of the agent}}\n---\n");
  EXPECT_EQ(load_agent().git_user.name, "of the agent");
  EXPECT_EQ(place(load_agent(), "git.user.name"), "a.md:3");
  ::setenv("BOT_BOTTLE_GIT_USER_NAME", "of the environment", 1);
  EXPECT_EQ(load_agent().git_user.name, "of the environment");
  EXPECT_EQ(place(load_agent(), "git.user.name"), "$BOT_BOTTLE_GIT_USER_NAME:0");
  EXPECT_EQ(load_agent({"git.user.name=of the flag"}).git_user.name, "of the flag");
  EXPECT_EQ(place(load_agent({"git.user.name=of the flag"}), "git.user.name"), "--set git.user.name:0");
}

TEST_F(SettingsTest, a_bottle_wins_over_the_configuration) {
  agent("a", "---\nbottle: b\n---\n");
  bottle("b", "---\nbackend: docker\nresources: {memory: 1GiB}\nworkspace: {mode: mount}\n---\n");
  config("backend = \"local\"\n[resources]\nmemory = \"2GiB\"\npids = 64\n[workspace]\nmode = \"none\"\n");
  const Manifest manifest = load_agent();
  EXPECT_EQ(manifest.backend, "docker");
  EXPECT_EQ(manifest.resources.memory_bytes, std::uint64_t{1} << 30);
  EXPECT_EQ(manifest.resources.pids, 64U) << "what the bottle leaves open comes from the file";
  EXPECT_EQ(manifest.workspace.mode, Workspace::Mode::mount);
  EXPECT_EQ(place(manifest, "resources.pids"), "config.toml:4");
}

TEST_F(SettingsTest, every_key_has_a_variable_and_a_flag_that_win) {
  agent("a", "---\nbottle: b\n---\n");
  bottle("b", "---\nbackend: docker\nresources: {cpus: 1, memory: 1GiB, pids: 1, disk: 1GiB, timeout: 1h}\n---\n");
  for (const auto& [variable, value] : std::map<std::string, std::string>{{"BACKEND", "local"},
                                                                          {"CPUS", "0.5"},
                                                                          {"MEMORY", "2GiB"},
                                                                          {"PIDS", "2"},
                                                                          {"DISK", "2GiB"},
                                                                          {"TIMEOUT", "2h"},
                                                                          {"WORKSPACE_MODE", "none"}})
    ::setenv(("BOT_BOTTLE_" + variable).c_str(), value.c_str(), 1);
  Manifest manifest = load_agent();
  EXPECT_EQ(manifest.backend, "local");
  EXPECT_EQ(manifest.resources.cpus, 0.5);
  EXPECT_EQ(manifest.resources.memory_bytes, std::uint64_t{2} << 30);
  EXPECT_EQ(manifest.resources.pids, 2U);
  EXPECT_EQ(manifest.resources.disk_bytes, std::uint64_t{2} << 30);
  EXPECT_EQ(manifest.resources.timeout_ms, 7'200'000);
  EXPECT_EQ(manifest.workspace.mode, Workspace::Mode::none);
  manifest = load_agent({"backend=third", "resources.cpus=3", "resources.memory=3GiB", "workspace.mode=mount"});
  EXPECT_EQ(manifest.backend, "third");
  EXPECT_EQ(manifest.resources.cpus, 3);
  EXPECT_EQ(manifest.resources.memory_bytes, std::uint64_t{3} << 30);
  EXPECT_EQ(manifest.workspace.mode, Workspace::Mode::mount) << "on the command line it is explicit";
}

TEST_F(SettingsTest, those_that_are_no_manifests_obey_the_same_order) {
  config("tint = \"blue\"\nlog_level = \"verbose\"\ncolor = \"never\"\n[workspace]\nworktree = true\n");
  SettingLayers layers = load_settings(sources_.home, {});
  EXPECT_EQ(layers.find(&Settings::tint), "blue");
  EXPECT_EQ(layers.find(&Settings::worktree), true);
  EXPECT_EQ(layers.find(&Settings::log_level), LogLevel::verbose);
  EXPECT_EQ(layers.find(&Settings::color), ColorMode::never);
  ::setenv("BOT_BOTTLE_WORKTREE", "false", 1);
  ::setenv("BOT_BOTTLE_TINT", "red", 1);
  layers = load_settings(sources_.home, {parse_assignment("tint=green")});
  EXPECT_EQ(layers.find(&Settings::worktree), false);
  EXPECT_EQ(layers.find(&Settings::tint), "green");
}

TEST_F(SettingsTest, the_file_is_read_strictly) {
  EXPECT_EQ(config_faults(""), "");
  EXPECT_EQ(config_faults("bakend = \"local\"\n"),
            "home/.bot-bottle/config.toml:1:1: bakend: unknown key\n"
            "  did you mean 'backend'?");
  EXPECT_THAT(config_faults("[workspace]\nwortree = true\n"),
              HasSubstr("config.toml:2:1: workspace.wortree: unknown key\n  did you mean 'worktree'?"));
  EXPECT_THAT(config_faults("\n\ncolor = \"sometimes\"\n"), HasSubstr("config.toml:3:9: color: 'sometimes'"));
  EXPECT_THAT(config_faults("color = true\n"), HasSubstr("expected one of auto, always, never"));
  EXPECT_THAT(config_faults("[resources]\nmemory = \"lots\"\n"), HasSubstr("resources.memory: 'lots' is not a size"));
  EXPECT_THAT(config_faults("a = \n"), HasSubstr("config.toml:1:5: not valid TOML"));
  EXPECT_THAT(config_faults("a = 1\na = 2\n"), HasSubstr("not valid TOML"));
  EXPECT_THAT(config_faults(std::string("tint = \"a\0b\"\n", 13)), HasSubstr("a NUL byte"));
  EXPECT_THAT(config_faults("tint = \"\xff\"\n"), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(config_faults(std::string(300'000, '#')), HasSubstr("larger than 256 KiB"));
  EXPECT_EQ(config_faults("\xEF\xBB\xBF"
                          "tint = \"red\"\r\nlog_level = \"quiet\"\r\n"),
            "");
}

TEST_F(SettingsTest, faults_of_variables_and_flags_name_them) {
  ::setenv("BOT_BOTTLE_MEMORY", "lots", 1);
  EXPECT_THAT(texts(check_settings(sources_.home)), HasSubstr("$BOT_BOTTLE_MEMORY: resources.memory: 'lots'"));
  EXPECT_THAT(faults_of([this] { load_agent({"resources.pids=many"}); }), Not(IsEmpty()));
  EXPECT_THAT(faults_of([] { parse_assignment("memory"); }), HasSubstr("settings: "));
  EXPECT_THAT(faults_of([] { parse_assignment("resources.memry=1GiB"); }), HasSubstr("resources.memory"));
}

TEST_F(SettingsTest, no_setting_answers_questions_or_grants_powers) {
  for (const char* key : {"yes", "confirm", "trust_plugins", "allow_autorun"})
    EXPECT_THAT(config_faults(std::string(key) + " = true\n"), HasSubstr("no file answers questions"));
  for (const char* key : {"egress", "env", "agent_provider", "local", "post_init"})
    EXPECT_THAT(config_faults("[" + std::string(key) + "]\n"), HasSubstr("powers are a bottle's"));
  EXPECT_THAT(config_faults("[workspace]\nmode = \"mount\"\n"), HasSubstr("mount is no default"));
  config("");
  ::setenv("BOT_BOTTLE_WORKSPACE_MODE", "mount", 1);
  EXPECT_THAT(texts(check_settings(sources_.home)), HasSubstr("mount is no default"));
}

TEST_F(SettingsTest, a_repositorys_agent_sets_nothing_but_its_own_keys) {
  bottle("b", "---\n---\n");
  for (const char* block : {"backend: docker", "resources: {memory: 9GiB}", "workspace: {mode: mount}", "tint: red",
                            "log_level: quiet", "settings: {backend: docker}"}) {
    repository_agent("a", "---\nbottle: b\n" + std::string(block) + "\n---\n");
    EXPECT_THAT(faults_of([this] { load_agent(); }), Not(IsEmpty())) << block;
  }
  repository_agent("a", "---\nbottle: b\n---\n");
  write(root_ / "repository/.bot-bottle/config.toml", "backend = \"docker\"\n[workspace]\nmode = \"none\"\n");
  const Manifest manifest = load_agent();
  EXPECT_EQ(manifest.backend, "");
  EXPECT_EQ(manifest.workspace.mode, Workspace::Mode::copy);
  EXPECT_THAT(texts(manifest.warnings), HasSubstr("config.toml: warning: is ignored"));
}

TEST_F(SettingsTest, a_file_that_others_can_write_is_refused) {
  config("tint = \"red\"\n");
  ASSERT_EQ(::chmod(sources_.home.config().c_str(), 0666), 0);
  EXPECT_THAT(texts(check_settings(sources_.home)), HasSubstr("others can write it"));
  ASSERT_EQ(::chmod(sources_.home.config().c_str(), 0644), 0);
  EXPECT_EQ(texts(check_settings(sources_.home)), "");
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(sources_.home.config().c_str(), 4242, 4242), 0);
    EXPECT_THAT(texts(check_settings(sources_.home)), HasSubstr("others can write it"));
  }
  std::filesystem::remove(sources_.home.config());
  ASSERT_EQ(::mkfifo(sources_.home.config().c_str(), 0600), 0);
  EXPECT_THAT(texts(check_settings(sources_.home)), HasSubstr("not a regular file"));
}

TEST_F(SettingsTest, config_check_reads_it_too) {
  config("bakend = 1\n");
  EXPECT_THAT(texts(check_all(sources_)), HasSubstr("bakend: unknown key"));
}

TEST_F(SettingsTest, remembering_a_backend_keeps_every_other_line) {
  remember_backend(sources_.home, "local");
  EXPECT_EQ(or_throw(read_file(sources_.home.config())), "backend = \"local\"\n");
  config("# mine\ntint = \"red\"   # warm\n\n[workspace]\nworktree = true\nbackend_of = 1\n");
  remember_backend(sources_.home, "docker");
  EXPECT_EQ(or_throw(read_file(sources_.home.config())),
            "backend = \"docker\"\n# mine\ntint = \"red\"   # warm\n\n[workspace]\nworktree = true\nbackend_of = 1\n");
  remember_backend(sources_.home, "local");
  EXPECT_THAT(or_throw(read_file(sources_.home.config())),
              AllOf(HasSubstr("backend = \"local\"\n# mine"), Not(HasSubstr("docker"))));
}

}  // namespace
}  // namespace bot_bottle::manifest
