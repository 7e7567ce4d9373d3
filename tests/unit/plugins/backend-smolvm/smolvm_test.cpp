// Which versions are driven and how; and the image that a machine gets.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <set>

#include "core/base/file.hpp"
#include "core/base/text.hpp"
#include "plugins/backend-driven/tar_text.hpp"
#include "plugins/backend-smolvm/build_cache.hpp"
#include "plugins/backend-smolvm/image.hpp"
#include "plugins/backend-smolvm/labels.hpp"
#include "plugins/backend-smolvm/machine.hpp"
#include "plugins/backend-smolvm/sparse_file.hpp"

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

TEST(States, a_state_that_is_not_known_is_not_stopped) {
  for (const char* state : {"created", "stopped", "failed"})
    EXPECT_TRUE(is_stopped({.name = "m", .state = state, .pid = 0, .labels = {}})) << state;
  for (const char* state : {"running", "unreachable", "frozen", "starting", "Stopped", ""})
    EXPECT_FALSE(is_stopped({.name = "m", .state = state, .pid = 0, .labels = {}})) << state;
}

TEST(States, a_list_that_is_not_understood_whole_is_refused) {
  const auto machines = parse_machines(R"([{"name":"a","state":"running","pid":7,"labels":{"x":"y"}}])");
  ASSERT_EQ(machines.size(), 1U);
  EXPECT_EQ(machines[0].pid, 7);
  EXPECT_TRUE(parse_machines("[]").empty());
  for (const char* text : {"", "{}", "[", R"(["a"])", R"([{"name":"a"}])", R"([{"state":"running"}])",
                           R"([{"name":"a","state":"running"},null])", R"([{"name":"a","state":7}])"})
    EXPECT_THROW(parse_machines(text), sdk::Error) << text;
}

TEST(Labels, a_machine_of_ours_that_lost_its_label_is_not_somebody_else_s) {
  const MachineStatus bare{.name = "m", .state = "running", .pid = 0, .labels = {}};
  MachineStatus labelled = bare;
  labelled.labels[label_state] = "/state/box";
  const json::object planned{{record_labels, true}};
  const json::object made{{record_labels, true}, {record_made, true}};
  EXPECT_EQ(owner_of(labelled, made, "/state/box"), Owner::ours);
  EXPECT_EQ(owner_of(bare, made, "/state/box"), Owner::lost);
  EXPECT_EQ(owner_of(labelled, made, "/state/other"), Owner::lost);
  EXPECT_EQ(owner_of(bare, planned, "/state/box"), Owner::other);
  EXPECT_EQ(owner_of(bare, {{record_labels, false}, {record_made, true}}, "/state/box"), Owner::ours);
}

constexpr const char* one = R"([{"Config":"config.json","RepoTags":["x:1"],"Layers":["layer.tar"]}])";

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

TEST_F(Images, a_home_is_never_a_build_context) {
  const auto refused = [&](const std::string& text) {
    return !read_machine_recipe(save("Dockerfile", text), {std::filesystem::canonical(top_)});
  };
  EXPECT_TRUE(refused("FROM scratch\nCOPY . /all\n"));
  EXPECT_FALSE(refused("FROM scratch\nRUN true\n"));
  const auto recipe = read_machine_recipe(top_ + "/Dockerfile", {});
  ASSERT_TRUE(recipe);
  EXPECT_TRUE(recipe->context.empty());
}

