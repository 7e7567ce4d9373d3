// `extends`: what a child's document does to its parent's.
#include "core/manifest/merge.hpp"
#include "tests/unit/core/manifest/fixture.hpp"

namespace bot_bottle::manifest {
namespace {

class Extends : public ManifestTest {
 protected:
  Manifest merged(const std::string& parent, const std::string& child) {
    bottle("parent", "---\n" + parent + "---\n");
    bottle("child", "---\nextends: parent\n" + child + "---\n");
    return load_bottle(sources_, "child");
  }
};

struct MergeCase {
  std::string name;
  std::string parent;
  std::string child;
  std::string alone;  // one bottle that must mean the same
};

TEST_F(Extends, a_child_over_its_parent_means_what_one_bottle_would) {
  const std::string app =
      "git-gate: {repos: {app: {url: 'git@h.example:a', host_key: 'ssh-ed25519 AAAA', key: {provider: static, path: "
      "/k}, allow_tags: true}}}\n";
  const std::vector<MergeCase> cases{
      {"an omitted key inherits", "backend: local\nsupervise: false\n", "", "backend: local\nsupervise: false\n"},
      {"a scalar replaces", "backend: local\n", "backend: docker\n", "backend: docker\n"},
      {"a false replaces a true", "supervise: true\n", "supervise: false\n", "supervise: false\n"},
      {"env merges by name", "env: {A: p, B: q}\n", "env: {B: r, C: s}\n", "env: {A: p, B: r, C: s}\n"},
      {"an empty env inherits", "env: {A: p}\n", "env: {}\n", "env: {A: p}\n"},
      {"git.user merges by field", "git: {user: {name: P, email: p@x.example}}\n", "git: {user: {name: C}}\n",
       "git: {user: {name: C, email: p@x.example}}\n"},
      {"agent_provider merges by field", "agent_provider: {template: codex, auth_token: T}\n",
       "agent_provider: {auth_token: U}\n", "agent_provider: {template: codex, auth_token: U}\n"},
      {"resources merge by field", "resources: {cpus: 2, memory: 4GiB}\n", "resources: {memory: 8GiB, pids: 5}\n",
       "resources: {cpus: 2, memory: 8GiB, pids: 5}\n"},
      {"workspace merges by field", "workspace: {mode: mount, path: /a}\n", "workspace: {path: /b}\n",
       "workspace: {mode: mount, path: /b}\n"},
      {"skills replace", "skills: [a, b]\n", "skills: [c]\n", "skills: [c]\n"},
      {"an empty list replaces", "skills: [a, b]\n", "skills: []\n", ""},
      {"post_init replaces", "post_init: [make]\n", "post_init: [[npm, ci]]\n", "post_init: [[npm, ci]]\n"},
      {"routes replace, the rest of egress inherits",
       "egress: {log: 2, hosts: {a.example: 10.0.0.1}, routes: [{host: a.example}, {host: b.example}]}\n",
       "egress: {routes: [{host: c.example}], hosts: {c.example: 10.0.0.2}}\n",
       "egress: {log: 2, hosts: {a.example: 10.0.0.1, c.example: 10.0.0.2}, routes: [{host: c.example}]}\n"},
      {"empty routes deny everything", "egress: {routes: [{host: a.example}]}\n", "egress: {routes: []}\n",
       "egress: {routes: []}\n"},
      {"a list of local replaces", "local: {bind_ro: [/a], rootfs: /r}\n", "local: {bind_ro: [/b]}\n",
       "local: {bind_ro: [/b], rootfs: /r}\n"},
      {"a child overrides only the key of a repository", app,
       "git-gate: {repos: {app: {key: {provider: gitea, token: T}}}}\n",
       "git-gate: {repos: {app: {url: 'git@h.example:a', host_key: 'ssh-ed25519 AAAA', key: {provider: gitea, token: "
       "T}, allow_tags: true}}}\n"},
      {"a child adds a repository", app,
       "git-gate: {repos: {web: {url: 'https://h.example/w', auth: {token_ref: T}}}}\n",
       "git-gate: {repos: {app: {url: 'git@h.example:a', host_key: 'ssh-ed25519 AAAA', key: {provider: static, path: "
       "/k}, allow_tags: true}, "
       "web: {url: 'https://h.example/w', auth: {token_ref: T}}}}\n"},
      {"empty repos clear", app, "git-gate: {repos: {}}\n", ""},
      {"an empty git-gate inherits", app, "git-gate: {}\n", app},
      {"an empty repository inherits", app, "git-gate: {repos: {app: {}}}\n", app},
  };
  for (const MergeCase& merge : cases) {
    SCOPED_TRACE(merge.name);
    json::object result = to_json(merged(merge.parent, merge.child));
    bottle("alone", "---\n" + merge.alone + "---\n");
    json::object alone = to_json(load_bottle(sources_, "alone"));
    for (json::object* object : {&result, &alone})
      for (const char* key : {"bottle", "bottle_chain", "provenance"}) object->erase(key);
    EXPECT_EQ(result, alone) << bot_bottle::to_text(result) << "\n" << bot_bottle::to_text(alone);
  }
}

TEST_F(Extends, a_chain_of_any_depth_is_followed_and_the_nearest_wins) {
  bottle("b0", "---\nbackend: local\nenv: {DEEP: zero, TOP: zero}\n---\n");
  for (int i = 1; i < 50; ++i)
    bottle("b" + std::to_string(i),
           "---\nextends: b" + std::to_string(i - 1) + "\nenv: {TOP: \"" + std::to_string(i) + "\"}\n---\n");
  const Manifest manifest = load_bottle(sources_, "b49");
  EXPECT_EQ(manifest.env.at("DEEP").text, "zero");
  EXPECT_EQ(manifest.env.at("TOP").text, "49");
  ASSERT_EQ(manifest.bottle_chain.size(), 50U);
  EXPECT_EQ(manifest.bottle_chain.front(), "b49");
  EXPECT_EQ(manifest.bottle_chain.back(), "b0");
}

TEST_F(Extends, yaml_may_extend_toml) {
  bottle("parent", "+++\nenv.A = \"p\"\nbackend = \"local\"\n+++\n");
  bottle("child", "---\nextends: parent\nenv: {B: c}\n---\n");
  const Manifest manifest = load_bottle(sources_, "child");
  EXPECT_EQ(manifest.env.at("A").text, "p");
  EXPECT_EQ(manifest.env.at("B").text, "c");
}

TEST_F(Extends, a_value_knows_which_file_of_the_chain_it_is_from) {
  const Manifest manifest = merged("env: {A: p, B: p}\nenv_file: x.env\n", "env: {B: c}\n");
  EXPECT_EQ(manifest.provenance.at("env.A").file.filename(), "parent.md");
  EXPECT_EQ(manifest.provenance.at("env.B").file.filename(), "child.md");
  EXPECT_EQ(manifest.provenance.at("env.B").line, 3U);
}

TEST_F(Extends, circles_and_missing_parents_print_the_chain) {
  bottle("a", "---\nextends: b\n---\n");
  bottle("b", "---\nextends: c\n---\n");
  bottle("c", "---\nextends: a\n---\n");
  EXPECT_EQ(faults_of([this] { static_cast<void>(load_bottle(sources_, "a")); }),
            "c.md:2:10: extends: the bottles extend each other in a circle: a → b → c → a");
  bottle("c", "---\nextends: base\n---\n");
  bottle("bases", "---\n---\n");
  EXPECT_EQ(faults_of([this] { static_cast<void>(load_bottle(sources_, "a")); }),
            "c.md:2:10: extends: no bottle 'base': a → b → c → base\n  did you mean 'bases'?");
  bottle("c", "---\nextends: c\n---\n");
  EXPECT_EQ(faults_of([this] { static_cast<void>(load_bottle(sources_, "a")); }),
            "c.md:2:10: extends: the bottle extends itself: a → b → c → c");
}

TEST_F(Extends, a_broken_parent_is_told_once_and_what_it_may_hold_is_not_called_missing) {
  bottle("parent", "---\nbackend: [\n---\n");
  bottle("child",
         "---\nextends: parent\nsupervise: 1\ngit-gate: {repos: {app: {key: {provider: gitea, token: T}}}}\n---\n");
  EXPECT_EQ(faults_of([this] { static_cast<void>(load_bottle(sources_, "child")); }),
            "parent.md:3:1: not valid YAML: end of sequence flow not found\n  a '[' is not closed\n"
            "child.md:3:12: supervise: 1 is a number, expected true or false");
}

TEST_F(Extends, an_unknown_key_of_a_parent_is_reported_in_the_parents_file) {
  bottle("parent", "---\nbackand: local\n---\n");
  bottle("child", "---\nextends: parent\n---\n");
  EXPECT_EQ(faults_of([this] { static_cast<void>(load_bottle(sources_, "child")); }),
            "parent.md:2:1: backand: unknown key\n  did you mean 'backend'?");
}

}  // namespace
}  // namespace bot_bottle::manifest
