// The packs: what each promises to allow and to refuse, and what a bottle may say of one. Attacks E1, E3, E4, E6, I1,
// I7.
#include "core/policy/packs.hpp"

#include <filesystem>

#include "core/policy/decide.hpp"

namespace bot_bottle::policy {
namespace {

ParsedEgress parse(std::string_view text) {
  return parse_egress(parse_json(text).value());
}

std::string problems_of(std::string_view text) {
  std::string all;
  for (const Problem& problem : parse(text).problems)
    all += problem.path + ": " + problem.message + " (" + problem.hint + ")\n";
  return all;
}

std::shared_ptr<const RouteTable> table_of(std::string_view text) {
  ParsedEgress parsed = parse(text);
  for (const Problem& problem : parsed.problems) ADD_FAILURE() << problem.path << ": " << problem.message;
  return or_throw(RouteTable::create(std::move(parsed.egress)));
}

bool is_allowed(const RouteTable& table, const std::string& method, const std::string& url) {
  const std::string rest = url.substr(std::string_view("https://").size());
  const std::string host = rest.substr(0, rest.find('/'));
  const auto target = normalise_target(rest.substr(host.size()));
  EXPECT_TRUE(target) << url;
  return target && table.decide({.host = host, .method = method, .target = &*target, .headers = {}}).allowed();
}

TEST(Packs, every_file_of_the_folder_is_there) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(BB_SOURCE_DIR "/core/policy/packs"))
    files += entry.path().extension() == ".toml" ? 1U : 0U;
  EXPECT_EQ(all_packs().size(), files);
  for (const char* name : {"github:read", "github:issues", "gitlab:read", "gitea:read", "huggingface:read"})
    EXPECT_THAT(pack_names(), testing::HasSubstr(name));
}

TEST(Packs, each_allows_and_refuses_what_its_file_says_with_and_without_a_token) {
  for (const Pack& pack : all_packs()) {
    EXPECT_GE(pack.allows.size(), 4U) << pack.name;
    EXPECT_GE(pack.refuses.size(), 8U) << pack.name;
    for (const std::string& text : {R"({"packs": [")" + pack.name + R"("]})",
                                    R"({"packs": [{"name": ")" + pack.name + R"(", "token_ref": "T"}]})"}) {
      const auto table = table_of(text);
      for (const PackSample& sample : pack.allows)
        EXPECT_TRUE(is_allowed(*table, sample.method, sample.url))
            << pack.name << ": " << sample.method << " " << sample.url;
      for (const PackSample& sample : pack.refuses)
        EXPECT_FALSE(is_allowed(*table, sample.method, sample.url))
            << pack.name << ": " << sample.method << " " << sample.url;
    }
  }
}

/// A route without `matches` would be the whole host, and a POST outside the lists of paths a way to write.
TEST(Packs, no_route_is_a_whole_host_and_a_read_pack_writes_nothing) {
  for (const Pack& pack : all_packs()) {
    const bool reads = pack.name.ends_with(":read");
    for (const Route& route : parse(R"({"packs": [")" + pack.name + R"("]})").egress.routes) {
      EXPECT_FALSE(route.matches.empty()) << pack.name << " " << route.host;
      EXPECT_EQ(route.origin, "pack:" + pack.name);
      for (const Match& match : route.matches) {
        ASSERT_FALSE(match.methods.empty()) << pack.name << " " << route.host;
        for (const std::string& method : match.methods) {
          if (!reads || method == "GET" || method == "HEAD") continue;
          ASSERT_EQ(method, "POST") << pack.name;
          for (const PathMatch& path : match.paths) EXPECT_TRUE(path.value.ends_with("/git-upload-pack")) << path.value;
        }
      }
    }
  }
}

TEST(Packs, E1_chosen_repositories_are_the_only_ones) {
  const auto table = table_of(
      R"({"packs": [{"name": "github:issues", "token_ref": "T", "repositories": ["octo/tool", "octo/a.b"]}]})");
  EXPECT_TRUE(is_allowed(*table, "POST", "https://api.github.com/repos/octo/tool/issues"));
  EXPECT_TRUE(is_allowed(*table, "GET", "https://api.github.com/repos/octo/a.b/issues"));
  for (const char* other : {"evil/tool", "octo/tools", "octo/aXb", "octo/tool/x", "octo/tool%2Fx"})
    EXPECT_FALSE(is_allowed(*table, "POST", "https://api.github.com/repos/" + std::string(other) + "/issues")) << other;
  const auto read = table_of(R"({"packs": [{"name": "github:read", "repositories": ["octo/tool"]}]})");
  EXPECT_TRUE(is_allowed(*read, "GET", "https://github.com/octo/tool.git/info/refs?service=git-upload-pack"));
  EXPECT_FALSE(is_allowed(*read, "GET", "https://github.com/evil/tool.git/info/refs?service=git-upload-pack"));
  EXPECT_FALSE(is_allowed(*read, "GET", "https://api.github.com/search/code?q=secret"));
  EXPECT_FALSE(is_allowed(*read, "GET", "https://raw.githubusercontent.com/evil/tool/main/x"));
  const auto gitlab = table_of(R"({"packs": [{"name": "gitlab:read", "repositories": ["octo/tool"]}]})");
  EXPECT_TRUE(is_allowed(*gitlab, "GET", "https://gitlab.com/api/v4/projects/octo%2Ftool/issues"));
  EXPECT_FALSE(is_allowed(*gitlab, "GET", "https://gitlab.com/api/v4/projects/42/issues"));
  EXPECT_FALSE(is_allowed(*gitlab, "GET", "https://gitlab.com/api/v4/projects/octo%2Fother/issues"));
}

