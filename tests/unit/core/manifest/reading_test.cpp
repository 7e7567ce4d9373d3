// Good documents: what each key becomes, in YAML and in TOML.
#include "core/manifest/scalars.hpp"
#include "tests/unit/core/manifest/fixture.hpp"

namespace bot_bottle::manifest {
namespace {

constexpr const char* full_yaml = R"(---
# everything that a bottle can say
backend: local
agent_provider:
  template: command
  dockerfile: images/Dockerfile
  command: [sh, -c, "echo \"hi\""]
  auth_token: EXAMPLE_TOKEN
  forward_host_credentials: true
env:
  LITERAL: some text
  PORT: 8080
  FROM_HOST: ${BB_TEST_HOST}/x
  WITH_DEFAULT: "${BB_TEST_UNSET:-fallback}"
  ASKED: "? What is it"
env_file: ../dev.env
skills: [review, plan]
git: {user: {name: Ann Example, email: ann@example.com}}
git-gate:
  repos:
    app:
      url: ssh://git@forge.example.com:2222/team/app.git
      host_key: "ssh-ed25519 AAAA"
      key: {provider: static, path: ~/.ssh/app_deploy}
      hosts: {forge.example.com: 100.64.0.7}
      branches: {protected: [main, "release/*"], allowed: ["agent/*"]}
      allow_force_push: false
      allow_tags: true
      max_push_size: 200MiB
      scan: {config: .gitleaks.toml, engine: builtin}
    lib.x: {url: "git@forge.example.com:lib.git", host_key: "ssh-ed25519 AAAA", key: {provider: gitea, token: FORGE_TOKEN, read_only: true}}
    web: {url: https://forge.example.com/web.git, auth: {token_ref: WEB_TOKEN}}
egress:
  log: 2
  upstream_ca: ca.pem
  hosts: {api.example.com: "10.1.2.3:8443"}
  routes:
    - host: API.Example.com
      auth: {scheme: Bearer, token_ref: EXAMPLE_TOKEN}
      matches:
        - paths: [{type: prefix, value: /v1/}]
          methods: [get]
    - {host: plain.example.com, ports: [80], plain: true}
supervise: false
resources: {cpus: 1.5, memory: 4GiB, pids: 512, disk: 10GB, timeout: 1h30m}
workspace: {mode: mount, path: /work}
post_init:
  - [npm, ci]
  - |
    make
    make install
local: {bind_ro: [/opt/tool, ~/bin], rootfs: rootfs}
---
Notes.
)";

constexpr const char* full_toml = R"(+++
backend = "local"
env_file = "../dev.env"
skills = ["review", "plan"]
supervise = false
post_init = [["npm", "ci"], "make\nmake install\n"]
[agent_provider]
template = "command"
dockerfile = "images/Dockerfile"
command = ["sh", "-c", 'echo "hi"']
auth_token = "EXAMPLE_TOKEN"
forward_host_credentials = true
[env]
LITERAL = "some text"
PORT = 8080
FROM_HOST = "${BB_TEST_HOST}/x"
WITH_DEFAULT = "${BB_TEST_UNSET:-fallback}"
ASKED = "? What is it"
[git]
user.name = "Ann Example"
user.email = "ann@example.com"
[git-gate.repos.app]
url = "ssh://git@forge.example.com:2222/team/app.git"
host_key = "ssh-ed25519 AAAA"
key = {provider = "static", path = "~/.ssh/app_deploy"}
hosts = {"forge.example.com" = "100.64.0.7"}
branches = {protected = ["main", "release/*"], allowed = ["agent/*"]}
allow_force_push = false
allow_tags = true
max_push_size = "200MiB"
scan = {config = ".gitleaks.toml", engine = "builtin"}
[git-gate.repos."lib.x"]
url = "git@forge.example.com:lib.git"
host_key = "ssh-ed25519 AAAA"
key = {provider = "gitea", token = "FORGE_TOKEN", read_only = true}
[git-gate.repos.web]
url = "https://forge.example.com/web.git"
auth.token_ref = "WEB_TOKEN"
[egress]
log = 2
upstream_ca = "ca.pem"
hosts = {"api.example.com" = "10.1.2.3:8443"}
[[egress.routes]]
host = "API.Example.com"
auth = {scheme = "Bearer", token_ref = "EXAMPLE_TOKEN"}
[[egress.routes.matches]]
paths = [{type = "prefix", value = "/v1/"}]
methods = ["get"]
[[egress.routes]]
host = "plain.example.com"
ports = [80]
plain = true
[resources]
cpus = 1.5
memory = "4GiB"
pids = 512
disk = "10GB"
timeout = "1h30m"
[workspace]
mode = "mount"
path = "/work"
[local]
bind_ro = ["/opt/tool", "~/bin"]
rootfs = "rootfs"
+++
Notes.
)";

using Reading = ManifestTest;

/// The manifest without what must differ between two files: places. Sorted, because JSON objects keep their order.
json::value comparable(const json::value& value) {  // NOLINT(misc-no-recursion)
  if (const auto* array = value.if_array()) {
    json::array out;
    for (const json::value& item : *array) out.push_back(comparable(item));
    return out;
  }
  const auto* object = value.if_object();
  if (object == nullptr) return value;
  std::map<std::string, json::value> sorted;
  for (const auto& [key, member] : *object)
    if (key != "provenance") sorted.emplace(key, comparable(member));
  json::object out;
  for (auto& [key, member] : sorted) out.emplace(key, std::move(member));
  return out;
}

TEST_F(Reading, yaml_and_toml_with_the_same_content_give_the_same_manifest) {
  bottle("b", full_yaml);
  const json::object yaml = to_json(load_bottle(sources_, "b"));
  bottle("b", full_toml);
  const json::object toml = to_json(load_bottle(sources_, "b"));
  EXPECT_EQ(to_pretty_text(comparable(yaml)), to_pretty_text(comparable(toml)));
  EXPECT_FALSE(yaml.at("provenance").as_object().empty());
}

TEST_F(Reading, crlf_and_bom_change_nothing) {
  bottle("b", full_yaml);
  const std::string plain = bot_bottle::to_text(to_json(load_bottle(sources_, "b")));
  std::string windows = "\xEF\xBB\xBF";
  for (const char c : std::string_view(full_yaml)) windows += c == '\n' ? std::string("\r\n") : std::string(1, c);
  bottle("b", windows);
  EXPECT_EQ(bot_bottle::to_text(to_json(load_bottle(sources_, "b"))), plain);
}

TEST_F(Reading, every_key_of_a_bottle_arrives) {
  bottle("b", full_yaml);
  const Manifest manifest = load_bottle(sources_, "b");
  const std::filesystem::path bottles = sources_.home.bottles();
  const std::filesystem::path home = root_ / "home";
  EXPECT_EQ(manifest.bottle, "b");
  EXPECT_THAT(manifest.bottle_chain, testing::ElementsAre("b"));
  EXPECT_EQ(manifest.backend, "local");
  EXPECT_EQ(manifest.provider.plugin, "command");
  EXPECT_EQ(manifest.provider.dockerfile, bottles / "images/Dockerfile");
  EXPECT_THAT(manifest.provider.command, testing::ElementsAre("sh", "-c", "echo \"hi\""));
  EXPECT_EQ(manifest.provider.auth_token, "EXAMPLE_TOKEN");
  EXPECT_TRUE(manifest.provider.forward_host_credentials);
  EXPECT_EQ(manifest.env.at("LITERAL").text, "some text");
  EXPECT_EQ(manifest.env.at("PORT").text, "8080");
  EXPECT_EQ(manifest.env.at("FROM_HOST").kind, EnvEntry::Kind::interpolated);
  EXPECT_EQ(manifest.env.at("ASKED").kind, EnvEntry::Kind::prompt);
  EXPECT_EQ(manifest.env.at("ASKED").text, "What is it");
  EXPECT_EQ(manifest.env_file, sources_.home.root / "dev.env");
  EXPECT_THAT(manifest.skills, testing::ElementsAre("review", "plan"));
  EXPECT_EQ(manifest.git_user.name, "Ann Example");
  EXPECT_EQ(manifest.git_user.email, "ann@example.com");
  ASSERT_EQ(manifest.git_gate_repos.size(), 3U);
  const json::object& app = manifest.git_gate_repos.at("app").as_object();
  EXPECT_EQ(app.at("key").at("path").as_string(), (home / ".ssh/app_deploy").string());
  EXPECT_EQ(app.at("scan").at("config").as_string(), (bottles / ".gitleaks.toml").string());
  EXPECT_EQ(app.at("max_push_size").as_string(), "200MiB");
  ASSERT_EQ(manifest.egress.routes.size(), 2U);
  EXPECT_EQ(manifest.egress.routes[0].host, "api.example.com");
  EXPECT_EQ(manifest.egress.routes[0].origin, "bottle");
  EXPECT_EQ(manifest.egress.routes[0].auth->token_ref, "EXAMPLE_TOKEN");
  EXPECT_EQ(manifest.egress.upstream_ca, bottles / "ca.pem");
  EXPECT_EQ(manifest.egress.log, 2);
  EXPECT_FALSE(manifest.supervise.enabled);
  EXPECT_EQ(manifest.resources.cpus, 1.5);
  EXPECT_EQ(manifest.resources.memory_bytes, 4ULL << 30U);
  EXPECT_EQ(manifest.resources.pids, 512U);
  EXPECT_EQ(manifest.resources.disk_bytes, 10'000'000'000U);
  EXPECT_EQ(manifest.resources.timeout_ms, 5'400'000);
  EXPECT_EQ(manifest.workspace.mode, Workspace::Mode::mount);
  EXPECT_EQ(manifest.workspace.path, "/work");
  ASSERT_EQ(manifest.post_init.size(), 2U);
  EXPECT_THAT(manifest.post_init[0], testing::ElementsAre("npm", "ci"));
  EXPECT_THAT(manifest.post_init[1], testing::ElementsAre("sh", "-c", "make\nmake install\n"));
  EXPECT_THAT(manifest.local.bind_ro, testing::ElementsAre("/opt/tool", (home / "bin").string()));
  EXPECT_EQ(manifest.local.rootfs, bottles / "rootfs");
}

TEST_F(Reading, an_empty_bottle_denies_all_egress_and_has_the_defaults) {
  for (const char* text : {"---\n---\n", "+++\n+++", "---\n# nothing\n---", "---   \n---  \nnotes"}) {
    bottle("b", text);
    const Manifest manifest = load_bottle(sources_, "b");
    EXPECT_TRUE(manifest.egress.routes.empty());
    EXPECT_EQ(manifest.provider.plugin, "claude");
    EXPECT_TRUE(manifest.supervise.enabled);
    EXPECT_EQ(manifest.workspace.mode, Workspace::Mode::copy);
    EXPECT_EQ(manifest.workspace.path, "/workspace");
    EXPECT_TRUE(manifest.backend.empty());
  }
}

TEST_F(Reading, a_subagent_file_is_an_agent) {
  bottle("dev", "---\ngit: {user: {name: Bottle, email: b@example.com}}\nskills: [plan]\n---\n");
  agent("reviewer", R"(---
name: reviewer
description: >-
  Reviews code.
  Use it often
model: opus
color: blue
memory: user
tools: Read, Grep, Bash(git diff:*)
bottle: dev
skills: [review, plan]
git: {user: {name: Reviewer}}
---

You review code.

--- not the end
)");
  const Manifest manifest = load(sources_, "reviewer", std::nullopt);
  EXPECT_EQ(manifest.agent, "reviewer");
  EXPECT_EQ(manifest.agent_origin, Origin::home);
  EXPECT_EQ(manifest.model, "opus");
  EXPECT_EQ(manifest.prompt, "You review code.\n\n--- not the end\n");
  EXPECT_THAT(manifest.skills, testing::ElementsAre("plan", "review"));
  EXPECT_EQ(manifest.git_user.name, "Reviewer");
  EXPECT_EQ(manifest.git_user.email, "b@example.com");
  EXPECT_EQ(manifest.provenance.at("git.user.name").file.filename(), "reviewer.md");
  EXPECT_EQ(manifest.provenance.at("git.user.name").line, 12U);
  EXPECT_EQ(manifest.provenance.at("git.user.email").file.filename(), "dev.md");
  EXPECT_EQ(manifest.provenance.at("skills[0]").file.filename(), "dev.md");
  EXPECT_EQ(manifest.provenance.at("skills[1]").file.filename(), "reviewer.md");
  EXPECT_EQ(manifest.provenance.at("prompt").line, 14U);
}

TEST_F(Reading, the_bottle_option_wins_over_the_agents_bottle_and_stands_in_for_it) {
  bottle("dev", "---\nbackend: local\n---\n");
  bottle("prod", "---\nbackend: docker\n---\n");
  agent("a", "---\nbottle: dev\n---\n");
  agent("none", "---\n---\n");
  EXPECT_EQ(load(sources_, "a", std::nullopt).backend, "local");
  EXPECT_EQ(load(sources_, "a", "prod").backend, "docker");
  EXPECT_EQ(load(sources_, "none", "dev").backend, "local");
}

TEST_F(Reading, provenance_names_file_line_and_column_of_each_value) {
  bottle("b", full_yaml);
  const Manifest manifest = load_bottle(sources_, "b");
  const auto at = [&manifest](const std::string& path) {
    const Place& place = manifest.provenance.at(path);
    return std::to_string(place.line) + ":" + std::to_string(place.column);
  };
  EXPECT_EQ(at("backend"), "3:10");
  EXPECT_EQ(at("env.PORT"), "12:9");
  EXPECT_EQ(at("git-gate.repos.app.key.path"), "24:37");
  EXPECT_EQ(at("egress.routes[0].auth.token_ref"), "39:41");
  EXPECT_EQ(at("egress.routes[1]"), "43:7");
}

TEST_F(Reading, a_credential_is_not_shown_by_info) {
  bottle("b", "---\nenv: {API_KEY: abc-SECRET, DB_PASSWORD: \"${X:-SECRET}\", NAME: shown}\n---\n");
  const std::string text = bot_bottle::to_text(to_json(load_bottle(sources_, "b")));
  EXPECT_EQ(text.find("SECRET"), std::string::npos);
  EXPECT_NE(text.find("shown"), std::string::npos);
}

TEST_F(Reading, the_body_of_an_agent_is_its_prompt_and_may_be_empty) {
  bottle("dev", "---\n---\n");
  for (const auto& [text, prompt] : std::vector<std::pair<std::string, std::string>>{
           {"---\nbottle: dev\n---", ""},
           {"---\nbottle: dev\n---\n", ""},
           {"---\nbottle: dev\n---\n\n\nHello\n\n", "Hello\n\n"},
           {"---\r\nbottle: dev\r\n---\r\n\r\nA\r\nB\r\n", "A\nB\n"},
           {"+++\nbottle = 'dev'\n+++\n  code\n---\n+++\n", "  code\n---\n+++\n"}}) {
    agent("a", text);
    EXPECT_EQ(load(sources_, "a", std::nullopt).prompt, prompt) << text;
  }
}

TEST(Scalars, only_one_reading_is_left_to_a_plain_word) {
  using Kind = Node::Kind;
  const std::vector<std::pair<std::string, Kind>> words{{"", Kind::null},
                                                        {"~", Kind::null},
                                                        {"null", Kind::null},
                                                        {"true", Kind::boolean},
                                                        {"false", Kind::boolean},
                                                        {"yes", Kind::ambiguous},
                                                        {"Yes", Kind::ambiguous},
                                                        {"YES", Kind::ambiguous},
                                                        {"yEs", Kind::text},
                                                        {"no", Kind::ambiguous},
                                                        {"on", Kind::ambiguous},
                                                        {"Off", Kind::ambiguous},
                                                        {"y", Kind::ambiguous},
                                                        {"N", Kind::ambiguous},
                                                        {"TRUE", Kind::ambiguous},
                                                        {"tRue", Kind::text},
                                                        {"0", Kind::integer},
                                                        {"-7", Kind::integer},
                                                        {"42", Kind::integer},
                                                        {"+42", Kind::ambiguous},
                                                        {"042", Kind::ambiguous},
                                                        {"0x2A", Kind::ambiguous},
                                                        {"0o52", Kind::ambiguous},
                                                        {"0b1", Kind::ambiguous},
                                                        {"1_000", Kind::ambiguous},
                                                        {"1.5", Kind::floating},
                                                        {"-1.5", Kind::floating},
                                                        {"1.", Kind::ambiguous},
                                                        {".5", Kind::ambiguous},
                                                        {"1e3", Kind::ambiguous},
                                                        {"1.5e3", Kind::floating},
                                                        {".inf", Kind::ambiguous},
                                                        {"-.INF", Kind::ambiguous},
                                                        {".NaN", Kind::ambiguous},
                                                        {"2024-01-31", Kind::ambiguous},
                                                        {"2024-1-1", Kind::ambiguous},
                                                        {"2024-01-31 10:00:00", Kind::ambiguous},
                                                        {"2024-01", Kind::text},
                                                        {"12:30", Kind::ambiguous},
                                                        {"12:30:45", Kind::ambiguous},
                                                        {"12:99", Kind::text},
                                                        {"1.2.3", Kind::text},
                                                        {"10.0.0.1", Kind::text},
                                                        {"10.0.0.1:8443", Kind::text},
                                                        {"1a", Kind::text},
                                                        {"-", Kind::text},
                                                        {"--x", Kind::text},
                                                        {".", Kind::text},
                                                        {"..", Kind::text},
                                                        {"./x", Kind::text},
                                                        {"9223372036854775807", Kind::integer},
                                                        {"9223372036854775808", Kind::ambiguous},
                                                        {"4GiB", Kind::text},
                                                        {"2h", Kind::text},
                                                        {"0", Kind::integer}};
  for (const auto& [word, kind] : words) {
    Node node;
    classify_plain(word, node);
    EXPECT_EQ(node.kind, kind) << word;
  }
}

TEST(Scalars, quantities_need_a_unit_and_fit) {
  EXPECT_EQ(parse_size("4GiB"), 4ULL << 30U);
  EXPECT_EQ(parse_size("1.5MiB"), 1'572'864U);
  EXPECT_EQ(parse_size("100kB"), 100'000U);
  EXPECT_EQ(parse_size("1B"), 1U);
  for (const char* bad : {"", "4", "4G", "4gib", "GiB", "-1GiB", " 1GiB", "1 GiB", "0GiB", "1e3MiB", "inf", "infGiB",
                          "99999999TiB", "0x1GiB", "1GiB "})
    EXPECT_EQ(parse_size(bad), std::nullopt) << bad;
  EXPECT_EQ(parse_duration("2h"), 7'200'000);
  EXPECT_EQ(parse_duration("1d2h3m4s"), 93'784'000);
  for (const char* bad : {"", "2", "h", "2H", "1h1h", "1m1h", "0s", "1.5h", "-1h", "9999999999h", "1 h"})
    EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
}

}  // namespace
}  // namespace bot_bottle::manifest
