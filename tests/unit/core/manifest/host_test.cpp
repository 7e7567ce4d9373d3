// What only the host can tell (check_host), and `config check` (check_all).
#include <sys/stat.h>

#include "tests/unit/core/manifest/fixture.hpp"

namespace bot_bottle::manifest {
namespace {

class Host : public ManifestTest {
 protected:
  void SetUp() override {
    ManifestTest::SetUp();
    for (const char* name : {"BB_TEST_A", "BB_TEST_B", "BB_TEST_C", "BB_TEST_D", "BB_TEST_E"}) ::unsetenv(name);
  }
};

constexpr const char* needy = R"(---
agent_provider:
  dockerfile: Dockerfile
  auth_token: BB_TEST_A
env:
  X: ${BB_TEST_B}
  Z: ${BB_TEST_B:-z}
env_file: dev.env
skills: [review, plan]
git-gate:
  repos:
    app:
      url: git@h.example:a
      host_key: ssh-ed25519 AAAA
      key: {provider: static, path: deploy}
      scan: {config: rules.toml}
    web: {url: https://h.example/w, auth: {token_ref: BB_TEST_C}}
    lib: {url: "git@h.example:l", host_key: ssh-ed25519 AAAA, key: {provider: gitea, token: BB_TEST_D}}
egress:
  upstream_ca: ca.pem
  routes:
    - host: a.example.com
    - host: b.example.com
      auth: {scheme: Bearer, token_ref: BB_TEST_E}
local: {bind_ro: [tool], rootfs: root}
---
)";

TEST_F(Host, everything_that_the_host_lacks_is_told_at_once_with_its_place) {
  bottle("b", needy);
  write(root_ / "home/.claude/skills/reviews/SKILL.md", "");
  const std::string d = "export ";
  EXPECT_EQ(texts(check_host(load_bottle(sources_, "b"), sources_)),
            "b.md:3:15: agent_provider.dockerfile: Dockerfile does not exist\n"
            "b.md:4:15: agent_provider.auth_token: the host variable BB_TEST_A is not set\n  export BB_TEST_A before "
            "the start\n"
            "b.md:6:6: env.X: the host variable BB_TEST_B is not set\n  export BB_TEST_B, or give a default: "
            "${BB_TEST_B:-value}\n"
            "b.md:8:11: env_file: dev.env does not exist\n"
            "b.md:9:10: skills[0]: no skill 'review' in home/.claude/skills\n  did you mean 'reviews'?\n"
            "b.md:9:18: skills[1]: no skill 'plan' in home/.claude/skills\n  skills: reviews\n"
            "b.md:15:37: git-gate.repos.app.key.path: deploy does not exist\n"
            "b.md:16:22: git-gate.repos.app.scan.config: rules.toml does not exist\n"
            "b.md:17:55: git-gate.repos.web.auth.token_ref: the host variable BB_TEST_C is not set\n  export BB_TEST_C "
            "before the start\n"
            "b.md:18:93: git-gate.repos.lib.key.token: the host variable BB_TEST_D is not set\n  export BB_TEST_D "
            "before the start\n"
            "b.md:20:16: egress.upstream_ca: ca.pem does not exist\n"
            "b.md:24:41: egress.routes[1].auth.token_ref: the host variable BB_TEST_E is not set\n  export BB_TEST_E "
            "before the start\n"
            "b.md:25:19: local.bind_ro[0]: tool does not exist\n"
            "b.md:25:34: local.rootfs: root does not exist");
}

TEST_F(Host, a_host_that_has_everything_passes) {
  bottle("b", needy);
  for (const char* name : {"Dockerfile", "dev.env", "deploy", "rules.toml", "ca.pem", "tool", "root/x"})
    write(sources_.home.bottles() / name, "");
  ::chmod((sources_.home.bottles() / "deploy").c_str(), 0600);
  for (const char* name : {"review", "plan"}) write(root_ / "home/.claude/skills" / name / "SKILL.md", "");
  for (const char* name : {"BB_TEST_A", "BB_TEST_B", "BB_TEST_C", "BB_TEST_D", "BB_TEST_E"})
    ::setenv(name, "some-value", 1);
  EXPECT_EQ(texts(check_host(load_bottle(sources_, "b"), sources_)), "");
  ::setenv("BB_TEST_E", "", 1);
  EXPECT_EQ(texts(check_host(load_bottle(sources_, "b"), sources_)),
            "b.md:24:41: egress.routes[1].auth.token_ref: the host variable BB_TEST_E is empty\n  export BB_TEST_E "
            "before the start");
  for (const char* name : {"BB_TEST_A", "BB_TEST_B", "BB_TEST_C", "BB_TEST_D", "BB_TEST_E"}) ::unsetenv(name);
}

TEST_F(Host, a_key_that_others_can_read_and_credentials_in_a_dotenv_file_are_warnings) {
  bottle("b",
         "---\nenv_file: dev.env\ngit-gate: {repos: {a: {url: 'git@h.example:a', host_key: ssh-ed25519 AAAA, key: "
         "{provider: static, path: deploy}}}}\n---\n");
  write(sources_.home.bottles() / "dev.env", "A=b\nMY_TOKEN=abc\n");
  write(sources_.home.bottles() / "deploy", "");
  ::chmod((sources_.home.bottles() / "deploy").c_str(), 0644);
  EXPECT_EQ(texts(check_host(load_bottle(sources_, "b"), sources_)),
            "b.md:2:11: warning: env_file: MY_TOKEN is skipped: it looks like a credential\n"
            "  give it to an egress route as token_ref, so that it never enters the bottle\n"
            "b.md:3:106: warning: git-gate.repos.a.key.path: deploy can be read by other users\n  chmod 600 deploy");
}

TEST_F(Host, config_check_lists_every_fault_of_every_file_once) {
  bottle("base", "---\nsupervise: 1\n---\n");
  bottle("dev", "---\nextends: base\nbackend: [x]\n---\n");
  bottle("good", "---\nenv: {X: \"${BB_TEST_A}\"}\n---\n");
  bottle("torn", "---\n");
  agent("a", "---\nbottle: god\nskills: [none]\n---\n");
  agent("b", "---\nbottle: dev\n---\n");
  agent("c", "---\n---\n");
  agent("hidden", "---\nbottle: good\nx: 1\n---\n");
  repository_agent("hidden", "---\nbottle: good\ny1: 1\n---\n");
  EXPECT_EQ(texts(check_all(sources_)),
            "base.md:2:12: supervise: 1 is a number, expected true or false\n"
            "dev.md:3:10: backend: found a list, expected a backend's name\n"
            "good.md:2:10: env.X: the host variable BB_TEST_A is not set\n  export BB_TEST_A, or give a default: "
            "${BB_TEST_A:-value}\n"
            "torn.md:1:1: the front matter that begins here is not closed\n  end it with a line '---'\n"
            "hidden.md:3:1: y1: unknown key\n  known keys: bottle, skills, git, name, description, model, color, "
            "memory, tools\n"
            "a.md:2:9: bottle: no bottle 'god'\n  did you mean 'good'?\n"
            "a.md:3:10: skills[0]: no skill 'none' in home/.claude/skills\n"
            "c.md:1:1: warning: bottle: is missing\n  the agent only starts with --bottle NAME\n"
            "hidden.md:3:1: x: unknown key\n  known keys: bottle, skills, git, name, description, model, color, "
            "memory, tools");
}

}  // namespace
}  // namespace bot_bottle::manifest
