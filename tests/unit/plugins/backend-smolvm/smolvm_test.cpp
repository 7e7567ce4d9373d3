// Which versions are driven and how; and the image that a machine gets.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-driven/tar_text.hpp"
#include "plugins/backend-smolvm/image.hpp"
#include "plugins/backend-smolvm/machine.hpp"

namespace bot_bottle::backend_smolvm {
namespace {

TEST(Versions, only_a_release_s_own_line_is_a_version) {
  EXPECT_EQ(parse_version("smolvm 1.9.3\n"), (Version{1, 9, 3}));
  for (const char* line :
       {"smolvm 1.9.3-rc.1", "smolvm 1.9", "smolvm", "", "podman 1.9.3", "smolvm 1.9.3 extra", "smolvm -1.9.3"})
    EXPECT_EQ(parse_version(line), std::nullopt) << line;
}

TEST(Versions, what_cannot_be_confined_is_refused_by_name) {
  for (const Version& version : {Version{0, 7, 9}, {1, 1, 3}, {1, 6, 13}, {2, 0, 0}}) {
    const Abilities abilities = abilities_of(version);
    EXPECT_NE(abilities.problem.find("smolvm " + to_text(version)), std::string::npos);
    EXPECT_FALSE(abilities.fix.empty());
  }
  for (const Version& version : {Version{0, 8, 0}, {1, 0, 1}, {1, 1, 2}, {1, 7, 0}, {1, 9, 3}, {1, 14, 2}})
    EXPECT_EQ(abilities_of(version).problem, "") << to_text(version);
}

TEST(Versions, the_wire_and_the_grammar_follow_the_version) {
  EXPECT_FALSE(abilities_of({1, 0, 1}).names_by_flag);
  EXPECT_TRUE(abilities_of({1, 0, 2}).names_by_flag);
  EXPECT_FALSE(abilities_of({1, 1, 2}).has_socket_wire);
  EXPECT_TRUE(abilities_of({1, 7, 0}).has_socket_wire);
  EXPECT_FALSE(abilities_of({1, 7, 7}).has_labels);
  EXPECT_TRUE(abilities_of({1, 8, 0}).has_labels);
}

class Images : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "smolvm-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(top_); }
  [[nodiscard]] std::string save(const std::string& name, const std::string& content) const {
    EXPECT_TRUE(write_file_fast(top_ + "/" + name, content));
    return top_ + "/" + name;
  }
  [[nodiscard]] static std::string archive(const std::string& manifest, const std::string& config) {
    driven::TarText tar;
    tar.file("layer.tar", 0644, std::string(1000, 'l'));
    tar.file("config.json", 0644, config);
    tar.file("manifest.json", 0644, manifest);
    return tar.finish();
  }
  std::string top_;
};

constexpr const char* one = R"([{"Config":"config.json","RepoTags":["x:1"],"Layers":["layer.tar"]}])";

TEST_F(Images, a_machine_s_image_runs_nothing_by_itself_and_has_bottle_init) {
  const std::string given =
      save("given.tar", archive(one, R"({"os":"linux","config":{"User":"agent","Entrypoint":["/evil"],
      "Cmd":["x"],"Env":["A=b"],"Healthcheck":{"Test":["x"]}},"rootfs":{"type":"layers","diff_ids":["sha256:00"]},"history":[]})"));
  const auto image = read_image_archive(given);
  ASSERT_TRUE(image) << image.error().message;
  MachineLayer layer{.init = save("bottle-init", "the program"), .home = "/home/agent", .workspace = "/workspace"};
  ASSERT_TRUE(write_machine_archive(*image, layer, top_ + "/made.tar"));
  const auto made = read_image_archive(top_ + "/made.tar");
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_EQ(made->layers.size(), 2U);
  EXPECT_EQ(made->layers[0].size, 1000U);
  const auto config = parse_json_object(made->config);
  ASSERT_TRUE(config);
  const json::object& inner = config->at("config").as_object();
  EXPECT_EQ(get_string(inner, "User", "-"), "");
  EXPECT_FALSE(inner.contains("Entrypoint") || inner.contains("Cmd") || inner.contains("Healthcheck"));
  EXPECT_EQ(get_strings(inner, "Env"), std::vector<std::string>{"A=b"});
  EXPECT_EQ(config->at("rootfs").as_object().at("diff_ids").as_array().size(), 2U);
  const auto text = read_file(top_ + "/made.tar");
  EXPECT_NE(text->find("the program"), std::string::npos);
  // Named by content: another bottle-init is another image.
  const auto before = machine_archive_digest(*image, layer);
  layer.init = save("another", "another");
  EXPECT_NE(*before, *machine_archive_digest(*image, layer));
}

TEST_F(Images, what_is_no_image_is_refused_with_the_reason) {
  const std::pair<std::string, std::string> cases[] = {
      {"not a tar", "not a tar archive"},
      {archive(one, "{}").substr(0, 1200), "cut short"},
      {archive("[]", "{}"), "that of one image"},
      {archive(R"([{"Config":"config.json","Layers":["missing.tar"]}])", "{}"), "no layer missing.tar"},
      {archive(R"([{"Config":"other.json","Layers":[]}])", "{}"), "no other.json"},
      {archive(one, "not json"), "not JSON"},
  };
  for (const auto& [content, reason] : cases) {
    const auto image = read_image_archive(save("bad.tar", content + std::string(content.size() < 512 ? 1024 : 0, 'x')));
    ASSERT_FALSE(image) << reason;
    EXPECT_NE(image.error().message.find(reason), std::string::npos) << image.error().message;
    EXPECT_FALSE(image.error().hint.empty());
  }
}

}  // namespace
}  // namespace bot_bottle::backend_smolvm
