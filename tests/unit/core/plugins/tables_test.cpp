// Foreign tables of other sizes than ours.
#include "core/plugins/tables.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

namespace bot_bottle::plugins {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// A host of the future knows more functions.
struct FutureProvider {
  bb_provider known;
  bb_status (*since_1_1)(void*, const bb_call*);
};

bb_provider good() {
  bb_provider table{};
  table.struct_size = sizeof table;
  table.create = [](const bb_host*, const bb_call*, void**) { return bb_status{BB_OK}; };
  table.destroy = [](void*) {};
  table.describe = [](void*, const bb_call*, bb_writer) { return bb_status{BB_OK}; };
  table.plan = [](void*, const bb_call*, bb_str, bb_writer) { return bb_status{BB_OK}; };
  return table;
}

TEST(Tables, an_old_table_in_a_new_host_is_not_read_past_its_end) {
  // Exactly as many bytes as the plugin has: AddressSanitizer sees one that is too many.
  const bb_provider old = good();
  const std::unique_ptr<unsigned char[]> bytes(new unsigned char[sizeof old]);
  std::memcpy(bytes.get(), &old, sizeof old);
  const auto ours = normalise<FutureProvider>(bytes.get());
  EXPECT_EQ(ours.known.plan, old.plan);
  EXPECT_EQ(ours.since_1_1, nullptr);
}

TEST(Tables, a_new_table_in_an_old_host_loses_only_what_is_unknown) {
  FutureProvider theirs{good(), [](void*, const bb_call*) { return bb_status{BB_OK}; }};
  theirs.known.struct_size = sizeof theirs;
  bb_provider ours{};
  EXPECT_THAT(table_faults(&theirs, ours), IsEmpty());
  EXPECT_EQ(ours.plan, theirs.known.plan);
}

TEST(Tables, a_table_shorter_than_1_0_is_refused) {
  bb_provider table = good();
  table.struct_size = provider_size_1_0 - 8;
  bb_provider ours{};
  EXPECT_THAT(table_faults(&table, ours), ElementsAre(HasSubstr("48 bytes")));
  table.struct_size = provider_size_1_0;
  EXPECT_THAT(table_faults(&table, ours), IsEmpty());
  table.struct_size = max_table_size + 1;
  EXPECT_THAT(table_faults(&table, ours), ElementsAre(HasSubstr("not a table of this ABI")));
}

TEST(Tables, every_kind_names_the_required_functions_it_lacks) {
  bb_freezer freezer{};
  freezer.struct_size = sizeof freezer;
  bb_freezer freezer_out{};
  EXPECT_THAT(table_faults(&freezer, freezer_out),
              ElementsAre("bot-bottle.freezer/1 lacks create, destroy, freeze, exists, remove"));
  bb_deploy_key keys{};
  keys.struct_size = sizeof keys;
  bb_deploy_key keys_out{};
  EXPECT_THAT(table_faults(&keys, keys_out),
              ElementsAre("bot-bottle.deploy-key/1 lacks create, destroy, create_key, remove_key"));
  bb_backend backend_out{};
  EXPECT_THAT(table_faults(nullptr, backend_out), ElementsAre("offers no bot-bottle.backend/1"));
}

}  // namespace
}  // namespace bot_bottle::plugins
