// The command line as a user meets it: texts, exit codes, hostile names, a first bottle that is right.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/acceptance/cli/cli_fixture.hpp"

namespace bot_bottle::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(Cli, help_shows_every_verb_by_task_within_80_columns) {
  const ProcessResult result = run({"--help"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.err, "");
  std::size_t at = 0;
  for (const char* part :
       {"\nEveryday\n", "\n  start ",    "\n  run ",  "\n  attach ", "\n  exec ",   "\n  resume ", "\n  stop ",
        "\n  cleanup ", "\nLook\n",      "\n  list ", "\n  info ",   "\n  logs ",   "\n  check ",  "\n  doctor ",
        "\n  demo ",    "\nConfigure\n", "\n  init ", "\n  config ", "\nPlugins\n", "\n  plugin ", "--no-color"}) {
    const std::size_t found = result.out.find(part, at);
    EXPECT_NE(found, std::string::npos) << part;
    if (found != std::string::npos) at = found;
  }
  for (std::size_t start = 0; start < result.out.size();) {
    const std::size_t end = result.out.find('\n', start);
    EXPECT_LE(end - start, 80U) << result.out.substr(start, end - start);
    start = end + 1;
  }
  for (const char* hidden : {"__complete", "__man"}) EXPECT_THAT(result.out, Not(HasSubstr(hidden)));
}

TEST_F(Cli, each_verb_has_help_with_an_example) {
  for (const char* verb :
       {"start", "run",    "attach", "exec",     "resume", "list",       "info",    "stop",   "cleanup",
        "logs",  "doctor", "init",   "config",   "check",  "plugin",     "demo",    "commit", "fork",
        "diff",  "sync",   "cp",     "unfreeze", "routes", "completion", "worktree"}) {
    const ProcessResult result = run({verb, "--help"});
    EXPECT_EQ(result.code, 0) << verb << result.err;
    EXPECT_THAT(result.out,
                AllOf(HasSubstr("usage: bot-bottle " + std::string(verb)), HasSubstr("\nexample:\n  bot-bottle ")))
        << verb;
    EXPECT_EQ(run({"help", verb}).out, result.out) << verb;
  }
}

TEST_F(Cli, the_help_of_a_verb_reads_like_this) {
  EXPECT_EQ(run({"info", "--help"}).out,
            "An agent as it would run, with where each value comes from; or a bottle\n"
            "\n"
            "usage: bot-bottle info [OPTIONS] AGENT\n"
            "\n"
            "  AGENT            The agent's name; a bottle's where no agent has it\n"
            "  -h, --help       Show this help\n"
            "  --bottle NAME    Instead of the bottle that the agent names\n"
            "  --backend NAME   As start would take it\n"
            "  --set KEY=VALUE  A setting for this run alone; 'bot-bottle config show' lists\n"
            "                   them (repeat)\n"
            "  --json           Print JSON\n"
            "\n"
            "example:\n"
            "  bot-bottle info fixer\n"
            "  bot-bottle info fixer --bottle strict --json\n");
}

TEST_F(Cli, version_is_one_line) {
  EXPECT_EQ(run({"--version"}).out, "bot-bottle 0.1.0\n");
}

struct Mistake {
  std::vector<std::string> arguments;
  int code;
  std::string text;
};

TEST_F(Cli, mistakes_have_one_clear_text_and_the_right_exit_code) {
  const std::vector<Mistake> table{
      {{"strat"}, 2, "error: no verb named 'strat'\n  did you mean: start\nnext: bot-bottle --help\n"},
      {{"routes", "shwo", "x"},
       2,
       "error: 'bot-bottle routes' has no 'shwo'\n  did you mean: show\nnext: bot-bottle routes --help\n"},
      {{"completion", "csh"},
       2,
       "error: there is no completion for 'csh'\n  there is: bash, zsh, fish\nnext: bot-bottle completion --help\n"},
      {{"--home", "/x", "supervise"},
       2,
       "error: the screen of 'supervise' needs a terminal\nnext: bot-bottle supervise --once\n"},
      {{"list", "--jsno"},
       2,
       "error: 'bot-bottle list' has no option '--jsno'\n  did you mean: --json\nnext: bot-bottle list --help\n"},
      {{"list", "agnets"},
       2,
       "error: cannot list 'agnets'\n  there is: active, agents, bottles, backends, providers, plugins\n  did you "
       "mean: agents\n"
       "next: bot-bottle list --help\n"},
      {{"info"}, 2, "error: 'bot-bottle info' needs AGENT\nnext: bot-bottle info --help\n"},
      {{"info", "a", "b"}, 2, "error: unexpected argument 'b'\nnext: bot-bottle info --help\n"},
      {{"config"}, 2, "error: 'bot-bottle config' needs one of: check, show\nnext: bot-bottle config --help\n"},
      {{"config", "chek"},
       2,
       "error: 'bot-bottle config' has no 'chek'\n  did you mean: check\nnext: bot-bottle config --help\n"},
      {{"check", "GET", "https://example.com/"},
       2,
       "error: 'check' needs SLUG METHOD URL\nnext: bot-bottle check --help\n"},
      {{"logs", "../etc"}, 1, "error: '../etc' is not the slug of a bottle\nnext: bot-bottle list active\n"},
      {{"logs", "x-1", "--since", "noon"}, 1, "error: no bottle named 'x-1'\nnext: bot-bottle list active\n"},
      {{"init"}, 2, "error: init asks questions and standard input is not a terminal\nnext: bot-bottle init --yes\n"},
  };
  for (const Mistake& mistake : table) {
    const ProcessResult result = run(mistake.arguments);
    EXPECT_EQ(result.code, mistake.code) << mistake.text;
    EXPECT_EQ(result.err, mistake.text);
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(Cli, no_verb_shows_help_and_is_a_usage_error) {
  const ProcessResult result = run({});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.out, HasSubstr("usage: bot-bottle VERB"));
}

TEST_F(Cli, an_unknown_agent_says_where_it_looked_and_what_was_meant) {
  write("home/.bot-bottle/agents/implementer.md", "---\nbottle: dev\n---\n");
  const ProcessResult result = run({"info", "implementor"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, StartsWith("error: no agent named 'implementor'\n  looked in: "));
  EXPECT_THAT(result.err, HasSubstr("\n  did you mean: implementer\n"));
  EXPECT_THAT(result.err, HasSubstr("\nnext: bot-bottle list agents\n"));
}

TEST_F(Cli, global_options_stand_before_or_after_the_verb) {
  const std::string elsewhere = (root_ / "elsewhere").string();
  write("elsewhere/agents/there.md", "");
  EXPECT_THAT(run({"--home", elsewhere, "list", "agents"}).out, HasSubstr("there"));
  EXPECT_THAT(run({"list", "agents", "--home", elsewhere}).out, HasSubstr("there"));
  environment_["BOT_BOTTLE_HOME"] = elsewhere;
  EXPECT_THAT(run({"list", "agents"}).out, HasSubstr("there"));
}

TEST_F(Cli, an_agent_may_be_called_like_a_verb) {
  write("home/.bot-bottle/bottles/b.md", "---\nagent_provider: {template: command, command: [\"true\"]}\n---\n");
  write("home/.bot-bottle/agents/list.md", "---\nbottle: b\n---\n");
  const ProcessResult result = run({"info", "list"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("agents/list.md"));
}

TEST_F(Cli, an_option_that_may_be_repeated_takes_one_value_each_time) {
  write("home/.bot-bottle/agents/a.md", "---\nbottle: absent\n---\n");
  // Were "a" taken for a second variable, the agent would be missing: exit 2.
  EXPECT_EQ(run({"run", "-e", "A=B", "a", "-p", "x", "--dry-run"}).code, 1);
  EXPECT_EQ(run({"start", "--env", "A=B", "-e", "C=D", "a", "--dry-run"}).code, 1);
}

TEST_F(Cli, listing_agents_opens_none_of_500_files) {
  for (int i = 0; i < 499; ++i) write("home/.bot-bottle/agents/agent-" + std::to_string(i) + ".md", "---\nnot: [valid");
  write("home/.bot-bottle/agents/locked.md", "");
  ASSERT_EQ(::chmod((bottle_home() / "agents/locked.md").c_str(), 0), 0);
  // Opening a pipe for reading would hang until the time limit.
  ASSERT_EQ(::mkfifo((bottle_home() / "agents/broken.md").c_str(), 0600), 0);
  const ProcessResult result = run({"list", "agents", "--json"});
  EXPECT_EQ(result.code, 0) << result.err;
  const auto document = parse_json_object(result.out);
  ASSERT_TRUE(document);
  EXPECT_GE(find_array(*document, "agents")->size(), 500U);
}

TEST_F(Cli, hostile_file_names_are_shown_and_not_obeyed_D7) {
  write("home/.bot-bottle/agents/good.md", "");
  write("home/.bot-bottle/agents/\x1b]0;owned\x07\xe2\x80\xae.md", "");
  write("repo/.bot-bottle/agents/\x1b[2Jx.md", "");
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"list", "agents"}, {"list", "agents", "--json"}, {"config", "check"}}) {
    const ProcessResult result = run(arguments);
    for (const std::string& text : {result.out, result.err}) {
      EXPECT_THAT(text, Not(HasSubstr("\x1b")));
      EXPECT_THAT(text, Not(HasSubstr("\x07")));
      EXPECT_THAT(text, Not(HasSubstr("\xe2\x80\xae")));
    }
  }
}

TEST_F(Cli, a_repositorys_agent_is_marked_and_its_bottles_are_not_listed) {
  write("home/.bot-bottle/bottles/mine.md", "");
  write("repo/.bot-bottle/agents/theirs.md", "");
  write("repo/.bot-bottle/bottles/powers.md", "");
  EXPECT_THAT(run({"list", "agents"}).out, AllOf(HasSubstr("theirs"), HasSubstr("repository")));
  const ProcessResult bottles = run({"list", "bottles"});
  EXPECT_THAT(bottles.out, AllOf(HasSubstr("mine"), Not(HasSubstr("powers"))));
}

TEST_F(Cli, init_writes_a_pair_that_passes_config_check_and_never_overwrites) {
  const ProcessResult first = run({"init", "--yes"});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.err, HasSubstr("next: bot-bottle start hello"));
  const ProcessResult check = run({"config", "check"});
  EXPECT_EQ(check.code, 0) << check.out << check.err;
  EXPECT_EQ(check.out, "");
  EXPECT_THAT(check.err, HasSubstr("1 agent, 1 bottle checked: 0 errors, 0 warnings"));
  const ProcessResult info = run({"info", "hello", "--json"});
  EXPECT_EQ(info.code, 0) << info.err;
  struct stat status {};
  ASSERT_EQ(::stat((bottle_home() / "bottles/first.md").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  ASSERT_TRUE(write_file_fast(bottle_home() / "agents/hello.md", "mine"));
  const ProcessResult again = run({"init", "--yes"});
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err, HasSubstr("init never overwrites"));
  EXPECT_EQ(*read_file(bottle_home() / "agents/hello.md"), "mine");
  EXPECT_EQ(run({"init", "--yes", "--agent", "other", "--bottle", "second"}).code, 0);
}

TEST_F(Cli, config_check_reports_every_fault_of_every_file_and_exits_1) {
  write("home/.bot-bottle/bottles/one.md", "---\nunknown_key: 1\nbackend: 7\n---\n");
  write("home/.bot-bottle/agents/two.md", "---\nbottle: absent\n---\n");
  const ProcessResult result = run({"config", "check"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("unknown_key"), HasSubstr("one.md:2"), HasSubstr("absent"), HasSubstr("two.md")));
  const ProcessResult as_json = run({"config", "check", "--json"});
  EXPECT_EQ(as_json.code, 1);
  const auto document = parse_json_object(as_json.out);
  ASSERT_TRUE(document);
  EXPECT_GE(get_int(*document, "errors", 0), 2);
}

TEST_F(Cli, check_asks_the_manifest_without_a_running_bottle) {
  write(
      "home/.bot-bottle/bottles/b.md",
      "---\nagent_provider: {template: command, command: [\"true\"]}\negress:\n  routes:\n    - host: api.example.com\n"
      "      matches: [{methods: [GET], paths: [{type: prefix, value: /v1/}]}]\n---\n");
  write("home/.bot-bottle/agents/a.md", "---\nbottle: b\n---\n");
  const auto ask = [this](const std::string& method, const std::string& url) {
    return run({"check", "--agent", "a", method, url});
  };
  EXPECT_EQ(ask("GET", "https://api.example.com/v1/x").code, 0);
  EXPECT_THAT(ask("get", "https://API.example.com./v1/x").out, StartsWith("allowed"));
  for (const auto& [method, url] :
       std::vector<std::pair<std::string, std::string>>{{"POST", "https://api.example.com/v1/x"},
                                                        {"GET", "https://api.example.com/v2"},
                                                        {"GET", "https://api.example.com/v1/../v2"},
                                                        {"GET", "http://api.example.com/v1/x"},
                                                        {"GET", "https://evil.example.com/"},
                                                        {"GET", "https://127.1/"},
                                                        {"GET", "https://[::1]/"}}) {
    const ProcessResult result = ask(method, url);
    EXPECT_EQ(result.code, 3) << method << url << result.out << result.err;
    EXPECT_THAT(result.out, StartsWith("blocked")) << url;
  }
}

TEST_F(Cli, doctor_names_what_is_missing_and_the_fix) {
  const ProcessResult result = run({"doctor", "--json"});
  const auto document = parse_json_object(result.out);
  ASSERT_TRUE(document) << result.err;
  std::map<std::string, std::string> verdicts;
  for (const json::value& fact : *find_array(*document, "facts")) {
    const std::string name = get_string(fact.as_object(), "name");
    verdicts[name] = get_string(fact.as_object(), "verdict");
    const bool helped = verdicts[name] == "ok" || !get_string(fact.as_object(), "fix").empty();
    EXPECT_TRUE(helped) << name;
  }
  for (const char* name :
       {"git", "ssh", "bwrap", "docker", "user namespaces", "seccomp", "Landlock", "cgroups", "home"})
    EXPECT_TRUE(verdicts.contains(name)) << name;
  environment_["PATH"] = "/nonexistent";
  const ProcessResult bare = run({"doctor"});
  EXPECT_NE(bare.code, 0);
  EXPECT_THAT(bare.out, AllOf(HasSubstr("missing"), HasSubstr("apt-get install bubblewrap")));
}

TEST_F(Cli, doctor_refuses_a_home_that_others_can_write) {
  fs::create_directories(bottle_home());
  fs::permissions(bottle_home(), fs::perms::all);
  EXPECT_THAT(run({"doctor"}).out, AllOf(HasSubstr("others can write in it"), HasSubstr("chmod go-w ")));
}

TEST_F(Cli, a_full_disk_is_an_error_and_not_success) {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  ProcessRequest one = request({"--help"});
  one.fds = {{full.get(), 1}};
  const auto result = run_process(one);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->code, 1);
  EXPECT_THAT(result->err, HasSubstr("No space left on device"));
}

TEST_F(Cli, color_is_for_terminals_only) {
  EXPECT_THAT(run({"doctor"}).out, Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace bot_bottle::cli
