#include "core/plan/git_gate.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/plan/secrets.hpp"

namespace bot_bottle::plan {
namespace {

manifest::Manifest with_repo(json::object repo) {
  manifest::Manifest manifest;
  manifest.git_gate_repos["app"] = std::move(repo);
  return manifest;
}
const json::object plain{{"url", "git@forge.example.com:team/app.git"},
                         {"host_key", "ssh-ed25519 AAAA"},
                         {"key", {{"provider", "static"}, {"path", "/k"}}}};

TEST(GuestGitConfig, rewrites_every_spelling_and_holds_nothing_secret) {
  manifest::Manifest manifest = with_repo(plain);
  manifest.git_user = {.name = "Agent \"x\"\n[core]\n\tsshCommand = touch /pwned", .email = "a@example.com"};
  const std::string text = make_guest_git_config(manifest);
  EXPECT_NE(text.find("[url \"http://git-gate:9418/app\"]\n"), std::string::npos) << text;
  EXPECT_NE(text.find("insteadOf = \"git@forge.example.com:team/app\""), std::string::npos);
  EXPECT_EQ(text.find("\n[core]"), std::string::npos) << "a line end in a name begins no section (attack G5)";
  EXPECT_EQ(text.find("AAAA"), std::string::npos);
  EXPECT_EQ(make_guest_git_config({}), "");
}

TEST(GitGatePlan, endpoints_follow_the_repositories) {
  EXPECT_EQ(endpoints_of({}), (std::vector<std::string>{"egress", "supervise"}));
  EXPECT_EQ(endpoints_of(with_repo(plain)), (std::vector<std::string>{"egress", "git-gate", "supervise"}));
  manifest::Manifest silent = with_repo(plain);
  silent.supervise.enabled = false;
  EXPECT_EQ(endpoints_of(silent), (std::vector<std::string>{"egress", "git-gate"}));
}

TEST(GitGatePlan, the_manifests_keys_arrive_typed) {
  json::object repo = plain;
  repo["branches"] = json::object{{"protected", json::array{"trunk"}}, {"allowed", json::array{"agent/*"}}};
  repo["max_push_size"] = "2MiB";
  repo["allow_force_push"] = true;
  const policy::GitGate gate = make_git_gate(with_repo(repo));
  ASSERT_EQ(gate.repos.size(), 1U);
  EXPECT_EQ(gate.repos[0].protected_branches, std::vector<std::string>{"trunk"});
  EXPECT_EQ(gate.repos[0].max_push_bytes, std::uint64_t{2} << 20);
  EXPECT_TRUE(gate.repos[0].allow_force_push);
  const policy::GitGate usual = make_git_gate(with_repo(plain));
  EXPECT_EQ(usual.repos[0].protected_branches, (std::vector<std::string>{"main", "master"}));
  EXPECT_EQ(usual.repos[0].scan.engine, policy::GitScan::Engine::builtin);
  repo["scan"] = json::object{{"engine", "gitleaks"}};
  EXPECT_EQ(make_git_gate(with_repo(repo)).repos[0].scan.engine, policy::GitScan::Engine::gitleaks);
}

TEST(GitGatePlan, a_pin_that_a_proxy_would_not_hold_is_refused) {
  json::object repo{{"url", "https://git.example.com/app.git"},
                    {"auth", {{"token_ref", "TOKEN"}}},
                    {"hosts", {{"git.example.com", "192.0.2.1"}}}};
  manifest::Manifest manifest = with_repo(repo);
  EXPECT_EQ(make_git_gate(manifest).repos[0].hosts.size(), 1U);
  manifest.egress.upstream_proxy = policy::UpstreamProxy{"proxy.example.com", 3128, {}};
  EXPECT_THROW(make_git_gate(manifest), Failure);
  repo.erase("hosts");
  manifest.git_gate_repos["app"] = repo;
  EXPECT_NO_THROW(make_git_gate(manifest));
}

TEST(StaticKey, a_public_key_or_one_with_a_passphrase_is_refused) {
  std::string name = (std::filesystem::temp_directory_path() / "bb-key-XXXXXX").string();
  ASSERT_GE(::mkstemp(name.data()), 0);
  const auto load = [&](const char* text) {
    std::ofstream(name, std::ios::trunc) << text;
    return std::string(
        load_static_key(
            {.repo = "app", .url = {}, .provider = "static", .path = name, .token = {}, .api = {}, .ca = {}})
            .private_key.view());
  };
  EXPECT_THROW(load("ssh-ed25519 AAAA me\n"), Failure);
  EXPECT_THROW(load("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"), Failure);
  // "openssh-key-v1", cipher aes256-ctr, kdf bcrypt
  EXPECT_THROW(
      load("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABAA\n"),
      Failure);
  EXPECT_NE(
      load("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtz\n"),
      "");
  std::filesystem::remove(name);
}

TEST(SidecarConfig, private_keys_are_in_the_pipes_text_and_nowhere_else) {
  std::vector<GitKey> keys;
  keys.push_back({"app", SecretBytes("line one\nline \"two\"\n")});
  const SecretBytes text = make_sidecar_config({{"schema", "x"}}, {}, {}, keys);
  const json::object document = or_throw(parse_json_object(text.view()));
  const json::array* found = find_array(document, "git_keys");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(get_string(found->at(0).as_object(), "private_key"), "line one\nline \"two\"\n");
}

}  // namespace
}  // namespace bot_bottle::plan
