// Discovery, trust and loading: what becomes of each way of being a bad plugin.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "core/plugins/trust.hpp"
#include "tests/abi/plugin_home.hpp"

namespace bot_bottle::plugins {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using State = Description::State;

/// Loads the installed "subject" and gives what the operator is told.
std::string load_subject(const std::string& subject, const std::string& more = {}) {
  PluginHome home;
  home.add_installed(subject, more);
  Registry registry(home.options());
  return failure_of([&] { static_cast<void>(registry.provider("subject")); });
}

json::object minimal_spec() {
  return {{"schema", "bot-bottle.provider-spec/1"}, {"agent", "x"}, {"guest", json::object{{"home", "/home/agent"}}}};
}

TEST(Loading, a_good_plugin_loads_and_answers) {
  PluginHome home;
  home.add_installed("good");
  Registry registry(home.options());
  EXPECT_THAT(registry.names_of("provider"), ElementsAre("subject"));
  EXPECT_EQ(get_string(registry.provider("subject").describe(), "display_name"), "Test");
  EXPECT_EQ(&registry.provider("subject"), &registry.provider("subject"));
  EXPECT_THAT(home.logs, IsEmpty());
}

TEST(Loading, a_library_without_the_symbol_is_named_with_what_it_lacks) {
  EXPECT_THAT(load_subject("no_symbol"), AllOf(HasSubstr("plugin subject"), HasSubstr("exports no bb_plugin_entry")));
}

TEST(Loading, another_major_is_refused_before_anything_after_twelve_bytes_is_read) {
  EXPECT_THAT(load_subject("other_major"), HasSubstr("made for plugin ABI 2.7, this bot-bottle has 1.0"));
}

TEST(Loading, impossible_sizes_are_not_believed) {
  EXPECT_THAT(load_subject("size_zero"), HasSubstr("says it has 0 bytes"));
  EXPECT_THAT(load_subject("size_huge"), HasSubstr("says it has 1073741824 bytes"));
  EXPECT_THAT(load_subject("table_size_zero"), HasSubstr("bot-bottle.provider/1 says it has 0 bytes"));
  EXPECT_THAT(load_subject("table_size_huge"), HasSubstr("bot-bottle.provider/1 says it has 1073741824 bytes"));
}

TEST(Loading, all_faults_are_reported_at_once) {
  const std::string text = load_subject("missing_slots", "version = \"9\"\nabi = \"1.0\"\n");
  EXPECT_THAT(text, HasSubstr("plugin.toml says version 9, the library says 1.0.0"));
  EXPECT_THAT(text, HasSubstr("bot-bottle.provider/1 lacks destroy, plan"));
  EXPECT_THAT(text, HasSubstr("bot-bottle.backend/1 lacks create, destroy, probe, plan, start_sidecar"));
  EXPECT_THAT(text, HasSubstr("3 faults"));
  EXPECT_THAT(load_subject("null_functions"), HasSubstr("bb_plugin_entry lacks init, get_interface"));
}

TEST(Loading, an_interface_that_is_promised_and_not_there_is_a_lie) {
  EXPECT_THAT(load_subject("no_interface"), HasSubstr("offers no bot-bottle.provider/1"));
}

TEST(Loading, init_that_fails_or_throws_is_reported) {
  EXPECT_THAT(load_subject("init_fails"), HasSubstr("init failed with status 7"));
  EXPECT_THAT(load_subject("init_throws"), HasSubstr("init threw \"from init\""));
}

TEST(Loading, services_are_not_given_to_init) {
  PluginHome home;
  home.add_installed("init_asks");
  Registry registry(home.options());
  EXPECT_EQ(get_string(registry.provider("subject").describe(), "display_name"), "Test");
  ASSERT_EQ(home.logs.size(), 1U);
  EXPECT_EQ(home.logs[0].level, 4U);
  EXPECT_THAT(home.logs[0].text, HasSubstr("from init"));
}

TEST(Loading, lies_in_plugin_toml_are_found) {
  EXPECT_THAT(load_subject("good", "version = \"2.0.0\"\nabi = \"1.0\"\n"),
              HasSubstr("plugin.toml says version 2.0.0, the library says 1.0.0"));
  EXPECT_THAT(load_subject("good", "version = \"1.0.0\"\nabi = \"1.3\"\n"),
              HasSubstr("plugin.toml says abi 1.3, the library says 1.0"));
  PluginHome home;
  home.add(home.installed(), "subject", "good", PluginHome::toml("other", "\"provider:subject\", \"backend:subject\""));
  Registry registry(home.options());
  const std::string text = failure_of([&] { static_cast<void>(registry.provider("subject")); });
  EXPECT_THAT(text, HasSubstr("plugin.toml says name other, the library says subject"));
  EXPECT_THAT(text, HasSubstr("offers no bot-bottle.backend/1"));
}

TEST(Loading, one_bad_plugin_does_not_touch_another) {
  PluginHome home;
  home.add_installed("no_symbol");
  home.add(home.installed(), "broken", "", "this is not TOML");
  home.add(home.installed(), "fine", "good", PluginHome::toml("subject2", "\"provider:fine\""));
  // Same library, but it calls itself "subject": this one lies, too, and the next does not.
  Registry registry(home.options());
  EXPECT_THAT(failure_of([&] { static_cast<void>(registry.provider("subject")); }), HasSubstr("bb_plugin_entry"));
  EXPECT_THAT(failure_of([&] { static_cast<void>(registry.provider("fine")); }), HasSubstr("says name subject2"));
  PluginHome::put(PluginHome::subject("good"), home.installed() / "subject" / "it.so");
  EXPECT_EQ(get_string(registry.provider("subject").describe(), "display_name"), "Test");
}

TEST(Loading, a_plugin_of_the_future_runs_and_its_unknown_functions_are_not_called) {
  PluginHome home;
  home.add_installed("newer", "version = \"1.0.0\"\nabi = \"1.9\"\n");
  Registry registry(home.options());
  EXPECT_EQ(get_string(registry.provider("subject").describe(), "display_name"), "Test");
}

TEST(Loading, the_examples_load_c_and_cpp) {
  PluginHome home;
  for (const char* name : {"hello-c", "hello-cpp"}) {
    std::filesystem::copy(std::filesystem::path(BB_BUILD_DIR) / "tests" / "plugins" / name, home.installed() / name);
  }
  Registry registry(home.options());
  EXPECT_THAT(registry.names_of("provider"), ElementsAre("hello-c", "hello-cpp"));
  for (const char* name : {"hello-c", "hello-cpp"}) {
    Provider& provider = registry.provider(name);
    EXPECT_EQ(get_string(provider.describe(), "display_name"), "Hello") << name;
    EXPECT_THAT(get_strings(provider.plan(minimal_spec()), "argv"), Not(IsEmpty()));
    json::object spec = minimal_spec();
    spec["resume"] = true;
    const std::string text = failure_of([&] { provider.plan(spec); });
    EXPECT_THAT(text, AllOf(HasSubstr(std::string("provider ") + name + ": plan: hello cannot be resumed"),
                            HasSubstr("start a new bottle")));
  }
}

#ifdef BB_OTHER_COMPILER
TEST(Loading, a_plugin_of_another_compiler_loads) {
  PluginHome home;
  home.add(home.installed(), "hello-cpp", "other_compiler", PluginHome::toml("hello-cpp", "\"provider:hello-cpp\""));
  Registry registry(home.options());
  EXPECT_EQ(get_string(registry.provider("hello-cpp").describe(), "display_name"), "Hello");
}
#endif

TEST(Loading, init_runs_once_in_a_process_and_services_end_with_the_registry) {
  PluginHome home;
  home.add_installed("init_asks");
  {
    Registry first(home.options());
    first.provider("subject").describe();
  }
  Registry second(home.options());
  second.provider("subject").describe();
  EXPECT_LE(home.logs.size(), 1U);
}

TEST(Loading, deinit_runs_once_at_the_end_of_the_process_and_only_after_a_good_init) {
  PluginHome home;
  home.add_installed("deinit");
  EXPECT_EXIT(
      {
        for (int count = 0; count < 2; ++count) Registry(home.options()).provider("subject").describe();
        std::exit(0);
      },
      ::testing::ExitedWithCode(0), AllOf(HasSubstr("deinit\n"), Not(HasSubstr("deinit\ndeinit"))));
}

// ---- discovery ---------------------------------------------------------------------------------------------------

const Description* find(const Registry& registry, const std::filesystem::path& directory) {
  for (const Description& plugin : registry.list()) {
    if (plugin.directory == directory) return &plugin;
  }
  return nullptr;
}

TEST(Discovery, contrib_comes_first_and_the_shadowed_one_is_shown) {
  PluginHome home;
  const auto installed = home.add_installed("good");
  const auto contrib = home.add(home.contrib(), "subject", "good", PluginHome::toml("subject", "\"provider:subject\""));
  HostOptions options = home.options();
  options.trust_all = true;
  const Registry registry(options);
  EXPECT_EQ(find(registry, contrib)->state, State::ready);
  EXPECT_EQ(find(registry, installed)->state, State::shadowed);
  EXPECT_THAT(find(registry, installed)->reason, HasSubstr(contrib.string()));
  EXPECT_EQ(registry.description_of("provider", "subject").directory, contrib);
}

TEST(Discovery, a_misspelt_name_gets_a_suggestion_and_unusable_plugins_are_mentioned) {
  PluginHome home;
  home.add_installed("good");
  home.add(home.installed(), "broken", "good", "name = 1");
  Registry registry(home.options());
  EXPECT_THAT(failure_of([&] { static_cast<void>(registry.provider("subjet")); }),
              AllOf(HasSubstr("no provider called subjet"), HasSubstr("did you mean subject?"), HasSubstr("broken")));
  EXPECT_THAT(failure_of([&] { static_cast<void>(registry.backend("local")); }), HasSubstr("no backend called local"));
}

TEST(Discovery, plugin_toml_is_read_strictly) {
  const auto reason = [](const std::string& text) {
    PluginHome home;
    const auto directory = home.add(home.installed(), "subject", "good", text);
    const Registry registry(home.options());
    EXPECT_EQ(find(registry, directory)->state, State::refused) << text;
    return find(registry, directory)->reason;
  };
  const std::string good = PluginHome::toml("subject", "\"provider:subject\"");
  EXPECT_THAT(reason(good + "versoin = \"1\"\n"), HasSubstr("unknown key \"versoin\", did you mean \"version\"?"));
  EXPECT_THAT(reason("name = \"subject\"\n"), HasSubstr("\"version\" is missing"));
  EXPECT_THAT(reason(good + "["), HasSubstr("plugin.toml:7"));
  EXPECT_THAT(reason(PluginHome::toml("../x", "\"provider:subject\"")), HasSubstr("\"name\" may only have"));
  EXPECT_THAT(reason(PluginHome::toml("subject", "")), HasSubstr("\"provides\" is missing or empty"));
  EXPECT_THAT(reason(PluginHome::toml("subject", "\"subject\"")), HasSubstr("unknown kind"));
  EXPECT_THAT(reason(PluginHome::toml("subject", "\"backnd:x\"")), HasSubstr("unknown kind \"backnd\""));
  EXPECT_THAT(reason(PluginHome::toml("subject", "\"provider:a b\"")), HasSubstr("not of the form"));
  EXPECT_THAT(reason(PluginHome::toml("subject", "\"com.exa mple/../x:thing\"")), HasSubstr("unknown kind"));
  EXPECT_THAT(reason(PluginHome::toml("subject", "\"provider:subject\"", "version = \"1\\u001b[2J\"\nabi = \"1.0\"\n")),
              HasSubstr("control character"));
  EXPECT_THAT(reason(PluginHome::toml("subject", "\"provider:subject\"", "version = \"1\"\nabi = \"2.0\"\n")),
              HasSubstr("this bot-bottle has 1.0"));
  EXPECT_THAT(reason(PluginHome::toml("subject", "\"provider:subject\"", "version = \"1\"\nabi = \"one\"\n")),
              HasSubstr("not of the form \"1.0\""));
  std::string outside = good;
  outside.replace(outside.find("it.so"), 5, "../it.so");
  EXPECT_THAT(reason(outside), HasSubstr("not a path"));
  std::string missing = good;
  missing.replace(missing.find("it.so"), 5, "no.so");
  EXPECT_THAT(reason(missing), HasSubstr("there is no no.so"));
}

TEST(Discovery, what_is_no_regular_file_is_refused_and_holds_nobody_up) {
  for (const std::string file : {"plugin.toml", "it.so"}) {
    for (const bool is_pipe : {true, false}) {
      PluginHome home;
      const auto directory = home.add_installed("good");
      std::filesystem::rename(directory / file, directory / "elsewhere");
      if (is_pipe)
        ASSERT_EQ(::mkfifo((directory / file).c_str(), 0600), 0);
      else
        std::filesystem::create_symlink("elsewhere", directory / file);
      const Registry registry(home.options());
      EXPECT_EQ(find(registry, directory)->state, State::refused) << file;
      EXPECT_THAT(find(registry, directory)->reason, HasSubstr(is_pipe ? "not a regular file" : "is a link")) << file;
      const auto lines = check_plugin(directory, home.options());
      ASSERT_EQ(lines.size(), 1U) << file;
      EXPECT_EQ(lines[0].outcome, CheckOutcome::failed);
    }
  }
}

TEST(Discovery, a_bare_library_is_listed_and_never_opened_unasked) {
  PluginHome home;
  const auto directory = home.add(home.contrib(), "bare", "init_aborts", "");
  HostOptions options = home.options();
  options.trust_all = true;
  Registry registry(options);
  ASSERT_NE(find(registry, directory), nullptr);
  EXPECT_EQ(find(registry, directory)->state, State::not_described);
  EXPECT_THAT(find(registry, directory)->fix, HasSubstr("plugin trust"));
  EXPECT_THAT(failure_of([&] { static_cast<void>(registry.provider("it")); }), HasSubstr("no provider called it"));
}

TEST(Discovery, a_bare_library_that_is_trusted_by_path_is_asked_in_a_child_and_then_usable) {
  PluginHome home;
  const auto directory = home.add(home.contrib(), "bare", "good", "");
  Registry registry(home.options());
  registry.trust((directory / "it.so").string());
  EXPECT_THAT(registry.names_of("provider"), ElementsAre("subject"));
  EXPECT_EQ(get_string(registry.provider("subject").describe(), "display_name"), "Test");

  const auto crashing = home.add(home.contrib(), "crashing", "init_aborts", "");
  EXPECT_THAT(failure_of([&] { registry.trust((crashing / "it.so").string()); }), HasSubstr("died of SIGABRT"));
}

// ---- trust -------------------------------------------------------------------------------------------------------

TEST(Trust, a_contrib_plugin_runs_only_after_it_was_trusted) {
  PluginHome home;
  const auto directory =
      home.add(home.contrib(), "subject", "good", PluginHome::toml("subject", "\"provider:subject\""));
  Registry registry(home.options());
  EXPECT_EQ(find(registry, directory)->state, State::untrusted);
  EXPECT_THAT(registry.names_of("provider"), IsEmpty());
  EXPECT_THAT(failure_of([&] { static_cast<void>(registry.provider("subject")); }),
              AllOf(HasSubstr("is not trusted"), HasSubstr("bot-bottle plugin trust subject")));
  registry.trust("subject");
  EXPECT_EQ(find(registry, directory)->state, State::ready);
  EXPECT_EQ(get_string(registry.provider("subject").describe(), "display_name"), "Test");

  struct stat status {};
  ASSERT_EQ(::stat(home.trust_file().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST(Trust, a_changed_library_has_to_be_trusted_again) {
  PluginHome home;
  const auto directory =
      home.add(home.contrib(), "subject", "good", PluginHome::toml("subject", "\"provider:subject\""));
  Registry(home.options()).trust("subject");
  PluginHome::put(PluginHome::subject("ok_with_fail"), directory / "it.so");
  Registry registry(home.options());
  EXPECT_EQ(find(registry, directory)->state, State::untrusted);
  EXPECT_THAT(find(registry, directory)->reason, HasSubstr("changed"));
  EXPECT_THAT(failure_of([&] { static_cast<void>(registry.provider("subject")); }),
              HasSubstr("has changed since it was trusted"));
}

TEST(Trust, a_library_that_changes_after_discovery_is_not_loaded) {
  PluginHome home;
  const auto directory =
      home.add(home.contrib(), "subject", "good", PluginHome::toml("subject", "\"provider:subject\""));
  Registry(home.options()).trust("subject");
  Registry registry(home.options());
  ASSERT_EQ(find(registry, directory)->state, State::ready);
  PluginHome::put(PluginHome::subject("init_aborts"), directory / "it.so");  // would end this process
  EXPECT_THAT(failure_of([&] { static_cast<void>(registry.provider("subject")); }),
              HasSubstr("has changed since it was trusted"));
}

TEST(Trust, the_operator_is_asked_once_and_the_answer_is_kept) {
  PluginHome home;
  home.add(home.contrib(), "subject", "good", PluginHome::toml("subject", "\"provider:subject\""));
  HostOptions options = home.options();
  int asked = 0;
  bool answer = false;
  options.ask_trust = [&](const Description& plugin, const std::string& sha256) {
    EXPECT_EQ(plugin.name, "subject");
    EXPECT_EQ(sha256.size(), 64U);
    ++asked;
    return answer;
  };
  EXPECT_THAT(failure_of([&] { static_cast<void>(Registry(options).provider("subject")); }),
              HasSubstr("is not trusted"));
  answer = true;
  EXPECT_EQ(failure_of([&] { static_cast<void>(Registry(options).provider("subject")); }), "");
  EXPECT_EQ(failure_of([&] { static_cast<void>(Registry(options).provider("subject")); }), "");
  EXPECT_EQ(asked, 2);
}

TEST(Trust, what_others_can_write_to_is_refused_with_the_command_that_mends_it) {
  for (const char* part : {"", "it.so", "plugin.toml"}) {
    PluginHome home;
    const auto directory = home.add_installed("good");
    const auto path = *part == '\0' ? directory : directory / part;
    ASSERT_EQ(::chmod(path.c_str(), std::filesystem::is_directory(path) ? 0777 : 0666), 0);
    Registry registry(home.options());
    EXPECT_EQ(find(registry, directory)->state, State::refused) << part;
    EXPECT_THAT(failure_of([&] { static_cast<void>(registry.provider("subject")); }),
                AllOf(HasSubstr("can be written by others"), HasSubstr("chmod go-w " + path.string())));
  }
}

TEST(Trust, a_parent_that_everyone_can_write_to_is_refused_unless_it_is_sticky) {
  PluginHome home;
  const auto directory = home.add_installed("good");
  ASSERT_EQ(::chmod(home.installed().c_str(), 0777), 0);
  EXPECT_THAT(find(Registry(home.options()), directory)->reason, HasSubstr("can be written by everyone"));
  ASSERT_EQ(::chmod(home.installed().c_str(), 01777), 0);
  EXPECT_EQ(find(Registry(home.options()), directory)->state, State::ready);
}

TEST(Trust, a_mode_that_changes_after_discovery_is_seen_on_the_descriptor) {
  PluginHome home;
  const auto directory = home.add_installed("good");
  Registry registry(home.options());
  ASSERT_EQ(::chmod((directory / "it.so").c_str(), 0777), 0);
  EXPECT_THAT(failure_of([&] { static_cast<void>(registry.provider("subject")); }),
              HasSubstr("can be written by others"));
}

TEST(Trust, a_library_that_is_a_link_is_never_opened) {
  PluginHome home;
  const auto directory = home.add_installed("good");
  std::filesystem::rename(directory / "it.so", directory / "real.so");
  std::filesystem::create_symlink("real.so", directory / "it.so");
  Registry registry(home.options());
  EXPECT_THAT(failure_of([&] { static_cast<void>(registry.provider("subject")); }), HasSubstr("is a link"));
}

TEST(Trust, what_belongs_to_someone_else_is_refused) {
  struct stat status {};
  status.st_mode = S_IFREG | 0644;
  status.st_uid = ::geteuid() + 1;
  ASSERT_TRUE(refuse_foreign("/x", status).has_value());
  EXPECT_THAT(refuse_foreign("/x", status)->reason, HasSubstr("belongs to user"));
  status.st_uid = 0;
  EXPECT_FALSE(refuse_foreign("/x", status).has_value());
}

TEST(Trust, a_trust_file_that_others_can_write_to_counts_for_nothing) {
  PluginHome home;
  const auto directory =
      home.add(home.contrib(), "subject", "good", PluginHome::toml("subject", "\"provider:subject\""));
  Registry(home.options()).trust("subject");
  ASSERT_EQ(::chmod(home.trust_file().c_str(), 0666), 0);
  Registry registry(home.options());
  EXPECT_EQ(find(registry, directory)->state, State::untrusted);
  EXPECT_THAT(failure_of([&] { registry.trust("subject"); }), HasSubstr("can be written by others"));
}

TEST(Trust, a_trust_file_keeps_its_other_entries) {
  PluginHome home;
  home.add(home.contrib(), "subject", "good", PluginHome::toml("subject", "\"provider:subject\""));
  home.add(home.contrib(), "other", "newer", PluginHome::toml("other", "\"provider:other\""));
  Registry registry(home.options());
  registry.trust("subject");
  registry.trust("other");
  registry.trust("other");
  EXPECT_EQ(TrustStore::load(home.trust_file()).entries().size(), 2U);
  EXPECT_THAT(registry.names_of("provider"), ElementsAre("other", "subject"));
  EXPECT_THAT(failure_of([&] { registry.trust("sbject"); }), HasSubstr("did you mean subject?"));
}

// The link is the operator's; what it leads to is what is read.
TEST(Trust, a_trust_file_that_others_can_write_is_refused_behind_a_link_too) {
  PluginHome home;
  home.add(home.contrib(), "subject", "good", PluginHome::toml("subject", "\"provider:subject\""));
  Registry(home.options()).trust("subject");
  const std::filesystem::path file = home.trust_file();
  const std::filesystem::path elsewhere = file.parent_path() / "elsewhere.toml";
  std::filesystem::rename(file, elsewhere);
  std::filesystem::create_symlink(elsewhere, file);
  EXPECT_EQ(TrustStore::load(file).entries().size(), 1U);
  std::filesystem::permissions(elsewhere, std::filesystem::perms::group_write, std::filesystem::perm_options::add);
  const TrustStore store = TrustStore::load(file);
  EXPECT_TRUE(store.entries().empty());
  EXPECT_THAT(store.problem(), HasSubstr("can be written by others"));
}

}  // namespace
}  // namespace bot_bottle::plugins
