// Which image a Dockerfile is, and which one is refused before anything is built.
#include "plugins/backend-apple/images.hpp"

#include <gtest/gtest.h>

#include "core/base/file.hpp"
#include "core/base/random.hpp"

namespace bot_bottle::backend_apple {
namespace {

class ImageRecipes : public testing::Test {
 protected:
  void SetUp() override { or_throw(make_directories(top_)); }
  void TearDown() override { static_cast<void>(remove_tree(top_)); }
  std::string dockerfile(const std::string& text) {
    or_throw(write_file_fast(top_ + "/Dockerfile", text));
    return top_ + "/Dockerfile";
  }
  std::string top_ = testing::TempDir() + "bb-images-" + random_base36(8);
};

TEST_F(ImageRecipes, a_dockerfile_of_16_kib_is_refused_before_the_builder_hangs_on_it) {
  const std::string line = "FROM scratch\n";
  ASSERT_TRUE(read_apple_recipe(dockerfile(line + std::string(max_dockerfile - line.size() - 1, '#')), {}));
  const auto refused = read_apple_recipe(dockerfile(line + std::string(max_dockerfile - line.size(), '#')), {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("takes less than 16384"), std::string::npos) << refused.error().message;
}

TEST_F(ImageRecipes, the_builder_knows_what_the_engines_own_does_not) {
  EXPECT_TRUE(read_apple_recipe(dockerfile("FROM scratch\nRUN --mount=type=cache,target=/c true\n"), {}));
}

TEST_F(ImageRecipes, a_home_is_never_a_build_context) {
  EXPECT_FALSE(read_apple_recipe(dockerfile("FROM scratch\nCOPY . /all\n"), {top_}));
}

TEST_F(ImageRecipes, an_image_is_named_by_what_goes_into_it_and_no_registry_has_it) {
  const auto name = [&](const std::string& text) {
    return or_throw(base_image_reference(or_throw(read_apple_recipe(dockerfile(text), {}))));
  };
  EXPECT_EQ(name("FROM scratch\n"), name("FROM scratch\n"));
  EXPECT_NE(name("FROM scratch\n"), name("FROM debian\n"));
  or_throw(write_file_fast(top_ + "/file", "one"));
  const std::string before = name("FROM scratch\nCOPY file /\n");
  or_throw(write_file_fast(top_ + "/file", "two"));
  EXPECT_NE(name("FROM scratch\nCOPY file /\n"), before);
  EXPECT_TRUE(before.starts_with("bot-bottle.invalid/")) << "RFC 2606: a miss cannot become a pull of somebody's image";
}

}  // namespace
}  // namespace bot_bottle::backend_apple
