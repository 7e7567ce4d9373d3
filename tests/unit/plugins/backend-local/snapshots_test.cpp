#include "plugins/backend-local/snapshots.hpp"

#include <gtest/gtest.h>

namespace bot_bottle::backend_local {
namespace {

TEST(Snapshots, a_ref_is_a_slug_and_an_id) {
  const auto place = find_snapshot_place("/state", "box-1.ab12");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->path, "/state/box-1/frozen/ab12");
  EXPECT_EQ(place->partial, "/state/box-1/frozen/.ab12");
}

TEST(Snapshots, H6_no_ref_is_a_way_out_of_the_state_directory) {
  for (const char* ref : {"", ".", "..", "box", "box.", ".id", "../x.y", "box./../../x", "box.a/b", "box..", "a.b.c",
                          "Box.id", "box.id\n", "-x.id", "box. ", "/etc.x"})
    EXPECT_FALSE(find_snapshot_place("/state", ref)) << ref;
  EXPECT_FALSE(find_snapshot_place("/state", std::string("box.i\0d", 7)));
}

}  // namespace
}  // namespace bot_bottle::backend_local
