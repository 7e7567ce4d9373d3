// The operator's defaults as `info`, `config` and the output itself show them.
#include "tests/acceptance/cli/cli_fixture.hpp"

namespace bot_bottle::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

class CliSettings : public Cli {
 protected:
  void SetUp() override {
    write("home/.bot-bottle/bottles/b.md",
          "---\nagent_provider: {template: command, command: [\"true\"]}\nresources:\n  memory: 1GiB\n---\n");
    write("home/.bot-bottle/agents/a.md", "---\nbottle: b\ngit: {user: {name: Agent}}\n---\n");
  }
  /// The line of `info a` that begins with `key`, its runs of blanks as one.
  std::string row(const std::string& key, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"info", "a"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    std::size_t at = result.out.find("\n" + key + " ");
    if (at == std::string::npos) return result.out;
    std::string line;
    for (++at; at < result.out.size() && result.out[at] != '\n'; ++at)
      if (result.out[at] != ' ' || line.empty() || line.back() != ' ') line += result.out[at];
    return line;
  }
};

TEST_F(CliSettings, info_says_who_wins_and_where) {
  EXPECT_EQ(row("backend"), "backend automatic built-in");
  EXPECT_EQ(row("workspace"), "workspace copy at /workspace built-in");
  write("home/.bot-bottle/config.toml",
        "backend = \"docker\"\n[resources]\nmemory = \"4GiB\"\npids = 64\n[git.user]\nname = \"Op\"\n");
  EXPECT_EQ(row("backend"), "backend docker ~/.bot-bottle/config.toml:1");
  EXPECT_EQ(row("pids"), "pids 64 ~/.bot-bottle/config.toml:4");
  EXPECT_EQ(row("memory"), "memory 1.0 GiB ~/.bot-bottle/bottles/b.md:4") << "the bottle wins over the file";
  EXPECT_EQ(row("git name"), "git name Agent ~/.bot-bottle/agents/a.md:3") << "the agent wins over the file";
  environment_["BOT_BOTTLE_MEMORY"] = "2GiB";
  environment_["BOT_BOTTLE_BACKEND"] = "local";
  EXPECT_EQ(row("memory"), "memory 2.0 GiB $BOT_BOTTLE_MEMORY");
  EXPECT_EQ(row("backend"), "backend local $BOT_BOTTLE_BACKEND");
  EXPECT_EQ(row("backend", {"--backend", "other"}), "backend other --backend");
  EXPECT_EQ(row("memory", {"--set", "resources.memory=3GiB"}), "memory 3.0 GiB --set resources.memory");
  const auto document = parse_json_object(run({"info", "a", "--json"}).out);
  ASSERT_TRUE(document);
  const json::object& place = document->at("provenance").at("resources.pids").as_object();
  EXPECT_THAT(get_string(place, "file"), testing::EndsWith("config.toml"));
  EXPECT_EQ(get_int(place, "line", 0), 4);
}

TEST_F(CliSettings, config_show_lists_them_and_config_check_reads_them) {
  write("home/.bot-bottle/config.toml", "tint = \"blue\"\n");
  EXPECT_THAT(run({"config", "show", "-v"}).out,
              AllOf(HasSubstr("tint"), HasSubstr("~/.bot-bottle/config.toml:1"), HasSubstr("BOT_BOTTLE_MEMORY")));
  EXPECT_EQ(run({"config", "check"}).code, 0);
  write("home/.bot-bottle/config.toml", "tnt = \"blue\"\n");
  const ProcessResult check = run({"config", "check"});
  EXPECT_EQ(check.code, 1);
  EXPECT_THAT(check.out, AllOf(HasSubstr("config.toml:1:1: tnt: unknown key"), HasSubstr("did you mean 'tint'?")));
  const ProcessResult start = run({"start", "a", "--dry-run"});
  EXPECT_EQ(start.code, 1);
  EXPECT_THAT(start.err, HasSubstr("tnt: unknown key")) << "what starts a bottle says it";
  EXPECT_EQ(run({"list", "agents"}).code, 0) << "looking around works with a broken file";
  EXPECT_EQ(run({"start", "a", "--dry-run", "--set", "no.such=1"}).code, 2);
  write("home/.bot-bottle/config.toml", "tint = \"mauve\"\n");
  EXPECT_THAT(run({"start", "a", "--dry-run"}).err, AllOf(HasSubstr("config.toml:1"), HasSubstr("no color 'mauve'")));
}

TEST_F(CliSettings, colors_and_level_come_from_the_file_and_give_way_to_everything_else) {
  write("home/.bot-bottle/config.toml", "color = \"always\"\nlog_level = \"quiet\"\n");
  EXPECT_THAT(run({"list", "agents"}).out, HasSubstr("\x1b["));
  EXPECT_THAT(run({"list", "agents", "--no-color"}).out, Not(HasSubstr("\x1b[")));
  EXPECT_THAT(run({"config", "check"}).err, Not(HasSubstr("checked")));
  EXPECT_THAT(run({"config", "check", "-v"}).err, HasSubstr("checked"));
  environment_["BOT_BOTTLE_LOG_LEVEL"] = "normal";
  EXPECT_THAT(run({"config", "check"}).err, HasSubstr("checked"));
  environment_["NO_COLOR"] = "1";
  EXPECT_THAT(run({"list", "agents"}).out, Not(HasSubstr("\x1b[")));
  environment_["BOT_BOTTLE_COLOR"] = "always";
  EXPECT_THAT(run({"list", "agents"}).out, HasSubstr("\x1b["));
}

TEST_F(CliSettings, a_repositorys_file_sets_nothing) {
  write("repo/.bot-bottle/config.toml", "color = \"always\"\nbackend = \"evil\"\n");
  EXPECT_THAT(run({"list", "agents"}).out, Not(HasSubstr("\x1b[")));
  EXPECT_EQ(row("backend"), "backend automatic built-in");
  EXPECT_THAT(run({"config", "check"}).out, HasSubstr("a repository cannot set your defaults"));
}

}  // namespace
}  // namespace bot_bottle::cli