TEST(Packs, a_token_goes_where_the_pack_says_and_nowhere_else) {
  const ParsedEgress parsed = parse(R"({"packs": [{"name": "github:read", "token_ref": "MY_TOKEN"}]})");
  for (const Route& route : parsed.egress.routes) {
    const bool injects = route.host == "api.github.com" || route.host == "raw.githubusercontent.com" ||
                         route.host == "codeload.github.com";
    EXPECT_EQ(route.auth.has_value(), injects) << route.host;
    if (route.auth) {
      EXPECT_EQ(route.auth->token_ref, "MY_TOKEN");
    }
  }
  for (const Route& route : parse(R"({"packs": ["github:read"]})").egress.routes)
    EXPECT_FALSE(route.auth) << route.host;
}

TEST(Packs, a_forge_of_ones_own_replaces_the_host) {
  const auto table = table_of(R"({"packs": [{"name": "gitea:read", "host": "git.example.com"}]})");
  EXPECT_TRUE(is_allowed(*table, "GET", "https://git.example.com/api/v1/repos/octo/tool"));
  EXPECT_EQ(table->find_host("gitea.com"), nullptr);
  EXPECT_THAT(problems_of(R"({"packs": [{"name": "github:read", "host": "git.example.com"}]})"),
              testing::HasSubstr("its own hosts"));
  EXPECT_THAT(problems_of(R"({"packs": [{"name": "gitea:read", "host": "10.0.0.1"}]})"), testing::HasSubstr("host"));
}

TEST(Packs, two_on_one_host_are_joined_and_the_bottles_own_route_stands) {
  const auto both = table_of(R"({"packs": ["github:read", "github:issues"]})");
  EXPECT_TRUE(is_allowed(*both, "POST", "https://api.github.com/repos/octo/tool/issues"));
  EXPECT_TRUE(is_allowed(*both, "GET", "https://api.github.com/repos/octo/tool/contents/a"));
  EXPECT_FALSE(is_allowed(*both, "PUT", "https://api.github.com/repos/octo/tool/contents/a"));
  EXPECT_THAT(
      problems_of(
          R"({"packs": [{"name": "github:read", "token_ref": "A"}, {"name": "github:issues", "token_ref": "B"}]})"),
      testing::HasSubstr("different credentials"));
  const auto own = table_of(
      R"({"routes": [{"host": "api.github.com", "matches": [{"paths": [{"type": "exact", "value": "/zen"}]}]}], "packs": ["github:read"]})");
  EXPECT_TRUE(is_allowed(*own, "GET", "https://api.github.com/zen"));
  EXPECT_FALSE(is_allowed(*own, "GET", "https://api.github.com/repos/octo/tool"));
  EXPECT_TRUE(is_allowed(*own, "GET", "https://raw.githubusercontent.com/octo/tool/main/x"));
}

TEST(Packs, a_wrong_one_says_what_there_is) {
  EXPECT_THAT(problems_of(R"({"packs": ["github:write"]})"),
              testing::AllOf(testing::HasSubstr("packs[0]: there is no pack 'github:write'"),
                             testing::HasSubstr("github:issues, github:read")));
  EXPECT_THAT(problems_of(R"({"packs": "github:read"})"), testing::HasSubstr("packs: [github:read]"));
  EXPECT_THAT(problems_of(R"({"packs": [7]})"), testing::HasSubstr("packs[0]"));
  EXPECT_THAT(problems_of(R"({"packs": [{}]})"), testing::HasSubstr("packs[0].name: is missing"));
  EXPECT_THAT(problems_of(R"({"packs": [{"name": "github:read", "repos": ["a/b"]}]})"), testing::HasSubstr("repos"));
  for (const char* bad : {"[]", R"(["a"])", R"(["a/b/../c d"])", R"(["/b"])", R"([".*/.*|x"])"})
    EXPECT_THAT(problems_of(R"({"packs": [{"name": "github:read", "repositories": )" + std::string(bad) + "}]}"),
                testing::HasSubstr("repositories"))
        << bad;
}

TEST(Packs, what_a_sidecar_gets_are_routes) {
  const ParsedEgress parsed = parse(R"({"packs": ["github:read"]})");
  const json::object document = to_json(parsed.egress);
  EXPECT_FALSE(document.contains("packs"));
  EXPECT_EQ(to_json(parse_egress(document).egress), document);
}

}  // namespace
}  // namespace bot_bottle::policy