std::uint64_t allocated(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

TEST_F(Images, what_a_guest_fills_with_zeros_are_holes) {
  SparseFile file(top_ + "/filled");
  ASSERT_TRUE(file.open());
  const std::string zeros(std::size_t{1} << 20, '\0');
  std::string expected;
  for (const std::string& part : {std::string("begin"), zeros, zeros, zeros, std::string("end"), zeros}) {
    ASSERT_TRUE(file.write(part));
    expected += part;
  }
  ASSERT_TRUE(file.finish());
  EXPECT_EQ(file.size(), expected.size());
  EXPECT_TRUE(read_file(top_ + "/filled") == expected);
  EXPECT_LT(allocated(top_ + "/filled"), std::uint64_t{1} << 18);
  // The second copy of a freeze, too.
  ASSERT_TRUE(write_layer_archive(top_ + "/filled", top_ + "/image.tar", 0));
  EXPECT_LT(allocated(top_ + "/image.tar"), std::uint64_t{1} << 18);
}

TEST_F(Images, what_a_guest_fills_leaves_the_disk_its_reserve) {
  constexpr std::uint64_t no_disk_has = std::uint64_t{1} << 62;
  SparseFile refused(top_ + "/refused", no_disk_has);
  const auto opened = refused.open();
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("almost full"), std::string::npos);
  EXPECT_FALSE(write_layer_archive(save("layer", "x"), top_ + "/image.tar", no_disk_has));
  EXPECT_FALSE(std::filesystem::exists(top_ + "/image.tar"));
  const auto image = read_image_archive(save("given.tar", archive(one, "{}")));
  ASSERT_TRUE(image) << image.error().message;
  const auto made = write_machine_archive(*image, {.init = save("bottle-init", "x"), .home = "/h", .workspace = "/w"},
                                          top_ + "/machine.tar", no_disk_has);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("almost full"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(top_ + "/machine.tar"));

  // Free when it begins, and no more when this much was written: the look is repeated.
  struct statvfs space {};
  ASSERT_EQ(::statvfs(top_.c_str(), &space), 0);
  const std::uint64_t is_free = static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
  constexpr std::uint64_t margin = std::uint64_t{256} << 20;
  if (is_free < 4 * margin) GTEST_SKIP() << "the disk is nearly full itself";
  SparseFile file(top_ + "/file", is_free - margin);
  ASSERT_TRUE(file.open());
  const std::string mebibyte(std::size_t{1} << 20, 'x');
  bool is_refused = false;
  for (int i = 0; i < 1024 && !is_refused; ++i) is_refused = !file.write(mebibyte);
  EXPECT_TRUE(is_refused);

  SparseFile small(top_ + "/small", 0, 10);
  ASSERT_TRUE(small.open());
  EXPECT_TRUE(small.write("0123456789"));
  EXPECT_FALSE(small.write("0"));
}

TEST_F(Images, a_build_that_is_alone_removes_what_killed_ones_left) {
  namespace fs = std::filesystem;
  const std::string place = top_ + "/smolvm";
  const std::string kept = cached_image(top_, std::string(32, '0'));
  const auto left = [&] {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(place)) names.insert(entry.path().filename().string());
    names.erase(".lock");
    return names;
  };
  std::string saved;
  {
    const auto lives = BuildCache::open(top_);
    ASSERT_TRUE(lives) << lives.error().message;
    saved = lives->new_saved();
    for (const std::string& path : {kept, kept + ".0a1b2c3d", saved}) ASSERT_TRUE(write_file_fast(path, "x"));
    fs::create_directories(saved + ".build");
    ASSERT_TRUE(write_file_fast(saved + ".build/Dockerfile", "x"));
    const auto beside = BuildCache::open(top_);
    ASSERT_TRUE(beside) << beside.error().message;
    EXPECT_EQ(left().size(), 4U) << "another one's, who lives";
  }
  const auto alone = BuildCache::open(top_);
  ASSERT_TRUE(alone) << alone.error().message;
  EXPECT_EQ(left(), std::set<std::string>{fs::path(kept).filename().string()});
}

TEST_F(Images, a_machine_s_image_runs_nothing_by_itself_and_has_bottle_init) {
  const std::string given =
      save("given.tar", archive(one, R"({"os":"linux","config":{"User":"agent","Entrypoint":["/evil"],
      "Cmd":["x"],"Env":["A=b"],"Healthcheck":{"Test":["x"]}},"rootfs":{"type":"layers","diff_ids":["sha256:00"]},"history":[]})"));
  const auto image = read_image_archive(given);
  ASSERT_TRUE(image) << image.error().message;
  MachineLayer layer{.init = save("bottle-init", "the program"), .home = "/home/agent", .workspace = "/workspace"};
  ASSERT_TRUE(write_machine_archive(*image, layer, top_ + "/made.tar", 0));
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
