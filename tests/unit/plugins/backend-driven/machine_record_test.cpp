// A record that is there and cannot be read is never taken for none.
#include "plugins/backend-driven/machine_record.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/file.hpp"
#include "core/base/random.hpp"

namespace bot_bottle::driven {
namespace {

namespace fs = std::filesystem;

class MachineRecords : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(state_ + "/backend"); }
  void TearDown() override { fs::remove_all(root_); }
  void check_refused(const std::string& why) const {
    try {
      static_cast<void>(load_record(state_));
      ADD_FAILURE() << why << ": was read";
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::failed_precondition) << why;
      EXPECT_NE(failure.error().message.find(machine_name(state_)), std::string::npos) << failure.error().message;
      EXPECT_NE(failure.error().message.find(path_), std::string::npos) << failure.error().message;
    }
    const auto listed = list_records(root_, "smolvm");
    ASSERT_EQ(listed.size(), 1U) << why;
    EXPECT_EQ(listed[0].slug, "box");
    EXPECT_FALSE(listed[0].problem.empty()) << why;
  }
  std::string root_ = testing::TempDir() + "bb-records-" + random_base36(8);
  std::string state_ = root_ + "/box";
  std::string path_ = state_ + "/backend/machine.json";
};

TEST_F(MachineRecords, only_one_that_is_not_there_is_none) {
  EXPECT_EQ(load_record(state_), std::nullopt);
  EXPECT_EQ(load_record(root_ + "/gone"), std::nullopt);
  EXPECT_TRUE(list_records(root_, "smolvm").empty());
  save_record(state_, {{"backend", "smolvm"}, {"name", machine_name(state_)}});
  EXPECT_TRUE(load_record(state_));
  EXPECT_EQ(list_records(root_, "smolvm").size(), 1U);
  EXPECT_TRUE(list_records(root_, "another").empty());
}

TEST_F(MachineRecords, one_that_cannot_be_read_is_an_error_and_listed) {
  for (const std::string& text : {std::string("{"), std::string(), std::string("[]"), std::string(70'000, ' ')}) {
    ASSERT_TRUE(write_file_fast(path_, text));
    check_refused(text.substr(0, 2));
  }
  fs::remove(path_);
  fs::create_directory(path_);
  check_refused("a directory");
}

}  // namespace
}  // namespace bot_bottle::driven
