// What a plan's runtime makes of the agent's image.
#include "plugins/backend-docker/images.hpp"

#include <gtest/gtest.h>

#include "core/base/file.hpp"
#include "core/base/random.hpp"

namespace bot_bottle::backend_docker {
namespace {

TEST(AgentImage, only_gvisor_gets_a_bottle_init_that_can_be_read) {
  EXPECT_EQ(layer_of({{"own_kernel", false}}, "/libexec").init_mode, mode_t{0711});
  EXPECT_EQ(layer_of({}, "/libexec").init_mode, mode_t{0711});
  EXPECT_EQ(layer_of({{"own_kernel", true}}, "/libexec").init_mode, mode_t{0755});
}

TEST(AgentImage, the_two_are_two_images) {
  const std::string libexec = testing::TempDir() + "bb-libexec-" + random_base36(8);
  or_throw(make_directories(libexec));
  or_throw(write_file_fast(libexec + "/bottle-init", "program", 0755));
  const driven::Recipe recipe{.dockerfile = "Dockerfile", .text = "FROM scratch\n"};
  const std::string readable =
      or_throw(agent_image_tag(recipe, layer_of({{"own_kernel", true}, {"home", "/home/agent"}}, libexec), "1"));
  const std::string other =
      or_throw(agent_image_tag(recipe, layer_of({{"own_kernel", false}, {"home", "/home/agent"}}, libexec), "1"));
  static_cast<void>(remove_tree(libexec));
  EXPECT_NE(readable, other);
}

}  // namespace
}  // namespace bot_bottle::backend_docker
