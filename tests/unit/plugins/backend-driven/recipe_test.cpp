// What goes on top of an agent's image.
#include "plugins/backend-driven/recipe.hpp"

#include <gtest/gtest.h>

#include "core/base/file.hpp"
#include "core/base/random.hpp"
#include "sidecar/guest/tar.hpp"

namespace bot_bottle::driven {
namespace {

struct Modes final : guest::TarReader::Sink {
  bool begin(const guest::TarEntry& entry) override {
    if (entry.kind == guest::TarEntry::Kind::file) files.emplace_back(entry.path, entry.mode);
    return true;
  }
  bool data(std::string_view /*bytes*/) override { return true; }
  bool end() override { return true; }
  std::vector<std::pair<std::string, mode_t>> files;
};

TEST(AgentLayers, bottle_init_cannot_be_read_so_that_what_runs_it_is_never_dumpable) {
  const std::string init = testing::TempDir() + "bb-init-" + random_base36(8);
  or_throw(write_file_fast(init, "program", 0755));
  const std::string tar = make_layer_tar({.init = init, .home = "/home/agent", .workspace = "/work"});
  static_cast<void>(remove_tree(init));
  Modes modes;
  guest::TarReader reader(modes);
  ASSERT_TRUE(reader.feed(tar) && reader.is_complete());
  ASSERT_EQ(modes.files.size(), 1U);
  EXPECT_EQ(modes.files[0].first, "run/bottle/bin/bottle-init");
  EXPECT_EQ(modes.files[0].second, mode_t{0711}) << "readable, its /proc/PID/mem is the agent's between exec and prctl";
}

}  // namespace
}  // namespace bot_bottle::driven
