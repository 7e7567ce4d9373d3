// Runs the built bot-bottle as a user would: own HOME, own working directory, nothing of the tester's environment.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/base/file.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/base/random.hpp"

namespace bot_bottle::cli {

class Cli : public ::testing::Test {
 protected:
  Cli() : root_(std::filesystem::temp_directory_path() / ("bb-cli-" + random_base36(8))) {
    std::filesystem::create_directories(root_ / "repo");
    std::filesystem::create_directories(root_ / "home");
    std::filesystem::permissions(root_, std::filesystem::perms::owner_all);
  }
  ~Cli() override { (void)remove_tree(root_); }

  static std::string program() { return std::string(BB_BUILD_DIR) + "/bin/bot-bottle"; }

  [[nodiscard]] ProcessRequest request(std::vector<std::string> arguments) const {
    ProcessRequest request;
    request.argv = {program()};
    request.argv.insert(request.argv.end(), arguments.begin(), arguments.end());
    request.env = environment_;
    request.cwd = root_ / "repo";
    request.timeout = std::chrono::seconds(20);
    return request;
  }
  [[nodiscard]] ProcessResult run(std::vector<std::string> arguments) const {
    auto result = run_process(request(std::move(arguments)));
    if (!result) {
      ADD_FAILURE() << result.error().message;
      return {};
    }
    return std::move(*result);
  }
  void write(const std::filesystem::path& below, const std::string& text) const {
    ASSERT_TRUE(make_directories((root_ / below).parent_path()));
    ASSERT_TRUE(write_file_fast(root_ / below, text));
  }
  [[nodiscard]] std::filesystem::path bottle_home() const { return root_ / "home/.bot-bottle"; }

  const std::filesystem::path root_;
  std::map<std::string, std::string> environment_{
      {"HOME", (root_ / "home").string()}, {"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"TERM", "xterm"}, {"TZ", "UTC"}};
};

}  // namespace bot_bottle::cli
